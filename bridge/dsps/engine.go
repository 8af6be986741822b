package dsps

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"meshgate/bridge/internal/bounds"
	"meshgate/internal/stanza"
)

// An Engine is a data stream proxy service without its connections.
//
// It does no I/O, starts no goroutine and never reads the clock: every input
// carries the time, and every effect is in TakeOutput. It belongs to one
// goroutine.
type Engine struct {
	cfg     Config
	out     Output
	stats   Counters
	streams map[StreamID]*streamState
	pairs   map[pair]*peerState   // registered peers
	invites map[pair][]*peerState // the invited, by their bare address
	publics map[JID]*streamState
	conns   map[ConnID]*connState
	held    []heldRequest
	timers  timers
	gone    []pair // that were peers lately, and have not been told so
	numbers uint64 // given to streams, peers and connections

	peerPace, strangerPace *bounds.Limiter
}

// Counters count what happened since the start.
type Counters struct {
	Streams, Connections, Relays uint64
	Malformed                    uint64 // stanzas beyond the limits
	Limited                      uint64 // queries that came too fast
	WrongKeys                    uint64
	TooSlow                      uint64 // readers cut off
}

// New makes an engine without streams.
func New(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	pace := bounds.Rate{PerMinute: 60 * cfg.Limits.Queries, Burst: queryBurst * cfg.Limits.Queries}
	return &Engine{
		cfg: cfg, streams: map[StreamID]*streamState{}, pairs: map[pair]*peerState{}, invites: map[pair][]*peerState{},
		publics: map[JID]*streamState{}, conns: map[ConnID]*connState{},
		peerPace: bounds.NewLimiter(pace, maxPaced), strangerPace: bounds.NewLimiter(pace, maxPaced),
	}
}

// TakeOutput returns what is to be done, and forgets it.
func (e *Engine) TakeOutput() Output {
	out := e.out
	e.out = Output{}
	return out
}

// Counters are the counters now.
func (e *Engine) Counters() Counters { return e.stats }

// Streams is how many streams there are, and Peers how many registered peers.
func (e *Engine) Streams() int { return len(e.streams) }

// Peers is how many registered peers all streams have, relays left out.
func (e *Engine) Peers() int { return len(e.pairs) }

// NextTimeout is when HandleTimeout is to be called; zero: never.
func (e *Engine) NextTimeout() time.Time {
	if len(e.timers) == 0 {
		return time.Time{}
	}
	return e.timers[0].deadline
}

// HandleTimeout lets time pass. Calling it early or late is harmless.
func (e *Engine) HandleTimeout(now time.Time) {
	for t := e.timers.take(now); t != nil; t = e.timers.take(now) {
		t.due(now)
	}
}

// timeout ends the time that a peer had to answer, or to connect.
func (e *Engine) timeout(now time.Time, p *peerState) {
	switch {
	case p.status == Expire:
		e.fail(p, p.invited.jid, Expire)
		e.remove(p)
	case p.known:
		// "Upon reaching "wait" timeout the procedure is the same if the
		// peer dropped its own connection." XEP-0037, Disconnection handling
		e.drop(now, p, nil, true)
	default:
		// "If timeout occurs, DSPS will totally forget prepared connection
		// and act accordingly." XEP-0037, Connection waiting
		if p.invited != nil {
			e.fail(p, p.invited.jid, Timeout)
		}
		e.remove(p)
		e.endWithoutMasters(now, p.stream)
	}
}

// fail reports to those who invited a peer what has become of it. "For
// "expire" JID is one from invite request. For "reject" JID is one from which
// reject received. For "timeout" JID is one from invite request." XEP-0037, Stream administration
func (e *Engine) fail(p *peerState, jid JID, why Status) {
	for _, a := range p.invited.askers {
		if a.peer.registered() && a.peer.on() {
			e.send(IQ{Kind: "result", ID: a.id, From: a.peer.addr, To: a.peer.jid, Queries: []Query{
				Report{[]PeerPresence{{jid, why}}},
			}})
		}
	}
}

// HandleQuery takes a stanza of from, who is who it says, that came to the
// address to. Everything that the document does not define is ignored.
func (e *Engine) HandleQuery(now time.Time, from, to JID, el *stanza.Element) {
	to = e.cfg.Addresses.Canonical(to)
	p := e.pairs[pair{from, to}.fold()]
	if !e.mayAsk(now, p, from) {
		return
	}
	iq, err := ParseRequest(el)
	iq.From, iq.To = from, to
	switch {
	case err != nil:
		e.stats.Malformed++
		if iq.Kind == "get" || iq.Kind == "set" {
			e.refuse(iq, MethodNotAllowed, err.Error())
		}
	case iq.Kind == "error":
		e.hearError(iq)
	case len(iq.Queries) > 0:
		e.dispatch(now, p, iq)
	}
}

// mayAsk counts a query, or what costs others as much as one. All clients of a
// person together have one pace.
func (e *Engine) mayAsk(now time.Time, p *peerState, from JID) bool {
	pace := e.strangerPace
	if p != nil {
		pace = e.peerPace
	}
	if pace.Allow(now, string(from.Bare().fold())) {
		return true
	}
	e.stats.Limited++
	return false
}

// dispatch answers the queries of a stanza, which are of one type but for
// stanzas that nobody sends: the first decides.
func (e *Engine) dispatch(now time.Time, p *peerState, iq IQ) {
	switch q := iq.Queries[0].(type) {
	case Create:
		e.create(now, p, iq, q)
	case RelayKey:
		e.relayAnswer(p, iq, q)
	case Answer:
		e.answer(now, iq, q)
	case Stats:
		e.tellStats(p, iq)
	case Auth, Admin, Who:
		if p == nil {
			e.refuse(iq, Unauthorized, "")
			return
		}
		e.fromPeer(now, p, iq)
	}
}

func (e *Engine) fromPeer(now time.Time, p *peerState, iq IQ) {
	switch q := iq.Queries[0].(type) {
	case Auth:
		e.auth(p, iq, q)
	case Admin:
		e.admin(now, p, iq)
	case Who:
		e.tellWho(p, iq)
	}
}

// hearError takes an error that a stanza of ours came back with: who cannot be
// invited has rejected, and who does not answer for a relay has none.
func (e *Engine) hearError(iq IQ) {
	if inv := e.invitation(iq); inv != nil && inv.invited.id == iq.ID {
		e.reject(inv, inv.jid)
		return
	}
	if p := e.pairs[pair{iq.From, iq.To}.fold()]; p != nil {
		if r := p.stream.relay; r != nil && r.conn != nil && r.conn.state == asked && r.keyID == iq.ID {
			e.abort(r.conn)
		}
	}
}

// byAge are the streams in the order they were created.
func (e *Engine) byAge() []*streamState {
	return slices.SortedFunc(maps.Values(e.streams), func(a, b *streamState) int { return cmp.Compare(a.id, b.id) })
}

// remember keeps a pair that is no more, so that it can be told once.
func (e *Engine) remember(p pair) {
	if len(e.gone) == maxGone {
		e.gone = slices.Delete(e.gone, 0, 1)
	}
	e.gone = append(e.gone, p)
}

// secret is 128 bits that nobody can guess.
func secret(r *rand.Rand) string { return fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()) }

func (e *Engine) newID() string { return fmt.Sprintf("dsps%016x", e.cfg.Rand.Uint64()) }
