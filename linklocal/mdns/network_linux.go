package mdns

import (
	"bufio"
	"errors"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unfitAddrs are the IPv6 addresses that are not published, with their
// interface as zone: tentative ones, which are not ours yet; those that turned
// out to be somebody else's; deprecated and temporary ones, which will not last.
func unfitAddrs() (map[netip.Addr]bool, error) {
	f, err := os.Open("/proc/thread-self/net/if_inet6")
	switch {
	case errors.Is(err, os.ErrNotExist): // a kernel without IPv6
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer f.Close()
	return parseIfInet6(f), nil
}

const unfitFlags = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED | unix.IFA_F_TEMPORARY

// parseIfInet6 reads lines of: address, index, prefix length, scope and flags
// in hexadecimal, and the name of the interface.
func parseIfInet6(r io.Reader) map[netip.Addr]bool {
	unfit := map[netip.Addr]bool{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 6 || len(f[0]) != 32 {
			continue
		}
		var a [16]byte
		for i := range a {
			b, _ := strconv.ParseUint(f[0][2*i:2*i+2], 16, 8)
			a[i] = byte(b)
		}
		if flags, err := strconv.ParseUint(f[4], 16, 32); err == nil && flags&unfitFlags != 0 {
			unfit[netip.AddrFrom16(a).WithZone(f[5])] = true
		}
	}
	return unfit
}
