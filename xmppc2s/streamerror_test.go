package xmppc2s_test

import (
	"strings"
	"testing"
	"time"

	"meshgate/xmppc2s"
	"meshgate/xmppc2s/sm"
)

const (
	atOnce = time.Duration(0)
	soon   = 3 * time.Second
	slowly = time.Second // and a little more
	held   = 2 * time.Minute
)

// streamErrors are the conditions of RFC 6120 §4.9.3, one by one, one that is
// no more (RFC 3920), and one that nobody knows.
var streamErrors = map[string]struct {
	problem xmppc2s.Problem
	speaks  bool // of what we have sent
	wait    time.Duration
	words   string
}{
	"bad-format":               {xmppc2s.StreamEnded, true, atOnce, "make sense"},
	"bad-namespace-prefix":     {xmppc2s.StreamEnded, true, atOnce, "make sense"},
	"conflict":                 {xmppc2s.Conflict, false, held, "another client, or another meshgate"},
	"connection-timeout":       {xmppc2s.StreamEnded, false, atOnce, "heard nothing"},
	"host-gone":                {xmppc2s.NotServed, false, held, "does not serve example.org any more"},
	"host-unknown":             {xmppc2s.NotServed, false, held, "does not serve example.org"},
	"improper-addressing":      {xmppc2s.StreamEnded, true, atOnce, "address"},
	"internal-server-error":    {xmppc2s.StreamEnded, true, slowly, "internal error"},
	"invalid-from":             {xmppc2s.StreamEnded, true, atOnce, "address"},
	"invalid-id":               {xmppc2s.StreamEnded, false, atOnce, "mixed up"},
	"invalid-namespace":        {xmppc2s.StreamEnded, true, atOnce, "make sense"},
	"invalid-xml":              {xmppc2s.StreamEnded, true, atOnce, "make sense"},
	"not-authorized":           {xmppc2s.StreamEnded, false, slowly, "login"},
	"not-well-formed":          {xmppc2s.StreamEnded, true, atOnce, "make sense"},
	"policy-violation":         {xmppc2s.StreamEnded, true, slowly, "rule"},
	"remote-connection-failed": {xmppc2s.StreamEnded, false, slowly, "another one"},
	"reset":                    {xmppc2s.StreamEnded, false, atOnce, "anew"},
	"resource-constraint":      {xmppc2s.StreamEnded, false, slowly, "too much"},
	"restricted-xml":           {xmppc2s.StreamEnded, true, atOnce, "make sense"},
	"see-other-host":           {xmppc2s.StreamEnded, false, atOnce, "sends us"},
	"system-shutdown":          {xmppc2s.StreamEnded, false, soon, "shutting down"},
	"undefined-condition":      {xmppc2s.StreamEnded, true, atOnce, "ended the stream"},
	"unsupported-encoding":     {xmppc2s.StreamEnded, true, atOnce, "make sense"},
	"unsupported-feature":      {xmppc2s.Incompatible, false, held, "version"},
	"unsupported-stanza-type":  {xmppc2s.StreamEnded, true, atOnce, "make sense"},
	"unsupported-version":      {xmppc2s.Incompatible, false, held, "version"},
	"never-heard-of":           {xmppc2s.StreamEnded, true, atOnce, "never-heard-of"},
}

func TestEachStreamErrorIsTreatedByItsKind(t *testing.T) {
	for condition, want := range streamErrors {
		e := xmppc2s.StreamError(condition)
		wait := xmppc2s.NewPacer(xmppc2s.Backoff{}, 0.5).Ended(time.Minute, true, e)
		if e.Problem != want.problem && condition != "see-other-host" || xmppc2s.Speaks(e) != want.speaks || e.Condition != condition {
			t.Errorf("%s: %+v, speaks of us: %v", condition, e, xmppc2s.Speaks(e))
		}
		if wait < want.wait || wait > want.wait*3/2 || xmppc2s.Fatal(e) != (want.wait == held) {
			t.Errorf("%s: wait %v, fatal %v; want %v", condition, wait, xmppc2s.Fatal(e), want.wait)
		}
	}
}

// SM-07: whatever ends the stream, the session is asked for again, in words that
// a person understands; but that another client has our address is the end of it
// for now.
func TestAStreamErrorIsNotTheEndOfTheSession(t *testing.T) {
	for condition, want := range streamErrors {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			s := newFake(t)
			c := xmppc2s.New(s.config())
			h := run(t, c)
			conn := s.accept()
			conn.fresh()
			send(t, c, chat("bob@example.org", "x").WithAttr("id", "m1"))
			conn.stanza("m1")
			conn.streamError(condition, "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>so there</text>")
			wantOffline(t, h, want.problem, want.wait == held, want.words, "so there")
			if want.wait == held {
				s.quiet()
				return
			}
			conn = s.accept()
			conn.resumed(2)
			conn.stanza("m1")
		})
	}
}

// A session of which the server has counted other stanzas than we have cannot
// go on.
func TestASessionThatTheServerHasLostCountOfIsForgotten(t *testing.T) {
	s := newFake(t)
	h := run(t, xmppc2s.New(s.config()))
	conn := s.accept()
	conn.fresh()
	conn.streamError("undefined-condition", "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='5' send-count='3'/>")
	wantOffline(t, h, xmppc2s.StreamEnded, false, "counted")
	s.accept().fresh()
}

// COMPAT ejabberd: a session that moves ends its old connection with conflict.
// That is no other client.
func TestOurOwnOldConnectionIsNoConflict(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.SM = sm.Policy{AckTimeout: 100 * time.Millisecond, Keepalive: 50 * time.Millisecond}
	h := run(t, xmppc2s.New(cfg))
	old := s.accept()
	old.fresh()
	old.next() // the request, which nobody answers
	conn := s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ")
	_, _ = old.conn.Write([]byte("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"))
	conn.send("<resumed xmlns='urn:xmpp:sm:3' previd='the-id' h='2'/>")
	h.awaitAll("resumption", func(evs []xmppc2s.Event) bool { return resumptions(evs) == 1 })
	conn.send("<message id='m' from='bob@example.org/x'/>")
	h.awaitIDs("m")
	for _, ev := range h.seen() {
		if off, ok := ev.(xmppc2s.Offline); ok && off.Fatal {
			t.Errorf("offline because of %v", off.Err)
		}
	}
}

// A server may keep the old session and refuse the new one the resource.
func TestAResourceThatIsTakenIsAConflict(t *testing.T) {
	s := newFake(t)
	h := run(t, xmppc2s.New(s.config()))
	conn := s.accept()
	conn.login(bindSM3)
	conn.expect("<bind")
	conn.send("<iq type='error' id='bind-1'><error type='modify'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	wantOffline(t, h, xmppc2s.Conflict, true, "another meshgate", "desk")
}

// SM-09: a new session that cannot be bound on the stream on which the old one
// was refused is bound on the next, and nothing is lost meanwhile.
func TestABindingThatFailsAfterARefusedResumptionIsTriedOnANewStream(t *testing.T) {
	s, c, h, conn := begin(t)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	conn.stanza("m1")
	conn.cut()
	for _, answer := range []string{
		"<iq type='error' id='bind-1'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
		"</stream:stream>",
	} {
		conn = s.accept()
		conn.login(bindSM3)
		if strings.HasPrefix(answer, "<iq") {
			conn.expect("<resume ")
			conn.send("<failed xmlns='urn:xmpp:sm:3'/>")
		}
		conn.expect("<bind")
		conn.send("%s", answer)
		conn.conn.Close()
	}
	conn = s.accept()
	conn.fresh()
	conn.stanza("m1", "urn:xmpp:delay")
	h.awaitAll("a fresh session", func(evs []xmppc2s.Event) bool { return countFresh(evs) == 2 })
}

// SM-07: a server that has forgotten what it had acknowledged cannot be
// believed: the session is given up, and what waits is sent in a new one.
func TestAnOlderHAtTheResumptionIsTheEndOfTheSession(t *testing.T) {
	s, c, _, conn := begin(t)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	conn.stanza("m1")
	conn.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
	send(t, c, chat("bob@example.org", "two").WithAttr("id", "m2"))
	conn.stanza("m2")
	conn.cut()
	s.accept().resumed(2)
	conn = s.accept()
	conn.fresh()
	conn.stanza("m2", "urn:xmpp:delay")
}

// SM-14: reset ends the security context too.
func TestAResetBeginsTLSFromNothing(t *testing.T) {
	s, c, _, conn := begin(t)
	conn.roundTrip()
	conn.cut()
	conn = s.accept()
	conn.resumed(2)
	conn.roundTrip()
	if n := c.Stats().TLSResumed; n != 1 {
		t.Errorf("%d TLS sessions resumed after a cut, want 1", n)
	}
	conn.streamError("reset")
	conn = s.accept()
	conn.resumed(3)
	conn.roundTrip()
	if n := c.Stats().TLSResumed; n != 1 {
		t.Errorf("%d TLS sessions resumed after a reset, want no more than before it", n)
	}
}
