package rmulticast

import (
	"slices"
	"time"
)

// hearForeign takes a packet of a node that is not in our graph.
func (e *Engine) hearForeign(now time.Time, p *Packet) {
	if e.table.state == joining || p.Type == Bye || p.Sender == e.self {
		return
	}
	if p.Type == AttemptJoin && slices.Contains(p.Senders, e.self) {
		e.pardonAll(p)
	}
	_, knowsUs := next(p, e.self)
	if p.Type == Join && knowsUs && e.alone() {
		e.restart(now) // we are one of them and do not know them: they would wait for our JOIN
		return
	}
	if e.addSender(now, p.Sender) == nil || !p.Type.reliable() && p.Type != Session {
		return
	}
	switch {
	case p.Type == AttemptJoin && slices.Contains(p.Senders, e.self):
		e.admitAll(now, p, mutual)
		e.scheduleAttempt(now, true)
	case p.Type == AttemptJoin && knowsUs:
		if r := e.table.members[p.Sender]; r != nil && r.state == started {
			e.admitAll(now, p, done)
			e.scheduleAttempt(now, true)
		}
	case p.Type == Data && p.Flags&Start == 0:
	default:
		if e.mentionAll(now, p) {
			e.scheduleAttempt(now, false)
		}
		if !knowsUs {
			e.noteRoom(now, p)
		}
	}
}

// takeAttempt takes an ATTEMPT-JOIN of a node of our graph.
func (e *Engine) takeAttempt(now time.Time, s *sender, p *Packet) {
	t := &e.table
	if t.state == joining {
		if len(t.late) < maxDeferred {
			t.late = append(t.late, deferred{s, *p})
		}
		return
	}
	changed := e.learnAttempt(now, p)
	e.becomeGathering(now)
	if changed {
		e.armAttempt(now)
	}
}

// takeLate takes the ATTEMPT-JOINs that came in a join phase. Most were sent before
// it, and have nothing to say any more.
func (e *Engine) takeLate(now time.Time) {
	late := e.table.late
	e.table.late = nil
	for _, d := range late {
		if e.senders[d.s.id] == d.s && e.table.members[d.s.id] != nil && e.learnAttempt(now, &d.p) {
			e.scheduleAttempt(now, false)
		}
	}
}

// learnAttempt takes over whom an ATTEMPT-JOIN asks for and knows. It reports
// whether there was anything new.
func (e *Engine) learnAttempt(now time.Time, p *Packet) bool {
	changed := false
	e.pardonAll(p)
	for _, id := range p.Senders {
		if r := e.record(now, id); r != nil && r.state == unknown {
			r.state = started
			changed = true
		}
	}
	level := done
	if slices.Contains(p.Senders, e.self) {
		level = mutual
	}
	return e.admitAll(now, p, level) || changed
}

// mentionAll makes records of the author and all whom it knows of. It reports
// whether there is somebody new.
func (e *Engine) mentionAll(now time.Time, p *Packet) bool {
	before := len(e.table.order)
	e.record(now, p.Sender)
	for _, entry := range p.Entries {
		e.record(now, entry.Sender)
	}
	return len(e.table.order) > before
}

// admitAll gives starts: to the author after this packet, and to the others where
// it has them.
func (e *Engine) admitAll(now time.Time, p *Packet, level memberState) bool {
	changed := e.admit(now, p.Sender, p.ID+1, level)
	for _, entry := range p.Entries {
		changed = e.admit(now, entry.Sender, entry.Next, level) || changed
	}
	return changed
}

func (e *Engine) admit(now time.Time, id SenderID, start PacketID, level memberState) bool {
	r := e.record(now, id)
	if r == nil || r.state >= level {
		return false
	}
	s := e.senders[id]
	if s == nil {
		return false
	}
	e.giveStart(s, start)
	r.state = level
	return true
}

// becomeGathering waits for quiet, anew if we did already.
func (e *Engine) becomeGathering(now time.Time) {
	if e.table.state != gathering {
		e.table.state, e.table.since = gathering, now
	}
	e.arm(&e.table.quiet, now, quietTime)
}

// quietOver ends gathering, if nobody has a reason not to answer us.
func (e *Engine) quietOver(now time.Time) {
	if e.elsewhere(now) {
		e.arm(&e.table.quiet, now, quietAgain)
		return
	}
	e.beginJoining(now)
}

// elsewhere reports whether a room that we ask for is in a join phase: it does not
// hear us before that is over, and then our ATTEMPT-JOIN, and after it a JOIN that
// throws them all out. gibber's nodes say it.
func (e *Engine) elsewhere(now time.Time) bool {
	return now.Sub(e.table.since) < joinLimit+failureLimit && slices.ContainsFunc(e.table.order, func(r *record) bool {
		return r.state < mutual && !r.seen.IsZero() && now.Sub(r.seen) < sessionEvery.hi
	})
}

// callEvery is how often an ATTEMPT-JOIN is repeated: less where nobody can hear it yet.
func (e *Engine) callEvery(now time.Time) span {
	if now.Sub(e.table.since) > quietTime.hi && e.elsewhere(now) {
		return repairAgain
	}
	return repairAnswer
}

// noteRoom notes who is in a room of others.
func (e *Engine) noteRoom(now time.Time, p *Packet) {
	if p.Type != Session || len(p.Entries) < 2 {
		return
	}
	for _, entry := range p.Entries {
		if r := e.table.members[entry.Sender]; r != nil {
			r.seen = now
		}
	}
}

func (e *Engine) scheduleAttempt(now time.Time, force bool) {
	e.becomeGathering(now)
	e.table.force = e.table.force || force
	e.armAttempt(now)
}

func (e *Engine) armAttempt(now time.Time) {
	if !e.table.attempt.isSet() {
		e.arm(&e.table.attempt, now, attemptDelay)
	}
}

// sendAttempt asks for the starts we need, and goes on asking.
func (e *Engine) sendAttempt(now time.Time) {
	t := &e.table
	e.stopCalling()
	var ask []SenderID
	again := false
	for _, r := range t.order {
		if r.state == unknown {
			r.state = started
		}
		if r.state == started {
			ask = append(ask, r.id)
		}
		again = again || r.state == started || r.state == mutual
	}
	force := t.force
	t.force = false
	if !again && !force {
		return
	}
	t.calling = e.transmit(now, &Packet{Type: AttemptJoin, Entries: e.depends(), Senders: ask})
	for _, entry := range t.calling.p.Entries {
		if _, ok := t.offered[entry.Sender]; !ok {
			t.offered[entry.Sender] = entry.Next
		}
	}
	if again {
		t.calling.repeating = true
		e.repeat(now, t.calling, repairAnswer)
	}
}

// alone reports whether nobody is in our graph.
func (e *Engine) alone() bool { return len(e.liveRecords(mutual)) == 0 }

func (e *Engine) stopCalling() {
	if e.table.calling != nil {
		e.table.calling.repeating = false
		e.table.calling = nil
	}
}

func next(p *Packet, of SenderID) (PacketID, bool) {
	for _, entry := range p.Entries {
		if entry.Sender == of {
			return entry.Next, true
		}
	}
	return 0, false
}
