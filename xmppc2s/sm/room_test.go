package sm

import (
	"strings"
	"testing"
	"time"
)

func TestRoomIsWhatMayBeWrittenNow(t *testing.T) {
	now := time.Unix(1e9, 0)
	message := []byte("<message><body>" + strings.Repeat("x", 68) + "</body></message>") // 100 bytes
	e := New(Policy{MaxBatch: 1000})
	want := func(why string, room int) {
		t.Helper()
		if got := e.Room(); got != room {
			t.Errorf("%s: room %d, want %d", why, got, room)
		}
	}
	want("offline", 0)
	e.Bound(now, Binding{Dialect: V3, JID: "a@b/c", Limits: Limits{Window: 250}})
	want("enabling", 0)
	e.AppendWrite(now, nil)
	if err := e.HandleFrame(now, []byte("<enabled xmlns='urn:xmpp:sm:3' id='1' resume='true'/>")); err != nil {
		t.Fatal(err)
	}
	want("active", 250)
	for range 3 {
		if _, err := e.Enqueue(now, message); err != nil {
			t.Fatal(err)
		}
	}
	want("more than the window", 0)
	e.AppendWrite(now, nil)
	want("two written, one waits", 0)
	if err := e.HandleFrame(now, []byte("<a xmlns='urn:xmpp:sm:3' h='2'/>")); err != nil {
		t.Fatal(err)
	}
	want("two acknowledged", 150)
	e.Lost(Broken)
	want("lost", 0)
	e.Bound(now, Binding{JID: "a@b/c"})
	want("without stream management", 900)
	e.AppendWrite(now, nil)
	want("written", 1000)
	e.AppendWrite(now, nil)
	want("forgotten", 1000)
}

// What waits is better kept elsewhere while one stanza after the other is tried.
func TestThereIsNoRoomBehindASuspect(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1), m(2))
	e.AppendWrite(t0, nil)
	e.Lost(Refusal)
	e.Forget()
	e.Bound(t0, Binding{JID: "a@b/c"})
	if got := e.Room(); got != 0 {
		t.Errorf("room for %d bytes", got)
	}
}

// A session that has gone on between two bad ends is not stuck.
func TestProgressEndsTheDoubt(t *testing.T) {
	var p poison
	for range 2 * maxStuck {
		p.lost(true)
		if p.resumed(false, true) {
			t.Fatal("given up")
		}
		p.progress()
	}
	p.lost(true)
	p.resumed(false, true)
	p.lost(true)
	if !p.resumed(false, true) {
		t.Error("not given up though nothing goes on")
	}
}
