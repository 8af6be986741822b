package xmppc2s_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
	"meshgate/xmppc2s/sm"
)

// IJ-01, SM-01: what was sent before there is a session waits for it.
func TestNothingLeavesBeforeTheSessionIsUp(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	c := xmppc2s.New(cfg)
	send(t, c, chat("bob@example.org", "SECRET WORDS").WithAttr("id", "m1"))
	h := run(t, c)
	conn := s.accept()
	conn.login(bindSM3)
	if strings.Contains(conn.plain, "SECRET") || strings.Contains(conn.plain, "<message") {
		t.Errorf("before authentication the client wrote %s", conn.plain)
	}
	conn.bound()
	conn.expect("<enable ") // the next thing, and then nothing before the answer
	conn.send("<enabled xmlns='urn:xmpp:sm:3' id='the-id' resume='true'/>")
	conn.stanza("<iq", "jabber:iq:roster")
	conn.stanza("<presence")
	conn.stanza("<message", "m1", "SECRET WORDS")
	h.await("online", isOnline)

	conn.cut() // the same for a resumption
	send(t, c, chat("bob@example.org", "MORE SECRETS"))
	conn = s.accept()
	conn.login(bindSM3)
	if strings.Contains(conn.plain, "SECRET") {
		t.Errorf("before authentication the client wrote %s", conn.plain)
	}
	conn.expect("<resume ")
	conn.send("<resumed xmlns='urn:xmpp:sm:3' previd='the-id' h='3'/>")
	conn.stanza("<message", "MORE SECRETS")
}

func TestThePasswordIsOnlySaidWhereItIsAllowed(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	run(t, c)
	conn := s.accept()
	conn.secure()
	conn.open(plainAuth)
	auth := conn.expect("<auth")
	want := base64.StdEncoding.EncodeToString([]byte("\x00alice\x00" + fakePassword))
	if !strings.Contains(auth, want) || strings.Contains(conn.plain, "<auth") {
		t.Errorf("auth %s", auth)
	}
}

// SM-07, SM-08, SM-14
func TestAResumptionRepeatsWhatIsMissingAndNothingElse(t *testing.T) {
	s, c, h, conn := begin(t)
	for i := range 3 {
		send(t, c, chat("bob@example.org", "text").WithAttr("id", fmt.Sprint("m", i)))
		conn.stanza("<message", fmt.Sprint("m", i))
	}
	conn.send("<message id='in1' from='bob@example.org/x'/><message id='in2' from='bob@example.org/x'/>")
	h.awaitIDs("in1", "in2")
	conn.roundTrip()
	conn.handled(3) // two messages and a ping
	conn.cut()
	send(t, c, chat("bob@example.org", "while offline").WithAttr("id", "m3"))
	conn = s.accept()
	if req := conn.resumed(3); !strings.Contains(req, "h='3'") {
		t.Errorf("resumed with %s", req)
	}
	conn.stanza("<message", "m1") // 1 roster, 2 presence, 3 m0
	conn.stanza("<message", "m2")
	conn.stanza("<iq", "trip")
	conn.stanza("<message", "m3")
	conn.roundTrip() // nothing more: no roster, no presence
	h.awaitAll("a resumption", func(evs []xmppc2s.Event) bool { return resumptions(evs) == 1 })
	if st := c.Stats(); st.TLSResumed != 1 || st.SM.Resumptions != 1 {
		t.Errorf("%+v", st)
	}
	if n := countFresh(h.seen()); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// SM-04: a server that may still be at work on what the last connection brought
// is not asked to resume before it is through with that. A process that was
// killed cannot know how much that is, but for what its disk has.
func TestWhatIsUnderWayIsNotRunInto(t *testing.T) {
	wantPatience := func(t *testing.T, conn *fakeConn, lost time.Time) {
		t.Helper()
		conn.resumed(2)
		if took := time.Since(lost); took < 100*time.Millisecond {
			t.Errorf("asked after %v", took)
		}
	}
	t.Run("cut", func(t *testing.T) {
		s := newFake(t)
		c, _, _ := start(t, s.config())
		conn := s.accept()
		conn.fresh()
		send(t, c, words("m1"))
		conn.stanza("<message", "m1")
		lost := time.Now()
		conn.cut()
		wantPatience(t, s.accept(), lost)
	})
	t.Run("killed", func(t *testing.T) {
		s, j := newFake(t), newMemJournal()
		leaveBehind(t, s, j)
		lost := time.Now()
		start(t, journaled(s, j.after(true)))
		wantPatience(t, s.accept(), lost)
	})
}

// SM-03: the server is told only of what was delivered or stored.
func TestHFollowsDoneNotReading(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	h := newTail(t)
	h.hold = true
	runWith(t, c, h)
	conn := s.accept()
	conn.fresh()
	conn.send("<message id='a' from='bob@example.org/x'/><message id='b' from='bob@example.org/x'/>" +
		"<presence from='bob@example.org/x'/><message id='c' from='bob@example.org/x'/>")
	h.awaitIDs("a", "b", "c")
	conn.send("<r xmlns='urn:xmpp:sm:3'/>")
	conn.expect("<a ", "h='0'")
	msgs := h.messages()
	msgs[1].Done()
	msgs[1].Done() // calling it twice must not count twice
	msgs[2].Done()
	conn.send("<r xmlns='urn:xmpp:sm:3'/>")
	conn.expect("<a ", "h='0'")
	msgs[0].Done()
	conn.expect("<a ", "h='4'") // as promised
}

// SM-03: what was taken but not done is asked for again, and not delivered
// again.
func TestWhatIsBeingHandledIsNotDeliveredTwice(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	h := newTail(t)
	h.hold = true
	runWith(t, c, h)
	conn := s.accept()
	conn.fresh()
	conn.send("<message id='a' from='bob@example.org/x'/><message id='b' from='bob@example.org/x'/>")
	h.awaitIDs("a", "b")
	h.messages()[0].Done()
	conn.cut()
	conn = s.accept()
	conn.login(bindSM3)
	req := conn.expect("<resume ")
	again := "<message id='b' from='bob@example.org/x'/>"
	if strings.Contains(req, "h='0'") { // Done and the cut raced
		again = "<message id='a' from='bob@example.org/x'/>" + again
	}
	conn.send("<resumed xmlns='urn:xmpp:sm:3' previd='the-id' h='2'/>%s<message id='c' from='bob@example.org/x'/>", again)
	h.awaitIDs("a", "b", "c")
}

func TestTooManyUndoneMessagesPauseReading(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.MaxUndone = 2
	c := xmppc2s.New(cfg)
	h := newTail(t)
	h.hold = true
	runWith(t, c, h)
	conn := s.accept()
	conn.fresh()
	for i := range 4 {
		conn.send("<message id='%d' from='bob@example.org/x'/>", i)
	}
	conn.send("<r xmlns='urn:xmpp:sm:3'/>")
	conn.expect("<a ", "h='0'") // all has arrived
	h.awaitIDs("0", "1")
	for range 3 { // time enough to pass on more
		conn.send("<r xmlns='urn:xmpp:sm:3'/>")
		conn.expect("<a ", "h='0'")
	}
	if n := len(h.messages()); n != 2 {
		t.Errorf("%d messages passed on", n)
	}
	h.messages()[0].Done()
	h.awaitIDs("0", "1", "2")
}

// SM-09, SM-11: the server has forgotten the session.
func TestAFailedResumptionBindsOnTheSameStreamAndSendsAgain(t *testing.T) {
	s, c, h, conn := begin(t)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	conn.stanza("m1")
	send(t, c, chat("bob@example.org", "two").WithAttr("id", "m2"))
	conn.stanza("m2")
	send(t, c, stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: "get"}, stanza.Attr{Name: "id", Value: "q"}))
	conn.stanza("<iq", "q")
	conn.cut()
	conn = s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ")
	conn.send("<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text>gone</text></failed>")
	conn.bound()
	conn.enabled("the-id")
	if got := conn.stanza("m2", "two", "urn:xmpp:delay", "stamp='20"); strings.Contains(got, "m1") {
		t.Errorf("sent again: %s", got)
	}
	conn.roundTrip() // the iq was dropped
	h.awaitAll("a fresh session", func(evs []xmppc2s.Event) bool { return countFresh(evs) == 2 })
	for _, ev := range h.seen() {
		if ev, ok := ev.(xmppc2s.Undelivered); ok {
			t.Errorf("undelivered: %v", ev)
		}
	}
}

// SM-09: h of <failed/> holds even if the stream dies right behind it.
func TestHOfAFailedResumptionIsNotForgotten(t *testing.T) {
	s, c, _, conn := begin(t)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	conn.stanza("m1")
	conn.cut()
	conn = s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ")
	conn.send("<failed xmlns='urn:xmpp:sm:3' h='3'/>")
	conn.cut()
	conn = s.accept()
	conn.fresh()
	conn.roundTrip() // m1 is not sent again
}

// SM-10
func TestAnHThatIsTooHighEndsTheStream(t *testing.T) {
	s, _, _, conn := begin(t)
	conn.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
	conn.stanza("<stream:error", "undefined-condition", "handled-count-too-high", "h='3'", "send-count='2'")
	conn = s.accept()
	conn.fresh() // no resumption
}

// SM-01, SM-02
func TestOlderAndNoStreamManagement(t *testing.T) {
	bind := "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
	t.Run("sm:2", func(t *testing.T) {
		s := newFake(t)
		h := run(t, xmppc2s.New(s.config()))
		conn := s.accept()
		conn.login(bind + "<sm xmlns='urn:xmpp:sm:2'/>")
		conn.bound()
		conn.expect("<enable ", "urn:xmpp:sm:2")
		conn.send("<enabled xmlns='urn:xmpp:sm:2' id='the-id' resume='1'/>")
		conn.stanza("roster")
		conn.stanza("<presence")
		h.await("online", isOnline)
	})
	t.Run("none", func(t *testing.T) {
		s := newFake(t)
		c := xmppc2s.New(s.config())
		send(t, c, chat("bob@example.org", "x"))
		h := run(t, c)
		conn := s.accept()
		conn.login(bind)
		conn.bound()
		conn.stanza("roster")
		conn.stanza("<presence")
		conn.stanza("<message")
		h.await("online", isOnline)
		conn.cut()
		conn = s.accept()
		conn.login(bind)
		conn.bound()
	})
	t.Run("refused", func(t *testing.T) {
		s := newFake(t)
		h := run(t, xmppc2s.New(s.config()))
		conn := s.accept()
		conn.login(bindSM3)
		conn.bound()
		conn.expect("<enable ")
		conn.send("<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		conn.stanza("roster")
		h.await("online", isOnline)
	})
}

// SM-13
func TestASilentConnectionIsGivenUp(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.SM = sm.Policy{AckTimeout: 100 * time.Millisecond, Keepalive: 50 * time.Millisecond}
	h := run(t, xmppc2s.New(cfg))
	conn := s.accept()
	conn.fresh()
	conn.next() // the request, which nobody answers
	h.await("offline", isOffline)
	conn = s.accept()
	conn.resumed(2)
}

// SM-07
func TestLocationIsWhereTheResumptionGoes(t *testing.T) {
	s, other := newFake(t), newFake(t)
	other.tls, other.roots = s.tls, s.roots
	s.sendAway(other)
	other.accept().resumed(2)
	s.quiet()
}

// A counter that has come far is no reason to wait for the wrap.
func TestASessionIsReplacedBeforeItsCountersWrap(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.SM.RotateAt = 3
	c := xmppc2s.New(cfg)
	run(t, c)
	conn := s.accept()
	conn.fresh()
	send(t, c, chat("bob@example.org", "x").WithAttr("id", "m1"))
	conn.stanza("m1")
	conn.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
	for got := conn.next(); !strings.HasPrefix(got, "</stream:stream"); got = conn.next() {
		if !strings.HasPrefix(got, "<a ") && !strings.HasPrefix(got, "<r ") {
			t.Errorf("the client sent %s", got)
		}
	}
	s.accept().fresh()
}

// SM-11
func TestWhatIsLeftWhenStoppingIsReported(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	ctx, cancel := context.WithCancel(context.Background())
	h := newTail(t)
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx, h) })
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	send(t, c, chat("bob@example.org", "unacknowledged").WithAttr("id", "m1"))
	conn.stanza("m1")
	cancel()
	wg.Wait()
	ev := h.await("undelivered", func(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.Undelivered); return ok }).(xmppc2s.Undelivered)
	if ev.Stanza.Attr("id") != "m1" || !errors.Is(ev.Err, xmppc2s.ErrStopped) {
		t.Errorf("undelivered: %v", ev)
	}
	if err := c.Send(chat("bob@example.org", "x")); !errors.Is(err, xmppc2s.ErrStopped) {
		t.Errorf("Send after the end: %v", err)
	}
}

func TestStoppingLeavesTheSessionResumableOrClosesIt(t *testing.T) {
	for how, closes := range map[string]bool{"resumable": false, "as configured": true, "as told": true} {
		s := newFake(t)
		cfg := s.config()
		cfg.CloseOnStop = how == "as configured"
		c := xmppc2s.New(cfg)
		if how == "as told" {
			c.CloseOnStop()
		}
		ctx, cancel := context.WithCancel(context.Background())
		h := newTail(t)
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Run(ctx, h) })
		conn := s.accept()
		conn.fresh()
		h.await("online", isOnline)
		conn.send("<a xmlns='urn:xmpp:sm:3' h='2'/><message id='m' from='bob@example.org/x'/>")
		h.awaitIDs("m")
		cancel()
		conn.expect("<a ", "h='1'")
		if closes {
			conn.expect("</stream:stream>")
			conn.send("</stream:stream>")
		} else if n, err := conn.conn.Read(make([]byte, 100)); err == nil {
			t.Errorf("%d bytes more", n)
		}
		wg.Wait()
	}
}

// SM-11: a stanza that the server will not have is given up and reported, and
// those behind it are sent.
func TestAStanzaThatTheServerRefusesIsReported(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	send(t, c, chat("bob@example.org", "deadly").WithAttr("id", "deadly"))
	send(t, c, chat("bob@example.org", "harmless").WithAttr("id", "harmless"))
	h := run(t, c)
	s.hateDeadly()
	if ev := h.awaitUndelivered(1); ev.Stanza.Attr("id") != "deadly" || !errors.Is(ev.Err, sm.ErrDeadly) {
		t.Errorf("undelivered: %v", ev)
	}
}

// hateDeadly plays a server that ends the stream whenever a stanza has the word
// deadly in it, until one comes that is harmless. It acknowledges all others.
func (s *fakeServer) hateDeadly() *fakeConn {
	s.t.Helper()
	for first := true; ; first = false {
		conn := s.accept()
		conn.login(bindSM3)
		if !first {
			conn.expect("<resume ")
			conn.send("<failed xmlns='urn:xmpp:sm:3'/>")
		}
		conn.bound()
		conn.expect("<enable ")
		conn.send("<enabled xmlns='urn:xmpp:sm:3' id='the-id' resume='true'/>")
		for n := 1; ; n++ {
			got := conn.stanza("<")
			if strings.Contains(got, "deadly") {
				conn.send("<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
				break
			}
			conn.send("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n)
			if strings.Contains(got, "harmless") {
				return conn
			}
		}
	}
}

// stubborn is a Handler that returns only when its context ends.
type stubborn struct{}

func (stubborn) HandleServer(ctx context.Context, _ xmppc2s.Event) { <-ctx.Done() }

func TestAHandlerThatHangsDoesNotKeepTheClientFromStopping(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	for range 1000 {
		send(t, c, chat("bob@example.org", "x"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Run(ctx, stubborn{}) }()
	s.accept().cut()
	s.accept().cut()
	cancel()
	select {
	case <-ended:
	case <-time.After(e2e.Patience):
		t.Fatal("still running")
	}
	if n := c.Stats().Undelivered; n != 1000 {
		t.Errorf("%d reported", n)
	}
}
