package netwatch

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Listener hears what the kernel says of links, addresses and routes.
type Listener struct{ f *os.File }

// Listen begins to listen, in the network namespace of the calling thread.
func Listen() (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "netlink")
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		f.Close()
		return nil, err
	}
	return &Listener{f}, nil
}

// run calls changed, which must not block, for each message, until ctx ends or
// nothing more can be heard. What the messages say is not looked at: that they
// came is reason to look.
func (l *Listener) run(ctx context.Context, changed func()) error {
	defer l.f.Close()
	defer context.AfterFunc(ctx, func() { l.f.Close() })()
	buf := make([]byte, 8192)
	for {
		if _, err := l.f.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) { // that is: more than it could keep
			return err
		}
		changed()
	}
}

// Uptime is the time since some moment, with that in which the machine slept.
func Uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// maxRoutes are looked at; a default route is the first of its table.
const maxRoutes = 64

// DefaultRoutes are the ways out, in the network namespace of the calling
// thread. What cannot be read is left out.
func DefaultRoutes() (routes []Route) {
	for _, table := range []struct {
		name        string
		destination func(fields []string) bool
		gateway     int
		device      int
		ipv6        bool
	}{
		{"/proc/thread-self/net/route", isDefault4, 2, 0, false},
		{"/proc/thread-self/net/ipv6_route", isDefault6, 4, 9, true},
	} {
		f, err := os.Open(table.name)
		if err != nil {
			continue // a kernel without that family
		}
		for _, fields := range readTable(f) {
			if table.destination(fields) {
				routes = append(routes, Route{fields[table.device], fields[table.gateway], table.ipv6})
			}
		}
		f.Close()
	}
	return routes
}

// isDefault4 knows lines of: interface, destination, gateway, flags, three
// counters, mask and more, the addresses in hexadecimal.
func isDefault4(f []string) bool { return len(f) >= 8 && f[1] == "00000000" && f[7] == "00000000" }

// isDefault6 knows lines of: destination, its prefix length, source, its
// prefix length, gateway, metric, two counters, flags, interface.
func isDefault6(f []string) bool {
	return len(f) >= 10 && strings.Trim(f[0]+f[1], "0") == "" && f[9] != "lo"
}

func readTable(r io.Reader) (rows [][]string) {
	for lines := bufio.NewScanner(r); len(rows) < maxRoutes && lines.Scan(); {
		rows = append(rows, strings.Fields(lines.Text()))
	}
	return rows
}
