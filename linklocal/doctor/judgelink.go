package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// IPv4 is the first IPv4 address of the link.
func (l Link) IPv4() (netip.Prefix, bool) {
	for _, p := range l.Prefixes {
		if p.Addr().Is4() {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// unusable says why a link cannot carry mDNS, and what mends that; "": it can.
func (l Link) unusable() (why, mend string) {
	switch {
	case !l.Up:
		return "is switched off", "ip link set " + l.Name + " up"
	case !l.Running:
		return "has no cable in it, or no Wi-Fi network", "plug in the cable, or join the Wi-Fi network"
	case !l.Multicast:
		return "does not do multicast", "ip link set " + l.Name + " multicast on"
	case len(l.Prefixes) == 0:
		return "has no address", "see that DHCP works there, or give it an address: ip addr add 192.0.2.7/24 dev " + l.Name
	}
	return "", ""
}

// Used returns the links that the gateway would use: those named, else the
// best, the first of several.
func (f Facts) Used() []Link {
	var named, best []Link
	for _, l := range f.Links {
		if why, _ := l.unusable(); why != "" {
			continue
		}
		if slices.Contains(f.Wanted, l.Name) {
			named = append(named, l)
		}
		if better := len(best) == 0 || l.rank() > best[0].rank(); better && !l.Tunnel {
			best = []Link{l}
		}
	}
	if len(f.Wanted) > 0 {
		return named
	}
	return best
}

// rank is how the gateway chooses, see mdns.ConnConfig.
func (l Link) rank() (n int) {
	if hasIPv4(l) {
		n++
	}
	if l.Routed {
		n += 2
	}
	return n
}

func hasIPv4(l Link) bool { _, ok := l.IPv4(); return ok }

func hasIPv6(l Link) bool {
	return slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

func judgeLinks(f Facts) []Finding {
	const check = "interface"
	var out []Finding
	for _, l := range f.Used() {
		out = append(out, fine(check, fmt.Sprintf("%s is up: %s", l.Name, listed(prefixTexts(l.Prefixes)))))
	}
	if len(f.Wanted) == 0 {
		if len(out) > 0 {
			return out
		}
		return []Finding{noLink(f)}
	}
	for _, name := range f.Wanted {
		i := slices.IndexFunc(f.Links, func(l Link) bool { return l.Name == name })
		if i < 0 {
			out = append(out, fault(check, fmt.Sprintf("there is no interface %s, which is to be used", name), "name one of those that are there: "+orNone(listed(linkNames(f.Links)))))
			continue
		}
		if why, mend := f.Links[i].unusable(); why != "" {
			out = append(out, fault(check, fmt.Sprintf("the interface %s %s", name, why), mend))
		}
	}
	return out
}

// noLink says why none of the links is usable.
func noLink(f Facts) Finding {
	var whys []string
	mend := "connect this machine to a network"
	for i := len(f.Links) - 1; i >= 0; i-- {
		why, m := f.Links[i].unusable()
		whys = append([]string{f.Links[i].Name + " " + why}, whys...)
		mend = m
	}
	return fault("interface", "no network interface is usable: "+orNone(listed(whys)), mend)
}

func orNone(s string) string {
	if s == "" {
		return "there is none"
	}
	return s
}

func linkNames(links []Link) (names []string) {
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names
}

func prefixTexts(list []netip.Prefix) (texts []string) {
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return texts
}

// judgeSubnets looks for an interface in the network of one that is used:
// answers then leave by the one while the question came by the other. The
// prefix of a tunnel says nothing of a network.
func judgeSubnets(f Facts) []Finding {
	var out []Finding
	used := linkNames(f.Used())
	for i, a := range f.Links {
		for _, b := range f.Links[i+1:] {
			matters := slices.Contains(used, a.Name) || slices.Contains(used, b.Name)
			if !matters || !a.Up || !b.Up || a.Tunnel || b.Tunnel {
				continue
			}
			if p, ok := sharedPrefix(a, b); ok {
				out = append(out, warning("subnet", fmt.Sprintf("%s and %s are both in the network %s: packets may leave by the wrong one", a.Name, b.Name, p),
					"use one of them, or put them into one bridge or bond"))
			}
		}
	}
	return out
}

func sharedPrefix(a, b Link) (netip.Prefix, bool) {
	for _, p := range a.Prefixes {
		for _, q := range b.Prefixes {
			if p.Addr().Is4() && q.Addr().Is4() && p.Overlaps(q) {
				return p.Masked(), true
			}
		}
	}
	return netip.Prefix{}, false
}

// judgeRoute is about programs that name no interface when they send: ours do.
func judgeRoute(f Facts) []Finding {
	const check = "multicast-route"
	used := slices.DeleteFunc(f.Used(), func(l Link) bool { return !hasIPv4(l) })
	if !f.Route.Known || len(used) == 0 {
		return nil
	}
	mend := "ip route add 224.0.0.0/4 dev " + used[0].Name
	if f.Route.Err != "" {
		return []Finding{fault(check, fmt.Sprintf("no multicast route: clients on this machine that name no interface cannot send to %s (%s); the gateway itself can", group.Addr(), f.Route.Err), mend)}
	}
	for _, l := range used {
		if slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Addr() == f.Route.From }) {
			return []Finding{fine(check, "multicast that names no interface leaves by "+l.Name)}
		}
	}
	where := "from " + f.Route.From.String()
	for _, l := range f.Links {
		if slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Addr() == f.Route.From }) {
			where = "by " + l.Name
		}
	}
	return []Finding{warning(check, fmt.Sprintf("multicast that names no interface leaves %s, not by %s: other clients on this machine may be on another LAN than the gateway", where, strings.Join(linkNames(used), ", ")), mend)}
}

func judgePort(f Facts) []Finding {
	const check = "port"
	switch {
	case f.Port.InUse:
		who := "another program"
		if f.Port.Holder != "" {
			who = f.Port.Holder
		}
		return []Finding{fault(check, "UDP port 5353 is taken: "+who+" does not share it, so the gateway hears nothing of the LAN",
			"stop that program, or make it share the port (SO_REUSEADDR; in avahi-daemon.conf: disallow-other-stacks=no)")}
	case f.Port.Err != "":
		return []Finding{fault(check, "UDP port 5353 cannot be opened: "+f.Port.Err, "see what forbids it: a sandbox, a container, a security module")}
	case len(f.LANs) > 0:
		return []Finding{fine(check, "UDP port 5353 can be shared")}
	}
	return nil
}
