package xmppc2s_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/xmppc2s"
)

// The answer to <enable/> may come behind more than the client wants to keep.
func TestAFloodBeforeStreamManagementIsUpDoesNotStall(t *testing.T) {
	s := newFake(t)
	h := run(t, xmppc2s.New(s.config()))
	conn := s.accept()
	conn.login(bindSM3)
	conn.bound()
	conn.expect("<enable ")
	const n = 300
	var flood strings.Builder
	for i := range n {
		fmt.Fprintf(&flood, "<message id='%d' from='bob@example.org/x'/>", i)
	}
	conn.send("%s<enabled xmlns='urn:xmpp:sm:3' id='the-id' resume='true'/>", flood.String())
	h.awaitAll("all of it", func(evs []xmppc2s.Event) bool { return len(evs) == 1+n }) // Online first
}

// Acknowledgements come behind stanzas. A client that stops reading because it
// has too much to say would never hear that it was said.
func TestAFloodOfQuestionsDoesNotStall(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.QueueLimit = 10
	c := xmppc2s.New(cfg)
	h := run(t, c)
	conn := s.accept()
	conn.fresh()
	go func() { // read and never acknowledge
		buf := make([]byte, 1<<16)
		for {
			if _, err := conn.conn.Read(buf); err != nil {
				return
			}
		}
	}()
	for range 20 {
		conn.send("%s", strings.Repeat("<iq type='get' id='q' from='eve@example.com/x'><ping xmlns='urn:xmpp:ping'/></iq>", 100))
	}
	conn.send("<message id='m' from='bob@example.org/x'/>")
	h.awaitIDs("m")
	if st := c.Stats(); st.Queued > 10+1024 {
		t.Errorf("%d stanzas queued", st.Queued)
	}
}

// SM-07: a place where the server is not to be found any more must not keep
// the client from those where it is.
func TestAWrongLocationIsNotTheLastWord(t *testing.T) {
	s, other := newFake(t), newFake(t) // with a certificate that nobody trusts
	s.sendAway(other)
	other.accept().distrusted()
	s.accept().resumed(2)
}

// A server or something before it that breaks every new session must not be
// asked at once again and again, though each session brought something.
func TestSessionsThatBreakAtOnceAreNotRushed(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.Backoff = xmppc2s.Backoff{First: time.Hour, Max: time.Hour}
	h := run(t, xmppc2s.New(cfg))
	for range 2 {
		conn := s.accept()
		conn.login("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")
		conn.bound()
		conn.stanza("roster")
		conn.stanza("<presence")
		conn.roundTrip()
		conn.cut()
	}
	var waits []time.Duration
	h.awaitAll("two losses", func(evs []xmppc2s.Event) bool {
		waits = nil
		for _, ev := range evs {
			if off, ok := ev.(xmppc2s.Offline); ok {
				waits = append(waits, off.Retry)
			}
		}
		return len(waits) >= 2
	})
	if waits[0] != 0 || waits[1] < 20*time.Minute {
		t.Errorf("waits %v, want at once, then long", waits)
	}
}

// XEP-0368 §3: "." says that there is no direct TLS, and nothing of the rest.
func TestNoDirectTLSIsNotNoService(t *testing.T) {
	cfg := newFake(t).config()
	cfg.Host, cfg.JID = "", parse("alice@127.0.0.1/desk")
	c := xmppc2s.New(cfg)
	xmppc2s.SetResolver(c, resolverFunc(func(service string) ([]*srv, error) {
		if service == "xmpps-client" {
			return []*srv{{Target: "."}}, nil
		}
		return nil, &net.DNSError{IsNotFound: true}
	}))
	off := run(t, c).await("offline", isOffline).(xmppc2s.Offline)
	if e, ok := errors.AsType[*xmppc2s.Error](off.Err); ok && e.Problem == xmppc2s.NotServed {
		t.Errorf("offline because of %v", off.Err)
	}
}

// SM-11: a stanza is refused or it is accounted for, at the very moment of
// stopping too.
func TestWhatIsSentWhileStoppingIsRefusedOrReported(t *testing.T) {
	cfg := newFake(t).config()
	cfg.Host, cfg.Port = "127.0.0.1", 1
	for range 200 {
		c := xmppc2s.New(cfg)
		ctx, cancel := context.WithCancel(context.Background())
		var run, senders sync.WaitGroup
		run.Go(func() { _ = c.Run(ctx, newTail(t)) })
		begin := make(chan struct{})
		for range 4 {
			senders.Go(func() {
				<-begin
				for c.Send(chat("bob@example.org", "x")) == nil {
				}
			})
		}
		close(begin)
		cancel()
		run.Wait()
		senders.Wait()
		if st := c.Stats(); st.Sent != st.Undelivered || st.Queued != 0 {
			t.Fatalf("%d accepted, %d reported, %d queued", st.Sent, st.Undelivered, st.Queued)
		}
	}
}
