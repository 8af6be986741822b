package mdns

import (
	"net/netip"
	"slices"
)

// MaxLinks caps the interfaces in use at once.
const MaxLinks = 16

// A Link is an interface in use.
type Link struct {
	Name     string
	Index    int
	Prefixes []netip.Prefix // our addresses on it, each with the length of its network
}

// Addrs returns our addresses on the link; the link-local IPv6 ones with its zone.
func (l *Link) Addrs() []netip.Addr {
	out := make([]netip.Addr, 0, len(l.Prefixes))
	for _, p := range l.Prefixes {
		a := p.Addr()
		if a.Is6() && a.IsLinkLocalUnicast() {
			a = a.WithZone(l.Name)
		}
		out = append(out, a)
	}
	return out
}

// onLink reports whether a packet's source is a neighbour.
//
// "the source IP address … MUST be checked to see if it is an address on the
// local link", RFC 6762 §11.
func (l *Link) onLink(a netip.Addr) bool {
	a = a.WithZone("")
	return a.IsLinkLocalUnicast() || slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// A family is IPv4 or IPv6.
type family int

const (
	ipv4Family family = iota
	ipv6Family
	numFamilies
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4Family
	}
	return ipv6Family
}

func (f family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// of are the prefixes of a family.
func (f family) of(prefixes []netip.Prefix) (out []netip.Prefix) {
	for _, p := range prefixes {
		if familyOf(p.Addr()) == f {
			out = append(out, p)
		}
	}
	return out
}

// A candidate is an interface that could be a link.
type candidate struct {
	Link
	running bool // there is a cable in it, as it were
	tunnel  bool // to one other host: used only by name
	routed  bool // the world is that way
}

// choose picks the links to use among what there is: those named; without
// names the best one, and the current one if it is as good, else the first.
func choose(found []candidate, names []string, current string) (out []Link) {
	best := -1
	for _, c := range found {
		switch {
		case !c.running || len(c.Prefixes) == 0:
		case slices.Contains(names, c.Name) && len(out) < MaxLinks:
			out = append(out, c.Link)
		case len(names) > 0 || c.tunnel:
		default:
			if rank := c.rank(); rank > best || rank == best && c.Name == current {
				best, out = rank, []Link{c.Link}
			}
		}
	}
	return out
}

// rank says how likely it is that people are there. Containers and virtual
// machines have bridges, which have addresses long before DHCP has one for us.
func (c *candidate) rank() (n int) {
	if len(ipv4Family.of(c.Prefixes)) > 0 {
		n++
	}
	if c.routed {
		n += 2
	}
	return n
}

// without6 takes the IPv6 addresses away.
func without6(found []candidate) []candidate {
	for i := range found {
		found[i].Prefixes = ipv4Family.of(found[i].Prefixes)
	}
	return found
}
