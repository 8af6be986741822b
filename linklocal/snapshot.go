package linklocal

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"meshgate/linklocal/mdns"
)

// A PeerInfo is one presence name on the mesh as of now, for people to read:
// a peer's, or one of ours.
type PeerInfo struct {
	Instance Instance
	Contact  ContactID // of ours; "": a peer
	Wanted   Instance  // of ours: the name that it should have
	Client   string    // a guess: "libpurple 2.14.12"; "": unknown
	Presence Presence
	Host     string       // "h1.local"; "" for ours
	Addrs    []netip.Addr // sorted
	Port     uint16
	Links    []string // names of the interfaces where it is seen

	Since   time.Time // seen, or published, for the first time
	Changed time.Time // of its presence or its address; the last time

	Streams int  // open, with this peer or to this contact
	TLS     bool // one of them is encrypted
}

// asking is the command for a snapshot. Its answer has room for one.
type asking struct{ answer chan []PeerInfo }

// Peers returns who is on the mesh, sorted by name, our own contacts too. It
// waits for the loop: until ctx ends where Run is not running yet.
func (s *Service) Peers(ctx context.Context) ([]PeerInfo, error) {
	a := asking{make(chan []PeerInfo, 1)}
	if !s.commands.Put(a) {
		return nil, ErrQueueFull
	}
	if s.stopped.Load() {
		s.failCommands() // there may be no loop any more
	}
	select {
	case list, ok := <-a.answer:
		if !ok {
			return nil, ErrStopped
		}
		return list, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// snapshot collects what Peers returns.
func (l *loop) snapshot() []PeerInfo {
	list := l.roster.infos()
	links := l.dns.Links()
	for _, ct := range l.contacts {
		if ct.name != "" {
			list = append(list, l.infoOf(ct, links))
		}
	}
	at := make(map[string]int, len(list))
	for i := range list {
		at[list[i].Instance.Key()] = i
	}
	for c := range l.conns {
		if c.stream.state != open {
			continue
		}
		for _, name := range []Instance{c.stream.cfg.peer, c.contact.name} {
			if i, ok := at[name.Key()]; ok {
				list[i].Streams++
				list[i].TLS = list[i].TLS || c.stream.secure
			}
		}
	}
	slices.SortFunc(list, func(a, b PeerInfo) int { return cmp.Compare(a.Instance.Key(), b.Instance.Key()) })
	return list
}

func (l *loop) infoOf(ct *contact, links []mdns.Link) PeerInfo {
	p := ParseTXT(ct.text)
	p.Status = cmp.Or(p.Status, Available)
	info := PeerInfo{
		Instance: ct.name, Contact: ct.ID, Wanted: presenceName(ct.User, l.cfg.Machine), Client: "meshgate",
		Presence: p, Port: ct.port, Since: ct.since, Changed: ct.changed,
	}
	for _, on := range links {
		info.Links = append(info.Links, on.Name)
		info.Addrs = append(info.Addrs, on.Addrs()...)
	}
	return info
}

// infos is who is there besides us.
func (r *roster) infos() []PeerInfo {
	var list []PeerInfo
	for _, e := range r.peers {
		if p := e.now; p != nil {
			list = append(list, PeerInfo{
				Instance: p.Instance, Client: clientOf(p.Presence), Presence: p.Presence, Host: p.Host,
				Addrs: p.Addrs, Port: p.Port, Links: e.links, Since: e.since, Changed: e.changed,
			})
		}
	}
	return list
}
