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
