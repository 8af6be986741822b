package multicast

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// inCrowd keeps away what is sent to groups that only others have joined: ip(7),
// IP_MULTICAST_ALL. What an old kernel does not know is done without.
//
// COMPAT Linux 6.18: sockets with SO_REUSEPORT are not for this. Where one socket
// alone has joined a group, the kernel takes any socket of that port and user
// that has the option, whatever it has joined; SO_REUSEADDR, which package net
// sets, shares the port as well with whoever has set that.
func inCrowd(fd uintptr, group netip.Addr) {
	const ipv6MulticastAll = 29 // linux/in6.h
	if group.Is4() {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	} else {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, ipv6MulticastAll, 0)
	}
}
