package rmulticast

import (
	"slices"
	"time"
)

// How long we listen for what the others have of us before we go on as who we were.
// Who has more of us than others say does not let these speak for him: with nothing
// lost all is said after the first.
//
// While nobody at all is heard it may be us who are cut off, and nothing is decided: the
// others hold us for a member for minutes, and who joins anew is not told what they said
// meanwhile.
const (
	resumeListen = 3200 * time.Millisecond
	resumeLimit  = 8 * time.Second
	resumeMost   = 30 * time.Second // in all
	resumeTail   = time.Second      // at least, if what we had said last may be in no snapshot: who misses it asks for it
	resumeAge    = 4 * time.Minute
	resumeDoubt  = 30 * time.Second // for so long after it we join anew if something does not fit
	resumeLacks  = 5 * time.Second  // so long others may take to repeat what we lack of ourselves
	resumeSkip   = 2 * time.Second  // and what we had of them and need not have again
)

// resumption is the way back of a node that was killed.
type resumption struct {
	timer timer // until enough should be known, and later until we skip what we had
	since time.Time
	from  PacketID          // of our packets the snapshot knows those before this
	next  PacketID          // and we and somebody those before this, …
	have  PacketID          // … somebody those before this
	said  map[SenderID]bool // who has told what he has of us …
	whole map[SenderID]bool // … and of himself: he has not been away
	heard bool              // any of the members
	lost  bool              // we cannot go on
	tail  bool              // the snapshot had not room for all of our last packets

	lacks timer // until we must have what others ask us for
}

// becomeResuming listens, and asks for what we have missed. Nothing is told, and
// nothing said that counts.
func (e *Engine) becomeResuming(now time.Time) {
	e.phase = resuming
	r := &e.resume
	r.since, r.from, r.next, r.have = now, e.next, e.next, e.me.cache.first
	r.said, r.whole, r.heard, r.lost = map[SenderID]bool{}, map[SenderID]bool{}, false, false
	e.heard, e.hearing = now, now
	e.sendSession(now)
	e.askNames(now)
}

// askNames asks whom we do not know by name for it.
func (e *Engine) askNames(now time.Time) {
	for _, s := range e.order {
		if !s.named {
			e.arm(&s.whois, now, whoisFirst)
			e.timers.set(&s.unseen, now.Add(nameLimit))
		}
	}
}

// hearResuming takes a packet while we listen.
func (e *Engine) hearResuming(now time.Time, p *Packet, b []byte) {
	r := e.table.members[p.Sender]
	switch {
	case p.Sender == e.self:
		e.hearOwn(now, p, b)
		return
	case p.Sender == 0 && p.Type == WhoisRequest:
		e.hearWhoisRequest(now, p) // the id is taken
		return
	}
	have, listed := next(p, e.self)
	if r == nil || !r.state.knowsUs(e.table.state) {
		e.resume.heard = e.resume.heard || p.Type == Session && listed // somebody new, whom the others told of us
		e.route(now, p, b)
		return
	}
	e.resume.heard = e.resume.heard || p.Type != WhoisReply // which we may have sent ourselves
	switch {
	case p.Type.reliable() && !p.ID.before(e.senders[p.Sender].nextOut) && slices.Contains(p.Senders, e.self):
		e.resume.lost = true // failed, or asked for our start: given up
		return
	case p.Type == Session && !listed:
		e.resume.lost = true
		return
	case p.Type == Session:
		e.resume.said[p.Sender] = true
		e.resume.hearWhole(p)
	}
	if listed {
		e.sawOwn(now, have)
	}
	e.route(now, p, b)
}

// hearWhole takes from a SESSION whether its sender has not been away itself: who comes
// back does not list himself.
func (r *resumption) hearWhole(p *Packet) {
	if _, whole := next(p, p.Sender); whole {
		r.whole[p.Sender] = true
	}
}

// sawOwn notes that somebody has our packets before this, and asks for those that
// we do not know.
func (e *Engine) sawOwn(now time.Time, have PacketID) {
	r := &e.resume
	if have.diff(e.me.cache.first) > 2*e.lim.Window {
		r.lost = true
		return
	}
	if r.have.before(have) {
		r.have = have
	}
	for ; r.next.before(have); r.next++ {
		e.miss(now, e.me, r.next)
	}
}

// recoverOwn takes a packet of our former life that somebody repeats. What it says
// that we have we had.
func (e *Engine) recoverOwn(now time.Time, p *Packet, b []byte) {
	first := e.me.cache.first
	if p.ID.before(first) || e.phase == connected && !p.ID.before(e.next) {
		return
	}
	e.sawOwn(now, p.ID+1)
	if e.resume.lost {
		return
	}
	e.put(e.me, p, b)
	if p.ID.before(e.resume.from) {
		return
	}
	if p.Type != Data && p.Type != NoData {
		e.resume.lost = true // it was about members, and the snapshot is from before
	}
	for _, entry := range p.Entries {
		if s := e.senders[entry.Sender]; s != nil && s.claim().before(entry.Next) {
			s.floor = mark{true, entry.Next}
		}
	}
}

// judge ends listening when enough is known.
func (e *Engine) judge(now time.Time) {
	r := &e.resume
	waited, listened := now.Sub(r.since), e.listened(now)
	switch {
	case r.lost, waited >= resumeMost, listened >= resumeListen && !r.heard,
		listened >= resumeLimit && (len(r.said) == 0 || !e.hasOwn()):
		e.becomeConnecting(now)
	case r.tail && listened < resumeTail:
		e.timers.set(&r.timer, now.Add(resumeTail))
	case (waited >= resumeListen && len(r.whole) > 0 || waited >= resumeLimit && len(r.said) > 0 || e.allSaid()) && e.hasOwn():
		e.goOn(now)
	default:
		e.timers.set(&r.timer, e.nextJudgement(now))
	}
}

// nextJudgement is when there is more to say though nothing is heard.
func (e *Engine) nextJudgement(now time.Time) time.Time {
	next := e.resume.since.Add(resumeMost)
	for _, from := range []time.Time{e.resume.since, e.hearing} {
		for _, d := range []time.Duration{resumeListen, resumeLimit} {
			if at := from.Add(d); at.After(now) && at.Before(next) {
				next = at
			}
		}
	}
	return next
}

func (e *Engine) allSaid() bool {
	return !slices.ContainsFunc(e.table.order, func(r *record) bool { return r.state.knowsUs(e.table.state) && !e.resume.said[r.id] })
}

// hasOwn reports whether we have our packets that came after the snapshot, those that
// nobody else has, and those that somebody has asked for.
func (e *Engine) hasOwn() bool {
	from := e.resume.from
	if e.resume.have.before(from) {
		from = e.resume.have
	}
	for id := from; id.before(e.resume.next); id++ {
		if e.me.cache.stored(id) == nil {
			return false
		}
	}
	return !e.lacking()
}

// goOn makes us the node that we were.
func (e *Engine) goOn(now time.Time) {
	e.phase, e.since = connected, now
	e.stats.Resumed++
	e.timers.set(&e.resume.lacks, now.Add(resumeDoubt))
	e.timers.set(&e.resume.timer, now.Add(resumeSkip))
	e.resume.since = now
	for _, s := range e.order {
		s.goal = s.cache.first + PacketID(len(s.cache.slots))
	}
	e.next = e.resume.next
	e.me.nextIn, e.me.nextOut = e.next, e.next
	e.event(Connected{ID: e.self, Resumed: true})
	var members []Member
	for _, r := range e.table.order {
		if r.state == member || r.state == memberFailing {
			members = append(members, e.memberOf(r))
		}
	}
	if len(members) > 0 {
		e.event(Joined{members})
	}
	e.freeze(e.table.state == joining)
	e.tellOwn()
	e.startTimers(now)
	e.sendNoData(now) // they have not heard of us for a while
	e.sessionSoon(now)
}

// startTimers lets run what ran before.
func (e *Engine) startTimers(now time.Time) {
	for _, s := range e.order {
		if s.named && s != e.me {
			e.timers.set(&s.idle, now.Add(progressLimit))
		}
	}
	t := &e.table
	for _, r := range t.order {
		if r.told && r.state != gone {
			e.timers.set(&r.limit, now.Add(failureLimit))
		}
	}
	switch t.state {
	case gathering:
		t.since = now
		e.arm(&t.quiet, now, quietTime)
		if t.force {
			e.armAttempt(now)
		}
	case joining:
		e.timers.set(&t.limit, now.Add(joinLimit))
	}
}
