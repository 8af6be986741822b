package dsps

import (
	"slices"
	"strconv"
	"time"

	"meshgate/internal/stanza"
)

// A phase is where a stream stands in its life.
type phase uint8

const (
	open     phase = iota
	ending         // without masters; what they sent before they left is still read
	draining       // all is taken, not all is written yet
	gone
)

func (p phase) String() string { return [...]string{"open", "ending", "draining", "gone"}[p] }

// A streamState is one stream.
type streamState struct {
	id        StreamID
	phase     phase
	owner     JID // bare, folded: who created it
	began     time.Time
	min       Rate
	maxPublic int
	doors     []JID // where it is joined, from each side; "": nowhere
	comments  []*stanza.Element
	peers     []*peerState // in the order they came
	ids       int          // given to peers
	finishing int          // connections of peers that have left, being read
	relay     *relayState
	strangers []stranger // who have joined unasked, the latest last
	timer     timer      // of a stream without masters
}

// A peerState is a peer of a stream, see the package comment for its way. Its
// status is Expire (invited), Wait or Connect.
type peerState struct {
	stream  *streamState
	status  Status
	right   Right
	jid     JID // full, but of the invited, who may be bare
	addr    JID // ours for it; a relay has none
	id      string
	wait    time.Duration
	public  bool
	known   bool // was connected once
	invited *invitation
	conn    *connState   // of a connected peer
	tries   []*connState // handshakes
	told    bool         // that it is connected already
	meter   *meter
	timer   timer
}

// An invitation is how a peer came.
type invitation struct {
	jid      JID // as it was asked for
	id       string
	askers   []asker
	comments []*stanza.Element
	expire   time.Duration
	accepted bool // and an address is waited for
}

// An asker is a master and the id of its request.
type asker struct {
	peer *peerState
	id   string
}

func (p *peerState) pair() pair { return pair{p.jid, p.addr}.fold() }

// on reports whether the peer is still one of its stream.
func (p *peerState) on() bool { return slices.Contains(p.stream.peers, p) }

// registered peers have said that they want to be on the stream.
func (p *peerState) registered() bool { return p.status != Expire }

// shown is the peer's address as others see it: "full JID of registered peer,
// unless peer is of type "relay", in which case the resource is not reported".
func (p *peerState) shown() JID {
	if p.right == Relay {
		return p.jid.Bare()
	}
	return p.jid
}

func (s *streamState) masters() int { return s.count(Master) }

func (s *streamState) count(r Right) int {
	n := 0
	for _, p := range s.peers {
		if p.right == r && p.registered() {
			n++
		}
	}
	return n
}

func (s *streamState) publicPeers() int {
	n := 0
	for _, p := range s.peers {
		if p.public {
			n++
		}
	}
	return n
}

// find is the peers that an address means in an admin request.
func (s *streamState) find(jid JID) []*peerState {
	var out []*peerState
	for _, p := range s.peers {
		if p.jid.fold() == jid.fold() || p.right == Relay && p.shown().fold() == jid.fold() {
			out = append(out, p)
		}
	}
	return out
}

// addPeer makes a peer, which nobody knows of yet.
func (e *Engine) addPeer(s *streamState, r Right, jid, addr JID) *peerState {
	e.numbers++
	p := &peerState{stream: s, right: r, jid: jid, addr: addr, meter: &meter{}}
	p.timer = timer{number: e.numbers, due: func(now time.Time) { e.timeout(now, p) }}
	s.peers = append(s.peers, p)
	return p
}

// becomeInvited waits for an answer.
func (e *Engine) becomeInvited(now time.Time, p *peerState, inv *invitation) {
	p.status, p.invited = Expire, inv
	key := p.inviteKey()
	if !slices.Contains(e.invites[key], p) {
		e.invites[key] = append(e.invites[key], p)
	}
	e.timers.set(&p.timer, now, inv.expire)
}

func (p *peerState) inviteKey() pair { return pair{p.jid.Bare(), p.addr}.fold() }

// uninvite takes an invitation's address back.
func (e *Engine) uninvite(p *peerState) {
	key := p.inviteKey()
	e.invites[key] = slices.DeleteFunc(e.invites[key], func(q *peerState) bool { return q == p })
	if len(e.invites[key]) == 0 {
		delete(e.invites, key)
	}
	e.cfg.Addresses.Release(p.jid, p.addr)
}

// becomePrepared waits for the first connection.
func (e *Engine) becomePrepared(now time.Time, p *peerState, wait time.Duration) {
	p.status, p.wait, p.id = Wait, wait, p.stream.nextID()
	if p.right != Relay {
		e.pairs[p.pair()] = p
	}
	e.timers.set(&p.timer, now, wait)
}

// becomeConnected lets data flow.
func (e *Engine) becomeConnected(p *peerState, c *connState) {
	e.timers.stop(&p.timer)
	p.status, p.known, p.told, p.conn = Connect, true, false, c
	p.meter.again(p.public)
	p.tries = slices.DeleteFunc(p.tries, func(t *connState) bool { return t == c })
	e.abortTries(p)
	c.state = flowing
	e.do(Action{Do: Attach, Conn: c.id, Stream: p.stream.id, ID: p.id, Right: p.right, Owner: p.stream.owner, Client: p.jid})
	e.tell(p, Connect)
}

// becomeWaiting waits for a connection to come again. "The "wait" timeout is
// not cumulative over multiple disconnects." XEP-0037, Disconnection handling
func (e *Engine) becomeWaiting(now time.Time, p *peerState) {
	p.status, p.conn = Wait, nil
	e.timers.set(&p.timer, now, p.wait)
	e.tell(p, Waiting)
}

func (s *streamState) nextID() string {
	s.ids++
	return strconv.Itoa(s.ids - 1)
}

// remove forgets a peer, with the connections it has.
func (e *Engine) remove(p *peerState) {
	e.timers.stop(&p.timer)
	e.abortTries(p)
	s := p.stream
	s.peers = slices.DeleteFunc(s.peers, func(q *peerState) bool { return q == p })
	switch {
	case p.right == Relay:
		e.forgetRelay(s)
		return
	case p.status == Expire:
		e.uninvite(p)
		return
	default:
		delete(e.pairs, p.pair())
		e.remember(p.pair())
		e.relayWithout(p)
	}
	e.cfg.Addresses.Release(p.jid, p.addr)
}

func (e *Engine) abortTries(p *peerState) {
	for _, c := range p.tries {
		e.abort(c)
	}
	p.tries = nil
}

// tell sends presence. "If the client had type "master" connection, all members
// of the stream get notified. If the client had type "slave" connection, only
// other type "master" members get notified." XEP-0037, Connecting to DSPS via default method
func (e *Engine) tell(about *peerState, status Status) {
	for _, p := range about.stream.peers {
		itself := p == about && (status != Connect || about.right != Master)
		if itself || !p.registered() || p.right == Relay || about.right != Master && p.right != Master {
			continue
		}
		e.send(IQ{Kind: "set", ID: e.newID(), From: p.addr, To: p.jid, Queries: []Query{
			Presence{[]PeerPresence{{about.shown(), status}}},
		}})
	}
}

// drop takes a peer off its stream. One that leaves by itself is read to the end.
func (e *Engine) drop(now time.Time, p *peerState, comments []*stanza.Element, itself bool) {
	s := p.stream
	if c := p.conn; c != nil && itself {
		p.conn = nil
		c.peer, c.state, c.stream = nil, finishing, s
		s.finishing++
		e.do(Action{Do: Finish, Conn: c.id})
	} else if c != nil {
		e.abort(c)
	}
	e.notifyDropped(p, comments)
	e.remove(p)
	e.tell(p, Drop)
	e.endWithoutMasters(now, s)
}

func (e *Engine) notifyDropped(p *peerState, comments []*stanza.Element) {
	if p.right == Relay {
		return // the client that set it up is its peer, and drops it there
	}
	e.send(IQ{Kind: "set", ID: e.newID(), From: p.addr, To: p.jid, Queries: []Query{Dropped{comments}}})
}
