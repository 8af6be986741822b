package rmulticast

import "time"

// lastID is how far we go with our ids: gibber's nodes do not survive the wrap.
const lastID = 0xfffe0000

// sendSession tells what we have received, ours included, so that others notice
// what they miss.
func (e *Engine) sendSession(now time.Time) {
	if e.next >= lastID && e.phase == connected {
		e.restart(now)
		return
	}
	var list []Entry
	for _, s := range e.order {
		// Who has come back must hear those of the others: one that does not list
		// all does not let them wait.
		if s.state.listed() && (s != e.me || e.phase == connected) {
			list = append(list, Entry{s.id, s.nextIn})
		}
	}
	e.emit(&Packet{Type: Session, Sender: e.self, Entries: list})
	e.timers.stop(&e.soon)
	e.arm(&e.session, now, sessionEvery)
}

// hearSession takes what somebody has received. If it is all that we have, and of
// everybody, ours can wait.
func (e *Engine) hearSession(now time.Time, p *Packet) {
	current := len(p.Entries) == len(e.order)
	for _, entry := range p.Entries {
		if s := e.senders[entry.Sender]; s != nil && s.state != fresh && entry.Next.before(s.nextIn) {
			current = false
		}
	}
	e.seeAll(now, p.Entries)
	e.catchUp(now, p)
	if _, whole := next(p, p.Sender); !whole && !e.soon.isSet() { // it has come back, and waits for ours
		e.arm(&e.soon, now, sessionAnswer)
	}
	if current {
		e.arm(&e.session, now, sessionEvery)
	}
}

// sessionSoon sends a SESSION besides: who misses the last packet of a burst
// would notice no sooner than with the next one. Among our kind it comes earlier,
// but not while we go on.
func (e *Engine) sessionSoon(now time.Time) {
	switch {
	case e.kin() > 0:
		e.timers.set(&e.soon, now.Add(quickSession))
	case !e.soon.isSet():
		e.timers.set(&e.soon, now.Add(sessionSoon))
	}
}
