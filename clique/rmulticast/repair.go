package rmulticast

import "time"

// How many packets a second we ask for and repeat: somebody may lie about what exists,
// or ask for the same again and again. With each packet that there is more come due,
// enough for networks that lose many: one who sends as fast as it is heard, half of it
// requests, gets no more repairs than requests.
const (
	askRate     = 500
	askBurst    = 1024
	askEach     = 0.5
	repairRate  = 2000
	repairBurst = 1024
	repairEach  = 1
)

// seeAll notes what exists: a packet of whose author everything before was there.
func (e *Engine) seeAll(now time.Time, list []Entry) {
	for _, entry := range list {
		s := e.senders[entry.Sender]
		if s == nil || s == e.me || !s.state.ordered() {
			continue
		}
		limit := s.nextOut + PacketID(e.lim.Window)
		if entry.Next.before(limit) {
			limit = entry.Next
		}
		for id := s.nextIn; id.before(limit); id++ {
			e.miss(now, s, id)
		}
	}
}

// miss asks for a packet after a while, if we are not asking already.
func (e *Engine) miss(now time.Time, s *sender, id PacketID) {
	if s.cache.get(id) != nil {
		return
	}
	sl := s.cache.open(id)
	sl.timer.fire = func(now time.Time) { e.askRepair(now, s, id, sl) }
	e.arm(&sl.timer, now, e.in(quickFirst, 1))
}

// askRepair asks for a packet, until it comes. Requests are limited: somebody
// may have lied about what exists.
func (e *Engine) askRepair(now time.Time, s *sender, id PacketID, sl *slot) {
	if e.asking.take(now) {
		e.stats.RepairsAsked++
		e.emit(&Packet{Type: RepairRequest, Sender: e.self, Target: s.id, ID: id})
	}
	e.askAgain(now, sl)
}

// askAgain lets somebody who was asked answer first.
func (e *Engine) askAgain(now time.Time, sl *slot) {
	sl.asked++
	e.arm(&sl.timer, now, e.in(quickAgain, sl.asked))
}

// hearRepairRequest answers if we have the packet. If we miss it as well somebody
// has just asked for us. False: we know nothing of it.
func (e *Engine) hearRepairRequest(now time.Time, p *Packet) bool {
	s := e.anySender(p.Target)
	if s == nil {
		return false
	}
	if s == e.me {
		e.brake(now, p)
	}
	if e.answerRepair(now, s, p.ID) {
		return true
	}
	if s == e.me {
		e.lack(now, p.ID)
		return true
	}
	if d := p.ID.diff(s.nextOut); !s.state.ordered() || d < 0 || d >= e.lim.Window {
		return false
	}
	if sl := s.cache.get(p.ID); sl != nil {
		e.askAgain(now, sl)
		return true
	}
	for id := s.nextOut; !p.ID.before(id); id++ {
		e.miss(now, s, id)
	}
	return true
}

// answerRepair sends the packet again soon, unless somebody else does.
func (e *Engine) answerRepair(now time.Time, s *sender, id PacketID) bool {
	sl := s.cache.stored(id)
	if sl == nil {
		return false
	}
	if !sl.timer.isSet() {
		e.repeat(now, sl, e.in(e.answering(s, sl), 1))
	}
	return true
}

// answering is how soon a packet is repeated. Whose it is comes first; but once only:
// who asks again may be where its packets do not come.
func (e *Engine) answering(s *sender, sl *slot) quick {
	if s != e.me || sl.asked > 0 {
		return quickAnswer
	}
	sl.asked++
	e.outbox.tempo.missed++
	return quickOwn
}

// repeat sends the packet of a slot after a moment, and again while it is repeating.
func (e *Engine) repeat(now time.Time, sl *slot, after span) {
	sl.timer.fire = func(now time.Time) {
		if !sl.repeating && !e.repairing.take(now) {
			e.arm(&sl.timer, now, e.in(quickAnswer, 1))
			return
		}
		e.stats.RepairsSent++
		e.resend(sl.raw)
		if sl.repeating {
			e.repeat(now, sl, e.callEvery(now))
		}
	}
	e.arm(&sl.timer, now, after)
}

// suppress takes back a repair of ours that somebody else has made. gibber does
// not, and sends as many copies as there are members.
func (e *Engine) suppress(sl *slot) {
	if sl != nil && !sl.repeating && sl.timer.isSet() {
		e.timers.stop(&sl.timer)
		e.stats.Suppressed++
	}
}
