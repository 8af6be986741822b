package rmulticast

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// A puppet is a node whose packets a test writes. By itself it does as much as it
// takes to be a member.
type puppet struct {
	lan   *lan
	id    SenderID
	next  PacketID
	known map[SenderID]PacketID
	name  string
	heard map[Type]int
	asked bool // it has said ATTEMPT-JOIN
	mute  bool // it acknowledges nothing
}

const puppetID SenderID = 0xbad

// enter adds a puppet and waits until the nodes, which are members already, have
// taken it in.
func (l *lan) enterPuppet(start PacketID, nodes ...*node) *puppet {
	l.t.Helper()
	p := &puppet{lan: l, id: puppetID, next: start, name: "puppet", known: map[SenderID]PacketID{}, heard: map[Type]int{}}
	l.puppets = append(l.puppets, p)
	p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
	l.until(15*time.Second, "the puppet is a member", func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool { return n.members[p.id] != p.name })
	})
	return p
}

// emit sends a packet to all nodes, at once.
func (p *puppet) emit(packet Packet) {
	p.lan.t.Helper()
	if packet.Sender == 0 {
		packet.Sender = p.id
	}
	b, err := AppendPacket(nil, &packet)
	if err != nil {
		p.lan.t.Fatal(err)
	}
	p.lan.multicast(&node{lan: p.lan}, b)
}

// say sends a reliable packet, with the next id and all depends.
func (p *puppet) say(packet Packet) {
	p.lan.t.Helper()
	packet.ID = p.next
	p.next++
	for id, next := range p.known {
		if p.mute {
			break
		}
		packet.Entries = append(packet.Entries, Entry{id, next})
	}
	p.emit(packet)
}

func (p *puppet) data(stream StreamID, flags uint8, total int, text string) {
	p.lan.t.Helper()
	p.say(Packet{Type: Data, Flags: flags, Stream: stream, Total: uint32(total), Payload: []byte(text)})
}

func (p *puppet) text(text string) { p.data(0, Start|End, len(text), text) }

// hear does what makes it a member.
func (p *puppet) hear(packet Packet) {
	if packet.Sender == p.id {
		return
	}
	p.heard[packet.Type]++
	if packet.Type.reliable() {
		if next, ok := p.known[packet.Sender]; !ok || next == packet.ID {
			p.known[packet.Sender] = packet.ID + 1
		}
	}
	switch {
	case packet.Type == WhoisRequest && packet.Target == p.id:
		p.emit(Packet{Type: WhoisReply, Name: p.name})
	case packet.Type == AttemptJoin && slices.Contains(packet.Senders, p.id):
		for _, entry := range packet.Entries {
			if _, ok := p.known[entry.Sender]; !ok && entry.Sender != p.id {
				p.known[entry.Sender] = entry.Next
			}
		}
		if !p.asked {
			p.asked = true
			p.say(Packet{Type: AttemptJoin})
		}
	case packet.Type == Join && p.heard[Join] == 1:
		p.say(Packet{Type: Join})
	}
}

// with makes two members and a puppet.
func withPuppet(t testing.TB, start PacketID) (*lan, *node, *node, *puppet) {
	t.Helper()
	l := newLAN(t, 1)
	room := l.room("a", "b")
	return l, room[0], room[1], l.enterPuppet(start, room...)
}

// CQ-04: fragments of several streams may come mixed, and control packets between
// them. A message has the number of its first.
func TestMixedFragments(t *testing.T) {
	l, a, _, p := withPuppet(t, 100)
	first := p.next
	p.data(5, Start, 4, "5a")
	p.data(6, Start, 2, "6")
	p.say(Packet{Type: NoData})
	p.data(5, 0, 4, "b")
	p.data(7, Start|End, 1, "7")
	p.say(Packet{Type: AttemptJoin})
	p.data(6, End, 2, "!")
	p.data(5, End, 4, "c")
	l.run(time.Second)
	want(t, "what a was told", a.texts("puppet"), "7", "6!", "5abc")
	for i, want := range []PacketID{first + 4, first + 1, first} {
		if got := a.got[i].number; got != want {
			t.Errorf("%s has the number %v, want %v", a.got[i].data, got, want)
		}
	}
}

// CQ-04: what lacks its beginning is passed over, and so is what has no end.
func TestPiecesWithoutBeginning(t *testing.T) {
	l, a, b, p := withPuppet(t, 100)
	p.data(0, End, 3, "end")
	p.data(1, 0, 6, "middle")
	p.data(2, Start, 99, "no end")
	p.data(2, Start, 2, "4")
	p.data(2, End, 2, "2")
	p.text("good")
	l.run(2 * time.Second)
	for _, n := range []*node{a, b} {
		want(t, "what it was told", n.texts("puppet"), "42", "good")
		if n.members[puppetID] == "" || n.Stats().Held != 0 {
			t.Errorf("it saw %q and holds %d bytes", n.log, n.Stats().Held)
		}
	}
}

// CQ-04: a size that is not true is a reason to part, as for gibber, and one that
// is too large none to reserve memory.
func TestWrongSizes(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  func(p *puppet)
	}{
		{"one too many", func(p *puppet) { p.data(0, Start|End, 4, "five!") }},
		{"one too few", func(p *puppet) { p.data(0, Start|End, 6, "five!") }},
		{"in two", func(p *puppet) { p.data(0, Start, 5, "five!"); p.data(0, End, 5, "!") }},
		{"huge", func(p *puppet) { p.data(0, Start, math.MaxUint32, "small"); p.data(0, End, math.MaxUint32, "end") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, a, b, p := withPuppet(t, 100)
			tt.say(p)
			l.run(time.Second)
			want(t, "what a saw", a.log, "joined b", "joined puppet", "left puppet")
			want(t, "what b was told", b.texts(""))
			if s := a.Stats(); s.Held != 0 {
				t.Errorf("a holds %d bytes", s.Held)
			}
		})
	}
}

// CQ-04: a message over the limit is passed over, and its sender stays.
func TestMessageOverTheLimit(t *testing.T) {
	l := newLAN(t, 1)
	a := l.add("a", Limits{Message: 5000})
	a.enter()
	b := l.start("b")
	l.meet(15*time.Second, a, b)
	b.say(strings.Repeat("x", 5001))
	b.say("short")
	l.run(time.Second)
	want(t, "what a was told", a.texts(""), "short")
	if s := a.Stats(); s.Oversize != 1 || s.Held != 0 {
		t.Errorf("%+v", s)
	}
}

// CQ-03: what depends on somebody unknown is told all the same; who takes back what
// he has acknowledged is failed, as by gibber.
func TestDepends(t *testing.T) {
	l, a, b, p := withPuppet(t, 100)
	p.known[0xdead] = 5
	p.text("unknown")
	l.run(time.Second)
	want(t, "what a was told", a.texts(""), "unknown")
	p.known[b.Self()]--
	p.text("backward")
	l.run(time.Second)
	want(t, "what a saw", a.log, "joined b", "joined puppet", "left puppet")
	want(t, "what a was told", a.texts(""), "unknown")
}

// CQ-06: ids go past 2^32 within a message, a loss and a repair.
func TestIDsWrap(t *testing.T) {
	l, a, b, p := withPuppet(t, math.MaxUint32-20)
	var all []string
	for i := range 30 {
		text := fmt.Sprint("message ", i)
		all = append(all, text)
		p.data(0, Start, len(text), text[:4])
		p.data(0, End, len(text), text[4:])
	}
	l.run(time.Second)
	want(t, "what a was told", a.texts(""), all...)
	if p.next > 100 {
		t.Errorf("ids are at %v", p.next)
	}
	b.say("answer")
	l.run(time.Second)
	want(t, "what a was told of b", a.texts("b"), "answer")
	if s := a.Stats(); s.Members != 2 {
		t.Errorf("a has %d members", s.Members)
	}
}

// CQ-06: with a packet lost before the wrap, what follows waits and is told in order.
func TestRepairAcrossTheWrap(t *testing.T) {
	l, a, _, p := withPuppet(t, math.MaxUint32-5)
	for p.next != math.MaxUint32 {
		p.say(Packet{Type: NoData})
	}
	lost := p.next
	l.drop = func(_, _ *node, packet *Packet) bool { return packet.Type == Data && packet.ID == lost }
	p.text("one")
	l.drop = nil
	p.text("two")
	p.text("three")
	l.run(100 * time.Millisecond)
	want(t, "what a was told too soon", a.texts(""))
	p.next = lost
	p.text("one")
	l.run(time.Second)
	want(t, "what a was told", a.texts(""), "one", "two", "three")
}

// CQ-05: somebody who is said to have failed has to come anew, without anybody
// being told twice of him.
func TestFalseAccusation(t *testing.T) {
	l, a, b, p := withPuppet(t, 100)
	old := b.Self()
	p.say(Packet{Type: Failure, Senders: []SenderID{b.Self(), 0xdead}})
	l.run(5 * time.Second)
	if b.Self() == old || b.log[len(b.log)-1] != "restarted" {
		t.Errorf("b is still %v and saw %q", b.Self(), b.log)
	}
	l.until(90*time.Second, "a and b together", func() bool { return a.members[b.Self()] == "b" && b.members[a.Self()] == "a" })
}

// CQ-05: who is no member cannot throw anybody out.
func TestStrangersHaveNoSay(t *testing.T) {
	l := newLAN(t, 1)
	room := l.room("a", "b")
	p := &puppet{lan: l, id: puppetID, next: 1}
	p.say(Packet{Type: Failure, Senders: []SenderID{room[0].Self()}})
	p.say(Packet{Type: Join, Senders: []SenderID{room[1].Self()}})
	p.say(Packet{Type: Bye})
	p.emit(Packet{Type: Bye, Sender: 0xdead, ID: 7})
	l.run(20 * time.Second)
	for _, n := range room {
		if len(n.log) != 1 || n.Stats().Restarts > 0 {
			t.Errorf("%s saw %q", n.name, n.log)
		}
	}
}

// CQ-02: packets far ahead are not taken, and lies about what exists do not make us
// ask without measure.
func TestLiesAboutWhatExists(t *testing.T) {
	l, a, _, p := withPuppet(t, 100)
	p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next + 1<<30}, {a.Self(), 1 << 31}, {0xdead, 9}}})
	before := a.Stats()
	l.run(10 * time.Second)
	if asked := a.Stats().RepairsAsked - before.RepairsAsked; asked > 6000 {
		t.Errorf("a asked %d times in 10 s", asked)
	}
	next := p.next
	p.next = next + PacketID(a.lim.Window)
	p.text("far")
	l.run(10 * time.Millisecond)
	p.next = next
	p.text("near")
	l.run(time.Second)
	want(t, "what a was told", a.texts(""), "near")
	if a.Stats().OutOfWindow != 1 {
		t.Errorf("%+v", a.Stats())
	}
}

// CQ-02: endless requests for repair are answered with measure, and those for nobody's
// packets not at all.
func TestEndlessRequests(t *testing.T) {
	l, a, b, p := withPuppet(t, 100)
	p.emit(Packet{Type: RepairRequest, Target: 0, ID: 5})
	for i := range 500 {
		a.say(fmt.Sprint(i))
	}
	l.run(time.Second)
	first := a.me.cache.first
	sent := func() uint64 { return a.Stats().RepairsSent + b.Stats().RepairsSent }
	before := sent()
	for range 50 {
		for i := range 400 {
			p.emit(Packet{Type: RepairRequest, Target: a.Self(), ID: first + PacketID(i)})
		}
		l.run(20 * time.Millisecond)
	}
	if n := sent() - before; n == 0 || n > 2*(repairRate+repairBurst) {
		t.Errorf("%d repairs were sent in a second", n)
	}
	if len(a.log) != 2 {
		t.Errorf("a saw %q", a.log)
	}
}

// A node that never acknowledges does not make the others grow, and does not keep
// them from talking.
func TestMemoryIsBounded(t *testing.T) {
	l := newLAN(t, 1)
	lim := Limits{Cache: 200000, Queue: 100000, Held: 100000}
	a, b := l.add("a", lim), l.add("b", lim)
	a.enter()
	b.enter()
	l.meet(15*time.Second, a, b)
	l.enterPuppet(100, a, b)
	said, full := 0, 0
	for range 5000 {
		if err := a.Send(l.now, 1, make([]byte, 3000)); err == ErrFull {
			full++
		} else {
			said++
		}
		a.flush()
		l.run(time.Millisecond)
		if s := a.Stats(); s.Cached > 200000+1500 || s.Queued > 103000 {
			t.Fatalf("a keeps %+v", s)
		}
		if s := b.Stats(); s.Cached > 200000+1500 || s.Timers > 200 {
			t.Fatalf("b keeps %+v", s)
		}
	}
	l.run(2 * time.Second)
	if got := len(b.texts("a")); got != said || said < 1000 || full == 0 {
		t.Errorf("%d messages were said, %d refused, and %d told", said, full, got)
	}
}

// More nodes than there is room for are not taken in; those who are members stay.
func TestTooManyNodes(t *testing.T) {
	l := newLAN(t, 1)
	room := l.room("a", "b")
	for i := range 300 {
		id := SenderID(1000 + i)
		var list []Entry
		for j := range 100 {
			list = append(list, Entry{SenderID(100000 + i*100 + j), 1})
		}
		p := &puppet{lan: l, id: id}
		p.emit(Packet{Type: Session, Entries: list})
		p.emit(Packet{Type: AttemptJoin, ID: 1, Entries: list[:90], Senders: []SenderID{room[0].Self(), room[1].Self()}})
		l.run(100 * time.Millisecond)
		if s := room[0].Stats(); s.Senders > maxMembers+1+maxGraves || len(room[0].table.order) > maxMembers+maxFailures || len(room[0].shunned) > maxShunned {
			t.Fatalf("a knows %d senders, %d records", s.Senders, len(room[0].table.order))
		}
	}
	l.run(2 * time.Minute)
	room[0].say("still here")
	l.run(2 * time.Second)
	want(t, "what b was told", room[1].texts("a"), "still here")
}

// CQ-05: of a node that only one of us knew, all learn that it does not join.
func TestUnknownNodeInJoin(t *testing.T) {
	l := newLAN(t, 1)
	room := l.room("a", "b")
	said := 0
	l.drop = func(from, to *node, p *Packet) bool {
		if from == to && p.Type == Join && slices.Contains(p.Senders, 0xdead) {
			said++
		}
		return false
	}
	p := &puppet{lan: l, id: puppetID, next: 1, name: "puppet", known: map[SenderID]PacketID{}, heard: map[Type]int{}}
	l.puppets = append(l.puppets, p)
	p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
	l.run(3 * time.Second)
	p.known[0xdead] = 9 // after its ATTEMPT-JOIN, before its JOIN
	l.run(9 * time.Second)
	if said != 2 {
		t.Errorf("%d JOINs say that it fails, want one of a and one of b", said)
	}
	delete(p.known, 0xdead)
	p.say(Packet{Type: Join, Senders: []SenderID{0xdead}})
	l.run(time.Second)
	want(t, "what a saw", room[0].log, "joined b", "joined puppet")
}

// CQ-05: an ATTEMPT-JOIN that comes in a join phase counts after it.
func TestAttemptInJoinPhase(t *testing.T) {
	l := newLAN(t, 1)
	room := l.room("a", "b", "c")
	a := room[0]
	p := l.enterPuppet(100, room...)
	room[2].kill()
	l.start("d")
	l.until(15*time.Second, "joining", func() bool { return a.table.state == joining })
	asked := false
	l.drop = func(from, to *node, packet *Packet) bool {
		asked = asked || from == a && packet.Type == AttemptJoin && slices.Contains(packet.Senders, 0xbeef)
		return false
	}
	p.say(Packet{Type: Join})
	p.say(Packet{Type: AttemptJoin, Senders: []SenderID{0xbeef}})
	l.run(20 * time.Second)
	if asked || a.table.state != joining {
		t.Fatal("the join phase did not go on")
	}
	l.run(10 * time.Second)
	p.say(Packet{Type: Failure, Senders: []SenderID{room[2].Self()}})
	l.run(5 * time.Second)
	if !asked {
		t.Error("a has not asked for the node")
	}
}

// CQ-02: for nodes like gibber's, which take in 256 packets and do not acknowledge,
// we wait when they ask for a repair.
func TestBurstToGibber(t *testing.T) {
	l := newLAN(t, 2)
	l.loss = 0.02
	a := l.add("a", Limits{})
	b, c := l.add("b", Limits{Window: gibberWindow}), l.add("c", Limits{Window: gibberWindow})
	for _, n := range []*node{a, b, c} {
		n.enter()
	}
	l.meet(15*time.Second, a, b, c)
	l.drop = func(_, _ *node, p *Packet) bool { // whenever anything is sent
		for _, n := range []*node{b, c} {
			if s := a.senders[n.Self()]; s != nil {
				s.active = false
			}
		}
		return false
	}
	for range 2000 {
		a.say(strings.Repeat("z", 1000))
	}
	took := l.until(30*time.Second, "all told", func() bool { return len(b.got) == 2000 && len(c.got) == 2000 })
	t.Logf("2000 messages of 1 kB took %v", took)
	if lost := b.Stats().OutOfWindow + c.Stats().OutOfWindow; lost > 50 {
		t.Errorf("%d packets were too far ahead", lost)
	}
}
