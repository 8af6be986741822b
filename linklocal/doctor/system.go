package doctor

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// What the system knows by itself. Much of it stands in /proc and /sys and is
// known on Linux only; elsewhere it is left out.

const maxTable = 4096 // lines read of a table in /proc

// links lists the interfaces but loopback, without IPv6 addresses if those are
// not to be used.
func links(six bool) []Link {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []Link
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 {
			continue
		}
		l := Link{
			Name: ifi.Name, Up: ifi.Flags&net.FlagUp != 0, Running: ifi.Flags&net.FlagRunning != 0,
			Multicast: ifi.Flags&net.FlagMulticast != 0, Tunnel: ifi.Flags&net.FlagPointToPoint != 0, Prefixes: prefixesOf(ifi, six),
		}
		l.Routed = router(ifi.Name).IsValid()
		l.Bridge = bridgeOf(ifi.Name)
		if l.Bridge != "" {
			dir := filepath.Join("/sys/class/net", l.Bridge, "bridge")
			l.Snooping, l.Querier = isSet(dir, "multicast_snooping"), isSet(dir, "multicast_querier")
		}
		out = append(out, l)
	}
	return out
}

func prefixesOf(ifi net.Interface, six bool) (out []netip.Prefix) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && (six || n.IP.To4() != nil) {
			ip, _ := netip.AddrFromSlice(n.IP)
			ones, _ := n.Mask.Size()
			out = append(out, netip.PrefixFrom(ip.Unmap(), ones))
		}
	}
	return out
}

// bridgeOf is the Linux bridge that the interface is, or belongs to.
func bridgeOf(name string) string {
	dir := filepath.Join("/sys/class/net", name)
	if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
		return name
	}
	if master, err := os.Readlink(filepath.Join(dir, "master")); err == nil {
		if _, err := os.Stat(filepath.Join(dir, "master", "bridge")); err == nil {
			return filepath.Base(master)
		}
	}
	return ""
}

func isSet(dir, name string) bool {
	b, err := os.ReadFile(filepath.Join(dir, name))
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

// route asks the kernel where a packet to the group would go.
func route() Route {
	c, err := net.Dial("udp4", group.String())
	if err != nil {
		return Route{Known: true, Err: reason(err)}
	}
	defer c.Close()
	return Route{Known: true, From: c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()}
}

// table reads a table of /proc without its heading, each line in fields.
func table(name string) (rows [][]string) {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan(); s.Scan() && len(rows) < maxTable; {
		rows = append(rows, strings.Fields(s.Text()))
	}
	return rows
}

// router is where the default route by that interface leads; invalid: nowhere.
func router(link string) netip.Addr {
	for _, f := range table("/proc/net/route") {
		if len(f) < 8 || f[0] != link || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(f[2]) // in the byte order of the machine: all that we build for are little-endian
		if err == nil && len(b) == 4 && f[2] != "00000000" {
			return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]})
		}
	}
	return netip.Addr{}
}

// resolved lists the hosts on a link of which the hardware address is known.
func resolved(link string) map[netip.Addr]bool {
	const complete = 0x2 // ATF_COM of arp(7)
	out := map[netip.Addr]bool{}
	for _, f := range table("/proc/net/arp") {
		if len(f) < 6 || f[5] != link {
			continue
		}
		flags, err := strconv.ParseUint(strings.TrimPrefix(f[2], "0x"), 16, 32)
		if a, aerr := netip.ParseAddr(f[0]); err == nil && aerr == nil && flags&complete != 0 {
			out[a] = true
		}
	}
	return out
}

// holder says who has UDP port 5353, as far as this user may know; "": nobody
// knows.
func holder() string {
	for _, name := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		for _, f := range table(name) {
			if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", group.Port())) {
				if who := ownerOf(f[9]); who != "" {
					return who
				}
			}
		}
	}
	return ""
}

// ownerOf finds the process that has the socket with that inode.
func ownerOf(inode string) string {
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || to != "socket:["+inode+"]" {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			return "process " + pid
		}
		return strings.TrimSpace(string(name)) + " (process " + pid + ")"
	}
	return ""
}
