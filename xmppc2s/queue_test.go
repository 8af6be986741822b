package xmppc2s_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/xmppc2s"
)

// SM-04: whoever follows a message hears when the server has it, and no sooner.
func TestWhatTheServerHasIsSaid(t *testing.T) {
	s := newFake(t)
	c, h, _ := start(t, s.config())
	conn := s.accept()
	conn.fresh()
	for i := range 3 {
		send(t, c, chat("bob@example.org", "text").WithAttr("id", fmt.Sprint("m&", i)))
		conn.stanza("<message", fmt.Sprint("m&amp;", i))
	}
	conn.send("<a xmlns='urn:xmpp:sm:3' h='4'/>") // of 2 and 3 messages
	h.awaitAll("two acknowledged", func(evs []xmppc2s.Event) bool { return len(acknowledged(evs)) == 2 })
	conn.send("<a xmlns='urn:xmpp:sm:3' h='5'/>")
	h.awaitAll("all acknowledged", func(evs []xmppc2s.Event) bool { return len(acknowledged(evs)) == 3 })
	want := []xmppc2s.Sent{{ID: "m&0", To: "bob@example.org"}, {ID: "m&1", To: "bob@example.org"}, {ID: "m&2", To: "bob@example.org"}}
	if diff := cmp.Diff(want, acknowledged(h.seen())); diff != "" {
		t.Errorf("acknowledged (-want +got):\n%s", diff)
	}
}

func acknowledged(evs []xmppc2s.Event) (list []xmppc2s.Sent) {
	for _, ev := range evs {
		if ev, ok := ev.(xmppc2s.Acknowledged); ok {
			list = append(list, ev.Messages...)
		}
	}
	return list
}

// What waits can be looked at, and what was sent stays.
func TestTheQueueCanBeLookedAt(t *testing.T) {
	s := newFake(t)
	c, h, stop := start(t, s.config())
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	send(t, c, chat("bob@example.org", "text").WithAttr("id", "m1"))
	conn.stanza("<message", "m1")
	list, total, err := c.Queue(t.Context(), 10)
	if err != nil || total != 3 || len(list) != 3 {
		t.Fatalf("Queue = %+v, %d, %v", list, total, err)
	}
	got := list[2]
	if got.ID != "m1" || got.To != "bob@example.org" || got.Kind != "message" || got.State != xmppc2s.InWork || got.Bytes == 0 || time.Since(got.At) > time.Minute {
		t.Errorf("queued: %+v", got)
	}
	if b, err := c.QueuedStanza(t.Context(), got.Seq); err != nil || len(b) != got.Bytes {
		t.Errorf("QueuedStanza = %s, %v", b, err)
	}
	if err := c.DropQueued(t.Context(), got.Seq); !errors.Is(err, xmppc2s.ErrAlreadySent) {
		t.Errorf("DropQueued of what was sent: %v", err)
	}
	if err := c.RetryQueued(t.Context(), got.Seq); !errors.Is(err, xmppc2s.ErrNotAside) {
		t.Errorf("RetryQueued of what was sent: %v", err)
	}
	if err := c.DropQueued(t.Context(), 1<<60); !errors.Is(err, xmppc2s.ErrNotQueued) {
		t.Errorf("DropQueued of nothing: %v", err)
	}
	stop()
	if _, _, err := c.Queue(context.Background(), 10); !errors.Is(err, xmppc2s.ErrStopped) {
		t.Errorf("Queue of one that has stopped: %v", err)
	}
}

// Whoever has mended something need not wait for the next attempt.
func TestTheNextAttemptCanBeHadNow(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.Backoff = xmppc2s.Backoff{Fatal: 1000 * time.Hour}
	c, h, _ := start(t, cfg)
	conn := s.accept()
	conn.secure()
	conn.open(plainAuth)
	conn.expect("<auth")
	conn.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure></stream:stream>")
	h.await("a long pause", func(ev xmppc2s.Event) bool {
		off, ok := ev.(xmppc2s.Offline)
		return ok && off.Fatal && off.Retry > time.Hour
	})
	if err := c.RetryQueued(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	s.accept().fresh()
	h.await("online", isOnline)
}
