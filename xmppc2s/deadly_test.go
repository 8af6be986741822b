package xmppc2s_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"meshgate/internal/e2e"
	"meshgate/xmppc2s"
	"meshgate/xmppc2s/sm"
)

const tooManyUnacked = "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Too many unacked stanzas</text>"

// COMPAT ejabberd: that it has too much for us says nothing of what we send.
func TestAServerWithTooMuchForUsDoesNotBlameWhatWeSend(t *testing.T) {
	t.Parallel()
	e2e.Require(t)
	s := e2e.Local(t).Ejabberd(e2e.ServerOptions{Users: map[string]string{"alice": "a", "bob": "b"}, MaxQueue: 10})
	alice, h := xmppc2s.New(account(t, s, "alice", "a")), newTail(t)
	h.hold = true // so it acknowledges nothing
	runWith(t, alice, h)
	h.await("alice online", isOnline)
	bob, hb, _ := start(t, account(t, s, "bob", "b"))
	hb.await("bob online", isOnline)
	for i := range 30 {
		send(t, bob, words(fmt.Sprint(i)).WithAttr("to", s.JID("alice")+"/meshgate"))
	}
	off := h.await("offline", isOffline).(xmppc2s.Offline)
	e, ok := errors.AsType[*xmppc2s.Error](off.Err)
	if !ok || e.Condition != "policy-violation" || xmppc2s.Speaks(e) {
		t.Errorf("offline because of %v, which speaks of what was sent", off.Err)
	}
}

// lives has a new process connect once, with what the ones before have left,
// and be sent away at the message with that id. It returns the ids of the
// messages that came before that, and of those that were given up.
func lives(t *testing.T, j *memJournal, first []string, deadly string, end func(*fakeConn)) (came, gone []string) {
	t.Helper()
	s := newFake(t)
	cfg := s.config()
	cfg.Journal, cfg.Backoff, cfg.SM = j, noHaste, sm.Policy{RequestEvery: 1}
	c, h, stop := start(t, cfg)
	defer stop()
	for _, id := range first {
		send(t, c, chat("bob@example.org", id).WithAttr("id", id))
	}
	conn := s.accept()
	conn.login(bindSM3)
	for n, up := 0, false; ; {
		switch got := conn.next(); {
		case strings.HasPrefix(got, "<resume "):
			conn.send("<failed xmlns='urn:xmpp:sm:3'/>")
		case strings.Contains(got, "<bind "):
			conn.send("<iq type='result' id='bind-1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@example.org/desk</jid></bind></iq>")
		case strings.HasPrefix(got, "<enable "):
			conn.send("<enabled xmlns='urn:xmpp:sm:3' id='the-id' resume='true'/>")
			up = true
		case strings.HasPrefix(got, "<r "):
			conn.send("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n)
		case strings.Contains(got, "id='"+deadly+"'"):
			end(conn)
			h.await("offline", isOffline)
			return came, undelivered(h)
		case up:
			n++
			if el := parseStanza(t, got); el.Name.Local == "message" {
				came = append(came, el.Attr("id"))
			}
		}
		if n > 0 && len(came) > 0 && came[len(came)-1] == "last" {
			conn.send("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n)
			conn.roundTrip()
			return came, undelivered(h)
		}
	}
}

func undelivered(h *tail) (ids []string) {
	for _, ev := range h.seen() {
		if u, ok := ev.(xmppc2s.Undelivered); ok {
			ids = append(ids, u.Stanza.Attr("id"))
		}
	}
	return ids
}

// SM-11, SM-12: a message that the server refuses by ending the stream is found
// though each process sees but one such end, and only that one is given up. Links
// that break, and a server that goes away, speak against none.
func TestOnlyADeadlyMessageIsGivenUpByProcessAfterProcess(t *testing.T) {
	for name, tc := range map[string]struct {
		end    func(*fakeConn)
		deadly bool
	}{
		"policy-violation": {func(c *fakeConn) { c.streamError("policy-violation") }, true},
		"not-well-formed":  {func(c *fakeConn) { c.streamError("not-well-formed") }, true},
		"system-shutdown":  {func(c *fakeConn) { c.streamError("system-shutdown") }, false},
		"too many for us":  {func(c *fakeConn) { c.streamError("policy-violation", tooManyUnacked) }, false},
		"overload":         {func(c *fakeConn) { c.streamError("resource-constraint") }, false},
		"closed":           {func(c *fakeConn) { c.send("</stream:stream>") }, false},
		"cut":              {(*fakeConn).cut, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newMemJournal()
			var came, gone []string
			first := []string{"one", "deadly", "last"}
			const processes = 6
			for range processes {
				c, g := lives(t, j, first, "deadly", tc.end)
				came, gone, first = append(came, c...), append(gone, g...), nil
				if len(came) > 0 && came[len(came)-1] == "last" {
					break
				}
			}
			if !tc.deadly {
				c, g := lives(t, j, nil, "none", nil)
				came, gone = append(came, c...), append(gone, g...)
			}
			last := strings.Join(came, " ")
			switch {
			case tc.deadly && (strings.Join(gone, " ") != "deadly" || !strings.HasSuffix(last, "last") || strings.Contains(last, "deadly")):
				t.Errorf("came %q, given up %q", came, gone)
			case !tc.deadly && (len(gone) > 0 || !strings.HasSuffix(last, "deadly last")):
				t.Errorf("came %q, given up %q", came, gone)
			}
		})
	}
}
