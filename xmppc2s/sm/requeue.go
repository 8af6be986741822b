package sm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"meshgate/internal/stanza"
)

// A GivenUp is a stanza that will not be sent. Where there is a journal its
// sender is to be told after the record of it is durable: a process that ends
// before that sends it again.
type GivenUp struct {
	Seq    uint64
	At     time.Time // queued
	Bytes  []byte
	Kind   Kind
	Reason error
}

// Reasons of a GivenUp.
var (
	ErrStale  = errors.New("sm: it belonged to a session that is lost")
	ErrDeadly = errors.New("sm: the server ends the stream whenever it is sent")
	// ErrTooLarge is also what Enqueue says. "If, after serialization, a stanza
	// exceeds the limits that have been advertised on a stream, it SHOULD NOT be
	// sent on that stream." XEP-0478 §4 (Business Rules)
	ErrTooLarge = errors.New("sm: it is larger than what the server takes")
)

// requeue sorts out what goes on waiting in a new session.
func (e *Engine) requeue(largest int) (keep []item, gone []GivenUp) {
	for i, it := range e.out.q {
		switch {
		case it.Strikes >= maxStrikes:
			gone = append(gone, e.giveUp(it, ErrDeadly))
		case e.id.epoch > 0 && !Lasting(it.kind, it.Data):
			gone = append(gone, e.giveUp(it, ErrStale))
		case largest > 0 && len(it.Data) > largest:
			gone = append(gone, e.giveUp(it, ErrTooLarge))
		default:
			if i < e.out.tried {
				e.delay(&it)
			}
			keep = append(keep, it)
		}
	}
	return keep, gone
}

// ahead makes items that go before those of keep: so their Seqs are below.
func (e *Engine) ahead(now time.Time, first [][]byte, keep []item) []item {
	seq := e.out.seq + 1
	if len(keep) > 0 {
		seq = keep[0].Seq - uint64(len(first))
	}
	wary := slices.ContainsFunc(keep, func(it item) bool { return it.Strikes > 0 })
	items := make([]item, len(first))
	for i, b := range first {
		items[i] = item{Stanza: Stanza{Seq: seq + uint64(i), At: now, Data: b}, kind: KindOf(b)}
		if wary { // what went first in the session before may have ended it
			items[i].Strikes = 1
		}
		e.out.seq = max(e.out.seq, items[i].Seq)
		e.record(Enqueued, items[i].Stanza)
	}
	return items
}

func (e *Engine) giveUp(it item, why error) GivenUp {
	e.record(Dropped, Stanza{Seq: it.Seq})
	return GivenUp{Seq: it.Seq, At: it.At, Bytes: it.Data, Kind: it.kind, Reason: why}
}

// delay marks an item with the time when it was first sent.
func (e *Engine) delay(it *item) {
	b := WithDelay(it.Data, it.At)
	if len(b) != len(it.Data) {
		it.Data = b
		e.record(Enqueued, it.Stanza)
	}
}

// WithDelay marks a message with the time it was first sent, unless it says
// that already.
func WithDelay(b []byte, at time.Time) []byte {
	const end = "</message>"
	head, ok := bytes.CutSuffix(b, []byte(end))
	if !ok || bytes.Contains(b, []byte("'"+stanza.NSDelay+"'")) || bytes.Contains(b, []byte(`"`+stanza.NSDelay+`"`)) {
		return b
	}
	// XEP-0203 §2 (Protocol), in the format of XEP-0082 §3
	stamp := at.UTC().Format("2006-01-02T15:04:05.000Z")
	return fmt.Appendf(bytes.Clone(head), "<delay xmlns='%s' stamp='%s'/>%s", stanza.NSDelay, stamp, end)
}
