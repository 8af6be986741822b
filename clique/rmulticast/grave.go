package rmulticast

import (
	"slices"
	"time"
)

const (
	graveRest  = 10 * time.Second // what still comes of a node that is gone does not bring it back
	byeRest    = 5 * time.Minute
	graveLimit = 200 * time.Second // longer than the time between keepalives, which acknowledge
)

// remove takes a sender out of the graph. Its packets can still be asked for.
func (e *Engine) remove(now time.Time, id SenderID) {
	s := e.senders[id]
	if s == nil || s == e.me {
		return
	}
	delete(e.senders, id)
	e.order = slices.DeleteFunc(e.order, func(o *sender) bool { return o == s })
	e.stopTimers(s)
	e.dropMessages(s)
	if s.state == fresh || s.state == unknownFailed {
		e.clearCache(s)
		e.forgetAcks(id)
		e.shun(now, id)
		return
	}
	s.state, s.removed = buried, now
	e.graves = append(e.graves, s)
	if len(e.graves) > maxGraves {
		e.closeGrave(e.graves[0])
	}
	e.timers.set(&s.idle, now.Add(graveRest))
	e.unfreed = append(e.unfreed, e.order...) // one less to wait for
}

// isBuried reports whether the node is gone so lately that what comes of it is
// left over.
func (e *Engine) isBuried(now time.Time, id SenderID) bool {
	if sh, ok := e.shunned[id]; ok && now.Before(sh.until) {
		return true
	}
	return slices.ContainsFunc(e.graves, func(s *sender) bool { return s.id == id && now.Sub(s.removed) < graveRest })
}

// visitGrave closes a grave that nobody needs any more.
func (e *Engine) visitGrave(now time.Time, s *sender) {
	needed := len(s.cache.slots) > 0 && now.Sub(s.removed) < graveLimit
	_, offered := e.table.offered[s.id]
	if needed && (offered || slices.ContainsFunc(e.order, func(o *sender) bool { return e.lacks(o, s) })) {
		e.timers.set(&s.idle, now.Add(graveRest))
		return
	}
	e.closeGrave(s)
}

// lacks reports whether o may lack packets of the grave.
func (e *Engine) lacks(o, grave *sender) bool {
	a, ok := o.acks[grave.id]
	return o != e.me && o.state.listed() && (!ok || a.next.before(grave.nextOut))
}

func (e *Engine) closeGrave(s *sender) {
	e.stopTimers(s)
	e.clearCache(s)
	e.graves = slices.DeleteFunc(e.graves, func(o *sender) bool { return o == s })
	delete(e.table.offered, s.id)
	if e.senders[s.id] == nil {
		e.forgetAcks(s.id)
	}
}

func (e *Engine) forgetAcks(id SenderID) {
	for _, o := range e.order {
		delete(o.acks, id)
	}
}

// A shun is how long we do not look at a node that came to nothing, and how often
// it did: one that only ever says SESSION would keep the room gathering.
type shun struct {
	until time.Time
	times int
	bye   bool // it has left, and will not come back
}

// pardonAll looks again at who asks for us, or is one of us, and at all whom it
// names: they do their part. Two that only looked at each other in turns, each when
// the other does not, would never meet; and whom one of us does not look at his JOIN
// throws out, be it a whole room that the others have taken in.
func (e *Engine) pardonAll(p *Packet) {
	e.pardon(p.Sender)
	for _, id := range p.Senders {
		e.pardon(id)
	}
	for _, entry := range p.Entries {
		e.pardon(entry.Sender)
	}
}

func (e *Engine) pardon(id SenderID) {
	if s, ok := e.shunned[id]; ok && !s.bye {
		s.until = time.Time{}
		e.shunned[id] = s
	}
}

func (e *Engine) shun(now time.Time, id SenderID) {
	s := e.shunned[id]
	s.times = min(s.times+1, 6)
	e.shunUntil(id, now.Add(time.Second<<s.times), s, now)
}

// hearBye notes that the id will not come back: nobody says BYE for the others
// and goes on. Of somebody in the graph it is taken in order.
func (e *Engine) hearBye(now time.Time, p *Packet) {
	s := e.shunned[p.Sender]
	s.bye = true
	e.shunUntil(p.Sender, now.Add(byeRest), s, now)
	if s := e.senders[p.Sender]; s != nil && s.state == fresh {
		e.fail(now, s.id, 0, Said)
	}
}

func (e *Engine) shunUntil(id SenderID, until time.Time, s shun, now time.Time) {
	if until.After(s.until) {
		s.until = until
	}
	if len(e.shunned) >= maxShunned {
		for id, o := range e.shunned {
			if o.until.Before(now) {
				delete(e.shunned, id)
			}
		}
		if len(e.shunned) >= maxShunned {
			return
		}
	}
	e.shunned[id] = s
}
