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
