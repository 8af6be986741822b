package xmppc2s_test

import (
	"testing"

	"meshgate/xmppc2s"
	"meshgate/xmppc2s/sm"
)

// again plays the login of a client whose session is gone, up to the binding.
func (s *fakeServer) again() *fakeConn {
	s.t.Helper()
	conn := s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ")
	conn.send("<failed xmlns='urn:xmpp:sm:3'/>")
	conn.bound()
	return conn
}

// flooded plays two sessions that the server ends with this as soon as they
// have begun, and the login behind them.
func (s *fakeServer) flooded(condition string, text ...string) *fakeConn {
	s.t.Helper()
	conn := s.accept()
	conn.fresh()
	conn.send("<a xmlns='urn:xmpp:sm:3' h='2'/>")
	conn.streamError(condition, text...)
	conn = s.again()
	conn.enabled("the-id")
	conn.send("<a xmlns='urn:xmpp:sm:3' h='2'/>")
	conn.streamError(condition, text...)
	return s.again()
}

// SM-04, SM-11: a server that ends each session because it sends more at once
// than anybody can acknowledge is done with without stream management, until it
// is quiet. What it has taken it says by answering pings.
//
// COMPAT ejabberd, max_ack_queue
func TestAFloodEndsInASessionWithoutStreamManagement(t *testing.T) {
	for name, why := range map[string][]string{
		"as ejabberd says it":      {"policy-violation", tooManyUnacked},
		"a rule that nobody names": {"policy-violation"},
		"too much to do":           {"resource-constraint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFake(t)
			c := xmppc2s.New(s.config())
			h := run(t, c)
			conn := s.flooded(why[0], why[1:]...)
			conn.stanza("<iq", "jabber:iq:roster")
			conn.stanza("<presence")
			h.awaitAll("three sessions", func(evs []xmppc2s.Event) bool { return countFresh(evs) == 3 })
			for range 20 { // as many as it likes
				conn.send("<message from='bob@example.org/x'/>")
			}
			h.awaitAll("the flood", func(evs []xmppc2s.Event) bool { return len(messageIDs(evs)) == 20 })
			conn.pong()
			send(t, c, chat("bob@example.org", "x").WithAttr("id", "m1"))
			conn.stanza("m1")
			conn.cut()
			conn = s.accept()
			conn.login(bindSM3)
			conn.bound()
			conn.stanza("<iq", "jabber:iq:roster") // the minute is not over
			conn.stanza("<presence")
			conn.stanza("m1", "urn:xmpp:delay")
		})
	}
}

// SM-02, SM-07: when it is quiet, stream management is enabled on the stream
// that there is, and the session can be resumed.
func TestStreamManagementComesBackBehindAFlood(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	run(t, c)
	conn := s.flooded("policy-violation", tooManyUnacked)
	conn.stanza("<iq", "jabber:iq:roster")
	conn.stanza("<presence")
	conn.pong()
	xmppc2s.PassFlood(c)
	conn.expect("<enable ", "resume='true'")
	conn.send("<enabled xmlns='urn:xmpp:sm:3' id='later' resume='true'/>")
	send(t, c, chat("bob@example.org", "x").WithAttr("id", "m1"))
	conn.stanza("m1")
	conn.send("<message id='last' from='bob@example.org/x'/>")
	conn.handled(1) // it counts from there on
	conn.cut()
	conn = s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ", "previd='later'", "h='1'")
	conn.send("<resumed xmlns='urn:xmpp:sm:3' previd='later' h='0'/>")
	conn.stanza("m1")
}

// pong answers the client's next ping.
func (c *fakeConn) pong() {
	c.t.Helper()
	id := sm.Attr([]byte(c.stanza("<iq", "urn:xmpp:ping")), "id")
	c.send("<iq type='result' id='%s'/>", id)
}

// A message that is in flight whenever a flood ends the session is not suspected
// of it: it is neither sent alone nor given up.
func TestAFloodSpeaksOfNothingThatWasSent(t *testing.T) {
	s, c, h, conn := begin(t)
	for _, id := range []string{"m1", "m2"} {
		send(t, c, chat("bob@example.org", "x").WithAttr("id", id))
		conn.stanza(id)
	}
	conn.streamError("policy-violation", tooManyUnacked)
	conn = s.again()
	conn.enabled("the-id")
	conn.stanza("m1")
	conn.stanza("m2")
	conn.streamError("policy-violation", tooManyUnacked)
	conn = s.again()
	conn.stanza("<iq", "jabber:iq:roster")
	conn.stanza("<presence")
	conn.stanza("m1")
	conn.stanza("m2")
	conn.pong()
	h.await("both have got there", func(ev xmppc2s.Event) bool {
		a, ok := ev.(xmppc2s.Acknowledged)
		return ok && len(a.Messages) == 2
	})
}
