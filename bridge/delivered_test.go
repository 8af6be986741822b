package bridge

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// memMarks keeps marks in memory.
type memMarks [][16]byte

func (m *memMarks) All() iter.Seq[[16]byte] { return slices.Values(*m) }
func (m *memMarks) Add(k [16]byte)          { *m = append(*m, k) }
func (m *memMarks) Remove(k [16]byte) {
	*m = slices.DeleteFunc(*m, func(o [16]byte) bool { return o == k })
}

// A markRig is a rig whose messages have a place in the session.
type markRig struct {
	*rig
	marks memMarks
}

func newMarkRig(t *testing.T) *markRig {
	r := &markRig{rig: newRig(t, office())}
	r.arrive()
	return r
}

func (r *markRig) arrive() {
	r.online(false)
	r.presence("alice@example.org/x", "", "", 0, true)
	r.peer("bob@h2", linklocal.Presence{})
	r.taken()
}

// killed goes on in another process.
func (r *markRig) killed() {
	r.rig = r.restarted(office(), 0)
	(&Hub{past: &r.past, marks: &r.marks}).recall(r.e)
	r.arrive()
}

// say has alice write to bob; more is behind the body.
func (r *markRig) say(id, text, place, more string) (trail string) {
	xml := fmt.Sprintf("<message from='alice@example.org/x' type='chat'><body>@bob %s</body>%s</message>", text, more)
	if id != "" {
		xml = strings.Replace(xml, "<message ", "<message id='"+id+"' ", 1)
	}
	r.srv(xmppc2s.Message{Stanza: r.parse(xml), Done: func() {}, Place: place})
	return r.trail()
}

// written are the messages that have gone to the peer's stream.
func (r *markRig) written() (got []linklocal.Outgoing) {
	for _, a := range r.actions {
		if a, ok := a.(toLAN); ok && a.token != 0 {
			got = append(got, (&Hub{marks: &r.marks}).outgoing(a))
		}
	}
	return got
}

const (
	delay   = "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T12:00:00Z'/>"
	request = "<request xmlns='urn:xmpp:receipts'/>"
)

// SM-12: the gateway is killed the moment after a message was written to its
// peer: nobody has been told, and the server sends it again. It is not written
// again; what was not written, or has turned out not to be read, is. In the
// same session it is known by its place, without id or stamp; in another one by
// its id and words, if it has a stamp.
func TestWhatWasWrittenBeforeAKillIsNotWrittenAgain(t *testing.T) {
	for _, tc := range []struct {
		name, id, place string // of the message
		again, more     string // of the repeat: its place, and what it has more
		mark            []bool
		repeat          bool
	}{
		{"its place", "", "7/s", "7/s", "", []bool{true}, true},
		{"its place, with an id", "a", "7/s", "7/s", "", []bool{true}, true},
		{"its id", "a", "7/s", "1/t", delay, []bool{true}, true},
		{"its id, without a place", "a", "", "", delay, []bool{true}, true},
		{"said twice", "a", "7/s", "8/s", "", []bool{true}, false},
		{"neither", "", "7/s", "1/t", delay, []bool{true}, false},
		{"never written", "a", "7/s", "7/s", delay, nil, false},
		{"unread", "a", "7/s", "7/s", delay, []bool{true, false}, false},
		{"unread at first", "a", "7/s", "7/s", delay, []bool{true, false, true}, true},
	} {
		r := newMarkRig(t)
		r.say(tc.id, "hello", tc.place, "")
		sent := r.written()
		if len(sent) != 1 {
			t.Fatalf("%d messages to bob", len(sent))
		}
		for _, written := range tc.mark {
			sent[0].Mark(written)
		}
		r.killed()
		got := r.say(tc.id, "hello", tc.again, tc.more)
		if strings.Contains(got, "= from network: delivered") != tc.repeat || strings.Contains(got, "to bob@h2") == tc.repeat {
			t.Errorf("%s: %s", tc.name, got)
		}
		if !tc.repeat {
			r.result(nil)
		}
		r.wantBalanced()
	}
}

// deliver has alice write to bob, and that is written to his stream. What is
// not noted has no row: the process is killed before.
func (r *markRig) deliver(noted bool, ids ...string) {
	for _, id := range ids {
		r.say(id, "hello", id+"/s", "")
		sent := r.written()
		sent[len(sent)-1].Mark(true)
		if noted {
			r.result(nil)
		}
	}
}

// SM-11, IJ-08: a message that was delivered right before a kill has an entry,
// in the very first run and when the rows of all before it are forgotten; and
// of what is forgotten no row is made anew.
func TestMarksOfForgottenRowsAreNotTakenForNews(t *testing.T) {
	r := newMarkRig(t)
	want := func(what string, rows int) {
		t.Helper()
		if n := r.past.len(Passed); n != rows {
			t.Errorf("%s: %d rows, want %d", what, n, rows)
		}
	}
	r.deliver(false, "a", "b")
	r.killed()
	r.flush()
	want("killed before the first row", 2)
	r.deliver(true, "c", "d")
	want("before they grow old", 4)
	r.wait(10 * 24 * time.Hour)
	want("when they are old", 0)
	r.killed()
	r.flush()
	want("after a kill when all are forgotten", 0)
	r.deliver(false, "e")
	r.killed()
	r.flush()
	want("after a kill when another one was delivered", 1)
	r.killed()
	r.flush()
	want("after the next one", 1)
}

// What the server has put at the place of another message is a message of its
// own: it may change the order of what it sends again.
func TestAnotherMessageAtTheSamePlaceIsNoRepeat(t *testing.T) {
	r := newMarkRig(t)
	r.say("", "one", "7/s", "")
	r.written()[0].Mark(true)
	r.killed()
	if got := r.say("", "two", "7/s", delay); !strings.Contains(got, "to bob@h2") {
		t.Errorf("lost: %s", got)
	}
}

// The receipt for what was written may have been lost with the process; but
// none is due for what is only on its way.
func TestARepeatIsAnsweredWithItsReceipt(t *testing.T) {
	r := newMarkRig(t)
	r.say("a", "hello", "7/s", request)
	r.written()[0].Mark(true)
	r.killed()
	if got := r.say("a", "hello", "7/s", request); !strings.Contains(got, "received") {
		t.Errorf("no receipt: %s", got)
	}
	r.say("b", "hello", "8/s", request)
	if got := r.say("b", "hello", "1/t", request+delay); strings.Contains(got, "received") || !strings.Contains(got, "duplicate") {
		t.Errorf("for what is on its way: %s", got)
	}
}
