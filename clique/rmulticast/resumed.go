package rmulticast

import (
	"slices"
	"time"
)

// tellOwn tells which whole messages of ours the snapshot, or somebody else, had.
func (e *Engine) tellOwn() {
	open := map[StreamID]*Sent{}
	for _, sl := range e.me.cache.slots {
		if sl == nil || sl.raw == nil || sl.p.Type != Data {
			continue
		}
		if sl.p.Flags&Start != 0 {
			open[sl.p.Stream] = &Sent{Number: sl.p.ID, Stream: sl.p.Stream}
		}
		m := open[sl.p.Stream]
		if m == nil {
			continue
		}
		m.Data = append(m.Data, sl.p.Payload...)
		if sl.p.Flags&End != 0 {
			delete(open, sl.p.Stream)
			if len(m.Data) == int(sl.p.Total) {
				e.event(*m)
			}
		}
	}
}

// behind reports whether we have just come back and still miss what was said
// meanwhile, or do not know what there is: what we say may answer something that we were
// told before we were killed.
func (e *Engine) behind(now time.Time) bool {
	return e.resumed() && now.Sub(e.resume.since) < resumeLacks && slices.ContainsFunc(e.order, func(s *sender) bool {
		return s != e.me && s.state.listed() && (!e.resume.whole[s.id] || s.nextOut.before(s.goal))
	})
}

// catchUp notes up to where a node is of which we did not know it when we came back.
func (e *Engine) catchUp(now time.Time, p *Packet) {
	s := e.senders[p.Sender]
	if s == nil || !e.resumed() || e.resume.whole[s.id] || now.Sub(e.resume.since) >= resumeLacks {
		return
	}
	if at, whole := next(p, s.id); whole {
		e.resume.whole[s.id], s.goal = true, at
	}
}

// lack asks the others for a packet of ours that one of them misses and that we do
// not have any more. Nobody else may have it either: then only joining anew helps.
func (e *Engine) lack(now time.Time, id PacketID) {
	if e.resume.said == nil || id.before(e.me.cache.first) || !id.before(e.next) {
		return
	}
	e.miss(now, e.me, id)
	if at := now.Add(resumeLacks); e.phase == connected && (at.Before(e.resume.lacks.at) || !e.resume.lacks.isSet()) {
		e.timers.set(&e.resume.lacks, at)
	}
}

// lacking reports whether we miss a packet of ours.
func (e *Engine) lacking() bool {
	return slices.ContainsFunc(e.me.cache.slots, func(sl *slot) bool { return sl != nil && sl.raw == nil })
}

// resumed reports whether we go on as who we were.
func (e *Engine) resumed() bool { return e.phase == connected && e.resume.said != nil }

// stillLacks joins anew if we cannot be who we were.
func (e *Engine) stillLacks(now time.Time) {
	lost := e.lacking()
	for _, s := range e.order {
		lost = lost || s.state.listed() && s.nextOut.before(s.claim())
	}
	switch {
	case lost && e.listened(now) < resumeLacks:
		e.timers.set(&e.resume.lacks, now.Add(resumeLacks)) // we were cut off
	case lost:
		e.restart(now)
	}
}

// disproved reports whether somebody has more of us than we have ever said: he
// alone had it, and we have given its ids to something else.
func (e *Engine) disproved(now time.Time, p *Packet) bool {
	have, listed := next(p, e.self)
	return listed && e.resumed() && now.Sub(e.resume.since) < resumeDoubt && e.next.before(have)
}

// skipKnown passes over what is before the floors and did not come: all others have
// acknowledged it and forgotten it, as we had.
func (e *Engine) skipKnown(now time.Time) {
	if e.phase != connected {
		return // what follows every input is enough
	}
	cutOff := e.listened(now) < resumeSkip
	for _, s := range e.order {
		for s.state.listed() && s.nextOut.before(s.claim()) && s.cache.stored(s.nextOut) == nil {
			e.timers.set(&e.resume.timer, now.Add(resumeSkip)) // what comes next may be missing, too
			if cutOff {
				return
			}
			e.skip(s)
		}
	}
}

// skip passes over the next packet of a sender, and with it over the messages that
// are not complete.
func (e *Engine) skip(s *sender) {
	for _, m := range s.open {
		e.release(m)
	}
	s.open = nil
	e.timers.stop(&s.cache.open(s.nextOut).timer)
	s.nextOut++
	if s.nextIn.before(s.nextOut) {
		s.nextIn = s.nextOut
	}
	e.unfreed = append(e.unfreed, s)
}
