package xmppc2s

import (
	"errors"
	"time"

	"meshgate/xmppc2s/sm"
)

// stem does without stream management where it leads to nothing but floods.
func (l *loop) stem(now time.Time, err error) {
	if l.engine.State() == sm.Plain {
		return
	}
	uptime := now.Sub(l.tr.since)
	e, _ := errors.AsType[*Error](err)
	flood := e != nil && e.rule != nil && (e.rule.flood || e.rule.limit && uptime < floodSoon && l.engine.Unacked() == 0)
	if l.gate.ended(now, uptime, flood); l.gate.open(now) || !flood {
		return
	}
	l.c.log.Warn("the server ends each session under stream management as soon as it has begun: there is none for a while", "until", l.gate.until)
	if l.resumed { // else it is asked for: the server says how far it came
		l.engine.Forget()
	}
}

// enableAt is when the session gets the stream management that it was to do
// without; zero: never.
func (l *loop) enableAt() time.Time {
	if l.tr == nil || l.tr.link.dialect == sm.None || l.engine.State() != sm.Plain {
		return time.Time{}
	}
	return l.gate.enableAt(l.tr.since)
}

// enable asks for it, at the first quiet moment behind that.
func (l *loop) enable(now time.Time) {
	if at := l.enableAt(); !at.IsZero() && !now.Before(at) && l.engine.Enable(now, l.binding(l.tr.link)) {
		l.gate.open(now)
		l.c.log.Info("stream management is tried again")
	}
}
