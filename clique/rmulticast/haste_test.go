package rmulticast

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// lossy has the first of a room of so many send messages, of whose packets each of
// the others misses the first copy with the given chance, or all of them do. It
// returns how many packets somebody missed, and how many requests and repairs there
// were.
func lossy(t *testing.T, l *lan, room []*node, chance float64, together bool) (missed, asked, sent int) {
	const messages = 400
	lost := map[PacketID]bool{}
	seen := map[string]bool{}
	l.drop = func(from, to *node, p *Packet) bool {
		copy := fmt.Sprint(p.ID, to.name)
		if p.Type != Data || from != room[0] || to == from || seen[copy] {
			return false
		}
		seen[copy] = true
		if lost[p.ID] && together || l.rng.Float64() < chance {
			lost[p.ID] = true
			return true
		}
		return false
	}
	before, told := repairs(room), len(room[1].got)
	for range messages {
		room[0].say(strings.Repeat("z", 1000))
	}
	l.run(3 * time.Second)
	for _, n := range room[1:] {
		if got := len(n.got) - told; got != messages {
			t.Errorf("%s was told %d messages", n.name, got)
		}
	}
	after := repairs(room)
	return len(lost), int(after.RepairsAsked - before.RepairsAsked), int(after.RepairsSent - before.RepairsSent)
}

// repairs are those of all together.
func repairs(room []*node) (sum Stats) {
	for _, n := range room {
		st := n.Stats()
		sum.RepairsAsked += st.RepairsAsked
		sum.RepairsSent += st.RepairsSent
	}
	return sum
}

// CQ-02: however many miss a packet, and however many have it, few ask for it and few
// repeat it, though none of them waits as long as gibber does.
func TestFewAskAndFewAnswer(t *testing.T) {
	counts := []int{2, 4, 8, 16, 32}
	if testing.Short() {
		counts = counts[:3]
	}
	for _, count := range counts {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d members, all miss the same %v", count, together), func(t *testing.T) {
				l, room := members(t, count)
				missed, asked, sent := lossy(t, l, room, 0.05, together)
				if asked < missed || asked > missed*7/5 || sent > missed*3/2 {
					t.Errorf("of %d packets that were missed %d were asked for and %d sent", missed, asked, sent)
				}
			})
		}
	}
}

// CQ-02: where order is not kept we learn to wait before we ask.
func TestPatience(t *testing.T) {
	l, room := members(t, 8)
	lossy(t, l, room, 0, false)
	if p := room[1].patience; p > 1 {
		t.Errorf("patience is %v where nothing is late", p)
	}
	l, room = members(t, 8)
	l.latency = 30 * time.Millisecond
	_, hasty, _ := lossy(t, l, room, 0, false)
	_, asked, _ := lossy(t, l, room, 0, false)
	if p := room[1].patience; p < 5 || asked > hasty/2 {
		t.Errorf("patience is %v after %d and %d requests for what was only late", p, hasty, asked)
	}
}

// CQ-02: all that are of our kind know it before there is anything to repair; as soon
// as one of gibber's may miss something all take gibber's times.
func TestHasteAmongOurKind(t *testing.T) {
	l, room := members(t, 2)
	for _, n := range room {
		if s := n.in(quickFirst, 1); s.hi > 20*time.Millisecond {
			t.Errorf("%s asks after %v", n.name, s)
		}
	}
	l.enterPuppet(100, room...)
	for _, q := range []quick{quickFirst, quickAgain, quickAnswer} {
		for _, n := range room {
			if s := n.in(q, 1); s != q.gibber {
				t.Errorf("%s takes %v beside one of gibber's, which takes %v", n.name, s, q.gibber)
			}
		}
	}
}

// CQ-02: whose packet it is repeats it before others do; but where its packets do not
// come somebody else's do.
func TestTheSenderAnswersFirst(t *testing.T) {
	l, room := members(t, 8)
	missed, _, sent := lossy(t, l, room, 0.02, false)
	if own := int(room[0].Stats().RepairsSent); own < missed*9/10 || sent > missed*6/5 {
		t.Errorf("of %d packets that were missed the sender repeats %d, and all %d", missed, own, sent)
	}
	l.drop = func(from, to *node, p *Packet) bool { return from == room[0] && to == room[1] }
	told := len(room[1].got)
	room[0].say("to one who does not hear it")
	l.until(4*time.Second, "told where only others are heard", func() bool { return len(room[1].got) == told+1 })
}

// CQ-02: that the end of a burst is lost is noticed soon, by a SESSION that comes when
// we are done, and not before.
func TestTheEndOfABurst(t *testing.T) {
	l, room := members(t, 2)
	l.run(10 * time.Second)
	sessions := l.count(room[0], Session)
	drop := l.drop
	last, lost := room[0].next+9, false
	l.drop = func(from, to *node, p *Packet) bool {
		now := from == room[0] && to != from && p.Type == Data && p.ID == last && !lost
		lost = lost || now
		return drop(from, to, p) || now
	}
	before := *sessions
	for range 10 {
		room[0].say("x")
		l.run(10 * time.Millisecond)
	}
	if n := *sessions - before; n > 1 {
		t.Errorf("%d SESSIONs between messages", n)
	}
	l.run(quickSession + 20*time.Millisecond)
	if n := len(room[1].got); n != 10 {
		t.Errorf("%d of 10 messages were told soon", n)
	}
}

// CQ-06: what comes to be in order at once is acknowledged once.
func TestOneAcknowledgementForAll(t *testing.T) {
	l, room := members(t, 2)
	first, until := room[0].next, l.now.Add(200*time.Millisecond)
	acks := l.count(room[1], NoData)
	drop := l.drop
	l.drop = func(from, to *node, p *Packet) bool {
		return drop(from, to, p) || from == room[0] && to != from && p.Type == Data && p.ID == first && l.now.Before(until)
	}
	for range 10 * ackEvery {
		room[0].say(strings.Repeat("z", 1000))
	}
	before := *acks
	l.until(time.Second, "told", func() bool { return len(room[1].got) == 10*ackEvery })
	if n := *acks - before; n != 1 {
		t.Errorf("%d NO-DATA for %d packets of which the first was lost", n, 10*ackEvery)
	}
}
