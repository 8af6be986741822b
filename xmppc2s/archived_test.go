package xmppc2s_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// catchingUp is a client of this server that uses archives.
func catchingUp(s *fakeServer, j xmppc2s.Journal) xmppc2s.Config {
	cfg := s.config()
	cfg.Journal, cfg.CatchUp, cfg.CatchUpMessages = j, 24*time.Hour, 100
	return cfg
}

// iq returns the client's next stanza, an iq with these words, and its id.
func (c *fakeConn) iq(words ...string) (id string, el *stanza.Element) {
	c.t.Helper()
	got := c.stanza(append(words, "<iq ")...)
	el, err := stanza.Parse([]byte(got), stanza.NSClient, stanza.Limits{})
	if err != nil {
		c.t.Fatal(err)
	}
	return el.Attr("id"), el
}

const archiveFeatures = "<feature var='urn:xmpp:mam:2'/><feature var='urn:xmpp:sid:0'/>"

// explored answers the client's question what the account has.
func (c *fakeConn) explored(features string) {
	c.t.Helper()
	id, _ := c.iq("disco#info")
	c.send("<iq type='result' id='%s' from='alice@example.org'><query xmlns='http://jabber.org/protocol/disco#info'>%s</query></iq>", id, features)
}

// query returns the client's next question to its archive: its id, and where
// it wants to begin.
func (c *fakeConn) query() (id, after, start string) {
	c.t.Helper()
	id, el := c.iq("urn:xmpp:mam:2", "type='set'")
	q := el.Child(stanza.NSMAM, "query")
	if q.Attr("queryid") != id {
		c.t.Fatalf("queryid of %s", el)
	}
	for f := range q.Child(stanza.NSForm, "x").Children() {
		if f.Attr("var") == "start" {
			start = f.Child(stanza.NSForm, "value").Text()
		}
	}
	return id, q.Child(stanza.NSRSM, "set").Child(stanza.NSRSM, "after").Text(), start
}

// gives sends messages of the archive: each is its id there, which is its body, too.
func (c *fakeConn) gives(query string, ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		c.send("%s", fromArchive(query, id, "bob@example.org/x", time.Now(), "<body>"+id+"</body>"))
	}
}

func fromArchive(query, id, from string, at time.Time, payload string) string {
	return fmt.Sprintf("<message from='alice@example.org' to='alice@example.org/desk'><result xmlns='urn:xmpp:mam:2' queryid='%s' id='%s'>"+
		"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='%s'/>"+
		"<message xmlns='jabber:client' from='%s' to='alice@example.org' type='chat' id='m-%s'>%s</message></forwarded></result></message>",
		query, id, at.UTC().Format(time.RFC3339), from, id, payload)
}

// fin ends a page.
func (c *fakeConn) fin(query, last string, complete bool) {
	c.t.Helper()
	c.send("<iq type='result' id='%s' from='alice@example.org'><fin xmlns='urn:xmpp:mam:2' complete='%v'>"+
		"<set xmlns='http://jabber.org/protocol/rsm'><last>%s</last></set></fin></iq>", query, complete, last)
}

// live sends a message as it comes by itself.
func (c *fakeConn) live(id string) {
	c.t.Helper()
	c.send("<message from='bob@example.org/x' to='alice@example.org' type='chat' id='m-%s'><body>%[1]s</body>"+
		"<stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='%[1]s'/></message>", id)
}

// lose ends the session for good, and begins the next one.
func (c *fakeConn) lose() *fakeConn {
	c.t.Helper()
	c.cut()
	return c.server.anew()
}

// anew is the client's next connection, on which it cannot resume.
func (s *fakeServer) anew() *fakeConn {
	s.t.Helper()
	c := s.accept()
	c.login(bindSM3)
	c.expect("<resume ")
	c.send("<failed xmlns='urn:xmpp:sm:3'/>")
	c.bound()
	c.enabled("the-id")
	return c
}

// bodies waits until exactly these messages have come, by their words.
func (h *tail) bodies(want ...string) {
	h.tb.Helper()
	var got []string
	h.awaitAll(fmt.Sprint("messages ", want), func(evs []xmppc2s.Event) bool {
		got = got[:0]
		for _, ev := range evs {
			if m, ok := ev.(xmppc2s.Message); ok {
				got = append(got, m.Stanza.Child(stanza.NSClient, "body").Text())
			}
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	})
}

// SM-09: what came while there was no session is fetched page by page, marked
// with its time, before what comes now.
func TestWhatALostSessionMissedIsFetched(t *testing.T) {
	s := newFake(t)
	_, h, _ := start(t, catchingUp(s, newMemJournal()))
	conn := s.accept()
	conn.fresh()
	conn.explored(archiveFeatures)
	conn.live("a")
	h.bodies("a")
	conn.roundTrip() // nothing is asked the first time

	conn = conn.lose()
	conn.explored(archiveFeatures)
	q, after, _ := conn.query()
	if after != "a" {
		t.Errorf("asks for what came behind %q", after)
	}
	conn.live("e")
	conn.gives(q, "b", "c")
	conn.fin(q, "c", false)
	q, after, _ = conn.query()
	if after != "c" {
		t.Errorf("the second page begins behind %q", after)
	}
	conn.gives(q, "d")
	conn.fin(q, "d", true)
	h.bodies("a", "b", "c", "d", "e")
	for _, m := range h.messages() {
		id, missed := m.ArchiveID, m.Missed
		delayed := strings.Contains(m.Stanza.String(), stanza.NSDelay)
		if id != m.Stanza.Child(stanza.NSClient, "body").Text() || missed != strings.Contains("bcd", id) || missed != delayed {
			t.Errorf("%+v: %s", m, m.Stanza)
		}
	}
	conn = conn.lose()
	conn.explored(archiveFeatures)
	if _, after, _ = conn.query(); after != "e" {
		t.Errorf("the next time it asks for what came behind %q", after)
	}
}

// SM-09: more comes by itself while the archive is asked than may be undone, and
// still nothing of it comes before what is older, nor twice.
func TestABurstWaitsForWhatCameBeforeIt(t *testing.T) {
	conn, c, h, q := missed(t, func(cfg *xmppc2s.Config) { cfg.MaxUndone = 8 })
	want := []string{"a", "b"}
	for i := range 50 {
		id := fmt.Sprint("n", i)
		conn.live(id)
		want = append(want, id)
	}
	conn.gives(q, "b", "n0", "n1")
	conn.fin(q, "n1", false)
	q, after, _ := conn.query()
	if after != "n1" {
		t.Errorf("the second page begins behind %q", after)
	}
	conn.gives(q, "n2")
	conn.fin(q, "n2", true)
	h.bodies(want...)
	for _, m := range h.messages() {
		if m.ArchiveID != m.Stanza.Child(stanza.NSClient, "body").Text() || m.Missed != (m.ArchiveID == "b") {
			t.Errorf("%+v: %s", m, m.Stanza)
		}
	}
	conn.roundTrip()
	if s := c.Stats(); s.Undone != 0 || s.Fetched != 1 {
		t.Errorf("%d undone, %d fetched", s.Undone, s.Fetched)
	}
}

// notFound says that the archive does not know an id.
func (c *fakeConn) notFound(query string) {
	c.t.Helper()
	c.send("<iq type='error' id='%s' from='alice@example.org'><error type='modify'>"+
		"<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", query)
}

// missed is a client that had one message, a, and whose next session is bound,
// with its first question to the archive.
func missed(t *testing.T, change func(*xmppc2s.Config)) (conn *fakeConn, c *xmppc2s.Client, h *tail, query string) {
	s := newFake(t)
	cfg := catchingUp(s, newMemJournal())
	if change != nil {
		change(&cfg)
	}
	c, h, _ = start(t, cfg)
	conn = s.accept()
	conn.fresh()
	conn.explored(archiveFeatures)
	conn.live("a")
	h.bodies("a")
	conn.roundTrip()
	conn = conn.lose()
	conn.explored(archiveFeatures)
	query, _, _ = conn.query()
	return conn, c, h, query
}

// SM-09: an archive that has forgotten where we were is asked by time.
func TestAnUnknownIDIsReplacedByATime(t *testing.T) {
	conn, _, h, q := missed(t, nil)
	conn.notFound(q)
	q, after, since := conn.query()
	at, err := time.Parse(time.RFC3339, since)
	if after != "" || err != nil || time.Since(at) < time.Minute-time.Second || time.Since(at) > 2*time.Minute {
		t.Errorf("asks behind %q, since %q", after, since)
	}
	conn.gives(q, "b")
	conn.fin(q, "b", true)
	h.bodies("a", "b")
}

// Nobody else can say what was in the archive: not a contact, not our own
// account when it was not asked, and not the answer to another question.
func TestForgedResultsAreNobodysMessages(t *testing.T) {
	conn, c, h, q := missed(t, nil)
	now := time.Now()
	forged := fromArchive(q, "x1", "bob@example.org/x", now, "<body>forged</body>")
	conn.send("%s", strings.Replace(forged, "<message from='alice@example.org'", "<message from='eve@example.org'", 1))
	conn.send("%s", strings.Replace(forged, "<message from='alice@example.org'", "<message from='alice@example.org/other'", 1))
	conn.send("%s", fromArchive("another", "x2", "bob@example.org/x", now, "<body>forged</body>"))
	conn.send("<iq type='result' id='%s' from='eve@example.org'><fin xmlns='urn:xmpp:mam:2' complete='true'/></iq>", q)
	conn.gives(q, "b")
	conn.fin(q, "b", true)
	conn.gives(q, "c") // the question is answered
	conn.live("d")
	// The first two are messages of somebody's, with something in them.
	h.awaitAll("all of them", func(evs []xmppc2s.Event) bool { return len(messagesIn(evs)) == 5 })
	for _, m := range h.messages() {
		words := m.Stanza.Child(stanza.NSClient, "body").Text()
		if words == "forged" || m.Missed != (words == "b") {
			t.Errorf("told %+v: %s", m, m.Stanza)
		}
	}
	if n := c.Stats().ArchiveStrays; n != 2 {
		t.Errorf("%d strays", n)
	}
}

func messagesIn(evs []xmppc2s.Event) (list []xmppc2s.Message) {
	for _, ev := range evs {
		if m, ok := ev.(xmppc2s.Message); ok {
			list = append(list, m)
		}
	}
	return list
}

// Somebody else's id on a message says nothing.
func TestOnlyOurServerSaysIDs(t *testing.T) {
	conn, _, h, q := missed(t, nil)
	conn.fin(q, "", true)
	conn.send("<message from='bob@example.org/x'><body>b</body><stanza-id xmlns='urn:xmpp:sid:0' by='bob@example.org' id='no'/></message>")
	conn.send("<message from='bob@example.org/x'><body>c</body><stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='1'/>" +
		"<stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='2'/></message>")
	h.bodies("a", "b", "c")
	for _, m := range h.messages()[1:] {
		if m.ArchiveID != "" {
			t.Errorf("%s has the id %q", m.Stanza, m.ArchiveID)
		}
	}
}

// What is not for us is passed over, and what came by itself is not fetched.
func TestOnlyWordsForUsAreFetched(t *testing.T) {
	conn, _, h, q := missed(t, nil)
	now := time.Now()
	words := "<body>own</body>"
	conn.send("%s", fromArchive(q, "b", "alice@example.org/desk", now, words))
	conn.send("%s", fromArchive(q, "c", "bob@example.org/x", now, "<received xmlns='urn:xmpp:receipts'/>"))
	conn.send("%s", fromArchive(q, "d", "bob@example.org/x", now.Add(-25*time.Hour), "<body>old</body>"))
	conn.send("%s", strings.Replace(fromArchive(q, "e", "room@example.org/x", now, words), "type='chat'", "type='groupchat'", 1))
	conn.send("%s", strings.Replace(fromArchive(q, "f", "bob@example.org/x", now, "<body>f</body>"), "type='chat'", "type='error'", 1))
	conn.fin(q, "f", true)
	h.bodies("a", "f")
	conn = conn.lose()
	conn.explored(archiveFeatures)
	if _, after, _ := conn.query(); after != "f" {
		t.Errorf("the next time it asks for what came behind %q", after)
	}
}

// A server that never comes to an end is left alone.
func TestPagesThatDoNotEndAreBounded(t *testing.T) {
	for name, play := range map[string]func(conn *fakeConn, query string){
		"the same page again": func(conn *fakeConn, q string) {
			conn.gives(q, "b")
			conn.fin(q, "b", false)
			q, _, _ = conn.query()
			conn.gives(q, "b")
			conn.fin(q, "b", false)
		},
		"pages in turn": func(conn *fakeConn, q string) {
			for i := 0; ; i++ {
				id := fmt.Sprint("p", i%2)
				conn.send("<a xmlns='urn:xmpp:sm:3' h='%d'/>", 4+i) // roster, presence, disco, and the questions
				conn.gives(q, id)
				conn.fin(q, id, false)
				if i == 15 { // it has looked at ten for each that it may fetch, and an end counts as one
					return
				}
				q, _, _ = conn.query()
			}
		},
		"nothing, and no end": func(conn *fakeConn, q string) { conn.fin(q, "", false) },
		"more than may be": func(conn *fakeConn, q string) {
			for i := range 4 {
				conn.gives(q, fmt.Sprint("n", i))
			}
			conn.fin(q, "n3", false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, c, h, q := missed(t, func(cfg *xmppc2s.Config) { cfg.CatchUpMessages = 3 })
			play(conn, q)
			conn.live("live")
			h.await("what comes by itself", func(ev xmppc2s.Event) bool {
				m, ok := ev.(xmppc2s.Message)
				return ok && m.ArchiveID == "live"
			})
			conn.roundTrip() // and no further question
			if n := c.Stats().Fetched; n > 3 {
				t.Errorf("%d fetched", n)
			}
		})
	}
}

// Without an archive nothing is held back for long, nor asked for.
func TestAServerWithoutArchiveIsNotAsked(t *testing.T) {
	for name, answer := range map[string]string{
		"none":          "<iq type='result' id='%s' from='alice@example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
		"no disco":      "<iq type='error' id='%s' from='alice@example.org'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
		"not as it was": "<iq type='result' id='%s' from='alice@example.org'/>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFake(t)
			_, h, _ := start(t, catchingUp(s, newMemJournal()))
			conn := s.accept()
			conn.fresh()
			for range 2 {
				id, _ := conn.iq("disco#info")
				conn.live("a")
				conn.send(answer, id)
				h.await("the message", func(ev xmppc2s.Event) bool { m, ok := ev.(xmppc2s.Message); return ok && m.ArchiveID == "" })
				conn.roundTrip()
				conn = conn.lose()
			}
		})
	}
}

// SM-09, SM-12: a process that is killed while it catches up leaves that to
// the next, though that goes on with the session.
func TestTheNextProcessGoesOnCatchingUp(t *testing.T) {
	s := newFake(t)
	j := newMemJournal()
	c, h := xmppc2s.New(catchingUp(s, j)), newTail(t)
	stop := runWith(t, c, h)
	conn := s.accept()
	conn.fresh()
	conn.explored(archiveFeatures)
	conn.live("a")
	h.bodies("a")
	conn.roundTrip()
	conn = conn.lose()
	conn.explored(archiveFeatures)
	q, _, _ := conn.query()
	h.mu.Lock()
	h.hold = true // it is killed before anything is done
	h.mu.Unlock()
	conn.gives(q, "b", "c")
	conn.fin(q, "c", true)
	h.bodies("a", "b", "c")
	conn.roundTrip()
	left := j.after(true)
	stop()

	_, h, _ = start(t, catchingUp(s, left))
	conn = s.accept()
	conn.resumed(5)
	conn.stanza("roster")
	conn.explored(archiveFeatures)
	q, after, _ := conn.query()
	if after != "a" {
		t.Errorf("asks for what came behind %q", after)
	}
	conn.gives(q, "b", "c")
	conn.fin(q, "c", true)
	h.bodies("b", "c")
}
