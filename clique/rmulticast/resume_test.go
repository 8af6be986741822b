package rmulticast

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// talkers is a room of some who have talked, and are known to all.
func talkers(t testing.TB, names ...string) (*lan, []*node) {
	t.Helper()
	l := newLAN(t, 30)
	room := l.room(names...)
	for _, n := range room {
		n.tell(0, "hello from "+n.name)
		l.run(100 * time.Millisecond)
	}
	l.run(5 * time.Second)
	return l, room
}

// chatter lets nodes talk in turn, and returns what they said.
func (l *lan) chatter(count int, nodes ...*node) (said []string) {
	for i := range count {
		said = append(said, fmt.Sprintf("line %d at %v", i, l.now.Sub(epoch)))
		nodes[i%len(nodes)].tell(0, said[i])
		l.run(300 * time.Millisecond)
	}
	return said
}

// CQ-02, CQ-05: who is killed and comes back is told what was said meanwhile, and
// the others have noticed nothing.
func TestResume(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	id := c.Self()
	c.killFor(10 * time.Second)
	said := l.chatter(20, a, b)
	took := l.until(15*time.Second, "c is back", func() bool { return len(c.got) == 22 })
	if took > 10*time.Second-6*time.Second+resumeListen+time.Second {
		t.Errorf("it took %v", took)
	}
	want(t, "what c was told", c.texts(""), append([]string{"hello from a", "hello from b"}, said...)...)
	want(t, "what c saw", c.log, "joined a b", "killed", "resumed", "joined a b")
	c.say("back")
	l.run(time.Second)
	want(t, "what b was told of c", b.texts("c"), "hello from c", "back")
	want(t, "what a saw", a.log, "joined b c")
	if c.Self() != id || c.Stats().Resumed != 1 {
		t.Errorf("c is %v, was %v", c.Self(), id)
	}
	if n := len(c.crash.snapshot); n > 300 {
		t.Errorf("its snapshot has %d bytes", n)
	}
}

// CQ-02, CQ-05: who comes back need not wait for the SESSIONs of the others: they answer
// its own.
func TestResumeIsAnswered(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	c := room[2]
	c.killFor(time.Second)
	took := l.until(2*time.Second, "c is back", func() bool { return c.crash.resumed == 1 })
	if took > time.Second+sessionAnswer.hi+50*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// CQ-02, CQ-05: who is heard only by one that came into the room meanwhile, and has been
// told of us, is still in ours.
func TestResumeHearsANewcomer(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	c.killFor(6 * time.Second)
	back := l.now.Add(6 * time.Second)
	d := l.start("d")
	l.drop = func(from, to *node, p *Packet) bool { return to == c && (from == a || from == b) }
	l.run(back.Add(resumeListen + time.Second).Sub(l.now))
	if c.phase != resuming || !c.resume.heard {
		t.Fatalf("c is %v, and has heard of us: %v", c.phase, c.resume.heard)
	}
	l.drop = nil
	l.until(joinLimit+10*time.Second, "together", func() bool { return together(a, b, c, d) })
	want(t, "what c saw", c.log, "joined a b", "killed", "resumed", "joined a b", "joined d")
}

// CQ-02: the same again and again, where a third of all packets is lost.
func TestResumeWithLoss(t *testing.T) {
	l, room := talkers(t, "a", "b", "c", "d")
	l.loss = 0.3
	var said []string
	for range 5 {
		room[3].killFor(5 * time.Second)
		said = append(said, l.chatter(30, room[:3]...)...)
		l.run(20 * time.Second)
	}
	got := room[3].texts("")[3:]
	slices.Sort(got) // lines of different people may change places
	slices.Sort(said)
	want(t, "what d was told", got, said...)
	if c := room[3].crash; c.resumed != 5 {
		t.Errorf("d went on %d times: %q", c.resumed, room[3].log)
	}
}

// CQ-02: with one who never comes back the killed are the whole room.
func TestAllResumeAtOnce(t *testing.T) {
	l, room := talkers(t, "a", "b")
	a, b := room[0], room[1]
	l.drop = func(from, to *node, p *Packet) bool { return p.Type.reliable() }
	a.tell(0, "of a, heard by nobody")
	b.tell(0, "of b, heard by nobody")
	l.run(20 * time.Millisecond)
	a.killFor(3 * time.Second)
	b.killFor(4 * time.Second)
	l.drop = nil
	l.run(12 * time.Second)
	want(t, "what a was told", a.texts(""), "hello from b", "of b, heard by nobody")
	want(t, "what b was told", b.texts(""), "hello from a", "of a, heard by nobody")
	want(t, "what a saw", a.log, "joined b", "killed", "resumed", "joined b")
	if len(a.crash.owed)+len(b.crash.owed) > 0 {
		t.Errorf("they have not been told that it is sent")
	}
}

// CQ-02: of what was in the snapshot and did not leave the others hear, and nothing
// twice; the application is told that it was sent.
func TestKilledBeforeSending(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	var told []Sent
	c.crash.soon, c.crash.after = true, 5*time.Second
	c.crash.heard = func(s Sent) { told = append(told, s) }
	c.tell(3, "last words")
	if !c.dead || len(c.crash.owed) != 1 {
		t.Fatal("c has sent it")
	}
	l.run(12 * time.Second)
	for _, n := range []*node{a, b} {
		want(t, "what "+n.name+" was told", n.texts("c"), "hello from c", "last words")
	}
	last := a.got[len(a.got)-1]
	if len(told) != 1 || told[0].Stream != 3 || string(told[0].Data) != "last words" || told[0].Number != last.number {
		t.Errorf("c was told it has sent %v, a has %v", told, last)
	}
}

// CQ-05: in a join phase, which a dead member makes long. What was told before
// waits, and the newcomer is one for all.
func TestResumeInJoinPhase(t *testing.T) {
	for _, when := range []tableState{gathering, joining} {
		t.Run(when.String(), func(t *testing.T) {
			l, room := talkers(t, "a", "b", "c", "dead")
			a, b, c := room[0], room[1], room[2]
			room[3].kill()
			d := l.start("d")
			l.until(15*time.Second, "the phase", func() bool { return c.table.state == when && a.table.state == when })
			if when == gathering {
				l.run(2 * time.Second)
			}
			a.tell(0, "meanwhile")
			l.run(3 * time.Second) // until all have acknowledged it
			frozen := c.frozen
			c.killFor(5 * time.Second)
			l.run(10 * time.Second)
			if when == joining && !(frozen && c.frozen) {
				t.Error("c is not frozen")
			}
			l.until(40*time.Second, "together", func() bool { return together(a, b, c, d) })
			l.run(time.Second)
			want(t, "what c was told of a", c.texts("a"), "hello from a", "meanwhile")
			want(t, "what c saw", c.log, "joined a b dead", "killed", "resumed", "joined a b dead", "left dead", "joined d")
			d.say("new")
			l.run(time.Second)
			want(t, "what c was told of d", c.texts("d"), "new")
		})
	}
}

// CQ-04: a message whose first packets had been acknowledged is told whole.
func TestResumeInMessage(t *testing.T) {
	l, room := talkers(t, "a", "b")
	a, b := room[0], room[1]
	text := strings.Repeat("long ", 9000)
	a.tell(1, text)
	l.run(3 * time.Millisecond) // 64 packets make 90 kB
	cutOff := true
	l.drop = func(from, to *node, p *Packet) bool { return cutOff && from == a && to == b && p.Flags&End != 0 }
	b.killFor(4 * time.Second)
	l.run(3 * time.Second)
	cutOff = false
	l.run(8 * time.Second)
	want(t, "what b was told", b.texts(""), "hello from a", text)

	cutOff = true
	a.tell(1, text)
	l.run(4 * time.Second)
	if st := b.Stats(); st.Held < 40000 || b.senders[a.Self()].acks[0].next != 0 {
		t.Fatalf("b holds %d bytes", st.Held)
	}
	before := len(a.me.cache.slots)
	b.killFor(time.Second)
	l.run(7 * time.Second)
	cutOff = false
	l.run(3 * time.Second)
	want(t, "what b was told at last", b.texts(""), "hello from a", text, text)
	if before > 3 {
		t.Errorf("a kept %d packets: b had not acknowledged the beginning", before)
	}
}

// A snapshot is of no use if it is torn, old, of another name or of before there
// CQ-05: who is not known any more joins anew: failed while it was away, alone, or
// with all others gone.
func TestResumeRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		away time.Duration
		do   func(l *lan, a, b *node)
	}{
		{"failed", 70 * time.Second, func(l *lan, a, b *node) { b.quit() }}, // and c did not say so
		{"nobody", 10 * time.Second, func(l *lan, a, b *node) {
			a.side, b.side = 1, 1
			l.run(10*time.Second + resumeMost)
			a.side, b.side = 0, 0
		}},
		{"lied to", 4 * time.Second, func(l *lan, a, b *node) {
			l.run(4020 * time.Millisecond)
			l.stranger(puppetID, 1).emit(Packet{Type: Session, Sender: a.Self(), Entries: []Entry{{l.nodes[2].self, l.nodes[2].next + 1<<20}}})
			l.run(10 * time.Millisecond)
			if c := l.nodes[2]; c.phase != connecting || c.Stats().Timers > 3 {
				l.t.Errorf("c has heard that it has said a million things, and is %v", c.phase)
			}
			l.puppets = nil
			b.quit()
		}},
		{"accused", 4 * time.Second, func(l *lan, a, b *node) {
			l.run(4020 * time.Millisecond)
			l.drop = func(_, _ *node, p *Packet) bool { return p.Type == Session }
			a.transmit(l.now, &Packet{Type: Failure, Entries: a.depends(), Senders: []SenderID{l.nodes[2].self}})
			a.flush()
			l.run(200 * time.Millisecond)
			if c := l.nodes[2]; c.phase != connecting {
				l.t.Errorf("c has heard that it failed, and is %v", c.phase)
			}
			l.run(4 * time.Second)
			l.drop = nil
			b.quit()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, room := talkers(t, "a", "b", "c")
			a, b, c := room[0], room[1], room[2]
			id := c.Self()
			c.killFor(tt.away)
			tt.do(l, a, b)
			l.until(tt.away, "c is started", func() bool { return !c.dead })
			l.until(resumeListen+100*time.Millisecond, "c gives up", func() bool { return c.phase != resuming })
			l.until(tt.away+60*time.Second, "c is back", func() bool { return !c.crash.away && a.members[c.Self()] == "c" })
			if c.crash.resumed != 0 || c.crash.lost != 1 || c.Self() == id {
				t.Errorf("c is %v, was %v, and saw %q", c.Self(), id, c.log)
			}
			a.say("hello again")
			l.run(time.Second)
			got := c.texts("a")
			want(t, "what c was told at last", got[len(got)-1:], "hello again")
		})
	}
}

// CQ-02: with an old snapshot the others tell us what we had said since. It is not
// said again, and what we have said that we have is not taken back: what we need for
// that and nobody has any more is passed over. If nobody has what we said we are not
// who we were.
func TestResumeWithOldSnapshot(t *testing.T) {
	for _, tt := range []struct {
		name           string
		mute           string // who does not acknowledge, so that the others keep
		again, resumed int
	}{
		{"kept", "ab", 1, 1},
		{"question forgotten", "a", 0, 1},
		{"answer forgotten", "", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, room := talkers(t, "a", "b", "c")
			a, b, c := room[0], room[1], room[2]
			c.crash.lag = 400 * time.Millisecond
			l.drop = func(from, _ *node, p *Packet) bool { return p.Type == NoData && strings.Contains(tt.mute, from.name) }
			a.tell(0, "question")
			l.run(50 * time.Millisecond)
			c.tell(0, "answer")
			l.run(50 * time.Millisecond)
			var told []Sent
			c.crash.heard = func(s Sent) { told = append(told, s) }
			c.killFor(3 * time.Second)
			l.run(6500 * time.Millisecond)
			c.crash.lag = 0
			if c.crash.resumed != tt.resumed {
				t.Fatalf("c saw %q", c.log)
			}
			l.drop = nil
			l.until(30*time.Second, "c is back", func() bool { return !c.crash.away && together(room...) })
			c.say("back")
			a.say("what was it?")
			l.run(3 * time.Second)
			want(t, "what c was told", c.texts("a"), "hello from a", "question", "what was it?")
			want(t, "what a was told", a.texts("c"), "hello from c", "answer", "back")
			want(t, "what b was told", b.texts("c"), "hello from c", "answer", "back")
			known := slices.ContainsFunc(told, func(s Sent) bool { return string(s.Data) == "answer" })
			if c.crash.again != tt.again || known != (tt.resumed > 0) || c.Stats().Restarts > 0 {
				t.Errorf("c was told %d times what it knew, and had sent %v", c.crash.again, told)
			}
		})
	}
}

// Nobody answers: then we wait for as long as we may be cut off; but not if others are
// heard whom we do not know.
func TestResumeAlone(t *testing.T) {
	for _, stranger := range []bool{false, true} {
		t.Run(fmt.Sprintf("stranger: %t", stranger), func(t *testing.T) {
			l, room := talkers(t, "a", "b")
			a, b := room[0], room[1]
			a.side = 1
			b.killFor(time.Second)
			l.run(time.Second)
			limit := resumeMost
			if stranger {
				l.run(4 * time.Second)
				l.start("c")
				limit = probeListen + probes*probeInterval + sessionEvery.hi + resumeListen
			}
			took := l.until(limit+100*time.Millisecond, "it joins anew", func() bool { return b.phase == connecting })
			if took < limit-sessionEvery.hi {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// CQ-02, CQ-05: who comes back while it is cut off, or is cut off before it has heard the
// others, goes on when it hears them.
func TestResumeWhileCutOff(t *testing.T) {
	for _, tt := range []struct{ from, to time.Duration }{ // after it has come back
		{-time.Second, 3 * time.Second}, {0, 3 * time.Second}, {0, 5 * time.Second}, {0, 20 * time.Second},
		{time.Second, 4 * time.Second}, {2 * time.Second, 5 * time.Second}, {3 * time.Second, 6 * time.Second},
		{3500 * time.Millisecond, 6500 * time.Millisecond}, {4 * time.Second, 14 * time.Second},
	} {
		t.Run(fmt.Sprintf("from %v to %v", tt.from, tt.to), func(t *testing.T) {
			l, room := talkers(t, "a", "b", "c")
			a, b, c := room[0], room[1], room[2]
			c.tell(0, "of c")
			a.tell(0, "of a")
			c.killFor(time.Second)
			back := l.now.Add(time.Second)
			b.tell(0, "of b")
			l.run(back.Add(tt.from).Sub(l.now))
			c.side = 1
			l.run(back.Add(tt.to).Sub(l.now))
			c.side = 0
			b.tell(0, "of b, after it")
			l.until(resumeLimit+3*time.Second, "c is back", func() bool { return len(c.texts("b")) == 3 })
			c.say("back")
			l.run(resumeDoubt + 5*time.Second)
			want(t, "what c was told of a", c.texts("a"), "hello from a", "of a")
			want(t, "what c saw", c.log, "joined a b", "killed", "resumed", "joined a b")
			for _, n := range []*node{a, b} {
				want(t, "what "+n.name+" was told of c", n.texts("c"), "hello from c", "of c", "back")
			}
		})
	}
}

// CQ-02: what nobody has heard of us, as we were cut off, goes with us into the snapshot:
// as much as one says in some seconds.
func TestKilledAfterACut(t *testing.T) {
	for _, after := range []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 2 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			l, room := talkers(t, "a", "b", "c")
			a, b, c := room[0], room[1], room[2]
			c.side = 1
			said := []string{"hello from c"}
			for i := range 10 {
				text := fmt.Sprint(i, strings.Repeat("long ", 900))
				said = append(said, text)
				c.tell(0, text)
				l.run(300 * time.Millisecond)
			}
			c.side = 0
			l.run(after)
			c.killFor(time.Second)
			for i := range 5 {
				a.tell(0, fmt.Sprint("a", i))
				b.tell(0, fmt.Sprint("b", i))
				l.run(300 * time.Millisecond)
			}
			l.run(12 * time.Second)
			for _, n := range []*node{a, b} {
				want(t, "what "+n.name+" was told of c", n.texts("c"), said...)
			}
			if c.crash.resumed != 1 || len(c.texts("")) != 12 {
				t.Errorf("c saw %q, and was told %q", c.log, c.texts(""))
			}
		})
	}
}

// CQ-05: if we had said something about members since, we are not who we were.
func TestResumeAfterJoin(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	a, c := room[0], room[2]
	c.crash.lag = time.Hour
	d := l.start("d")
	l.meet(15*time.Second, append(room, d)...)
	c.killFor(time.Second)
	l.run(time.Second)
	l.until(25*time.Second, "c is back", func() bool { return !c.crash.away && together(append(room, d)...) })
	if c.crash.lost != 1 || a.Stats().Restarts > 0 {
		t.Errorf("c saw %q, a %q", c.log, a.log)
	}
}

// CQ-02: if only one has what we said last, and is not heard when we come back, we
// give its number to something else. He tells us that he has more, and we join anew.
func TestNumberGivenTwice(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	c.crash.lag = time.Hour
	deaf := true
	l.drop = func(from, to *node, p *Packet) bool {
		return deaf && (to == a && from == c && p.Type == Data || from == b && to != b)
	}
	c.tell(0, "for b only")
	l.run(100 * time.Millisecond)
	c.tell(0, "for b only, too")
	l.run(20 * time.Millisecond)
	c.killFor(time.Second)
	l.run(8 * time.Second)
	if c.crash.resumed != 1 {
		t.Fatalf("c saw %q", c.log)
	}
	deaf = false
	l.until(10*time.Second, "c joins anew", func() bool { return c.Stats().Restarts == 1 })
	l.meet(30*time.Second, a, b, c)
}

// CQ-02: if others ask for a packet of ours that nobody has any more, we join anew. We do
// not say before that what comes behind it was sent: nobody is told of that.
func TestOwnPacketLost(t *testing.T) {
	for _, late := range []bool{false, true} { // they are not heard while we listen
		t.Run(fmt.Sprintf("late: %t", late), func(t *testing.T) {
			l, room := talkers(t, "a", "b", "c")
			a, b, c := room[0], room[1], room[2]
			from, told := c.next, 0
			l.drop = func(_, to *node, p *Packet) bool {
				return p.Sender == c.self && p.Type == Data && p.ID == from || to == c && late && p.Type == RepairRequest
			}
			for range 100 { // more than a snapshot takes of them
				c.tell(0, strings.Repeat("z", 1000))
			}
			l.run(20 * time.Millisecond)
			c.crash.heard = func(Sent) { told++ }
			c.killFor(time.Second)
			l.run(time.Second + resumeLimit)
			l.drop = nil
			if late != (c.crash.resumed == 1) || late != (told > 0) {
				t.Fatalf("c saw %q, and was told of %d", c.log, told)
			}
			l.until(15*time.Second, "c joins anew", func() bool { return c.crash.lost+int(c.Stats().Restarts) == 1 })
			l.meet(30*time.Second, a, b, c)
		})
	}
}

// CQ-02: what a snapshot has not room for, and one of the others has, is repaired by
// him; we have it then, too.
func TestOwnPacketElsewhere(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	from, deaf := c.next, true
	l.drop = func(_, to *node, p *Packet) bool {
		return deaf && to == a && p.Sender == c.self && p.Type == Data && p.ID == from
	}
	for range 100 { // more than a snapshot takes of them
		c.tell(0, strings.Repeat("z", 1000))
	}
	l.run(20 * time.Millisecond)
	c.killFor(time.Second)
	l.until(6*time.Second, "c is back", func() bool { return c.crash.resumed == 1 })
	deaf = false
	l.run(resumeDoubt + 5*time.Second)
	for _, n := range []*node{a, b} {
		if got := n.texts("c"); len(got) != 101 || len(n.log) != 1 {
			t.Errorf("%s was told %d messages of c, and saw %q", n.name, len(got), n.log)
		}
	}
	if c.Stats().Restarts > 0 || c.Stats().Cached > 5000 {
		t.Errorf("%+v", c.Stats())
	}
	// Somebody who repeats what we have never said does us no harm.
	cached := c.Stats().Cached
	p := l.stranger(puppetID, 1)
	p.emit(Packet{Type: NoData, Sender: c.Self(), ID: c.next + 5})
	p.emit(Packet{Type: NoData, Sender: c.Self(), ID: from - 100})
	l.run(10 * time.Millisecond)
	if c.Stats().Cached != cached || c.Stats().Restarts > 0 {
		t.Errorf("c keeps what it has not said")
	}
}

// While we listen nobody else gets our id, and strangers are nothing to us.
func TestProbedWhileResuming(t *testing.T) {
	l, room := talkers(t, "a", "b")
	b := room[1]
	b.killFor(time.Second)
	room[0].side = 1
	l.run(1100 * time.Millisecond)
	replies := l.count(b, WhoisReply)
	raw, err := AppendPacket(nil, &Packet{Type: WhoisRequest, Target: b.Self()})
	if err != nil {
		t.Fatal(err)
	}
	b.receive(raw)
	p := l.stranger(puppetID, 1)
	p.emit(Packet{Type: Session, Entries: []Entry{{p.id, p.next}}})
	p.say(Packet{Type: AttemptJoin, Senders: []SenderID{b.Self()}})
	l.run(300 * time.Millisecond)
	if *replies != 1 || b.phase != resuming || len(b.order) != 2 {
		t.Errorf("b has answered %d times, is %v, and knows %d", *replies, b.phase, len(b.order))
	}
	room[0].side = 0
	l.run(3 * time.Second)
	if b.crash.resumed != 1 {
		t.Errorf("b saw %q", b.log)
	}
}

// Leave while we listen says BYE.
func TestLeaveWhileResuming(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	c := room[2]
	c.killFor(time.Second)
	l.until(3*time.Second, "resuming", func() bool { return !c.dead })
	c.quit()
	l.run(5 * time.Second)
	want(t, "what a saw", room[0].log, "joined b c", "left c")
}

// CQ-05: who was killed while frozen and cannot go on is told nothing of it.
func TestResumeRefusedInJoinPhase(t *testing.T) {
	l, room := talkers(t, "a", "b", "dead")
	b := room[1]
	room[2].kill()
	l.start("d")
	l.until(15*time.Second, "frozen", func() bool { return b.frozen })
	b.killFor(time.Second)
	room[0].kill()
	l.nodes[3].kill()
	l.until(time.Second+resumeMost, "b joins anew", func() bool { return !b.dead && b.phase == connecting })
	l.run(3 * time.Second) // the LAN sees to it that Frozen is told in turns
	want(t, "what b saw", b.log, "joined a dead", "killed", "started anew")
}
