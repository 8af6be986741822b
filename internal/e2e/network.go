package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// plug connects eth0 to the bridge and gives it its address.
func (h *Host) plug() {
	h.tb.Helper()
	h.wire("eth0", "br0", "p")
	var b strings.Builder
	if !h.lab.opt.IPv6 {
		h.sysctl("net/ipv6/conf/all/disable_ipv6", "1")
	}
	// No duplicate address detection: link-local addresses are usable at once.
	h.sysctl("net/ipv6/conf/eth0/accept_dad", "0")
	fmt.Fprintf(&b, "addr add %s/24 dev eth0\nlink set eth0 up\n", h.addr)
	b.WriteString(multicastRoute)
	h.ip(b.String())
}

// multicastRoute lets programs send to groups without naming an interface.
const multicastRoute = "route replace 224.0.0.0/4 dev eth0\n"

// wire makes a cable between a new interface of the host and a bridge.
func (h *Host) wire(nic, bridge, prefix string) {
	h.tb.Helper()
	port := fmt.Sprintf("%s%d", prefix, h.number)
	h.lab.onBridge(fmt.Sprintf("link add %s type veth peer name %s netns %d\nlink set %s master %s up\n",
		port, nic, h.init.Process.Pid, port, bridge))
}

// ip carries out iproute2 commands, one a line, inside the host.
func (h *Host) ip(batch string) {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := h.Command(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch)
	var out limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		h.tb.Fatalf("e2e: %s: ip: %v: %s\n%s", h.Name, err, out.b, batch)
	}
}

// sysctl sets a kernel variable of the host; a kernel without it is fine.
func (h *Host) sysctl(key, value string) {
	h.Output("sh", "-c", `if [ -e "/proc/sys/$0" ]; then echo "$1" > "/proc/sys/$0"; fi`, key, value)
}

// SetAddr replaces the host's IPv4 address ("10.70.1.9/24"), as a new DHCP
// lease does.
func (h *Host) SetAddr(prefix string) {
	h.tb.Helper()
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		h.tb.Fatalf("e2e: %s: %v", h.Name, err)
	}
	h.addr = p.Addr()
	h.writeHosts()
	h.Output("ip", "-4", "addr", "flush", "dev", "eth0")
	h.ip(fmt.Sprintf("addr add %s dev eth0\n", prefix) + multicastRoute)
}

// Neighbour returns an unused address of the LAN with its prefix length, for
// SetAddr; n is 1 to 50.
func (h *Host) Neighbour(n int) string {
	return fmt.Sprintf("%s.%d/24", h.lab.net, 200+n)
}

// Link pulls the host's cable out, or puts it back in.
func (h *Host) Link(up bool) {
	h.tb.Helper()
	if !up {
		h.ip("link set eth0 down\n")
		return
	}
	h.ip("link set eth0 up\n" + multicastRoute)
}

// AddNIC gives the host a second interface, eth1, on a second LAN, and returns
// its address there.
func (h *Host) AddNIC() netip.Addr {
	h.tb.Helper()
	if !h.lab.extraNIC {
		h.lab.onBridge("link add br1 type bridge mcast_snooping 0 forward_delay 0\nlink set br1 up\n")
		h.lab.extraNIC = true
	}
	h.wire("eth1", "br1", "q")
	addr := netip.MustParseAddr(fmt.Sprintf("10.%d.255.%d", 64+h.lab.secondNet(), h.number))
	h.ip(fmt.Sprintf("addr add %s/24 dev eth1\nlink set eth1 up\n", addr))
	return addr
}

// secondNet is the second byte of the second LAN's addresses, less 64. The
// third is 255 there and never on the first LAN.
func (l *Lab) secondNet() int {
	return int(l.net[len(l.net)-1]-'0') * 6
}

// Loss drops that percentage of the packets that arrive at the host, at
// random. Zero ends it.
func (h *Host) Loss(percent int) {
	h.tb.Helper()
	match := ""
	if percent < 100 { // nft takes a percentage that is always true for a mistake
		match = fmt.Sprintf("numgen random mod 100 < %d ", percent)
	}
	rules := ""
	if percent > 0 {
		rules = "  iif \"lo\" accept\n  " + match + "counter drop\n"
	}
	h.filter("loss", rules)
}

// Block drops all that arrives from an address; nobody is told. An invalid
// address ends it.
func (h *Host) Block(from netip.Addr) {
	h.tb.Helper()
	rules := ""
	if from.IsValid() {
		rules = fmt.Sprintf("  ip saddr %s counter drop\n", from)
	}
	h.filter("block", rules)
}

// filter replaces the named set of rules for what arrives at the host.
func (h *Host) filter(name, rules string) {
	h.tb.Helper()
	text := fmt.Sprintf("table inet %s\ndelete table inet %s\n", name, name)
	if rules != "" {
		text += fmt.Sprintf("table inet %s {\n chain in {\n  type filter hook input priority 0;\n%s }\n}\n", name, rules)
	}
	h.Output("nft", "-f", h.WriteFile(name+".nft", text))
}

// Tap writes what passes the host's interface into a pcap file until the
// returned process is stopped. A filter is in tcpdump's language.
func (h *Host) Tap(file string, filter ...string) *Proc {
	h.tb.Helper()
	p := h.Start("tcpdump", append([]string{"-i", "eth0", "-s0", "-U", "--immediate-mode", "-n", "-Z", "root", "-w", file}, filter...)...)
	p.Expect(`listening on eth0`)
	return p
}
