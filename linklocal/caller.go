package linklocal

import (
	"context"
	"net/netip"
	"time"

	"meshgate/linklocal/mdns"
)

const (
	lookupTimeout      = 4 * time.Second // mdns takes three
	maxSearches        = 64              // at once
	maxSearchesPerAddr = 4
)

// A search is the waiting for a caller whom the roster does not know at its
// address: its record may be on its way still, or its address is a new one.
// mDNS is asked, and if it does not know either the caller may still appear, or
// announce its address, for as long as it is news.
//
// COMPAT libpurple 2.14 on avahi 0.8: lets a person write while its name is
// being probed for, a second before the first announcement, which need not have
// its address in it; and if it is refused it forgets the message in silence.
type search struct {
	key    searchKey
	claim  Instance // "": the only peer at the address
	conns  []*conn
	asking bool // mDNS
	till   time.Time
}

type searchKey struct {
	claim string // Instance.Key
	addr  netip.Addr
}

// identify finds out who calls: the header's "from", else that of the first
// stanza, else the only peer on the caller's address. The name must belong to
// a peer whose address in mDNS is the one that the connection comes from.
//
// A caller with a stale SRV record may reach a port that is another contact's
// by now: what it says is not for that one.
func (l *loop) identify(now time.Time, c *conn, q callerQuestion) {
	wanted := l.names[q.To.Key()]
	peer, known := l.peerAt(q.Claim, c.remote)
	switch {
	case wanted != nil && wanted != c.contact:
		c.stream.refuse(now, hostUnknown)
	case q.Claim != "" && (!validName(q.Claim) || l.names[q.Claim.Key()] != nil):
		c.stream.refuse(now, invalidFrom)
	case known:
		c.stream.identified(now, peer, l.pinOf(peer))
	case q.Claim == "" && len(l.roster.at(c.remote)) > 0: // several, and that will not change
		l.count.unknownCallers.Add(1)
		c.stream.refuse(now, notAuthorized)
	default:
		l.searchFor(now, c, q.Claim)
	}
}

// peerAt is the peer of this name, if it is at this address; of no name, the
// only one there.
func (l *loop) peerAt(claim Instance, at netip.Addr) (Instance, bool) {
	if claim == "" {
		return onlyPeer(l.roster.at(at))
	}
	p := l.roster.get(claim)
	if p == nil || !hasAddr(p.Addrs, at) {
		return "", false
	}
	return p.Instance, true
}

// searchFor has a caller wait for what becomes known of it.
func (l *loop) searchFor(now time.Time, c *conn, claim Instance) {
	key := searchKey{claim.Key(), c.remote}
	s := l.searches[key]
	switch {
	case s != nil:
	case !l.maySearch(c.remote):
		l.count.unknownCallers.Add(1)
		c.stream.refuse(now, notAuthorized)
		return
	default:
		s = &search{key: key, claim: claim, till: now.Add(l.cfg.News)}
		l.beginSearch(s)
	}
	s.conns = append(s.conns, c)
}

func (l *loop) beginSearch(s *search) {
	l.searches[s.key] = s
	l.due(s.till)
	l.log.Debug("caller is waited for", "claim", s.claim, "remote", s.key.addr)
	if s.claim != "" {
		s.asking = true
		l.spawn(func(ctx context.Context) { l.lookUp(ctx, s) })
	}
}

func (l *loop) maySearch(at netip.Addr) bool {
	n := 0
	for key := range l.searches {
		if key.addr == at {
			n++
		}
	}
	return n < maxSearchesPerAddr && len(l.searches) < maxSearches
}

// lookUp asks mDNS for a caller.
func (l *loop) lookUp(ctx context.Context, s *search) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	e, err := l.dns.Resolve(ctx, string(s.claim), serviceType)
	l.call(func(now time.Time) { l.lookedUp(now, s, e, err) })
}

func (l *loop) lookedUp(now time.Time, s *search, e mdns.Entry, err error) {
	s.asking = false
	p := peerOf(e)
	switch {
	case l.searches[s.key] != s: // it has appeared meanwhile
	case err != nil:
		l.endSearch(now, s)
	case p.Instance.Key() != s.key.claim || !hasAddr(p.Addrs, s.key.addr) || l.names[s.key.claim] != nil:
		l.turnAway(now, s, invalidFrom)
	case !l.roster.see(now, p, e.Links):
		l.count.peersIgnored.Add(1)
		l.turnAway(now, s, notAuthorized)
	default:
		l.dns.Learn(e.Instance, e.Type) // so that we hear when it goes
		l.recheck(now, p.Instance)
		l.letIn(now)
	}
}

// letIn looks who of those that are waited for is there now.
func (l *loop) letIn(now time.Time) {
	for key, s := range l.searches {
		peer, known := l.peerAt(s.claim, key.addr)
		if !known || l.names[key.claim] != nil {
			continue
		}
		delete(l.searches, key)
		for _, c := range s.conns {
			c.stream.identified(now, peer, l.pinOf(peer))
			l.carry(now, c)
		}
	}
}

// endSearch turns away whom nobody has heard of in time; before that it does
// nothing.
func (l *loop) endSearch(now time.Time, s *search) {
	switch {
	case s.asking:
	case now.Before(s.till):
		l.due(s.till)
	case s.claim != "" && l.roster.get(s.claim) != nil:
		l.turnAway(now, s, invalidFrom)
	default:
		l.count.unknownCallers.Add(int64(len(s.conns)))
		l.turnAway(now, s, notAuthorized)
	}
}

func (l *loop) turnAway(now time.Time, s *search, why condition) {
	delete(l.searches, s.key)
	for _, c := range s.conns {
		c.stream.refuse(now, why)
		l.carry(now, c)
	}
}
