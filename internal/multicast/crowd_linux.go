package multicast

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// inCrowd shares the port with programs that set only SO_REUSEPORT, and keeps
// away what is sent to groups that only others have joined: ip(7),
// IP_MULTICAST_ALL. What an old kernel does not know is done without.
func inCrowd(fd uintptr, group netip.Addr) {
	const ipv6MulticastAll = 29 // linux/in6.h
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	if group.Is4() {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	} else {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, ipv6MulticastAll, 0)
	}
}
