package rmulticast

import (
	"slices"
	"time"
)

// dispatch takes a packet while we are connected.
func (e *Engine) dispatch(now time.Time, p *Packet, b []byte) {
	switch {
	case p.Sender == e.self:
		e.hearOwn(now, p, b)
		return
	case p.Type == RepairRequest && p.Target == 0: // gibber aborts
		e.stats.Malformed++
		return
	case p.Sender == 0:
		if p.Type == WhoisRequest {
			e.hearWhoisRequest(now, p)
		}
		return
	}
	if p.Type == Bye {
		e.hearBye(now, p)
	}
	if e.disproved(now, p) {
		e.restart(now)
		return
	}
	if !e.route(now, p, b) {
		e.hearForeign(now, p)
		if e.phase == connected {
			e.routeAgain(now, p, b)
		}
	}
}

// route hands the packet to the sender whose business it is. False: there is none
// in our graph, so it may be of interest to membership.
func (e *Engine) route(now time.Time, p *Packet, b []byte) bool {
	s := e.senders[p.Sender]
	switch p.Type {
	case WhoisRequest:
		return e.hearWhoisRequest(now, p)
	case WhoisReply:
		return e.hearWhoisReply(now, p)
	case RepairRequest:
		return e.hearRepairRequest(now, p)
	case Session:
		// gibber takes a SESSION of a node it knows by name only for routed: two that
		// hear of each other by their WHOIS-REPLYs do not join until the keepalive.
		if s == nil || s.state == fresh {
			return false
		}
		e.hearSession(now, p)
		return true
	}
	if s == nil || s.state == fresh {
		return s == nil && e.anySender(p.Sender) != nil && e.isBuried(now, p.Sender)
	}
	if e.phase == connected && e.forgotten(s, p) {
		e.restart(now)
		return true
	}
	e.push(now, s, p, b)
	e.seeAll(now, p.Entries)
	return true
}

// forgotten reports whether a member asks for our start: it has given us up, while
// we were frozen or cut off, and what it said meanwhile may be gone.
func (e *Engine) forgotten(s *sender, p *Packet) bool {
	r := e.table.members[s.id]
	return p.Type == AttemptJoin && r != nil && r.state == member && !p.ID.before(s.nextOut) && slices.Contains(p.Senders, e.self)
}

// routeAgain is route after membership has seen the packet.
func (e *Engine) routeAgain(now time.Time, p *Packet, b []byte) {
	if p.Type == Session {
		if e.senders[p.Sender] != nil {
			e.hearSession(now, p)
		}
		return
	}
	e.route(now, p, b)
}

// hearOwn takes a packet of ours: a repair that somebody else made, or what came
// back from the network.
func (e *Engine) hearOwn(now time.Time, p *Packet, b []byte) {
	if !p.Type.reliable() {
		return
	}
	if sl := e.me.cache.stored(p.ID); sl != nil {
		e.suppress(sl)
	} else if e.phase == resuming || e.resumed() {
		e.recoverOwn(now, p, b)
	}
}

// push takes a packet of a sender with a known start.
func (e *Engine) push(now time.Time, s *sender, p *Packet, b []byte) {
	d := p.ID.diff(s.nextOut)
	if sl := s.cache.stored(p.ID); sl != nil || d < 0 {
		e.stats.Duplicates++
		e.came(sl)
		e.suppress(sl)
		return
	}
	switch {
	case d >= e.lim.Window:
		e.stats.OutOfWindow++
		return
	case d > 0 && e.cached+len(b) > e.lim.Cache && !e.evict(len(b)):
		e.stats.Refused++ // it will be asked for once there is room
		return
	}
	e.put(s, p, b)
	if p.ID.before(s.nextIn) {
		return
	}
	for id := s.nextIn; id != p.ID; id++ {
		e.miss(now, s, id)
	}
	s.nextIn = p.ID + 1
}

// put stores a packet, and stops asking for it.
func (e *Engine) put(s *sender, p *Packet, raw []byte) {
	sl := s.cache.open(p.ID)
	e.came(sl)
	e.timers.stop(&sl.timer)
	sl.raw, sl.p = raw, *p
	e.cached += len(raw)
	e.repairing.earn(repairEach)
	if s != e.me {
		e.asking.earn(askEach)
	}
}
