package rmulticast

import "time"

// step tells one message of the sender, or takes its next packet in order. It
// reports whether anything was possible.
func (e *Engine) step(now time.Time, s *sender) bool {
	if !s.state.ordered() || s == e.me || e.senders[s.id] != s {
		return false
	}
	if e.deliverNext(s) {
		return true
	}
	if s.end.set && !s.nextOut.before(s.end.at) {
		return false
	}
	sl := s.cache.stored(s.nextOut)
	if sl == nil || sl.p.Type == Data && !e.mayHold(s) {
		return false
	}
	if !e.noteAcks(now, s, &sl.p) {
		e.failSender(now, s, Broken)
		return false
	}
	if !e.controlReady(now, &sl.p) || sl.p.Type == Join && e.awaitsName(now) {
		return false
	}
	e.advance(now, s, &sl.p)
	return true
}

// controlReady reports whether everything that the packet depends on was taken.
func (e *Engine) controlReady(now time.Time, p *Packet) bool {
	for i, entry := range p.Entries {
		s := e.senders[entry.Sender]
		if s == nil || !s.state.ordered() || !s.nextOut.before(entry.Next) {
			continue
		}
		if s.state == failed && s.end.at.before(entry.Next) {
			s.end.at = entry.Next // others have more of it: that counts still
		}
		if s.cache.get(s.nextOut) == nil { // we did not know it when the packet came
			e.seeAll(now, p.Entries[i:i+1])
		}
		return false
	}
	return true
}

// dataReady reports whether everything that a message depends on was told.
func (e *Engine) dataReady(m *message) bool {
	for _, entry := range m.depends {
		s := e.senders[entry.Sender]
		if s != nil && s != e.me && s.state.ordered() && s.nextData().before(entry.Next) {
			return false
		}
	}
	return true
}

// advance takes the next packet of the sender.
func (e *Engine) advance(now time.Time, s *sender, p *Packet) {
	s.nextOut++
	e.unfreed = append(e.unfreed, s)
	if s.named {
		e.timers.set(&s.idle, now.Add(progressLimit))
	}
	if p.Type == Data {
		e.assemble(s, p)
		e.owe(now)
		return
	}
	if s.state == preparing {
		s.state = running
	}
	switch p.Type {
	case AttemptJoin:
		e.takeAttempt(now, s, p)
	case Join:
		e.takeJoin(now, s, p)
	case Failure:
		e.takeFailure(now, s, p)
	case Bye:
		e.fail(now, s.id, 0, Said)
	}
}
