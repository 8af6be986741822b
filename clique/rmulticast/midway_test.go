package rmulticast

import (
	"strings"
	"testing"
	"time"
)

// CQ-04, CQ-05: a message in the middle of which a join phase comes is told to all, those
// who join with it too, unless it is long: that one goes on for those who were there.
func TestJoinInMessage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		size   int
		before time.Duration // the join phase
		told   []string      // to the newcomer
	}{
		{"short", againMost, time.Millisecond, []string{"long", "after it"}},
		{"long", 8 * againMost, 50 * time.Millisecond, []string{"after it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLAN(t, 25)
			room := l.room("a", "b")
			a, b := room[0], room[1]
			c := l.start("c")
			l.until(5*time.Second, "all gather", func() bool { return a.table.quiet.isSet() && b.table.quiet.isSet() && c.table.quiet.isSet() })
			l.run(3 * time.Second)
			l.runUpTo(tt.before, &a.table.quiet, &b.table.quiet, &c.table.quiet)
			a.say("long" + strings.Repeat(".", tt.size))
			a.say("after it")
			l.run(tt.before + 3*time.Millisecond)
			if a.table.state == gathering || len(a.outbox.list) != 2 || a.outbox.list[0].sent == 0 {
				t.Fatalf("a is %v, and has sent %d messages", a.table.state, a.Stats().Sent)
			}
			l.meet(time.Second, a, b, c)
			l.run(5 * time.Second)
			want(t, "what b was told", brief(b.texts("a")), "long", "after it")
			want(t, "what c was told", brief(c.texts("a")), tt.told...)
			if st := a.Stats(); st.Sent != 2 || st.Queued != 0 {
				t.Errorf("%d messages were sent, %d bytes are queued", st.Sent, st.Queued)
			}
		})
	}
}

// CQ-02, CQ-03: who is killed when it has said that, and before that has left, is told that
// it has sent all of it; it does not say the first again after the last.
func TestKilledAsOthersJoinInMessage(t *testing.T) {
	l := newLAN(t, 26)
	a := l.start("a")
	l.run(1250*time.Millisecond + lonelyAfter + time.Second)
	b := l.start("b")
	raw, held := map[Type][]byte{}, func(p *Packet) bool { return true }
	l.drop = func(from, to *node, p *Packet) bool {
		if from != b || to != a || !held(p) {
			return false
		}
		raw[p.Type], _ = AppendPacket(nil, p)
		return true
	}
	l.until(5*time.Second, "b asks", func() bool { return raw[AttemptJoin] != nil })
	a.tell(0, "said to nobody"+strings.Repeat(".", 60000))
	a.tell(0, "long"+strings.Repeat(".", 50000)) // 64 packets make 90 kB
	a.tell(0, "after it")
	a.receive(raw[AttemptJoin])
	held = func(p *Packet) bool { return p.Type == Join }
	l.until(10*time.Second, "b says JOIN", func() bool { return raw[Join] != nil })
	if a.table.state != joining || len(a.outbox.list) != 2 || a.outbox.list[0].sent == 0 {
		t.Fatalf("a is %v, and has sent %d messages", a.table.state, a.Stats().Sent)
	}
	a.crash.soon, a.crash.after = true, 3*time.Second
	a.receive(raw[Join])
	l.drop = nil
	l.run(15 * time.Second)
	want(t, "what b was told", brief(b.texts("a")), "long", "after it")
	want(t, "what a saw", a.log, "joined b", "killed", "resumed", "joined b")
	if len(a.crash.owed) > 0 {
		t.Errorf("a has not been told that it has sent %d messages", len(a.crash.owed))
	}
}

// CQ-02, CQ-05: who is killed when a member misses what somebody new has acknowledged, not
// having had it either, still has that.
func TestKilledWhenOnlyANewcomerAcknowledged(t *testing.T) {
	l, room := talkers(t, "a", "b")
	a, b := room[0], room[1]
	l.drop = func(from, to *node, p *Packet) bool { return from == a && to == b }
	c := l.start("c")
	l.until(8*time.Second, "c has a start of a", func() bool {
		return c.senders[a.Self()] != nil && a.senders[c.Self()] != nil && a.senders[c.Self()].acks[a.Self()].next == a.next
	})
	a.tell(0, "of a, not heard by b")
	a.killFor(time.Second)
	l.drop = nil
	l.until(40*time.Second, "together", func() bool { return together(a, b, c) })
	l.run(time.Second)
	want(t, "what b was told", b.texts("a"), "hello from a", "of a, not heard by b")
	want(t, "what a saw", a.log, "joined b", "killed", "resumed", "joined b", "joined c")
}

// runUpTo lets time pass until so long before the first of the timers.
func (l *lan) runUpTo(before time.Duration, timers ...*timer) {
	first := timers[0].at
	for _, tm := range timers {
		if tm.at.Before(first) {
			first = tm.at
		}
	}
	l.run(first.Add(-before).Sub(l.now))
}

// brief are the texts without the dots that make them long.
func brief(texts []string) (list []string) {
	for _, text := range texts {
		list = append(list, strings.TrimRight(text, "."))
	}
	return list
}
