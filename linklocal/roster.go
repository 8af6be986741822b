package linklocal

import (
	"net/netip"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"meshgate/internal/stanza"
)

// A roster is who is on the mesh besides us, and what of it the Handler has
// been told. It is pure; one goroutine owns it.
//
// News are not queued but found by comparing: however fast a peer changes,
// at most one event per peer waits.
type roster struct {
	max   int
	peers map[string]*rosterEntry // by Instance.Key
	news  []string                // keys in the order in which they changed, each once
}

type rosterEntry struct {
	now    *Peer // nil: gone
	told   *Peer // nil: the Handler does not know it
	queued bool  // in news
	// since is when it came, changed when it was last other than before.
	since, changed time.Time
	links          []string // where it is seen
	// The same of its icon: the one that it has, the one that was told.
	icon, toldIcon *Icon
	// announced is closed when the Handler has heard of the peer: what the
	// peer says must not arrive before.
	announced chan struct{}
}

func newRoster(limit int) *roster {
	return &roster{max: limit, peers: make(map[string]*rosterEntry)}
}

// set notes that p is there and as it is. It reports false if there is no
// room for p, or its name cannot be said in XML.
//
// "Even if a client discovers the same presence name on multiple network
// interfaces, it MUST show only one entity in the local roster."
// XEP-0174 v0.9 (Multiple Network Interfaces)
func (r *roster) set(p Peer) bool {
	if !validName(p.Instance) {
		return false
	}
	key := p.Instance.Key()
	e := r.peers[key]
	if e == nil {
		if len(r.peers) >= r.max {
			return false
		}
		e = &rosterEntry{announced: make(chan struct{})}
		r.peers[key] = e
	}
	e.now = &p
	r.changed(key, e)
	return true
}

// see is set with the time and with the names of the links where p is seen.
func (r *roster) see(now time.Time, p Peer, links []string) bool {
	before := r.get(p.Instance)
	if !r.set(p) {
		return false
	}
	e := r.peers[p.Instance.Key()]
	e.links = links
	if before == nil {
		e.since = now
	}
	if before == nil || !reflect.DeepEqual(*before, p) {
		e.changed = now
	}
	return true
}

// remove notes that a peer is gone.
func (r *roster) remove(i Instance) {
	key := i.Key()
	e := r.peers[key]
	if e == nil {
		return
	}
	e.now, e.icon = nil, nil
	if e.told == nil && !e.queued {
		delete(r.peers, key)
		return
	}
	r.changed(key, e)
}

// maxIconBytes bounds the peers' pictures in memory, all together.
const maxIconBytes = 8 << 20

// setIcon notes which picture a peer has; nil: none. The Handler is told after
// it has been told of the peer. It reports false if there is no room for it:
// then the peer has none.
func (r *roster) setIcon(i Instance, icon *Icon) (ok bool) {
	key := i.Key()
	e := r.peers[key]
	if e == nil || e.now == nil || e.icon == icon {
		return true
	}
	e.icon = nil
	if ok = icon == nil || r.iconBytes()+len(icon.Data) <= maxIconBytes; ok {
		e.icon = icon
	}
	r.changed(key, e)
	return ok
}

func (r *roster) iconBytes() (n int) {
	for _, e := range r.peers {
		if e.icon != nil {
			n += len(e.icon.Data)
		}
	}
	return n
}

func (r *roster) changed(key string, e *rosterEntry) {
	if !e.queued {
		e.queued = true
		r.news = append(r.news, key)
	}
}

// size is how many peers are there.
func (r *roster) size() (n int) {
	for _, e := range r.peers {
		if e.now != nil {
			n++
		}
	}
	return n
}

// get returns the peer of this name, nil if there is none.
func (r *roster) get(i Instance) *Peer {
	if e := r.peers[i.Key()]; e != nil {
		return e.now
	}
	return nil
}

// since is when the peer of this name came; zero if there is none.
func (r *roster) since(i Instance) time.Time {
	if e := r.peers[i.Key()]; e != nil && e.now != nil {
		return e.since
	}
	return time.Time{}
}

// announced is closed once the Handler knows the peer; nil if there is none.
func (r *roster) announced(i Instance) <-chan struct{} {
	if e := r.peers[i.Key()]; e != nil && e.now != nil {
		return e.announced
	}
	return nil
}

// told reports whether there is nothing to tell the Handler about this name
// before it hears what the peer does.
func (r *roster) told(i Instance) bool {
	e := r.peers[i.Key()]
	return e == nil || e.told != nil
}

// at returns the peers whose host has this address.
func (r *roster) at(a netip.Addr) []Instance {
	var found []Instance
	for _, e := range r.peers {
		if e.now != nil && hasAddr(e.now.Addrs, a) {
			found = append(found, e.now.Instance)
		}
	}
	slices.Sort(found)
	return found
}

// next takes the oldest news, with the channel to close once they are told
// (nil: none). ok is false if there are none.
func (r *roster) next() (ev Event, told chan struct{}, ok bool) {
	for len(r.news) > 0 {
		key := r.news[0]
		r.news = r.news[1:]
		e := r.peers[key]
		e.queued = false
		before := e.told
		e.told = e.now
		switch {
		case e.now == nil:
			delete(r.peers, key)
			if before != nil {
				return PeerVanished{before.Instance}, nil, true
			}
			close(e.announced) // nobody need wait for it
		case before == nil:
			r.iconLater(key, e)
			return PeerAppeared{*e.now}, e.announced, true
		case !reflect.DeepEqual(before, e.now):
			r.iconLater(key, e)
			return PeerChanged{*e.now}, nil, true
		case e.icon != e.toldIcon:
			e.toldIcon = e.icon
			return PeerIcon{e.now.Instance, e.icon}, nil, true
		}
	}
	return nil, nil, false
}

// iconLater has the news of a peer's icon follow those of the peer.
func (r *roster) iconLater(key string, e *rosterEntry) {
	if e.icon != e.toldIcon {
		r.changed(key, e)
	}
}

// validName reports whether a presence name can be said in XML.
func validName(i Instance) bool {
	s := string(i)
	return s != "" && len(s) <= maxInstance && utf8.ValidString(s) && stanza.Clean(s) == s
}

// hasAddr reports whether a is among addrs. A link-local IPv6 address without
// a zone is that address in any zone.
func hasAddr(addrs []netip.Addr, a netip.Addr) bool {
	a = a.Unmap()
	return slices.ContainsFunc(addrs, func(b netip.Addr) bool {
		b = b.Unmap()
		if a.Zone() == "" || b.Zone() == "" {
			return a.WithZone("") == b.WithZone("")
		}
		return a == b
	})
}
