package rmulticast

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func want(t testing.TB, what string, got []string, list ...string) {
	t.Helper()
	if !slices.Equal(got, list) {
		t.Errorf("%s: %q, want %q", what, got, list)
	}
}

// room starts nodes 100 ms apart and waits until they are members.
func (l *lan) room(names ...string) []*node {
	l.t.Helper()
	var list []*node
	for _, name := range names {
		list = append(list, l.start(name))
		l.run(100 * time.Millisecond)
	}
	l.meet(15*time.Second, list...)
	return list
}

// sent counts the packets of a type that a node sends, not those it repeats.
func (l *lan) count(n *node, typ Type) *int {
	count, seen := new(int), map[PacketID]bool{}
	drop := l.drop
	l.drop = func(from, to *node, p *Packet) bool {
		if from == n && to == n && p.Type == typ && p.Sender == n.Self() && (!typ.reliable() || !seen[p.ID]) {
			seen[p.ID] = true
			*count++
		}
		return drop != nil && drop(from, to, p)
	}
	return count
}

// CQ-05: two nodes find each other in the time that gibber's take, with one JOIN
// each, and talk.
func TestTwoNodesJoin(t *testing.T) {
	l := newLAN(t, 1)
	a := l.start("alice")
	l.run(2 * time.Second)
	b := l.start("bob")
	joins := l.count(a, Join)
	if took := l.meet(10*time.Second, a, b); took < 5*time.Second {
		t.Errorf("they joined after %v, which is no quiet time", took)
	}
	a.say("hello")
	l.run(time.Second)
	b.say("hello yourself")
	l.run(time.Second)
	want(t, "what bob was told", b.texts("alice"), "hello")
	want(t, "what alice was told", a.texts(""), "hello yourself") // and not her own
	b.quit()
	l.run(2 * time.Second)
	want(t, "what alice saw", a.log, "joined bob", "left bob")
	want(t, "what bob saw", b.log, "joined alice", "closed")
	if *joins != 1 {
		t.Errorf("alice said JOIN %d times", *joins)
	}
}

// CQ-05: gibber's nodes that start in the same moment do not join for 3 minutes.
func TestNodesOfTheSameMomentJoin(t *testing.T) {
	for count := 2; count <= 8; count++ {
		l := newLAN(t, uint64(count))
		var list []*node
		for i := range count {
			list = append(list, l.start(fmt.Sprint("n", i)))
		}
		l.meet(12*time.Second, list...)
		for _, n := range list {
			if len(n.log) != 1 {
				t.Errorf("%s saw %q, want one join", n.name, n.log)
			}
		}
	}
}

// CQ-05: a newcomer is told what starts after it is a member, and all members saw
// it come between the same messages.
func TestLateThird(t *testing.T) {
	l := newLAN(t, 3)
	room := l.room("alice", "bob")
	a, b := room[0], room[1]
	a.say("before")
	l.run(time.Second)
	c := l.start("carol")
	for i := range 100 {
		a.say(fmt.Sprint("a", i))
		b.say(fmt.Sprint("b", i))
		l.run(100 * time.Millisecond)
	}
	if !together(a, b, c) {
		t.Fatal("carol is not in")
	}
	if got := len(b.texts("alice")); got != 101 {
		t.Errorf("bob was told %d messages of alice, want 101", got)
	}
	from := c.texts("alice")
	if len(from) == 0 || len(from) > 50 || from[len(from)-1] != "a99" {
		t.Errorf("carol was told %q", from)
	}
	want(t, "what bob saw", b.log, "joined alice", "joined carol")
}

// CQ-05: two rooms that could not hear each other become one.
func TestPartitionsMerge(t *testing.T) {
	l := newLAN(t, 4)
	a, b := l.start("a"), l.start("b")
	c, d := l.start("c"), l.start("d")
	c.side, d.side = 1, 1
	l.run(12 * time.Second)
	if !together(a, b) || !together(c, d) {
		t.Fatal("there are not two rooms")
	}
	a.say("old")
	c.say("old")
	l.run(time.Second)
	c.side, d.side = 0, 0
	l.meet(15*time.Second, a, b, c, d)
	a.say("new")
	l.run(time.Second)
	want(t, "what d was told", d.texts(""), "old", "new")
	want(t, "what b was told", b.texts(""), "old", "new")
	want(t, "what b saw", b.log, "joined a", "joined c d")
}

// CQ-05: a short cut is not noticed, a long one is, on both sides, and heals.
func TestPartitions(t *testing.T) {
	l := newLAN(t, 5)
	room := l.room("a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	ids := []SenderID{a.Self(), b.Self(), c.Self()}
	c.side = 1
	for i := range 20 {
		a.say(fmt.Sprint(i))
		l.run(600 * time.Millisecond)
	}
	c.side = 0
	l.run(10 * time.Second)
	if got := c.texts("a"); len(got) != 20 || len(c.log) != 1 {
		t.Fatalf("after a short cut c was told %q and saw %q", got, c.log)
	}
	c.side = 1
	l.run(progressLimit + time.Second)
	slices.Sort(c.log)
	want(t, "what c saw, sorted", c.log, "joined a b", "left a", "left b")
	want(t, "what a saw", a.log, "joined b c", "left c")
	l.run(time.Minute)
	c.side = 0
	l.meet(15*time.Second, a, b, c)
	want(t, "what b saw", b.log, "joined a c", "left c", "joined c")
	if !slices.Equal(ids, []SenderID{a.Self(), b.Self(), c.Self()}) {
		t.Error("somebody has another id")
	}
}

// CQ-05: a node whose name never becomes known stays out and tries again.
func TestNamelessStaysOut(t *testing.T) {
	l := newLAN(t, 6)
	room := l.room("a", "b")
	l.drop = func(_, to *node, p *Packet) bool { return p.Type == WhoisReply && p.Name == "c" }
	c := l.start("c")
	l.run(40 * time.Second)
	want(t, "what a saw", room[0].log, "joined b")
	if c.Stats().Restarts == 0 {
		t.Error("c was not told that it stays out")
	}
	l.drop = nil
	l.meet(30*time.Second, room[0], room[1], c)
}

// CQ-05: a member that is dead delays a newcomer by 30 s; what is said meanwhile
// is told afterwards.
func TestDeadMemberDelaysNewcomer(t *testing.T) {
	l := newLAN(t, 7)
	room := l.room("a", "b", "c")
	a, b := room[0], room[1]
	room[2].kill()
	d := l.start("d")
	l.until(15*time.Second, "frozen", func() bool { return a.frozen && b.frozen })
	a.say("meanwhile")
	l.run(20 * time.Second)
	want(t, "what b was told meanwhile", b.texts(""))
	l.meet(15*time.Second, a, b, d)
	l.run(time.Second)
	want(t, "what b was told", b.texts(""), "meanwhile")
	want(t, "what b saw", b.log, "joined a c", "left c", "joined d")
}

// CQ-05, CQ-08: who crashed and comes back under its name takes the place of its old self.
func TestSameNameComesBack(t *testing.T) {
	l := newLAN(t, 8)
	room := l.room("a", "b", "c")
	room[2].kill()
	l.run(3 * time.Second)
	c := l.start("c")
	l.meet(12*time.Second, room[0], room[1], c)
	want(t, "what a saw", room[0].log, "joined b c", "left c", "joined c")
}

// CQ-05: the same by BYE, also of a node whose BYEs are all lost somewhere, and of
// several at once.
func TestLeaving(t *testing.T) {
	l := newLAN(t, 9)
	room := l.room("a", "b", "c", "d")
	a, b, c, d := room[0], room[1], room[2], room[3]
	l.drop = func(from, to *node, p *Packet) bool { return from == d && to == b }
	d.say("my last words")
	d.quit()
	l.run(3 * time.Second)
	for _, n := range []*node{a, b, c} {
		want(t, "what "+n.name+" was told", n.texts("d"), "my last words")
		if n.log[len(n.log)-1] != "left d" {
			t.Errorf("%s saw %q", n.name, n.log)
		}
	}
	l.drop = nil
	b.quit()
	c.quit()
	l.run(3 * time.Second)
	if len(a.members) != 0 {
		t.Errorf("a has members %v", a.members)
	}
}

// CQ-05: who dies is given up after 300 s; who is idle is not.
func TestCrash(t *testing.T) {
	l := newLAN(t, 10)
	room := l.room("a", "b", "c", "d", "e")
	l.run(20 * time.Minute)
	for _, n := range room {
		if len(n.log) != 1 {
			t.Fatalf("%s saw %q though nothing happened", n.name, n.log)
		}
	}
	room[3].kill()
	room[4].kill()
	l.run(progressLimit - keepaliveEvery - time.Second)
	if len(room[0].log) != 1 {
		t.Errorf("they were given up too soon: %q", room[0].log)
	}
	l.run(keepaliveEvery + 2*time.Second)
	l.run(failureLimit + time.Second)
	for _, n := range room[:3] {
		if !together(room[:3]...) {
			t.Errorf("%s saw %q", n.name, n.log)
		}
	}
}

// CQ-05: a frozen process is waited for 60 s while another leaves. When it wakes it
// comes back.
func TestFrozenMember(t *testing.T) {
	l := newLAN(t, 11)
	room := l.room("a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	c.freeze(20 * time.Second)
	for i := range 100 {
		a.say(fmt.Sprint(i))
		l.run(200 * time.Millisecond)
	}
	l.run(15 * time.Second)
	if got := c.texts("a"); len(got) != 100 || len(a.log) != 1 {
		t.Fatalf("after 20 s c was told %q; a saw %q", got, a.log)
	}
	c.freeze(90 * time.Second)
	b.quit()
	l.run(50 * time.Second)
	want(t, "what a saw too soon", a.log, "joined b c")
	l.run(15 * time.Second)
	if len(a.members) != 0 {
		t.Errorf("a has members %v", a.members)
	}
	l.run(30 * time.Second)
	l.meet(30*time.Second, a, c)
}

// CQ-04: messages of all sizes come whole, and nothing that is too long or empty
// is taken.
func TestSizes(t *testing.T) {
	l := newLAN(t, 12)
	room := l.room("a", "b")
	sizes := []int{1, 1408, 1409, 1416, 1417, 32 << 10, 100000, 1 << 20, 5 << 20}
	for _, size := range sizes {
		room[0].sayOn(65535, strings.Repeat("y", size))
	}
	l.run(20 * time.Second)
	var got []int
	for _, text := range room[1].texts("a") {
		got = append(got, len(text))
	}
	if !slices.Equal(got, sizes) {
		t.Errorf("sizes %v, want %v", got, sizes)
	}
	if err := room[0].Send(l.now, 0, nil); err != ErrSize {
		t.Errorf("an empty message: %v", err)
	}
	if err := room[0].Send(l.now, 0, make([]byte, 17<<20)); err != ErrSize {
		t.Errorf("a message over the limit: %v", err)
	}
}

// CQ-03, CQ-02: an answer is not told before what it answers, which one of those
// who have it repeats.
func TestAnswerWaitsForQuestion(t *testing.T) {
	l := newLAN(t, 13)
	room := l.room("a", "b", "c", "d", "e")
	a, b, c := room[0], room[1], room[2]
	l.drop = func(from, to *node, p *Packet) bool { return from == a && to == c }
	repairs := func() (sent, suppressed uint64) {
		for _, n := range room {
			sent, suppressed = sent+n.Stats().RepairsSent, suppressed+n.Stats().Suppressed
		}
		return sent, suppressed
	}
	sent, suppressed := repairs()
	a.say("question")
	l.run(100 * time.Millisecond)
	b.say("answer")
	l.run(quickFirst.lo)
	want(t, "what c was told too soon", c.texts(""))
	l.run(2 * time.Second)
	want(t, "what c was told", c.texts(""), "question", "answer")
	s, p := repairs()
	if s-sent < 1 || s-sent > 3 || p == suppressed {
		t.Errorf("%d repairs were sent and %d suppressed, want most suppressed", s-sent, p-suppressed)
	}
}

// CQ-02: the last of a burst is noticed by the SESSION after it; a request that is
// lost is made again.
func TestLastPacketIsRepaired(t *testing.T) {
	l := newLAN(t, 14)
	room := l.room("a", "b")
	until := l.now.Add(10 * time.Second)
	lost := func(_, to *node, p *Packet) bool {
		return to == room[1] && p.Type == Data || l.now.Before(until) && p.Type == RepairRequest && to == room[0]
	}
	l.drop = lost
	room[0].say("last")
	l.run(time.Second)
	l.drop = func(from, to *node, p *Packet) bool { return l.now.Before(until) && lost(from, to, p) }
	l.run(8 * time.Second)
	want(t, "what b was told while requests are lost", room[1].texts(""))
	l.run(2500 * time.Millisecond)
	want(t, "what b was told", room[1].texts(""), "last")
	if asked := room[1].Stats().RepairsAsked; asked < 10 || asked > 25 {
		t.Errorf("b asked %d times in 10 s", asked)
	}
}

// CQ-02: a burst does not overrun anybody, and is told whole and in order.
func TestBurst(t *testing.T) {
	l := newLAN(t, 15)
	l.loss = 0.02
	room := l.room("a", "b", "c")
	var list []string
	for i := range 3000 {
		list = append(list, fmt.Sprintf("%d %s", i, strings.Repeat("z", 1000)))
		room[0].say(list[i])
	}
	took := l.until(15*time.Second, "all told", func() bool {
		return len(room[1].texts("a")) == 3000 && len(room[2].texts("a")) == 3000
	})
	t.Logf("3000 messages of 1 kB took %v at 2 %% loss", took)
	if !slices.Equal(room[1].texts("a"), list) || !slices.Equal(room[2].texts("a"), list) {
		t.Error("they came in another order")
	}
	for _, n := range room {
		if s := n.Stats(); s.OutOfWindow > 0 || s.Evicted > 0 {
			t.Errorf("%s was overrun: %+v", n.name, s)
		}
	}
}

// Alone we probe, say our name, and later NO-DATA once; SESSION goes on.
func TestAlone(t *testing.T) {
	l := newLAN(t, 16)
	n := l.add("solo", Limits{})
	noData, sessions := l.count(n, NoData), l.count(n, Session)
	var at []time.Duration
	drop := l.drop
	l.drop = func(from, to *node, p *Packet) bool {
		if p.Type == WhoisRequest || p.Type == WhoisReply {
			at = append(at, l.now.Sub(epoch))
		}
		return drop(from, to, p)
	}
	n.enter()
	l.run(10 * time.Minute)
	if want := []time.Duration{500e6, 750e6, 1000e6, 1250e6}; !slices.Equal(at, want) {
		t.Errorf("WHOIS at %v, want %v", at, want)
	}
	if *noData != 1 || *sessions < 200 || *sessions > 400 {
		t.Errorf("%d NO-DATA and %d SESSIONs in 10 minutes", *noData, *sessions)
	}
	if s := n.Stats(); s.Cached > 0 || s.Timers != 1 {
		t.Errorf("alone it keeps %+v", s)
	}
}

// An id that is taken is given up, and of two that want the same at least one.
func TestIDCollision(t *testing.T) {
	l := newLAN(t, 17)
	a := l.start("a")
	l.run(3 * time.Second)
	b, c := l.add("b", Limits{}), l.add("c", Limits{})
	b.enter()
	b.self = a.Self()
	l.run(2500 * time.Millisecond)
	if b.phase != connected || b.Self() == a.Self() || b.Stats().Collisions != 1 {
		t.Errorf("b is %v as %v after %d collisions", b.phase, b.Self(), b.Stats().Collisions)
	}
	d := l.add("d", Limits{})
	c.enter()
	l.run(300 * time.Millisecond)
	d.enter()
	c.self, d.self = 77, 77
	l.meet(20*time.Second, a, b, c, d)
	if c.Self() == d.Self() {
		t.Error("two nodes have one id")
	}
}

// A network that doubles everything does not keep us from finding an id.
func TestDoubledProbesEnd(t *testing.T) {
	l := newLAN(t, 18)
	l.double = 0.6
	n := l.start("n")
	l.run(5 * time.Second)
	if n.phase != connected {
		t.Errorf("after 5 s it is %v", n.phase)
	}
}

// Leaving before we are connected, and coming back.
func TestLeaveEarlyAndComeBack(t *testing.T) {
	l := newLAN(t, 19)
	n := l.start("n")
	if err := n.Join(l.now); err != ErrJoined {
		t.Errorf("a second Join: %v", err)
	}
	n.quit()
	if err := n.Send(l.now, 0, []byte("x")); err != ErrState {
		t.Errorf("Send after Leave: %v", err)
	}
	if next := n.NextTimeout(); !next.IsZero() {
		t.Errorf("it waits for %v", next)
	}
	n.enter()
	l.meet(15*time.Second, n, l.start("m"))
	want(t, "what it saw", n.log, "closed", "joined m")
	if New(Config{}).Join(l.now) != ErrName {
		t.Error("a node without a name joined")
	}
}

// CQ-05: a process that was frozen for longer than others wait comes back.
func TestFrozenForLong(t *testing.T) {
	l := newLAN(t, 21)
	room := l.room("a", "b", "c")
	room[2].freeze(400 * time.Second)
	l.run(390 * time.Second)
	want(t, "what a saw", room[0].log, "joined b c", "left c")
	l.run(10 * time.Second)
	l.meet(40*time.Second, room...)
	want(t, "what c saw", room[2].log, "joined a b", "restarted", "joined a b")
}

// Forty nodes are a room, too.
func TestManyNodes(t *testing.T) {
	l := newLAN(t, 22)
	var room []*node
	for i := range 40 {
		room = append(room, l.start(fmt.Sprint("n", i)))
		l.run(20 * time.Millisecond)
	}
	l.meet(15*time.Second, room...)
	room[7].say(strings.Repeat("m", 5000))
	l.run(time.Second)
	for _, n := range room {
		if n != room[7] && len(n.got) != 1 {
			t.Errorf("%s was told %d messages", n.name, len(n.got))
		}
	}
}
