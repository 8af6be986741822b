package xmppc2s_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"meshgate/xmppc2s"
)

// gated is a Handler that takes messages only when it is let.
type gated struct {
	*tail
	at, gate chan struct{}
}

func newGated(t *testing.T) *gated {
	return &gated{tail: newTail(t), at: make(chan struct{}, 10), gate: make(chan struct{})}
}

func (h *gated) HandleServer(ctx context.Context, ev xmppc2s.Event) {
	if _, ok := ev.(xmppc2s.Message); ok {
		h.at <- struct{}{}
		select {
		case <-h.gate:
		case <-ctx.Done():
			return
		}
	}
	h.tail.HandleServer(ctx, ev)
}

const threeMessages = "<message id='1' from='bob@example.org/x'/><message id='2' from='bob@example.org/x'/><message id='3' from='bob@example.org/x'/>"

// SM-09: what a lost session has brought and nobody has seen will come again.
// It must not be told twice, nor after the news of the next session.
func TestWhatALostSessionHasLeftIsNotTold(t *testing.T) {
	s := newFake(t)
	c, h := xmppc2s.New(s.config()), newGated(t)
	runWith(t, c, h)
	conn := s.accept()
	conn.fresh()
	conn.send("%s", threeMessages)
	<-h.at
	conn.cut()
	conn = s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ", "h='0'")
	conn.send("<failed xmlns='urn:xmpp:sm:3'/>")
	conn.bound()
	conn.enabled("next")
	close(h.gate)
	conn.send("<message id='2' from='bob@example.org/x'/><message id='3' from='bob@example.org/x'/>")
	h.awaitIDs("1", "2", "3")
	conn.roundTrip()
	if n := len(h.messages()); n != 3 {
		t.Errorf("%d messages told", n)
	}
	if n := c.Stats().Undone; n != 0 {
		t.Errorf("%d undone", n)
	}
}

// Without stream management nothing comes again: all of it is told.
func TestWhatIsNotCountedIsToldWhateverHappens(t *testing.T) {
	s := newFake(t)
	c, h := xmppc2s.New(s.config()), newGated(t)
	runWith(t, c, h)
	conn := s.accept()
	const bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
	conn.login(bind)
	conn.bound()
	conn.stanza("roster")
	conn.stanza("<presence")
	conn.send("%s", threeMessages)
	<-h.at
	conn.cut()
	conn = s.accept()
	conn.login(bind)
	conn.bound()
	conn.stanza("roster")
	close(h.gate)
	conn.send("<message id='4' from='bob@example.org/x'/>")
	h.awaitIDs("1", "2", "3", "4")
}

// However long a handler hangs, and whatever becomes of the sessions
// meanwhile, only so much is kept for it.
func TestNewsThatIsOverIsNotKept(t *testing.T) {
	fresh, again, off := xmppc2s.Online{}, xmppc2s.Online{Resumed: true}, xmppc2s.Offline{}
	lost := xmppc2s.Undelivered{}
	for name, tc := range map[string]struct{ events, want []xmppc2s.Event }{
		"attempts":      {[]xmppc2s.Event{fresh, off, off, off}, []xmppc2s.Event{fresh, off}},
		"resumptions":   {[]xmppc2s.Event{fresh, off, again, off, again}, []xmppc2s.Event{fresh, off, again}},
		"sessions":      {[]xmppc2s.Event{off, fresh, off, fresh, off, fresh, off}, []xmppc2s.Event{off, fresh, off}},
		"the last":      {[]xmppc2s.Event{fresh, off, fresh}, []xmppc2s.Event{fresh, off, fresh}},
		"other matters": {[]xmppc2s.Event{fresh, off, lost, fresh, off}, []xmppc2s.Event{fresh, off, lost, fresh, off}},
	} {
		t.Run(name, func(t *testing.T) {
			equal := cmp.Comparer(func(a, b jid.JID) bool { return a.Equal(b) })
			if diff := cmp.Diff(tc.want, xmppc2s.Told(tc.events...), equal); diff != "" {
				t.Error(diff)
			}
		})
	}
}
