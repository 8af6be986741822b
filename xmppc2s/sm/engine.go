package sm

import (
	"errors"
	"time"
)

// A State is where the session stands; see the package comment.
type State uint8

const (
	Offline State = iota
	Enabling
	Active
	Plain
)

func (s State) String() string { return [...]string{"offline", "enabling", "active", "plain"}[s] }

// Errors that end a connection.
var (
	ErrAckTimeout    = errors.New("sm: the server does not answer")
	ErrHandledHigh   = errors.New("sm: the server acknowledges stanzas that were not sent")
	ErrHandledLow    = errors.New("sm: the server takes acknowledgements back")
	ErrBadAnswer     = errors.New("sm: malformed element of stream management")
	ErrPoisoned      = errors.New("sm: the server does not process the resumed stream")
	errNotResumption = errors.New("sm: no session to resume")
)

// An Engine is the client end of one session. It belongs to one goroutine.
type Engine struct {
	pol   Policy
	state State
	id    identity
	out   outbound
	in    inbound
	conn  connection
	pace  pace
	bad   poison
	log   journal
	acked []Stanza // for TakeAcked
	stats Stats
}

// identity is what names the session at the server.
type identity struct {
	dialect  Dialect
	id       string // "": cannot be resumed
	jid      string
	location string
	max      time.Duration
	stanzas  int    // that the server wants between requests at most; 0: not said
	epoch    uint32 // counts sessions, so that marks of an old one are known
}

// connection is what begins anew with every connection.
type connection struct {
	since     time.Time // of Bound or Resumed
	received  time.Time // last frame
	probed    time.Time // since when there is doubt; zero: there is none
	requested time.Time // of the request that is not answered; zero: none
	asked     uint64    // what it asks about, in sm:1 and without stream management
	behind    int       // bytes that were in flight before it
	leftAt    time.Time // when it had been written
	unasked   int       // stanzas written since the last request …
	unaskedB  int       // … and their bytes
	unaskedAt time.Time // of the first of them
	wroteAt   time.Time // anything
	untoldAt  time.Time // since when h is ahead of what was told; zero: it is not
	garbled   bool      // the server has said what makes no sense
	inFlight  int       // bytes of stanzas written and not acknowledged
	limits    Limits
	hello     []byte // to be written before anything else
}

// Stats counts what happened since New.
type Stats struct {
	Sent, Resent, Acked      uint64 // stanzas written, written again, acknowledged
	Received, Skipped        uint64 // stanzas; Skipped were seen before the resumption
	Requests, Answers        uint64 // <r/> and <a/> written
	Resumptions, Sessions    uint64
	Poisoned, Rotated, Fails uint64 // sessions given up: stuck, near the wrap, <failed/>
	Flooded                  uint64 // stanzas left out that came before <enabled/>
}

// New makes an engine without session.
func New(p Policy) *Engine {
	return &Engine{pol: p.withDefaults(), out: outbound{seq: firstSeq}, pace: newPace()}
}

// acknowledges reports whether the server says what it has taken.
func (e *Engine) acknowledges() bool { return e.state == Active || e.state == Plain }

// State is where the session stands.
func (e *Engine) State() State { return e.state }

// Stats are the counters.
func (e *Engine) Stats() Stats { return e.stats }

// Location is where the server prefers to be reached for a resumption; empty
// if it did not say or there is nothing to resume.
func (e *Engine) Location() string {
	if e.id.id == "" {
		return ""
	}
	return e.id.location
}

// MaxResume is how long the server keeps a lost session; 0: not said.
func (e *Engine) MaxResume() time.Duration { return e.id.max }

// HandleTimeout says that time has passed. An error means that the connection
// is dead. Being early or late does no harm.
func (e *Engine) HandleTimeout(now time.Time) error {
	if e.state == Offline {
		return nil
	}
	c := &e.conn
	if e.InboundFull() { // the answer may wait behind what we do not read
		if !c.requested.IsZero() {
			c.requested = now
		}
		c.received = now
		if !c.probed.IsZero() {
			c.probed = now
		}
		return nil
	}
	if at := e.deadAt(); !at.IsZero() && !now.Before(at) {
		return ErrAckTimeout
	}
	return nil
}

// deadAt is when the connection counts as dead unless something comes; zero:
// nothing has been asked.
func (e *Engine) deadAt() time.Time {
	switch ack, probe := e.unansweredAt(), e.ProbeEnds(); {
	case probe.IsZero():
		return ack
	case ack.IsZero():
		return probe
	default:
		return earliest(ack, probe)
	}
}

// unansweredAt is when a request has waited for too long.
func (e *Engine) unansweredAt() time.Time {
	c := &e.conn
	asked := c.requested
	if e.state == Enabling {
		asked = c.since
	}
	if asked.IsZero() {
		return time.Time{}
	}
	asked = latest(asked, c.leftAt)
	patience := e.pace.patience(c.behind, e.pol.AckTimeout)
	silent := latest(asked, c.received).Add(patience)
	hopeless := asked.Add(max(patience, 4*e.pol.AckTimeout))
	return earliest(silent, hopeless)
}

// Written says that what AppendWrite returned last has been written: the time
// that this took is not the server's.
func (e *Engine) Written(now time.Time) {
	if c := &e.conn; c.leftAt.IsZero() && !c.requested.IsZero() {
		c.leftAt = now
	}
}

// NextTimeout is when HandleTimeout and AppendWrite are to be called next
// though nothing else happened; zero: never.
func (e *Engine) NextTimeout() time.Time {
	if e.state == Offline {
		return time.Time{}
	}
	at := e.requestAt()
	if e.InboundFull() {
		at = e.conn.received.Add(e.pol.AckTimeout / 2)
	} else if dead := e.deadAt(); !dead.IsZero() {
		at = dead
	}
	if tell := e.answerAt(); !tell.IsZero() {
		at = earliest(at, tell)
	}
	return at
}

// requestAt is when an acknowledgement is to be asked for, if none is
// outstanding.
func (e *Engine) requestAt() time.Time {
	c := &e.conn
	if !c.probed.IsZero() {
		return c.probed
	}
	at := latest(c.since, c.received).Add(e.pol.Keepalive)
	if idle := c.limits.Idle; idle > 0 {
		at = earliest(at, latest(c.since, c.wroteAt).Add(idle/2))
	}
	if c.unasked > 0 && e.acknowledges() {
		at = earliest(at, c.unaskedAt.Add(e.pol.RequestDelay))
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
