package rmulticast

import (
	"strings"
	"testing"
	"time"
)

// CQ-02: for a node like gibber's that misses a packet we do not go further ahead
// of it than it takes in, until it had the time to ask again; then we go on.
func TestBrake(t *testing.T) {
	l, a, _, p := withPuppet(t, 100)
	l.run(2 * time.Second)
	first := a.next
	for range 1000 {
		a.say(strings.Repeat("z", 1000))
	}
	p.emit(Packet{Type: RepairRequest, Target: a.Self(), ID: first})
	for begin := l.now; l.now.Sub(begin) < brakeTime-50*time.Millisecond; {
		l.run(20 * time.Millisecond)
		if d := a.next.diff(first); d > gibberWindow {
			t.Fatalf("after %v we are %d ahead", l.now.Sub(begin), d)
		}
	}
	if d := a.next.diff(first); d != gibberWindow {
		t.Errorf("we are %d ahead, want all that it takes", d)
	}
	l.run(200 * time.Millisecond)
	if d := a.next.diff(first); d <= gibberWindow {
		t.Errorf("we are %d ahead, though it does not ask any more", d)
	}
}

// CQ-02: how fast we are is what the slowest of the others bears.
func TestBearable(t *testing.T) {
	l := newLAN(t, 50)
	room := l.room("a", "b")
	a, b := room[0], room[1]
	for range 5 { // b acknowledges, as gibber does not
		a.say("hello")
		l.run(3 * time.Second)
	}
	if !a.senders[b.Self()].active || a.bearable(l.now) != firstTempo {
		t.Errorf("to our own we send %d in a second", a.bearable(l.now))
	}
	p := l.enterPuppet(100, a, b)
	if rate := a.bearable(l.now); rate != gibberRate {
		t.Errorf("to one of gibber's we send %d in a second", rate)
	}
	p.emit(Packet{Type: RepairRequest, Target: a.Self(), ID: a.next - 1})
	l.run(10 * time.Millisecond)
	if rate := a.bearable(l.now); rate != slowRate {
		t.Errorf("to one that misses a packet we send %d in a second", rate)
	}
	if rate := a.bearable(l.now.Add(slowTime)); rate != gibberRate {
		t.Errorf("after a while we send %d in a second", rate)
	}
}

// CQ-03: what we say when we have come back depends on what we were told before we
// were killed, though the snapshot does not know of it and we must first have it again.
func TestAnswerAfterResume(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	a.tell(0, "question")
	l.run(100 * time.Millisecond)
	want(t, "what c was told", c.texts("a"), "hello from a", "question")
	c.killFor(2 * time.Second)
	c.tell(0, "answer")
	deaf := true
	l.drop = func(from, to *node, p *Packet) bool {
		return deaf && to == c && p.Type == Data
	}
	l.until(6*time.Second, "c is back", func() bool { return c.crash.resumed == 1 })
	l.run(time.Second)
	want(t, "what b was told too soon", b.texts("c"), "hello from c")
	deaf = false
	l.run(2 * time.Second)
	want(t, "what b was told", b.texts("c"), "hello from c", "answer")
	for _, sl := range b.senders[c.Self()].cache.slots {
		if sl == nil || sl.p.Type != Data || string(sl.p.Payload) != "answer" {
			continue
		}
		if have, _ := next(&sl.p, a.Self()); have != a.next {
			t.Errorf("the answer depends on %v, the question was before %v", have, a.next)
		}
		return
	}
	t.Error("the answer is not there")
}

// CQ-02: of one that acknowledges often we wait for it, and no longer than 3 s if it
// does not any more.
func TestWaitForTheStuck(t *testing.T) {
	l := newLAN(t, 51)
	room := l.room("a", "b", "c")
	a, b := room[0], room[1]
	for range 5 {
		a.say("hello")
		l.run(3 * time.Second)
	}
	s := a.senders[b.Self()]
	if !s.active {
		t.Fatal("b does not acknowledge often")
	}
	from := s.acks[a.Self()].next
	b.freeze(30 * time.Second)
	for range 2 * activeAhead {
		a.say("on and on")
	}
	l.run(3 * time.Second)
	if d := a.next.diff(from); d < activeAhead || d > activeAhead+1 {
		t.Errorf("after 3 s we are %d ahead", d)
	}
	l.run(stuckLimit)
	if d := a.next.diff(from); d < activeAhead+500 || s.active {
		t.Errorf("after 6 s we are %d ahead", d)
	}
	l.run(40 * time.Second)
	if got := len(b.texts("a")); got != 5+2*activeAhead {
		t.Errorf("b was told %d messages", got)
	}
}
