package rmulticast

import (
	"slices"
	"time"
)

// beginJoining ends gathering: we say whom we see.
func (e *Engine) beginJoining(now time.Time) {
	t := &e.table
	e.timers.stop(&t.attempt)
	e.timers.stop(&t.quiet)
	t.force = false
	clear(t.offered)
	e.stopCalling()
	for _, r := range slices.Clone(t.order) {
		s := e.senders[r.id]
		switch {
		case r.state < mutual || r.state.live() && s == nil:
			r.state = gone
			e.remove(now, r.id)
		case r.state.live() && !s.named:
			e.suspect(r, Silent)
		}
	}
	e.replaceNamesakes()
	e.freeze(true)
	t.state = joining
	e.announceJoin(now)
}

// replaceNamesakes fails all who have a newcomer's name: it is the same person
// after a crash.
func (e *Engine) replaceNamesakes() {
	for _, r := range e.liveRecords(mutual) {
		if r.state == member || !r.state.live() {
			continue
		}
		for _, o := range e.liveRecords(mutual) {
			if o != r && e.senders[o.id].name == e.senders[r.id].name {
				e.suspect(o, Replaced)
			}
		}
	}
}

// suspect marks a node as failed; our next JOIN or FAILURE says so.
func (e *Engine) suspect(r *record, why Reason) {
	switch {
	case !r.state.live():
		return
	case r.state < mutual:
		r.state = gone
	case r.state < member:
		r.state = failing
	default:
		r.state = memberFailing
	}
	r.why = why
	if r.state != gone {
		e.table.pending = append(e.table.pending, r.id)
	}
}

// announceJoin sends a JOIN of what we see now, and waits for the same of all.
func (e *Engine) announceJoin(now time.Time) {
	t := &e.table
	t.live, t.failed = map[SenderID]bool{}, map[SenderID]bool{}
	var list []SenderID
	for _, r := range t.order {
		r.agreed = false
		if r.state.live() {
			t.live[r.id] = true
		} else {
			t.failed[r.id] = true
			list = append(list, r.id)
		}
	}
	// Who has found nobody says nothing, other than gibber: those who have taken him in
	// would all hear that they failed.
	if len(t.live) > 0 || len(t.pending) > 0 {
		t.said = mark{true, e.next}
		e.transmit(now, &Packet{Type: Join, Entries: e.depends(), Senders: list})
	}
	e.failPending()
	e.timers.set(&t.limit, now.Add(joinLimit))
	e.checkAgreement(now)
}

// failPending is done once what is pending was said.
func (e *Engine) failPending() {
	for _, id := range e.table.pending {
		if s := e.senders[id]; s != nil {
			s.becomeFailed()
		}
	}
	e.table.pending = nil
}

// awaitsName reports whether a JOIN that ends gathering should wait: somebody whom we
// have heard of only now, as one does who was away, would fail for not having told us
// his name yet. Who asks for it looks here again.
func (e *Engine) awaitsName(now time.Time) bool {
	return e.table.state == gathering && slices.ContainsFunc(e.liveRecords(mutual), func(r *record) bool {
		s := e.senders[r.id]
		return s != nil && !s.named && now.Before(s.unseen.at.Add(nameFirst-nameLimit))
	})
}

// takeJoin takes what somebody sees. Nobody may say JOIN who has not said
// ATTEMPT-JOIN before, which all others took for the beginning of gathering.
func (e *Engine) takeJoin(now time.Time, s *sender, p *Packet) {
	t := &e.table
	r := t.members[s.id]
	if t.state == normal || r == nil || t.state == gathering && e.saidBefore(p) {
		return
	}
	s.hold, r.join = mark{true, p.ID}, mark{true, p.ID}
	if t.state == gathering {
		if slices.Contains(p.Senders, e.self) {
			e.restart(now)
			return
		}
		e.learnFailures(p)
		e.beginJoining(now)
	}
	for e.phase == connected && t.state == joining {
		switch e.compare(p) {
		case sawLess:
			e.announceJoin(now)
			continue
		case sawOthers:
			e.restart(now)
		case sawMore:
			s.hold = mark{}
		case sawSame:
			r.agreed = true
			e.checkAgreement(now)
		}
		return
	}
}

// saidBefore reports whether a JOIN is left over from a join phase that is over: its
// author had not heard then what we said in it. Nobody else would begin another now.
func (e *Engine) saidBefore(p *Packet) bool {
	have, ok := next(p, e.self)
	return ok && e.table.said.set && !e.table.said.at.before(have)
}

// A view is how what we see compares to what another does.
type view uint8

const (
	sawSame   view = iota
	sawLess        // we have learned something: say JOIN again
	sawMore        // it will, when it has our JOIN
	sawOthers      // it does not see us
)

// compare takes somebody's JOIN against ours.
func (e *Engine) compare(p *Packet) view {
	t := &e.table
	if slices.Contains(p.Senders, e.self) {
		return sawOthers
	}
	if e.learnFailures(p) {
		return sawLess
	}
	more := len(t.failed) != len(p.Senders)
	if _, ok := next(p, e.self); !ok {
		return sawOthers
	}
	less, common := false, 0
	for _, entry := range p.Entries {
		switch id := entry.Sender; {
		case id == e.self || t.live[id]:
			common++
		case !t.failed[id]:
			less = e.condemn(id) || less
		}
	}
	switch {
	case less:
		return sawLess
	case more || common != len(t.live):
		return sawMore
	}
	return sawSame
}

// learnFailures takes over what a JOIN says of others. It reports whether our own
// did not say so. gibber does not say again what it knows already but has not said
// with its JOIN, and then both wait for the other.
func (e *Engine) learnFailures(p *Packet) (news bool) {
	for _, id := range p.Senders {
		if r := e.table.members[id]; r != nil {
			e.suspect(r, Said)
		} else if !e.condemn(id) {
			continue
		}
		news = news || !e.table.failed[id]
	}
	return news
}

// condemn notes a node of which we know nothing as one that cannot join.
func (e *Engine) condemn(id SenderID) bool {
	r := e.table.members[id]
	if r == nil {
		if len(e.table.order) >= e.lim.Members+maxFailures {
			e.stats.Refused++
			return false
		}
		r = e.newRecord(id, gone)
	}
	r.state = gone
	return true
}

// checkAgreement ends the join phase when all who are to join see the same.
func (e *Engine) checkAgreement(now time.Time) {
	t := &e.table
	if t.state != joining {
		return
	}
	for id := range t.live {
		if r := t.members[id]; r != nil && !r.agreed && r.state != gone {
			return
		}
	}
	e.becomeNormal(now)
}

// becomeNormal carries out what was agreed on.
func (e *Engine) becomeNormal(now time.Time) {
	t := &e.table
	e.drain()
	var joined []Member
	for _, r := range slices.Clone(t.order) {
		switch {
		case t.failed[r.id] || t.live[r.id] && r.state == gone:
			e.bury(now, r)
		case t.live[r.id] && r.state.live() && r.state != member:
			r.state = member
			s := e.senders[r.id]
			s.data = r.join
			joined = append(joined, s.member())
		}
	}
	e.timers.stop(&t.limit)
	e.freeze(false)
	t.state, t.live, t.failed = normal, nil, nil
	if len(joined) > 0 {
		e.event(Joined{joined})
	}
	e.stats.JoinedIn++
	for _, s := range e.order {
		s.hold = mark{}
	}
	if len(joined) > 0 {
		e.outbox.beginAgain()
		e.sendNoData(now) // which shows of what kind we are before there is anything to repair
	}
	e.takeLate(now)
}

// bury removes a node that has failed, and tells if it was a member.
func (e *Engine) bury(now time.Time, r *record) {
	if r.state == memberFailing {
		e.event(Left{e.memberOf(r), r.why})
	}
	e.deleteRecord(r)
	e.remove(now, r.id)
}

// joinLate fails who has not agreed in time. If it is us who hold the others up we
// leave, other than gibber, which then fails everybody.
func (e *Engine) joinLate(now time.Time) {
	t := &e.table
	if e.stuck() {
		e.restart(now)
		return
	}
	for _, r := range slices.Clone(t.order) {
		if t.state == joining && t.live[r.id] && !r.agreed && r.state.live() {
			e.fail(now, r.id, 0, Silent)
		}
	}
}

// stuck reports whether most of those who have not agreed, and at least two of them,
// are there, and we cannot take what they say: nobody has any more what comes before.
func (e *Engine) stuck() bool {
	late, heard := 0, 0
	for _, r := range e.liveRecords(mutual) {
		if s := e.senders[r.id]; e.table.live[r.id] && !r.agreed && s != nil {
			late++
			if s.nextOut.before(s.nextIn) {
				heard++
			}
		}
	}
	return heard > 1 && 2*heard > late
}
