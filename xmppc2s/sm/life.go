package sm

import (
	"slices"
	"strconv"
	"time"

	"meshgate/internal/stanza"
)

// Limits are what the server at the other end of a connection bears.
type Limits struct {
	// Window is the most bytes of stanzas that may be in flight; 0: what is
	// learned; negative: whatever there is.
	Window int
	// MaxStanza is the most bytes of one stanza; 0: whatever there is.
	MaxStanza int
	// Idle is after how much silence of ours the server may doubt that we are
	// there; 0: not said.
	Idle time.Duration
}

// A Binding is a freshly bound stream.
type Binding struct {
	Dialect Dialect // None: the server has no stream management
	JID     string
	Limits  Limits
	// Stanzas and Max are what the feature says in sm:1: how many stanzas the
	// server wants between requests at most, and how long it keeps a lost
	// session. 0: not said.
	Stanzas int
	Max     time.Duration
	// First are stanzas to be written before those that wait.
	First [][]byte
}

// Resumption returns what is needed to resume, if there is a session that can be.
func (e *Engine) Resumption() (Resumption, bool) {
	r := Resumption{Dialect: e.id.dialect, ID: e.id.id, JID: e.id.jid}
	r.H, r.covers = e.h()
	return r, e.state == Offline && r.ID != ""
}

// Behind is how long the server may still be busy with what was written to it
// and is not acknowledged; of an engine that was restored, with all that it has.
// Of the time for which the server keeps the session most is left.
func (e *Engine) Behind() time.Duration {
	bytes := e.conn.inFlight
	if e.state == Offline {
		bytes = e.out.bytes
	}
	wait := e.pace.behind(bytes)
	if most := e.id.max / 4; most > 0 {
		wait = min(wait, most)
	}
	return wait
}

// Resumed says that the server has answered r with <resumed h=…/>, or without h
// (sm:1: it has acknowledged nothing). After an error the connection must be
// closed; the session is forgotten then and a new one has to be bound.
func (e *Engine) Resumed(now time.Time, r Resumption, h *uint64, limits Limits) error {
	if e.state != Offline || e.id.id == "" || r.ID != e.id.id {
		return errNotResumption
	}
	before := e.out.acked
	if h != nil {
		if err := e.ack(*h); err != nil {
			return err
		}
	}
	if e.bad.resumed(e.out.acked != before, e.out.tried > 0) {
		e.stats.Poisoned++
		e.id.id = ""
		return ErrPoisoned
	}
	e.in.skip = e.in.received() - r.covers
	e.in.told = r.covers
	h0, _ := e.h()
	e.in.owed = h0 != r.H // more was handled meanwhile
	e.stats.Resumptions++
	e.connected(now, Active, limits)
	return nil
}

// Refused says that the server will not resume the session; h is that of its
// <failed/>, if it had one. It is applied at once: a later refusal may come
// without.
func (e *Engine) Refused(h *uint64) {
	if h != nil && e.id.id != "" {
		_ = e.ack(*h) // one that cannot be says nothing, and the session is over anyway
	}
	e.id.id = ""
	e.stats.Fails++
}

// Forget gives the session up: the next stream is bound freshly.
func (e *Engine) Forget() { e.id.id = "" }

// Bound begins a new session. Messages that the server has not acknowledged
// are sent again, with the time when they were first sent (XEP-0203), and so
// are requests and answers about subscriptions, which the server might never
// ask for again. What makes no sense in a new session is returned: iq, whose
// answers would come to another one, and presence, of which First has the
// newest.
func (e *Engine) Bound(now time.Time, b Binding) []GivenUp {
	keep, gone := e.requeue(b.Limits.MaxStanza)
	keep = slices.Concat(e.ahead(now, b.First, keep), keep)
	e.out = outbound{q: keep, seq: e.out.seq}
	for _, it := range keep {
		e.out.bytes += len(it.Data)
	}
	e.in = e.in.uncounted()
	e.bad = poison{}
	e.stats.Sessions++
	e.begin(now, b)
	return gone
}

// begin gives what is bound its name, and asks for stream management if the
// server has it.
func (e *Engine) begin(now time.Time, b Binding) {
	e.id = identity{dialect: b.Dialect, jid: b.JID, epoch: e.id.epoch + 1}
	if b.Dialect == V1 {
		e.id.max, e.id.stanzas = b.Max, b.Stanzas
	}
	if b.Dialect == None {
		e.connected(now, Plain, b.Limits)
		return
	}
	e.connected(now, Enabling, b.Limits)
	e.conn.hello = b.Dialect.appendEnable(nil)
}

// Enable asks for stream management on a stream that was bound without; First
// counts for nothing. It reports false, and does nothing, unless all is quiet:
// what has been written is acknowledged, and what has arrived is taken.
//
// "The client MUST NOT attempt to negotiate stream management until it is
// authenticated … and has bound a resource" XEP-0198 §3: so it may at any time
// behind that.
func (e *Engine) Enable(now time.Time, b Binding) bool {
	if e.state != Plain || b.Dialect == None || e.out.tried > 0 || len(e.in.queue) > 0 {
		return false
	}
	e.out.acked = 0 // both ends begin to count behind this
	e.begin(now, b)
	return true
}

// Drain empties the queue for good and returns what was in it.
func (e *Engine) Drain() []GivenUp {
	var gone []GivenUp
	for _, it := range e.out.q {
		gone = append(gone, e.giveUp(it, nil))
	}
	e.out = outbound{acked: e.out.acked, seq: e.out.seq}
	return gone
}

// A Loss says how a connection ended.
type Loss uint8

const (
	Broken  Loss = iota // the connection went away
	Silent              // it was given up after a timeout
	Refusal             // the server ended it with a stream error that speaks of what we sent
	Ended               // the server ended it with another stream error
)

// Lost says that the connection is gone. What was not acknowledged waits.
func (e *Engine) Lost(how Loss) {
	if e.state == Offline {
		return
	}
	e.bad.lost(how == Silent || how == Refusal || e.conn.garbled)
	if how == Refusal && e.out.next > 0 {
		e.suspect()
	}
	if how == Silent {
		e.pace.doubt()
	}
	e.conn = connection{}
	e.out.next = 0
	e.state = Offline
}

func (e *Engine) connected(now time.Time, s State, limits Limits) {
	e.conn = connection{since: now, received: now, limits: limits}
	e.pace.begin()
	e.out.next = 0
	e.state = s
}

func (e *Engine) becomeActive(now time.Time, enabled *stanza.Element) {
	e.state = Active
	e.pace.tripped(now.Sub(e.conn.since))
	e.conn.received = now
	if r := enabled.Attr("resume"); r == "true" || r == "1" {
		e.id.id = enabled.Attr("id")
	}
	e.id.location = enabled.Attr("location")
	if e.id.dialect == V1 {
		e.id.location = legacyLocation(enabled)
	}
	if s, err := strconv.ParseUint(enabled.Attr("max"), 10, 31); err == nil {
		e.id.max = time.Duration(s) * time.Second
	}
}

func (e *Engine) becomePlain(now time.Time) {
	e.id.dialect, e.id.id = None, ""
	e.connected(now, Plain, e.conn.limits)
	e.stats.Fails++
}

// RotationDue reports whether the counters have come so far that a new session
// is wanted, and whether this is a moment at which nothing is outstanding in
// either direction.
//
// COMPAT Prosody 0.12: it counts without the wrap at 2^32.
func (e *Engine) RotationDue() bool {
	if e.pol.RotateAt == 0 || e.state != Active || max(e.sent(), uint64(e.in.handled)) < uint64(e.pol.RotateAt) {
		return false
	}
	return e.out.tried == 0 && len(e.in.done) == 0
}

// Rotate forgets the session for RotationDue's reason.
func (e *Engine) Rotate() {
	e.stats.Rotated++
	e.id.id = ""
}
