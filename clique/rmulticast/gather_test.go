package rmulticast

import (
	"testing"
	"time"
)

// restarts are those of all together.
func restarts(nodes ...*node) (sum uint64) {
	for _, n := range nodes {
		sum += n.Stats().Restarts
	}
	return sum
}

// answers counts how often a node repeats a packet.
func (l *lan) answers(n *node, of SenderID, id PacketID) *int {
	count, drop := new(int), l.drop
	l.drop = func(from, to *node, p *Packet) bool {
		if from == n && to == n && p.Type.reliable() && p.Sender == of && p.ID == id {
			*count++
		}
		return drop != nil && drop(from, to, p)
	}
	return count
}

// CQ-05: the start that an ATTEMPT-JOIN has told stays good when the next one tells a
// later one: who has heard only the first asks for what came between, and would wait
// for it, and all for him, until each fails all others.
func TestFirstToldStartsAreKept(t *testing.T) {
	l := newLAN(t, 70)
	a, b, p := l.asked()
	first := a.table.calling
	start, _ := next(&first.p, b.Self())
	l.talk(a, b, 10)
	q := l.stranger(puppetID+1, 1)
	q.asked = true
	q.emit(Packet{Type: Session, Entries: []Entry{{q.id, q.next}}})
	l.until(time.Second, "a asks again", func() bool { return a.table.calling != first && b.table.calling != nil })
	l.talk(a, b, 3)
	byA, byB := l.answers(a, b.Self(), start), l.answers(b, b.Self(), start)
	p.emit(Packet{Type: RepairRequest, Target: b.Self(), ID: start})
	l.run(200 * time.Millisecond)
	if now, _ := next(&a.table.calling.p, b.Self()); a.table.state != gathering || now == start || *byA+*byB == 0 {
		t.Errorf("%d answers; a is %v and tells %v, first %v", *byA+*byB, a.table.state, now, start)
	}
	l.run(15 * time.Second)
	if a.Stats().Cached > 1000 || len(a.table.offered) > 0 {
		t.Errorf("when it is quiet a keeps %+v", a.Stats())
	}
}

// CQ-05: the same of somebody who has gone since.
func TestStartsOfTheDeadAreKept(t *testing.T) {
	l := newLAN(t, 71)
	room := l.room("a", "b")
	a, b := room[0], room[1]
	id := b.Self()
	p := l.stranger(puppetID, 1)
	p.asked = true
	session := func() { p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}, {puppetID + 1, 1}}}) }
	session()
	l.until(time.Second, "a asks", func() bool { return a.table.calling != nil })
	start, _ := next(&a.table.calling.p, id)
	b.quit()
	for range 15 {
		l.run(2 * time.Second)
		session()
	}
	answers := l.answers(a, id, start)
	p.emit(Packet{Type: RepairRequest, Target: id, ID: start})
	l.run(200 * time.Millisecond)
	if a.table.state != gathering || a.members[id] != "" || *answers != 1 {
		t.Errorf("%d answers; a is %v, and has members %v", *answers, a.table.state, a.members)
	}
	if sent := a.Stats().RepairsSent; sent > 150 {
		t.Errorf("in 30 s a has asked %d times who does not hear it", sent)
	}
}

// CQ-05: whom the others take in is taken in by all, also by who has seen him come to
// nothing before.
func TestShunnedByOne(t *testing.T) {
	l := newLAN(t, 72)
	room := l.room("a", "b", "c")
	b := room[1]
	l.drop = func(from, to *node, p *Packet) bool { return from.name == "d" && to == b && p.Type == AttemptJoin }
	d := l.start("d")
	l.until(2*time.Second, "d has an id", func() bool { return d.phase == connected })
	for range 5 {
		b.shun(l.now, d.Self())
	}
	l.meet(15*time.Second, append(room, d)...)
	if n := restarts(append(room, d)...); n > 0 {
		t.Errorf("%d have restarted, d saw %q", n, d.log)
	}
}

// CQ-05: newcomers that come in a long join phase of the others wait for its end.
// gibber's go on without them, and are taken in by them, and then throw them out.
func TestNewcomersWaitForAJoinPhase(t *testing.T) {
	for seed := range uint64(20) {
		l := newLAN(t, 100+seed)
		room := l.room("a", "b", "c", "dead")
		room[3].kill()
		room = append(room[:3], l.start("d"))
		l.until(15*time.Second, "joining", func() bool { return room[0].table.state == joining })
		l.run(15*time.Second + time.Duration(seed)*500*time.Millisecond)
		room = append(room, l.start("e"), l.start("f"))
		l.meet(50*time.Second, room...)
		if n := restarts(room...); n > 0 {
			t.Errorf("seed %d: %d have restarted; a saw %q, e %q", seed, n, room[0].log, room[4].log)
		}
	}
}

// CQ-05: who hears nobody and is heard by all does not throw them all out with a JOIN
// that does not know them, and tries again when he hears theirs.
func TestDeafNewcomer(t *testing.T) {
	l := newLAN(t, 73)
	room := l.room("a", "b", "c")
	deaf := true
	l.drop = func(from, to *node, p *Packet) bool {
		return deaf && to.name == "d" && to != from && p.Type == AttemptJoin
	}
	d := l.start("d")
	l.until(20*time.Second, "d tries again", func() bool { return d.Stats().Restarts == 1 })
	deaf = false
	l.meet(30*time.Second, append(room, d)...)
	if n := restarts(room...); n > 0 {
		t.Errorf("%d members have restarted", n)
	}
	want(t, "what a saw", room[0].log, "joined b c", "joined d")
}

// CQ-05: a JOIN waits a moment for the name of somebody of whom we have just heard,
// and not longer.
func TestJoinWaitsForName(t *testing.T) {
	for _, nameless := range []bool{false, true} {
		l := newLAN(t, 74)
		room := l.room("a", "b")
		a, b := room[0], room[1]
		l.drop = func(_, to *node, p *Packet) bool { return to == b && nameless && p.Type == WhoisReply }
		b.freeze(20 * time.Second)
		c := l.start("c")
		l.until(15*time.Second, "a says JOIN", func() bool { return a.table.state == joining })
		b.until = l.now
		l.run(nameFirst - 200*time.Millisecond)
		if waits := b.table.state == gathering; waits != nameless {
			t.Errorf("c has told its name %v: b is %v", !nameless, b.table.state)
		}
		l.run(time.Second)
		if got := restarts(c) == 1; got != nameless {
			t.Errorf("c has told its name %v, and saw %q", !nameless, c.log)
		}
		nameless = false
		l.meet(20*time.Second, a, b, c)
	}
}

// CQ-05: who comes back asks for the names that it lacks.
func TestNamesAreAskedForWhenResuming(t *testing.T) {
	l, room := talkers(t, "a", "b")
	a, b := room[0], room[1]
	l.drop = func(_, to *node, p *Packet) bool { return to == b && p.Type == WhoisReply && b.crash.killed == 0 }
	c := l.start("c")
	l.until(10*time.Second, "c is known to b", func() bool { r := b.table.members[c.Self()]; return r != nil && r.state == done })
	l.run(500 * time.Millisecond) // until a snapshot says so
	b.killFor(100 * time.Millisecond)
	l.meet(20*time.Second, a, b, c)
	want(t, "what c saw", c.log, "joined a b")
	want(t, "what b saw", b.log, "joined a", "killed", "resumed", "joined a", "joined c")
}

// CQ-05: a JOIN of somebody who had not heard our last one is of the phase before, and
// does not begin another that the others know nothing of.
func TestJoinOfThePhaseBefore(t *testing.T) {
	l := newLAN(t, 75)
	room := l.room("a", "b")
	a, b := room[0], room[1]
	p := l.stranger(puppetID, 1)
	p.asked = true
	p.say(Packet{Type: AttemptJoin, Senders: []SenderID{a.Self(), b.Self()}})
	l.run(time.Second)
	p.known = map[SenderID]PacketID{a.Self(): a.table.said.at, b.Self(): b.table.said.at}
	p.say(Packet{Type: Join})
	l.run(time.Second)
	if a.table.state != gathering || b.table.state != gathering {
		t.Errorf("a is %v and b %v", a.table.state, b.table.state)
	}
	p.known = map[SenderID]PacketID{a.Self(): a.next, b.Self(): b.next}
	l.until(8*time.Second, "the puppet is a member", func() bool { return len(a.members) == 2 && len(b.members) == 2 })
}

// CQ-05: who cannot take what several others say, since nobody has a packet any more,
// leaves when the join phase has lasted too long, and does not fail them all.
func TestWhoIsStuckLeaves(t *testing.T) {
	l := newLAN(t, 76)
	room := l.room("a", "b", "c")
	lost := true
	l.drop = func(_, to *node, p *Packet) bool { return lost && to.name == "d" && p.Type == NoData }
	d := l.start("d")
	l.until(10*time.Second, "d has their starts", func() bool { return len(d.liveRecords(mutual)) == 3 })
	for _, n := range room {
		n.sendNoData(l.now)
		n.flush()
	}
	l.until(joinLimit+10*time.Second, "d leaves", func() bool { return d.Stats().Restarts == 1 })
	lost = false
	l.meet(30*time.Second, append(room, d)...)
	if n := restarts(room...); n > 0 {
		t.Errorf("%d members have restarted", n)
	}
	want(t, "what a saw", room[0].log, "joined b c", "joined d", "left d", "joined d")
}
