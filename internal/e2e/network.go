package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// plug connects eth0 to the host's LAN.
func (h *Host) plug() {
	h.tb.Helper()
	if !h.lab.opt.IPv6 && !h.lab.opt.IPv6Only {
		h.sysctl("net/ipv6/conf/all/disable_ipv6", "1")
	}
	// No duplicate address detection: link-local addresses are usable at once.
	h.sysctl("net/ipv6/conf/default/accept_dad", "0")
	if h.lab.opt.IPv6Only {
		h.ip(fmt.Sprintf("addr add %s/32 dev lo\n", h.addr))
	}
	h.AddNIC(h.lan)
}

// AddNIC gives the host another interface, the first of eth0, eth1 … that it
// does not have, on LAN 1 or 2 of the lab, and returns its IPv4 address there.
func (h *Host) AddNIC(lan int) netip.Addr {
	h.tb.Helper()
	n := slices.Index(h.nics, false)
	if n < 0 {
		n, h.nics = len(h.nics), append(h.nics, false)
	}
	h.nics[n] = true
	nic, addr := nicName(n), h.lab.addr(lan, h.number+50*n)
	port := h.port(nic)
	h.lab.onBridge(fmt.Sprintf("link add %s type veth peer name %s netns %d\nlink set %s master br%d up\n",
		port, nic, h.init.Process.Pid, port, lan))
	batch := fmt.Sprintf("link set %s up\n", nic)
	if !h.lab.opt.IPv6Only {
		batch = fmt.Sprintf("addr add %s/24 dev %s\n", addr, nic) + batch
		if nic == "eth0" {
			batch += multicastRoute
		}
	}
	h.ip(batch)
	return addr
}

// RemoveNIC takes an interface away, as one on USB is pulled out.
func (h *Host) RemoveNIC(nic string) {
	h.tb.Helper()
	h.ip("link delete " + nic + "\n")
	for n := range h.nics {
		h.nics[n] = h.nics[n] && nicName(n) != nic
	}
}

func nicName(n int) string { return fmt.Sprintf("eth%d", n) }

// port is the switch's end of the cable.
func (h *Host) port(nic string) string { return fmt.Sprintf("%s-%s", h.Name, nic) }

// addr is an IPv4 address of a LAN. The third byte of LAN 2 is 255, which is
// never that of LAN 1.
func (l *Lab) addr(lan, n int) netip.Addr {
	net := l.net
	if lan == 2 {
		net = fmt.Sprintf("10.%d.255", 64+int(l.net[len(l.net)-1]-'0')*6)
	}
	return netip.MustParseAddr(fmt.Sprintf("%s.%d", net, n))
}

// multicastRoute lets programs send to groups without naming an interface.
const multicastRoute = "route replace 224.0.0.0/4 dev eth0\n"

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
func (h *Host) Neighbour(n int) string { return h.lab.addr(h.lan, 200+n).String() + "/24" }

// Cable pulls the cable of eth0 out, or puts it back in: the host notices.
func (h *Host) Cable(in bool) {
	h.tb.Helper()
	state := "down"
	if in {
		state = "up"
	}
	h.lab.onBridge(fmt.Sprintf("link set %s %s\n", h.port("eth0"), state))
}

// Isolate cuts the host off, or ends that, and nobody's interface shows it: the
// cable between two switches is pulled.
func (h *Host) Isolate(off bool) {
	h.tb.Helper()
	master := fmt.Sprintf("master br%d", h.lan)
	if off {
		master = "nomaster"
	}
	h.lab.onBridge(fmt.Sprintf("link set %s %s\n", h.port("eth0"), master))
}

// Link switches eth0 off, or on again, as a person does on the host.
func (h *Host) Link(up bool) {
	h.tb.Helper()
	h.LinkNIC("eth0", up)
	if up {
		h.ip(multicastRoute)
	}
}

// LinkNIC is Link for any interface.
func (h *Host) LinkNIC(nic string, up bool) {
	h.tb.Helper()
	state := "down"
	if up {
		state = "up"
	}
	h.ip(fmt.Sprintf("link set %s %s\n", nic, state))
}

// Apart has eth0 take apart what the kernel sends as one (segmentation offload), as a
// card without that does. Otherwise a train of packets of one program goes through
// the lab as a whole, and is lost as a whole.
func (h *Host) Apart() {
	h.tb.Helper()
	h.ip("link set eth0 gso_max_segs 1\n")
}

// Loss drops that percentage of the packets that arrive at the host, at
// random. Zero ends it.
func (h *Host) Loss(percent int) {
	h.tb.Helper()
	h.lose(percent, "")
}

// LossOfMDNS is Loss of multicast DNS alone.
func (h *Host) LossOfMDNS(percent int) {
	h.tb.Helper()
	h.lose(percent, "udp dport 5353 ")
}

func (h *Host) lose(percent int, match string) {
	h.tb.Helper()
	if percent < 100 { // nft takes a percentage that is always true for a mistake
		match += fmt.Sprintf("numgen random mod 100 < %d ", percent)
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
