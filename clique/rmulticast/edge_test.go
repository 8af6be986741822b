package rmulticast

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// stranger adds a puppet that does nothing before it hears something.
func (l *lan) stranger(id SenderID, start PacketID) *puppet {
	p := &puppet{lan: l, id: id, next: start, name: fmt.Sprint("puppet ", uint32(id)), known: map[SenderID]PacketID{}, heard: map[Type]int{}}
	l.puppets = append(l.puppets, p)
	return p
}

// The id of somebody who has left is not free: who is looking for one is told.
func TestProbeForIDOfTheDead(t *testing.T) {
	l := newLAN(t, 40)
	room := l.room("a", "b", "c")
	a, c := room[0], room[2]
	id := c.Self()
	c.say("last words")
	c.quit()
	l.run(2 * time.Second)
	if a.senders[id] != nil || a.anySender(id) == nil {
		t.Fatal("c is not kept for repairs only")
	}
	raw, _ := AppendPacket(nil, &Packet{Type: WhoisRequest, Target: id})
	answers := 0
	l.drop = func(from, to *node, p *Packet) bool {
		if from == to && p.Type == WhoisReply && p.Sender == id && p.Name == "c" {
			answers++
		}
		return false
	}
	for _, n := range room[:2] {
		n.HandlePacket(l.now, raw)
		n.flush()
	}
	l.run(time.Second)
	if answers != 1 {
		t.Errorf("%d answered, want one and the other to keep still", answers)
	}
	d := l.add("d", Limits{})
	d.enter()
	d.self = id
	l.run(2500 * time.Millisecond)
	if d.Self() == id || d.Stats().Collisions != 1 {
		t.Errorf("d is %v after %d collisions", d.Self(), d.Stats().Collisions)
	}
}

// CQ-05: newcomers within the quiet time come in one join phase, however many put
// it off in turn.
func TestNewcomersShareAJoinPhase(t *testing.T) {
	l := newLAN(t, 41)
	room := l.room("a", "b")
	a, b := room[0], room[1]
	c := l.start("c")
	l.run(2 * time.Second)
	d := l.start("d")
	joins := l.count(a, Join)
	l.meet(15*time.Second, a, b, c, d)
	want(t, "what a saw", a.log, "joined b", "joined c d")
	if *joins != 1 {
		t.Errorf("a said JOIN %d times", *joins)
	}
	for i := range 6 {
		l.stranger(SenderID(i+1), 1).asked = true
	}
	for _, p := range l.puppets {
		p.say(Packet{Type: AttemptJoin, Senders: []SenderID{a.Self(), b.Self(), c.Self(), d.Self()}})
		l.run(4700 * time.Millisecond)
		if *joins != 1 {
			t.Fatalf("they join %d times before it is quiet", *joins)
		}
	}
	l.run(2 * time.Second)
	want(t, "what b saw", b.log, "joined a", "joined c d", "joined puppet 1 puppet 2 puppet 3 puppet 4 puppet 5 puppet 6")
}

// CQ-05, CQ-08: two with one name throw each other out for as long as they like.
// The others go on talking, nothing is lost between them, and nothing grows.
func TestTwoOfOneName(t *testing.T) {
	l := newLAN(t, 42)
	room := l.room("a", "b")
	a, b := room[0], room[1]
	l.start("twin")
	l.run(10 * time.Second)
	l.start("twin")
	const minutes = 20
	var said []string
	for i := range minutes * 6 {
		said = append(said, fmt.Sprint("line ", i))
		a.say(said[i])
		l.run(10 * time.Second)
		twins := 0
		for _, name := range b.members {
			if name == "twin" {
				twins++
			}
		}
		if twins > 1 {
			t.Fatal("two of one name are members")
		}
		if st := b.Stats(); st.Senders > 5+maxGraves || st.Cached > 50000 || len(b.table.order) > 5 || len(b.shunned) > maxShunned {
			t.Fatalf("b keeps %+v, %d records, %d shunned", st, len(b.table.order), len(b.shunned))
		}
	}
	l.run(40 * time.Second)
	want(t, "what b was told", b.texts("a"), said...)
	if changes := len(b.log); changes < minutes || changes > 20*minutes || b.members[a.Self()] != "a" {
		t.Errorf("b saw %d changes, and has members %v", changes, b.members)
	}
}

// CQ-05: of somebody who only ever says SESSION all ask for his start; when it is
// quiet he is forgotten, and no member sees anything. The more often he comes to
// nothing the longer nobody looks at him.
func TestSessionOnly(t *testing.T) {
	l := newLAN(t, 43)
	room := l.room("a", "b")
	a := room[0]
	p := l.stranger(puppetID, 7)
	p.asked = true // it says no ATTEMPT-JOIN
	asked, joins := 0, l.count(a, Join)
	drop := l.drop
	l.drop = func(from, to *node, packet *Packet) bool {
		if from == a && to == a && packet.Type == AttemptJoin && slices.Contains(packet.Senders, p.id) {
			asked++
		}
		return drop(from, to, packet)
	}
	phases := 0
	for range 300 {
		before := a.table.state
		p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
		l.run(2 * time.Second)
		if a.table.state == normal && before != normal {
			phases++
		}
	}
	if asked == 0 || *joins == 0 {
		t.Errorf("a has asked %d times for its start, and said %d JOINs", asked, *joins)
	}
	if phases < 3 || phases > 15 {
		t.Errorf("in 10 minutes a gathered %d times", phases)
	}
	l.run(2 * time.Minute)
	want(t, "what a saw", a.log, "joined b")
	if len(a.table.order) != 1 || a.Stats().Senders != 2 {
		t.Errorf("a keeps %d records and %d senders", len(a.table.order), a.Stats().Senders)
	}
}

// CQ-02: of what comes while a packet is missing as much is taken as the window
// allows: the last but one of these, and not the last, which is repaired later.
func TestWindowEdge(t *testing.T) {
	l := newLAN(t, 44)
	a, b := l.add("a", Limits{}), l.add("b", Limits{Window: gibberWindow})
	a.enter()
	b.enter()
	l.meet(15*time.Second, a, b)
	p := l.enterPuppet(100, a, b)
	l.run(3 * time.Second)
	lost, blocked := p.next, true
	l.drop = func(_, to *node, packet *Packet) bool {
		return blocked && to == b && packet.Sender == p.id && packet.ID == lost
	}
	var said []string
	for i := range gibberWindow + 1 {
		said = append(said, fmt.Sprint("line ", i))
		p.text(said[i])
		l.run(2 * time.Millisecond) // in order
	}
	s := b.senders[p.id]
	if b.Stats().OutOfWindow != 1 || s.cache.stored(lost+gibberWindow-1) == nil || s.cache.stored(lost+gibberWindow) != nil {
		t.Errorf("%d were too far ahead", b.Stats().OutOfWindow)
	}
	want(t, "what b was told too soon", b.texts("puppet"))
	want(t, "what a was told", a.texts("puppet"), said...)
	blocked = false
	l.run(5 * time.Second)
	want(t, "what b was told", b.texts("puppet"), said...)
	if a.Stats().OutOfWindow != 0 {
		t.Error("a takes in no more than gibber")
	}
}

// CQ-06: somebody starts right before 2^32, joins, and talks, and we with him.
func TestStartBeforeTheWrap(t *testing.T) {
	l, a, b, p := withPuppet(t, 0xfffffff0)
	var said []string
	for i := range 40 {
		said = append(said, fmt.Sprint("line ", i))
		p.text(said[i])
		a.say(fmt.Sprint("answer ", i))
		l.run(100 * time.Millisecond)
	}
	want(t, "what a was told", a.texts("puppet"), said...)
	want(t, "what b was told", b.texts("puppet"), said...)
	if got := b.texts("a"); len(got) != 40 || p.known[a.Self()] != a.next {
		t.Errorf("of a b was told %q, and the puppet has it to %v of %v", got, p.known[a.Self()], a.next)
	}
	// Third parties learn from us where it stands, beyond the wrap.
	c := l.start("c")
	p.asked, p.heard[Join] = false, 0
	l.until(15*time.Second, "c is in", func() bool { return len(c.members) == 3 })
	p.text("after the wrap")
	l.run(time.Second)
	want(t, "what c was told", c.texts("puppet"), "after the wrap")
}

// CQ-06: ids go past 2^32 in a long talk that began more than 65535 before, with
// acknowledgements and without. gibber's nodes hear nothing after it.
func TestLongTalkAcrossTheWrap(t *testing.T) {
	for _, acks := range []bool{true, false} {
		t.Run(fmt.Sprint("acknowledged ", acks), func(t *testing.T) {
			const before, after = 66000, 3000
			l, a, b, p := withPuppet(t, math.MaxUint32-before)
			if !acks {
				p.mute = true
			}
			for p.next > math.MaxUint32/2 || p.next < after {
				for range 50 {
					p.data(1, Start, 8, "half")
					p.data(1, End, 8, " and")
				}
				l.run(20 * time.Millisecond)
			}
			l.run(3 * time.Second)
			for _, n := range []*node{a, b} {
				count := int(p.next.diff(PacketID(math.MaxUint32-before))-2) / 2
				if got := len(n.texts("puppet")); got != count || n.members[p.id] == "" {
					t.Errorf("%s was told %d of %d, and saw %q", n.name, got, count, n.log)
				}
				if st := n.Stats(); acks && st.Cached > 200*MaxDatagram {
					t.Errorf("%s keeps %d bytes", n.name, st.Cached)
				}
			}
			want(t, "the last that b was told", b.texts("puppet")[before/2:][:1], "half and")
		})
	}
}

// A room of 64 is one whose packets fit: those of us are measured by the LAN. Of 179
// those that do not fit stay out, and those who are in notice nothing.
func TestLargeGroup(t *testing.T) {
	l := newLAN(t, 45)
	room := l.room("a", "b")
	a, b := room[0], room[1]
	for i := range 62 {
		l.stranger(SenderID(1000+i), 1)
	}
	for _, p := range l.puppets {
		p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
	}
	l.until(15*time.Second, "all are members", func() bool { return len(a.members) == 63 && len(b.members) == 63 })
	largest := 0
	l.drop = func(from, to *node, p *Packet) bool {
		if from == a && p.Type.reliable() {
			largest = max(largest, len(p.Entries))
		}
		return false
	}
	a.say("to all")
	l.run(time.Second)
	want(t, "what b was told", b.texts("a"), "to all")
	if largest != 63 {
		t.Errorf("a depends on %d", largest)
	}
	for i := range 179 - 64 {
		p := l.stranger(SenderID(2000+i), 1)
		p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
	}
	l.run(5 * time.Second)
	if st := a.Stats(); st.Refused == 0 || st.Senders > maxMembers+1 || len(a.members) != 63 {
		t.Errorf("%d were refused, and %d are known", st.Refused, st.Senders)
	}
}

// asked is a room of two, and a stranger whom a has just told the starts.
func (l *lan) asked() (a, b *node, p *puppet) {
	l.t.Helper()
	room := l.room("a", "b")
	a, b = room[0], room[1]
	l.run(3 * time.Second)
	p = l.stranger(puppetID, 1)
	p.asked = true
	p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
	l.until(time.Second, "a asks", func() bool { return a.table.calling != nil })
	return a, b, p
}

// talk has two say something, some times.
func (l *lan) talk(a, b *node, times int) {
	for range times {
		a.say("a")
		b.say("b")
		l.run(300 * time.Millisecond)
	}
}

// CQ-05: whom we tell a start can have what comes after it, also if he answers late.
func TestToldStartsAreKept(t *testing.T) {
	l := newLAN(t, 46)
	a, b, p := l.asked()
	start, _ := next(&a.table.calling.p, b.Self())
	l.talk(a, b, 10)
	answers := 0
	l.drop = func(from, to *node, packet *Packet) bool {
		if from == to && packet.Type == Data && packet.Sender == b.Self() && packet.ID == start+2 {
			answers++
		}
		return false
	}
	p.emit(Packet{Type: RepairRequest, Target: b.Self(), ID: start + 2})
	l.run(200 * time.Millisecond)
	if a.table.state != gathering || answers != 1 {
		t.Errorf("%d answers, %v", answers, a.table.state)
	}
}

// CQ-04: a message that was being sent when we are held for lost is sent again, whole,
// and what waited after it; not before the others are members again.
func TestRestartInMessage(t *testing.T) {
	l := newLAN(t, 23)
	room := l.room("a", "b")
	a, b := room[0], room[1]
	long := strings.Repeat("long ", 100000)
	a.say(long)
	a.say("after it")
	l.run(20 * time.Millisecond)
	if sent := a.outbox.list[0].sent; sent == 0 || len(b.got) > 0 {
		t.Fatalf("%d bytes are sent", sent)
	}
	a.restart(l.now)
	a.flush()
	l.run(3 * time.Second)
	if queued := a.Stats().Queued; queued != len(long)+len("after it") {
		t.Errorf("%d bytes are queued", queued)
	}
	l.meet(20*time.Second, a, b)
	l.run(3 * time.Second)
	if got := b.texts("a"); len(got) != 2 || got[0] != long || got[1] != "after it" {
		t.Errorf("b was told %d messages", len(got))
	}
	if st := a.Stats(); st.Queued != 0 || st.Sent != 2 {
		t.Errorf("%d bytes are queued, %d were sent", st.Queued, st.Sent)
	}
}

// CQ-05: what is said before anybody is a member waits for those who are there. Alone
// it goes nowhere after a while, and stays nowhere.
func TestSaidBeforeJoining(t *testing.T) {
	l := newLAN(t, 24)
	a := l.start("a")
	a.say("alone")
	l.run(1250*time.Millisecond + lonelyAfter - 100*time.Millisecond)
	if a.Stats().Queued == 0 {
		t.Error("it was sent before it is clear that nobody is there")
	}
	l.run(1200 * time.Millisecond)
	if a.Stats().Queued != 0 {
		t.Error("it waits for nobody")
	}
	b := l.start("b")
	b.say("early")
	l.meet(15*time.Second, a, b)
	l.run(time.Second)
	want(t, "what a was told", a.texts(""), "early")
	want(t, "what b was told", b.texts(""))
}

// CQ-05: who goes before we have his start is forgotten without a word; who goes
// after it is failed by all, though no member saw him. Whose name nobody tells
// is forgotten, too.
func TestStrangersGo(t *testing.T) {
	l := newLAN(t, 47)
	room := l.room("a", "b")
	a := room[0]
	failures := 0
	l.drop = func(from, to *node, p *Packet) bool {
		if from == to && p.Type == Failure && p.Sender == from.Self() {
			failures++
		}
		return false
	}
	p := l.stranger(puppetID, 7)
	p.asked = true
	p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
	l.run(time.Second)
	if r := a.table.members[p.id]; r == nil || r.state != started {
		t.Fatalf("a has %+v", r)
	}
	p.say(Packet{Type: Bye})
	l.run(100 * time.Millisecond)
	if r := a.table.members[p.id]; r == nil || r.state != gone || a.senders[p.id] != nil || failures != 0 {
		t.Errorf("of who has no start a has %+v; %d FAILUREs", r, failures)
	}
	l.run(10 * time.Second)

	p = l.stranger(puppetID+1, 7)
	p.asked = true
	p.say(Packet{Type: AttemptJoin, Senders: []SenderID{a.Self(), room[1].Self()}})
	l.run(50 * time.Millisecond)
	if r := a.table.members[p.id]; r == nil || r.state != mutual {
		t.Fatalf("a has %+v", r)
	}
	p.say(Packet{Type: Bye})
	l.run(100 * time.Millisecond)
	if failures != 2 {
		t.Errorf("%d FAILUREs, want one of each", failures)
	}
	l.run(10 * time.Second)

	p = l.stranger(puppetID+2, 7)
	l.puppets = nil // it does not tell its name
	p.emit(Packet{Type: WhoisRequest, Target: 0xdead})
	l.run(nameLimit - time.Second)
	if a.senders[p.id] == nil {
		t.Error("a has not waited for its name")
	}
	l.run(2 * time.Second)
	if a.senders[p.id] != nil || len(a.table.order) != 1 {
		t.Errorf("a knows still %v", a.senders[p.id])
	}
	want(t, "what a saw", a.log, "joined b")
}

// CQ-04: a message, and a queue, may be as long as the limits say, and not longer.
func TestLimitsOfSending(t *testing.T) {
	l := newLAN(t, 48)
	a := l.add("a", Limits{Message: 1000, Queue: 2500})
	a.enter()
	for i, tt := range []struct {
		size int
		want error
	}{{1001, ErrSize}, {1000, nil}, {1000, nil}, {501, ErrFull}, {500, nil}, {1, ErrFull}} {
		if err := a.Send(l.now, 0, make([]byte, tt.size)); err != tt.want {
			t.Errorf("%d: %d bytes: %v, want %v", i, tt.size, err, tt.want)
		}
	}
	b := l.start("b")
	l.meet(15*time.Second, a, b)
	l.run(time.Second)
	if len(b.got) != 3 || a.Stats().Sent != 3 {
		t.Errorf("b was told %d messages", len(b.got))
	}
}

// CQ-05: who has come to nothing often and then asks for us is heard at once; who
// has left is not.
func TestWhoAsksForUsIsHeard(t *testing.T) {
	l := newLAN(t, 49)
	room := l.room("a", "b")
	a := room[0]
	ask := Packet{Type: AttemptJoin, Senders: []SenderID{a.Self(), room[1].Self()}}
	p := l.stranger(puppetID, 7)
	p.asked = true
	for range 60 {
		p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
		l.run(2 * time.Second)
	}
	l.until(time.Minute, "a does not look", func() bool { return a.isBuried(l.now.Add(20*time.Second), p.id) })
	p.heard[Join] = 0
	p.say(ask)
	l.until(8*time.Second, "it is a member", func() bool { return a.members[p.id] == p.name })
	p.say(Packet{Type: Bye})
	l.run(15 * time.Second)
	p.say(ask)
	l.run(10 * time.Millisecond)
	if a.senders[p.id] != nil {
		t.Error("a hears who has left")
	}
}
