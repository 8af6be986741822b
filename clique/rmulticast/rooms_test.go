package rmulticast

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// CQ-01: what is no packet, or of another version or type, is counted and has no effect.
func TestNonsenseHasNoEffect(t *testing.T) {
	l := newLAN(t, 80)
	a := l.room("a", "b")[0]
	good := unhex(t, golden[9].hex)
	var list [][]byte
	for n := range 12 {
		list = append(list, good[:n])
	}
	for at, values := range map[int][]byte{0: {'c'}, 5: {0}, 6: {0, 2}, 7: {0x04, 0x0a, 0x0e, 0x15, 0xff}} {
		for _, v := range values {
			b := slices.Clone(good)
			b[at] = v
			list = append(list, b)
		}
	}
	before, senders := a.Stats(), len(a.order)
	for _, b := range list {
		a.HandlePacket(l.now, b)
	}
	out := a.TakeOutput()
	if got := a.Stats().Malformed - before.Malformed; got != uint64(len(list)) {
		t.Errorf("%d of %d are counted", got, len(list))
	}
	if len(out.Events)+len(out.Datagrams) > 0 || len(a.order) != senders || a.Stats().Timers != before.Timers {
		t.Errorf("%d events, %d packets, %d senders", len(out.Events), len(out.Datagrams), len(a.order))
	}
}

// CQ-05: two that are after one id at the same time both come in, with two.
func TestSameIDAtOnce(t *testing.T) {
	l := newLAN(t, 81)
	a, b := l.start("a"), l.start("b")
	a.self, b.self = 77, 77
	l.meet(20*time.Second, a, b)
	if a.Self() == b.Self() || a.Stats().Collisions+b.Stats().Collisions == 0 {
		t.Errorf("they are %v and %v", a.Self(), b.Self())
	}
}

// CQ-05: who comes within 5 s comes in one join phase, of one JOIN of each, or two
// where not all had heard the same.
func TestStartsAreSpread(t *testing.T) {
	for count := 3; count <= 8; count++ {
		for seed := range uint64(5) {
			l := newLAN(t, 1000+10*seed+uint64(count))
			joins := map[SenderID]map[PacketID]bool{}
			l.drop = func(from, to *node, p *Packet) bool {
				if p.Type == Join && joins[p.Sender] == nil {
					joins[p.Sender] = map[PacketID]bool{}
				}
				if p.Type == Join {
					joins[p.Sender][p.ID] = true
				}
				return false
			}
			var room []*node
			for i := range count {
				room = append(room, l.start(fmt.Sprint("n", i)))
				l.run(time.Duration(l.rng.Int64N(int64(5*time.Second) / int64(count))))
			}
			l.meet(11*time.Second, room...)
			for _, n := range room {
				if got := len(joins[n.Self()]); got < 1 || got > 2 || len(n.log) != 1 {
					t.Errorf("of %d %s said %d JOINs, and saw %q", count, n.name, got, n.log)
				}
			}
		}
	}
}

// CQ-05: a newcomer that dies before its JOIN costs the others 30 s, and then it is
// gone; no member sees anything of it.
func TestNewcomerDies(t *testing.T) {
	l := newLAN(t, 82)
	room := l.room("a", "b", "c")
	a, b := room[0], room[1]
	d := l.start("d")
	failures := l.count(a, Failure)
	l.until(10*time.Second, "a has its start", func() bool { r := a.table.members[d.Self()]; return r != nil && r.state == done })
	l.run(time.Second)
	d.kill()
	l.until(7*time.Second, "joining", func() bool { return a.table.state == joining })
	a.say("meanwhile")
	l.run(joinLimit - time.Second)
	if *failures != 0 || a.table.state != joining {
		t.Errorf("a has said %d FAILUREs, and is %v", *failures, a.table.state)
	}
	l.run(2 * time.Second)
	a.say("after it")
	l.run(time.Second)
	want(t, "what b was told", b.texts("a"), "meanwhile", "after it")
	want(t, "what b saw", b.log, "joined a c")
	if *failures != 1 || len(a.table.order) != 2 {
		t.Errorf("a has said %d FAILUREs, and has %d records", *failures, len(a.table.order))
	}
}

// CQ-05: where one has given somebody up and the others have not, all say JOIN again,
// and come to the same.
func TestJoinsThatDiffer(t *testing.T) {
	l := newLAN(t, 83)
	room := l.room("a", "b", "c")
	b := room[1]
	said := map[string]*int{}
	for _, n := range room {
		said[n.name] = l.count(n, Join)
	}
	d, e := l.start("d"), l.start("e")
	l.until(10*time.Second, "all have their starts", func() bool {
		return len(room[0].liveRecords(mutual)) == 4 && len(b.liveRecords(mutual)) == 4 && len(room[2].liveRecords(mutual)) == 4
	})
	b.suspect(b.table.members[d.Self()], Silent)
	l.until(10*time.Second, "d restarts", func() bool { return d.Stats().Restarts == 1 })
	l.run(time.Second)
	for _, n := range room {
		if n.log[len(n.log)-1] != "joined e" || n.members[d.Self()] != "" {
			t.Errorf("%s saw %q", n.name, n.log)
		}
	}
	if *said["a"]+*said["c"] < 3 {
		t.Errorf("a and c said %d and %d JOINs, and knew nothing of it at first", *said["a"], *said["c"])
	}
	l.meet(30*time.Second, append(room, d, e)...)
}

// CQ-05: who says JOIN without somebody whom we know to have failed has not agreed.
func TestJoinThatKnowsLess(t *testing.T) {
	l, a, b, p := withPuppet(t, 100)
	d := l.start("d")
	l.until(10*time.Second, "a has its start", func() bool { return len(a.liveRecords(mutual)) == 3 && len(b.liveRecords(mutual)) == 3 })
	id := d.Self()
	p.heard[Join] = 0
	a.suspect(a.table.members[id], Silent)
	l.until(10*time.Second, "the puppet says JOIN", func() bool { return p.heard[Join] > 0 })
	l.run(3 * time.Second)
	if a.table.state != joining || b.table.state != joining {
		t.Errorf("a is %v, b %v", a.table.state, b.table.state)
	}
	delete(p.known, d.self) // who d is by now
	p.say(Packet{Type: Join, Senders: []SenderID{id}})
	l.run(time.Second)
	if a.table.state == joining || b.table.state == joining {
		t.Errorf("the puppet has agreed, and a is %v, b %v", a.table.state, b.table.state)
	}
}

// CQ-05: who is told by a JOIN that he failed, or is not seen by it, comes anew; those
// who are seen stay.
func TestThrownOutByAJoin(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  func(p *puppet, a SenderID)
	}{
		{"listed", func(p *puppet, a SenderID) { p.say(Packet{Type: Join, Senders: []SenderID{a}}) }},
		{"not seen", func(p *puppet, a SenderID) { delete(p.known, a); p.say(Packet{Type: Join}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, a, b, p := withPuppet(t, 100)
			id := a.Self()
			p.text("before")
			p.say(Packet{Type: AttemptJoin})
			l.run(time.Second)
			tt.say(p, id)
			l.run(5 * time.Second)
			if a.Self() == id || a.Stats().Restarts != 1 || b.Stats().Restarts != 0 {
				t.Errorf("a was %v and is %v, and saw %q; b %q", id, a.Self(), a.log, b.log)
			}
			want(t, "what a saw", a.log, "joined b", "joined puppet", "restarted")
			l.until(100*time.Second, "a and b together", func() bool { return a.members[b.Self()] == "b" && b.members[a.Self()] == "a" })
			want(t, "what a was told", a.texts("puppet"), "before")
		})
	}
}

// CQ-04: all streams there are.
func TestStreams(t *testing.T) {
	l := newLAN(t, 84)
	room := l.room("a", "b")
	streams := []StreamID{0, 1, 65535}
	for _, id := range streams {
		room[0].sayOn(id, fmt.Sprint("on ", id))
	}
	l.run(time.Second)
	var got []StreamID
	for _, h := range room[1].got {
		if h.data != fmt.Sprint("on ", h.stream) {
			t.Errorf("%s came on %d", h.data, h.stream)
		}
		got = append(got, h.stream)
	}
	if !slices.Equal(got, streams) {
		t.Errorf("on streams %d, want %d", got, streams)
	}
}

// CQ-02, CQ-03: a room in which all talk at once, and each packet is lost now and then.
func TestLossyRooms(t *testing.T) {
	for _, loss := range []float64{0.01, 0.05, 0.15} {
		l := newLAN(t, 85)
		l.loss = loss
		var room []*node
		for i := range 6 {
			room = append(room, l.start(fmt.Sprint("n", i)))
			l.run(time.Duration(l.rng.Int64N(int64(time.Second))))
		}
		l.meet(30*time.Second, room...)
		said := map[string][]string{}
		for i := range 40 {
			for _, n := range room {
				said[n.name] = append(said[n.name], fmt.Sprint("line ", i, " of ", n.name))
				n.say(said[n.name][i])
			}
			l.run(50 * time.Millisecond)
		}
		l.run(10 * time.Second)
		for _, n := range room {
			for _, o := range room {
				if n != o {
					want(t, fmt.Sprint("with loss ", loss, " what ", n.name, " was told of ", o.name), n.texts(o.name), said[o.name]...)
				}
			}
		}
	}
}

// CQ-05: where nothing is lost all know within 10 ms that somebody has left, after the
// last that he said.
func TestByeIsQuick(t *testing.T) {
	l := newLAN(t, 86)
	room := l.room("a", "b", "c", "d")
	d := room[3]
	d.say("last words")
	l.run(100 * time.Millisecond)
	d.quit()
	l.run(10 * time.Millisecond)
	for _, n := range room[:3] {
		want(t, "what "+n.name+" was told", n.texts("d"), "last words")
		if n.log[len(n.log)-1] != "left d" {
			t.Errorf("%s saw %q", n.name, n.log)
		}
	}
}

// Several that are killed within seconds come back and go on, and nothing is lost that
// any of the others, or one of them after its kill, has. What only one of them had said
// lately and only another of them had taken is theirs: a node keeps its own last 64 KiB
// over a kill, and of others only what it was not told yet. By the protocol a killed
// node is gone, with what nobody else had.
func TestSeveralKilledAtOnce(t *testing.T) {
	l, room := talkers(t, "a", "b", "c", "d", "e")
	a, b := room[0], room[1]
	for round := range 6 {
		l.loss = 0.2
		for i, n := range room[2:] {
			n.tell(0, fmt.Sprint("killed soon: ", n.name, round))
			a.tell(0, fmt.Sprint("a in round ", round, " ", i))
			n.killFor(time.Duration(2+l.rng.IntN(4)) * time.Second)
			b.tell(0, fmt.Sprint("b in round ", round, " ", i))
			l.run(time.Duration(l.rng.Int64N(int64(time.Second))))
		}
		l.run(20 * time.Second)
	}
	l.loss = 0
	l.run(10 * time.Second)
	for _, n := range room {
		for _, o := range room {
			if got := n.texts(o.name); n != o && (len(got) != len(a.texts(o.name)) && o != a || o == a && len(got) != 1+6*3) {
				t.Errorf("%s was told %d messages of %s: %q", n.name, len(got), o.name, got)
			}
		}
		if n.crash.lost > 0 || len(n.crash.owed) > 0 {
			t.Errorf("%s saw %q, and owes %d", n.name, n.log, len(n.crash.owed))
		}
	}
	if got := len(a.texts("c")); got != 1+6 {
		t.Errorf("a was told %d messages of c", got)
	}
}

// CQ-03: what waits for the end of a join phase is told in causal order then, too.
func TestAnswerWaitsInJoinPhase(t *testing.T) {
	l := newLAN(t, 87)
	room := l.room("a", "b")
	a, b := room[0], room[1]
	p, q := l.stranger(20, 1), l.stranger(10, 1) // whose turn comes before p's
	for _, pup := range l.puppets {
		pup.emit(Packet{Type: Session, Entries: []Entry{{pup.id, pup.next}}})
	}
	l.until(15*time.Second, "all are members", func() bool { return len(a.members) == 3 && len(b.members) == 3 })
	l.run(3 * time.Second)
	p.say(Packet{Type: AttemptJoin})
	l.run(time.Second)
	late, known := true, q.known[b.Self()]
	l.drop = func(_, to *node, packet *Packet) bool {
		return late && to == a && packet.Type == Join && packet.Sender == b.Self()
	}
	p.say(Packet{Type: Join})
	l.run(50 * time.Millisecond)
	p.known[b.Self()], q.known[b.Self()] = known, known // or what they say would wait for b's JOIN by itself
	q.say(Packet{Type: Join})
	p.text("question")
	q.text("answer")
	l.run(50 * time.Millisecond)
	if !a.frozen || len(a.got) > 0 {
		t.Errorf("a is frozen %v, and was told %q", a.frozen, a.texts(""))
	}
	late = false
	l.run(2 * time.Second)
	want(t, "what a was told", a.texts(""), "question", "answer")
	want(t, "what b was told", b.texts(""), "question", "answer")
}

// CQ-02, CQ-05: what one has of somebody who died all are told before it is gone, also
// who gave it up first.
func TestLastWordsOfTheDead(t *testing.T) {
	l := newLAN(t, 88)
	room := l.room("a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	l.run(3 * time.Second)
	l.drop = func(from, to *node, p *Packet) bool { return from == c && to == b || to == b && p.Type == Session }
	c.say("last words")
	l.run(100 * time.Millisecond)
	c.kill()
	want(t, "what a was told", a.texts("c"), "last words")
	want(t, "what b was told too soon", b.texts("c"))
	b.fail(l.now, c.Self(), 0, Silent)
	b.flush()
	l.run(2 * time.Second)
	want(t, "what b was told", b.texts("c"), "last words")
	want(t, "what b saw", b.log, "joined a c", "left c")
}

// CQ-05: two rooms that talk while they become one are told of the other what comes
// after the JOINs, all that comes after them, and nothing else.
func TestTalkingRoomsMerge(t *testing.T) {
	l := newLAN(t, 89)
	a, b := l.start("a"), l.start("b")
	c, d := l.start("c"), l.start("d")
	c.side, d.side = 1, 1
	l.run(12 * time.Second)
	c.side, d.side = 0, 0
	for range 40 {
		for _, n := range []*node{a, c} {
			n.sent++
			n.say(fmt.Sprintf("%s/%d ", n.name, n.sent))
		}
		l.run(300 * time.Millisecond)
	}
	l.meet(5*time.Second, a, b, c, d)
	for _, pair := range [][2]*node{{c, d}, {a, b}} {
		of, friend := pair[0], pair[1]
		for _, n := range []*node{a, b, c, d} {
			if n == of || n == friend {
				continue
			}
			i := slices.IndexFunc(friend.cuts, func(c cut) bool { return c.id == n.Self() })
			before, got := friend.cuts[i].had[of.Self()], n.texts(of.name)
			if before < 5 || len(got) != 40-before || indexOf(got[0]) != before+1 {
				t.Errorf("before %s came %s had been told %d of %s; it was told %q", n.name, friend.name, before, of.name, got)
			}
		}
	}
}
