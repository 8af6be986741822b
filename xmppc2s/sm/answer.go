package sm

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"meshgate/internal/stanza"
)

// settle owes the server an h where it helps it to empty its queue.
func (e *Engine) settle() {
	in := &e.in
	in.reach()
	if in.promised && in.handled == in.upTo {
		in.promised, in.owed = false, true
	}
	if in.handled-in.told >= uint32(e.pol.AnswerEvery) && e.untold() {
		in.owed = true
	}
}

func (e *Engine) appendAnswer(now time.Time, b []byte) []byte {
	if e.state != Active {
		return b
	}
	if e.untold() && e.conn.untoldAt.IsZero() {
		e.conn.untoldAt = now
	}
	if at := e.answerAt(); !at.IsZero() && !now.Before(at) {
		e.in.owed = true
	}
	if !e.in.owed {
		return b
	}
	return e.AppendFarewell(b)
}

// untold reports whether h is ahead of what the server knows. In sm:1 nothing
// may be told that was not asked for.
func (e *Engine) untold() bool { return e.in.handled != e.in.told && e.id.dialect != V1 }

// answerAt is when h is told unasked; zero: there is nothing to tell.
func (e *Engine) answerAt() time.Time {
	if e.conn.untoldAt.IsZero() {
		return time.Time{}
	}
	return e.conn.untoldAt.Add(e.pol.AnswerDelay)
}

// AppendFarewell appends the current h, if the server counts at all. It is to
// be written before a stream is closed or left.
func (e *Engine) AppendFarewell(b []byte) []byte {
	if e.state != Active {
		return b
	}
	h, covers := e.h()
	if h == "" {
		return b
	}
	e.in.owed, e.in.told, e.conn.untoldAt = false, covers, time.Time{}
	e.stats.Answers++
	return e.id.dialect.appendAnswer(b, h)
}

// h is what we acknowledge, as it is written, and the number of the last
// stanza that it covers. It is empty as long as there is none (sm:1).
func (e *Engine) h() (written string, covers uint32) {
	if e.id.dialect == V1 {
		return e.in.reached.U, e.in.reached.At
	}
	return strconv.FormatUint(uint64(e.in.handled), 10), e.in.handled
}

func (e *Engine) handleNonza(now time.Time, b []byte) error {
	if e.id.dialect == None || e.state == Plain {
		return nil
	}
	el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if el.Name.Space != string(e.id.dialect) {
		return nil // not ours: unknown elements are ignored
	}
	switch {
	case (el.Name.Local == "r" || el.Name.Local == "a") && e.state == Active:
		return e.handleAck(now, el)
	case el.Name.Local == "enabled" && e.state == Enabling:
		e.becomeActive(now, el)
	case el.Name.Local == "failed" && e.state == Enabling:
		e.becomePlain(now) // not fatal: the stream goes on without
	}
	return nil
}

func (e *Engine) handleAck(now time.Time, el *stanza.Element) error {
	switch {
	case e.id.dialect == V1:
		return e.handleLegacy(now, el)
	case el.Name.Local == "a":
		return e.handleAnswer(now, el)
	}
	e.handleRequest()
	return nil
}

// handleRequest answers an <r/> at once with what is handled by now, and makes
// sure that the rest follows (XEP-0198 §4).
func (e *Engine) handleRequest() {
	e.in.owed = true
	if last := e.in.received(); last != e.in.handled {
		e.in.promised, e.in.upTo = true, last
	}
}

func (e *Engine) handleAnswer(now time.Time, el *stanza.Element) error {
	h, err := e.id.dialect.parseH(el)
	if err != nil {
		return err
	}
	before := e.out.acked
	if err := e.ack(h); err != nil {
		return err
	}
	if e.out.acked != before { // one that says nothing new may be the farewell of a stuck stream
		e.bad.progress()
	}
	if e.id.dialect != V1 || e.out.acked >= e.conn.asked {
		e.answered(now)
	}
	e.unaskedFrom(now)
	return nil
}

// unaskedFrom begins to count anew what is to be asked about.
func (e *Engine) unaskedFrom(now time.Time) {
	if e.conn.inFlight == 0 {
		e.conn.unasked, e.conn.unaskedB = 0, 0
	}
	if e.conn.unasked > 0 {
		e.conn.unaskedAt = now
	}
}

// answered notes that nothing is asked any more.
func (e *Engine) answered(now time.Time) {
	if c := &e.conn; !c.requested.IsZero() {
		e.pace.answered(now, c.requested)
		c.requested = time.Time{}
	}
}

// A TooHighError is an h above what was sent, with the number that
// AppendTooHigh wants. It is an ErrHandledHigh.
type TooHighError struct {
	H           uint64
	Outstanding int // stanzas that were written and not acknowledged
}

func (e *TooHighError) Error() string {
	return fmt.Sprintf("%v: h=%d, %d outstanding", ErrHandledHigh, e.H, e.Outstanding)
}

func (e *TooHighError) Unwrap() error { return ErrHandledHigh }

// IsTooHigh finds the TooHighError in err.
func IsTooHigh(err error) (*TooHighError, bool) { return errors.AsType[*TooHighError](err) }
