package clique

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"meshgate/linklocal/mdns"
)

const (
	maxAdverts = 1024 // rooms that are known by name
	maxGroups  = 8    // of one advert: several rooms of one name, or nonsense
)

// An adverts is what is advertised on the links, by others and by us.
type adverts struct {
	ipv6 bool
	all  map[string]*advert // by foldName
	news []string           // keys of those of which there may be something to tell
}

// An advert is one name.
type advert struct {
	name   string           // as it is spelled there
	theirs []netip.AddrPort // the groups that others say: of one room, as a rule
	ours   netip.AddrPort   // what we say; zero: nothing
	told   netip.AddrPort   // what was told as Found; zero: nothing
}

func newAdverts(ipv6 bool) *adverts { return &adverts{ipv6: ipv6, all: map[string]*advert{}} }

// foldName makes names alike that are one in DNS, RFC 6762 §16.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

// see notes what an instance says. One that leads nowhere is none; false: there is
// no room for it.
func (a *adverts) see(e mdns.Entry) bool {
	groups := a.groups(e)
	if len(groups) == 0 || checkName(e.Instance) != nil {
		a.vanish(e.Instance)
		return true
	}
	ad := a.get(e.Instance)
	if ad == nil {
		return false
	}
	ad.name, ad.theirs = e.Instance, groups
	return true
}

// groups are the groups of an entry. It has them as the addresses of its host,
// which is itself as a rule.
//
// COMPAT Salut: of a room "a.b" the host is another name than the instance.
func (a *adverts) groups(e mdns.Entry) (groups []netip.AddrPort) {
	for _, addr := range e.Addrs {
		g := netip.AddrPortFrom(addr.WithZone(""), e.Port)
		if checkGroup(g) == nil && (a.ipv6 || addr.Is4()) && len(groups) < maxGroups {
			groups = append(groups, g)
		}
	}
	return groups
}

// vanish notes that others do not say a name any more.
func (a *adverts) vanish(name string) {
	if key := foldName(name); a.all[key] != nil {
		a.all[key].theirs = nil
		a.news = append(a.news, key)
	}
}

// own notes what we say of a name; zero: nothing any more.
func (a *adverts) own(name string, g netip.AddrPort) {
	if ad := a.get(name); ad != nil {
		ad.ours = g
	}
}

// get returns the advert of a name, which something is about to become of; nil:
// there is no room for it.
func (a *adverts) get(name string) *advert {
	key := foldName(name)
	ad := a.all[key]
	if ad == nil {
		if len(a.all) >= maxAdverts {
			return nil
		}
		ad = &advert{name: name}
		a.all[key] = ad
	}
	a.news = append(a.news, key)
	return ad
}

// theirs is what others say of a name, and how they spell it.
func (a *adverts) theirs(name string) (string, []netip.AddrPort) {
	if ad := a.all[foldName(name)]; ad != nil {
		return ad.name, ad.theirs
	}
	return name, nil
}

// has reports whether a group is somebody's already.
func (a *adverts) has(g netip.AddrPort) bool {
	for _, ad := range a.all {
		if ad.ours == g || slices.Contains(ad.theirs, g) {
			return true
		}
	}
	return false
}

// group is where the room of an advert is; zero: it is none any more.
func (ad *advert) group() netip.AddrPort {
	switch {
	case ad.ours.IsValid():
		return ad.ours
	case len(ad.theirs) > 0:
		return ad.theirs[0]
	}
	return netip.AddrPort{}
}

// next is the next news of what is advertised; nil: there is none.
func (a *adverts) next() Event {
	for len(a.news) > 0 {
		key := a.news[0]
		a.news = a.news[1:]
		ad := a.all[key]
		if ad == nil {
			continue
		}
		g, told := ad.group(), ad.told
		ad.told = g
		if !g.IsValid() {
			delete(a.all, key)
		}
		switch {
		case g == told:
		case g.IsValid():
			return Found{Name: ad.name, Group: g}
		default:
			return Gone{Name: ad.name}
		}
	}
	a.news = nil
	return nil
}

// randomGroup is where a new room may be.
//
// Salut takes 239.255.71.1 to .253 and a port from 1024 on; the ports that we
// take are those that no program of this or another host is likely to have.
func randomGroup(rng *rand.Rand) netip.AddrPort {
	const firstPort, lastPort = 49152, 65534 // RFC 6335 §6: dynamic ports
	a := netip.AddrFrom4([4]byte{239, 255, 71, byte(1 + rng.IntN(253))})
	return netip.AddrPortFrom(a, uint16(firstPort+rng.IntN(lastPort-firstPort+1)))
}

// advertOf is how a room is published.
func advertOf(id mdns.ServiceID, name string, g netip.AddrPort) mdns.Service {
	return mdns.Service{
		ID: id, Instance: name, Type: ServiceType, Port: g.Port(), Text: []string{"txtvers=0"}, Addrs: []netip.Addr{g.Addr()},
	}
}
