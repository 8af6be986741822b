package xmppc2s_test

import (
	"strings"
	"testing"

	"meshgate/xmppc2s"
	"meshgate/xmppc2s/sm"
)

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
