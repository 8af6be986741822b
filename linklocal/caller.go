package linklocal

import (
	"context"
	"net/netip"
	"time"

	"meshgate/linklocal/mdns"
)

const (
	lookupTimeout     = 2 * time.Second
	maxLookups        = 64 // at once
	maxLookupsPerAddr = 4
)

// lookups counts the questions to mDNS that are under way because of callers.
type lookups struct {
	total   int
	perAddr map[netip.Addr]int
}

func (n *lookups) start(a netip.Addr) bool {
	if n.total >= maxLookups || n.perAddr[a] >= maxLookupsPerAddr {
		return false
	}
	n.total++
	n.perAddr[a]++
	return true
}

func (n *lookups) done(a netip.Addr) {
	n.total--
	if n.perAddr[a]--; n.perAddr[a] <= 0 {
		delete(n.perAddr, a)
	}
}

// identify finds out who calls: the header's "from", else that of the first
// stanza, else the only peer on the caller's address. The name must belong to
// a peer whose address in mDNS is the one that the connection comes from.
//
// A caller with a stale SRV record may reach a port that is another contact's
// by now: what it says is not for that one.
func (l *loop) identify(now time.Time, c *conn, q callerQuestion) {
	if wanted := l.names[q.To.Key()]; wanted != nil && wanted != c.contact {
		c.stream.refuse(now, hostUnknown)
		return
	}
	if q.Claim == "" {
		if peer, ok := onlyPeer(l.roster.at(c.remote)); ok {
			c.stream.identified(now, peer, l.pinOf(peer))
		} else {
			l.count.unknownCallers.Add(1)
			c.stream.refuse(now, notAuthorized)
		}
		return
	}
	p := l.roster.get(q.Claim)
	switch {
	case !validName(q.Claim) || l.names[q.Claim.Key()] != nil:
		c.stream.refuse(now, invalidFrom)
	case p != nil && hasAddr(p.Addrs, c.remote):
		c.stream.identified(now, p.Instance, l.pinOf(p.Instance))
	case !l.lookups.start(c.remote):
		l.count.unknownCallers.Add(1)
		c.stream.refuse(now, notAuthorized)
	default:
		// Its record may be on its way still, or its address is a new one.
		l.spawn(func(ctx context.Context) { l.lookUp(ctx, c, q.Claim) })
	}
}

// lookUp asks mDNS for a caller that the roster does not know at its address.
func (l *loop) lookUp(ctx context.Context, c *conn, claim Instance) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	e, err := l.dns.Resolve(ctx, string(claim), serviceType)
	l.call(func(now time.Time) { l.lookedUp(now, c, claim, e, err) })
}

func (l *loop) lookedUp(now time.Time, c *conn, claim Instance, e mdns.Entry, err error) {
	l.lookups.done(c.remote)
	p := peerOf(e)
	switch {
	case err != nil && l.roster.get(claim) == nil:
		l.count.unknownCallers.Add(1)
		c.stream.refuse(now, notAuthorized)
	case err != nil || p.Instance.Key() != claim.Key() || !hasAddr(p.Addrs, c.remote) || l.names[claim.Key()] != nil:
		c.stream.refuse(now, invalidFrom)
	case !l.roster.see(now, p, e.Links):
		l.count.peersIgnored.Add(1)
		c.stream.refuse(now, notAuthorized)
	default:
		l.dns.Learn(e.Instance, e.Type) // so that we hear when it goes
		l.recheck(now, p.Instance)
		c.stream.identified(now, p.Instance, l.pinOf(p.Instance))
	}
	l.carry(now, c)
}
