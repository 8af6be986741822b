package linklocal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// switchPause is between what is written on one stream and what goes over
// another: the peer reads its connections in any order.
const switchPause = 100 * time.Millisecond

var errAddrGone = errors.New("our address has changed")

type pairKey struct {
	contact *contact
	peer    string // Instance.Key
}

// A pair is one of our contacts and one peer in conversation. It belongs to
// the loop.
//
// There is one stream per pair as a rule. When both sides call at once there
// are two for a while: COMPAT libpurple 2.14 then closes the older one and
// Salut the newer one, so both are read until the peer closes one, and we write
// on the one that the peer has opened.
type pair struct {
	key     pairKey
	contact *contact
	peer    Instance
	conns   []*conn      // in the order in which they came; also those that are over, until they are dropped
	waiting []*outgoing  // for a stream
	queued  atomic.Int64 // not done: waiting or on one of conns; from any goroutine
	dialing bool         // connecting
	cancel  func()       // ends connecting
	calling *conn        // connected, their header is not here yet
	callAt  time.Time    // not before then
	wrote   *conn        // the last one that took a stanza
	wroteAt time.Time
}

func (l *loop) pairOf(ct *contact, peer Instance) *pair {
	key := pairKey{ct, peer.Key()}
	p := l.pairs[key]
	if p == nil {
		p = &pair{key: key, contact: ct, peer: peer}
		l.pairs[key] = p
	}
	return p
}

// tidy forgets a pair that has nothing any more.
func (l *loop) tidy(p *pair) {
	if len(p.conns) == 0 && p.queued.Load() == 0 && !p.dialing {
		delete(l.pairs, p.key)
	}
}

// best is the stream to write on; nil: none is open.
func (p *pair) best() (best *conn) {
	for _, c := range p.conns {
		if c.stream.state == open && (best == nil || c.stream.cfg.role >= best.stream.cfg.role) {
			best = c
		}
	}
	return best
}

// draining reports whether another stream than best still has stanzas, or may
// get some back, which have to go before others.
func (p *pair) draining(best *conn) bool {
	stanza := func(x piece) bool { return x.out != nil }
	return slices.ContainsFunc(p.conns, func(c *conn) bool {
		return c != best && (!c.doubtTill.IsZero() || slices.ContainsFunc(c.inFlight, stanza) || slices.ContainsFunc(c.queue, stanza))
	})
}

// stranded reports whether our end of a stream is an address that we have no
// more: what is written on it stays in the kernel. Without any address there
// is no link, and it may come back with the one that we had.
func (l *loop) stranded(c *conn) bool {
	own := l.ownAddrs()
	return len(own) > 0 && !hasAddr(own, c.local)
}

// send takes a stanza of a caller.
func (l *loop) send(now time.Time, o *outgoing) {
	ct, peer := l.contacts[o.From], l.roster.get(o.To)
	switch {
	case !l.stopAt.IsZero():
		l.finish(o, ErrStopped)
		return
	case ct == nil || ct.name == "":
		l.finish(o, fmt.Errorf("%w: %s", ErrNoContact, o.From))
		return
	case peer == nil:
		l.finish(o, fmt.Errorf("%w: %s", ErrNoPeer, o.To))
		return
	}
	p := l.pairOf(ct, peer.Instance)
	o.pair = p
	p.queued.Add(1)
	switch {
	case p.queued.Load() > int64(l.cfg.QueuePerPeer):
		l.finish(o, fmt.Errorf("%w: %s", ErrQueueFull, o.To))
	case o.OpenOnly && p.best() == nil:
		l.finish(o, ErrNotOpen)
	default:
		p.waiting = append(p.waiting, o)
		l.flush(now, p)
	}
	l.tidy(p)
}

// flush puts what waits on a stream, or sees to it that there will be one.
func (l *loop) flush(now time.Time, p *pair) {
	best := p.best()
	switch resume := p.wroteAt.Add(switchPause); {
	case len(p.waiting) == 0 || p.draining(best):
	case best != nil && l.stranded(best):
		best.stream.handleEOF(errAddrGone)
		l.kill(best)
		l.carry(now, best)
	case best != nil && best != p.wrote && now.Before(resume):
		l.due(resume)
	case best != nil:
		for _, o := range p.waiting {
			best.queue = append(best.queue, piece{best.stream.appendStanza(nil, o.Stanza), o})
		}
		p.waiting = nil
		l.pump(now, best)
	case !l.stopAt.IsZero():
		l.abandon(p, ErrStopped)
	case l.contacts[p.contact.ID] != p.contact || p.contact.name == "":
		l.abandon(p, ErrNoContact)
	case l.roster.get(p.peer) == nil:
		l.abandon(p, ErrNoPeer)
	case p.dialing || p.calling != nil:
	case now.Before(l.callAt(p)):
		l.due(l.callAt(p))
	default:
		l.dial(p)
	}
}

// callAt is before when the peer is not called.
func (l *loop) callAt(p *pair) time.Time {
	if settled := l.metAt(p).Add(l.cfg.Settle); settled.After(p.callAt) {
		return settled
	}
	return p.callAt
}

// abandon fails what waits for a stream.
func (l *loop) abandon(p *pair, why error) {
	waiting := p.waiting
	p.waiting = nil
	for _, o := range waiting {
		l.finish(o, fmt.Errorf("%w: %s", why, p.peer))
	}
	if p.cancel != nil {
		p.cancel()
	}
	l.tidy(p)
}

// failWaiting fails what waits for a stream to a peer.
func (l *loop) failWaiting(i Instance, why error) {
	for _, p := range l.pairs {
		if p.key.peer == i.Key() {
			l.abandon(p, why)
		}
	}
}

// dial connects to the peer, in a goroutine of its own.
func (l *loop) dial(p *pair) {
	p.dialing = true
	peer := p.peer
	p.cancel = l.spawn(func(ctx context.Context) {
		tcp, err := l.connect(ctx, peer)
		if !l.call(func(now time.Time) { l.dialled(now, p, tcp, err) }) && err == nil {
			tcp.Close()
		}
	})
}

// dialled takes the result of dial.
func (l *loop) dialled(now time.Time, p *pair, tcp net.Conn, err error) {
	p.dialing, p.cancel = false, nil
	wanted := p.best() == nil && l.contacts[p.contact.ID] == p.contact && p.contact.name != "" && l.stopAt.IsZero()
	switch {
	case err == nil && wanted && l.busy() < l.cfg.MaxStreams:
		l.count.streamsOut.Add(1)
		l.addConn(now, tcp, p.contact, p)
	case err == nil:
		// The peer's own stream is there already, or nobody wants one any
		// more. Nothing was said on this connection, so nothing is lost.
		tcp.Close()
		if wanted {
			l.abandon(p, ErrUnreachable)
		}
	case wanted && isReset(err) && l.isNews(now, p):
		p.callAt = now.Add(callPause) // it was there, and closed before we knew: see retry
	case wanted && !errors.Is(err, context.Canceled):
		l.count.dialsFailed.Add(1)
		l.log.Debug("peer cannot be reached", "peer", p.peer, "err", err)
		l.abandon(p, fmt.Errorf("%w: %w", ErrUnreachable, err))
	}
	l.flush(now, p)
	l.tidy(p)
}

// opened notes that a stream is open. It may be called again.
func (l *loop) opened(now time.Time, c *conn) {
	if c.wasOpen {
		return
	}
	c.wasOpen = true
	l.log.Debug("stream open", "contact", c.contact.ID, "peer", c.stream.cfg.peer, "remote", c.remote, "role", c.stream.cfg.role.String())
	if c.pair == nil {
		c.pair = l.pairOf(c.contact, c.stream.cfg.peer)
		c.pair.conns = append(c.pair.conns, c)
	}
	p := c.pair
	if p.calling == c {
		p.calling = nil
	}
	if c.stream.cfg.role == recipient {
		l.replace(now, c)
	}
	l.flush(now, p)
}

// replace ends what a stream of the peer's makes superfluous: an older one of
// the peer's, and connecting on our side.
func (l *loop) replace(now time.Time, c *conn) {
	for _, old := range slices.Clone(c.pair.conns) {
		if old != c && old.stream.cfg.role == recipient && old.stream.state == open {
			old.stream.end(now)
			l.carry(now, old)
		}
	}
	if c.pair.cancel != nil {
		c.pair.cancel()
	}
}
