package sm

import (
	"errors"
	"time"
)

// ErrExpired is the reason of a GivenUp that has waited for too long.
var ErrExpired = errors.New("sm: it has waited for too long")

// Expire gives up the messages that were queued before that time. Those that
// were written in a session that lives, or that can still be resumed, stay:
// they have numbers in it.
func (e *Engine) Expire(before time.Time) []GivenUp {
	numbered := e.out.tried
	if e.state == Offline && e.id.id == "" {
		numbered = 0
	}
	var gone []GivenUp
	keep := e.out.q[:0]
	for i, it := range e.out.q {
		if i < numbered || it.kind != Message || !it.At.Before(before) {
			keep = append(keep, it)
			continue
		}
		gone = append(gone, e.giveUp(it, ErrExpired))
		e.out.bytes -= len(it.Data)
		left := i - len(gone) + 1 // its index now
		if left < e.out.tried {
			e.out.tried--
		}
	}
	clear(e.out.q[len(keep):])
	e.out.q = keep
	return gone
}
