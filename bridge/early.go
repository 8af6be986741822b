package bridge

import "time"

// lookout is the time until which a peer who is not seen may still come.
func (e *engine) lookout() time.Time { return e.started.Add(e.cfg.Timing.LookAround) }

// tooEarly keeps words for later whose peer has not been seen since the gateway
// has started, and may still come. Later ones of their sender wait behind them.
func (e *engine) tooEarly(now time.Time, m *incoming, w way) bool {
	waits := e.waitsEarly(m.contact)
	if !now.Before(e.lookout()) || !waits && w.fate != gone || len(e.early)+len(e.pending) >= e.cfg.Limits.PendingToLAN {
		return false
	}
	e.early = append(e.early, m)
	return true
}

// waitsEarly reports whether a message of the contact is early.
func (e *engine) waitsEarly(ct *contact) bool {
	for _, m := range e.early {
		if m.contact == ct {
			return true
		}
	}
	return false
}

// retryEarly looks again for whom the early messages are, in order. When the
// time is over nobody waits any more.
func (e *engine) retryEarly(now time.Time) {
	waiting := e.early
	e.early = nil
	for _, m := range waiting {
		if o := e.place(now, m); o != Pending {
			e.finish(now, m, o)
		}
	}
}

// nextEarly is when retryEarly is wanted though nothing happened; zero: never.
func (e *engine) nextEarly() time.Time {
	if len(e.early) == 0 {
		return time.Time{}
	}
	return e.lookout()
}
