package rmulticast

import (
	"slices"
	"time"
)

// takeFailure takes what a node of our graph says of others.
func (e *Engine) takeFailure(now time.Time, s *sender, p *Packet) {
	for _, id := range p.Senders {
		if e.phase != connected {
			return
		}
		e.fail(now, id, s.id, Said)
	}
}

// fail gives a node up. by has said so, or we noticed ourselves if it is 0. All who
// are left have to say so as well before it is gone.
func (e *Engine) fail(now time.Time, id, by SenderID, why Reason) {
	if id == e.self {
		e.restart(now)
		return
	}
	r := e.table.members[id]
	if r == nil || r.state < mutual {
		e.failUnknown(now, id, r)
		return
	}
	if r.state.live() {
		e.stats.Failures++
		e.suspect(r, why)
		e.sendFailure(now)
	}
	if by != 0 {
		r.declared[by] = true
	}
	e.checkFailures(now)
}

func (e *Engine) failUnknown(now time.Time, id SenderID, r *record) {
	e.remove(now, id)
	switch {
	case r == nil:
	case e.table.state == normal:
		e.deleteRecord(r)
	default:
		r.state = gone
	}
}

// sendFailure tells the others whom we have given up. It says still what we have
// of them.
func (e *Engine) sendFailure(now time.Time) {
	t := &e.table
	e.transmit(now, &Packet{Type: Failure, Entries: e.depends(), Senders: t.pending})
	for _, id := range t.pending {
		r := t.members[id]
		r.told = true
		e.timers.set(&r.limit, now.Add(failureLimit))
	}
	e.failPending()
}

// checkFailures removes those whom everybody has given up.
func (e *Engine) checkFailures(now time.Time) {
	for again := true; again && e.phase == connected; {
		again = false
		for _, r := range slices.Clone(e.table.order) {
			if e.table.members[r.id] == r && r.told && r.state != gone && e.allDeclared(r) {
				e.completeFailure(now, r)
				again = true
			}
		}
	}
}

func (e *Engine) allDeclared(r *record) bool {
	for _, o := range e.liveRecords(done) {
		if !r.declared[o.id] {
			return false
		}
	}
	return true
}

func (e *Engine) completeFailure(now time.Time, r *record) {
	e.drain()
	if e.table.state != joining {
		e.bury(now, r)
		return
	}
	if r.state == memberFailing {
		e.event(Left{e.memberOf(r), r.why})
	}
	r.state = gone
	e.timers.stop(&r.limit)
	for _, o := range e.table.order {
		delete(o.declared, r.id)
	}
	e.remove(now, r.id)
	e.checkAgreement(now)
}

// failureLate fails those who do not say that r failed.
func (e *Engine) failureLate(now time.Time, r *record) {
	for _, o := range e.liveRecords(done) {
		if e.phase == connected && o.state.live() && !r.declared[o.id] {
			e.fail(now, o.id, 0, Silent)
		}
	}
}
