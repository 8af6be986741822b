package xmppc2s_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// IJ-07: iq is answered here and never passed on.
func TestIQsAreAnsweredAndNeverPassedOn(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.Version = "1.2.3"
	h := run(t, xmppc2s.New(cfg))
	conn := s.accept()
	conn.fresh()
	for i, tc := range []struct {
		typ, from, payload string
		want               []string
	}{
		{"get", "bob@example.com/x", "<ping xmlns='urn:xmpp:ping'/>", []string{"result"}},
		{"get", "", "<ping xmlns='urn:xmpp:ping'/>", []string{"result"}},
		{"get", "bob@example.com/x", "<query xmlns='http://jabber.org/protocol/disco#info'/>",
			[]string{"result", "client", "bot", "meshgate", "urn:xmpp:ping", "jabber:iq:version"}},
		{"get", "bob@example.com/x", "<query xmlns='http://jabber.org/protocol/disco#info' node='what'/>", []string{"error", "service-unavailable"}},
		{"get", "bob@example.com/x", "<query xmlns='http://jabber.org/protocol/disco#items'/>", []string{"result", "disco#items"}},
		{"get", "bob@example.com/x", "<query xmlns='jabber:iq:version'/>", []string{"result", "meshgate", "1.2.3"}},
		{"get", "bob@example.com/x", "<query xmlns='urn:unknown'/>", []string{"error", "service-unavailable"}},
		{"set", "bob@example.com/x", "<query xmlns='jabber:iq:roster'><item jid='eve@example.com' subscription='both'/></query>",
			[]string{"error", "service-unavailable"}},
		{"set", "", "<query xmlns='jabber:iq:roster'><item jid='bob@example.com' subscription='none'/></query>", []string{"result"}},
		{"set", "alice@example.org", "<query xmlns='jabber:iq:roster'/>", []string{"result"}},
	} {
		id := fmt.Sprint("q", i)
		from := ""
		if tc.from != "" {
			from = fmt.Sprintf(" from='%s'", tc.from)
		}
		conn.send("<iq type='%s' id='%s'%s to='alice@example.org/desk'>%s</iq>", tc.typ, id, from, tc.payload)
		got := conn.stanza(append([]string{"<iq", id}, tc.want...)...)
		if el := parseStanza(t, got); el.Attr("to") != tc.from && tc.from != "alice@example.org" {
			t.Errorf("%s %s: answered to %q", tc.from, tc.payload, el.Attr("to"))
		}
	}
	conn.send("<iq type='result' id='x' from='bob@example.com/x'/><iq type='error' id='y' from='bob@example.com/x'/>")
	conn.roundTrip()
	if n := len(h.seen()); n != 1 {
		t.Errorf("%d events, want only Online", n)
	}
}

func parseStanza(t *testing.T, s string) *stanza.Element {
	t.Helper()
	el, err := stanza.Parse([]byte(s), stanza.NSClient, stanza.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return el
}

func withContacts(s *fakeServer) xmppc2s.Config {
	cfg := s.config()
	cfg.Contacts = []jid.JID{parse("bob@example.com"), parse("carol@example.com"), parse("dave@example.com")}
	return cfg
}

func TestContactsAreSubscribedToAndNobodyElse(t *testing.T) {
	s := newFake(t)
	run(t, xmppc2s.New(withContacts(s)))
	conn := s.accept()
	conn.fresh()
	conn.send("<iq type='result' id='roster-1' from='bob@example.com'><query xmlns='jabber:iq:roster'/></iq>") // not ours to believe
	conn.send("<iq type='result' id='roster-1'><query xmlns='jabber:iq:roster'>" +
		"<item jid='bob@example.com' subscription='both'/><item jid='carol@example.com' subscription='from'/>" +
		"<item jid='dave@example.com' subscription='none' ask='subscribe'/><item jid='eve@example.com' subscription='none'/></query></iq>")
	conn.stanza("<presence", "carol@example.com", "type='subscribe'")
	conn.send("<presence type='subscribe' from='eve@example.com'/>")
	conn.stanza("<presence", "eve@example.com", "type='unsubscribed'")
	conn.send("<presence type='subscribe' from='bob@example.com'/>")
	conn.stanza("<presence", "bob@example.com", "type='subscribed'")
	conn.send("<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='bob@example.com' subscription='from'/></query></iq>")
	conn.stanza("<iq", "result")
	conn.send("<presence type='subscribe' from='bob@example.com'/>")
	conn.stanza("<presence", "bob@example.com", "type='subscribed'")
	conn.stanza("<presence", "bob@example.com", "type='subscribe'")
	conn.roundTrip()
}

func TestPresenceOfContactsIsToldOncePerChange(t *testing.T) {
	s := newFake(t)
	cfg := withContacts(s)
	cfg.MaxResources = 2
	c := xmppc2s.New(cfg)
	h := run(t, c)
	conn := s.accept()
	conn.fresh()
	for _, p := range []string{
		"<presence from='bob@example.com/a'><show>away</show><status>at &lt;lunch&gt;</status><priority>5</priority></presence>",
		"<presence from='bob@example.com/a'><show>away</show><status>at &lt;lunch&gt;</status><priority>5</priority><x xmlns='y'/></presence>",
		"<presence from='bob@example.com/b'><show>nonsense</show><priority>1000</priority></presence>",
		"<presence from='bob@example.com/c'/>", // one resource too many
		"<presence from='eve@example.com/a'/>", // a stranger
		"<presence from='bob@example.com/a' type='unavailable'/>",
		"<presence from='bob@example.com/a' type='unavailable'/>",
		"<presence from='bob@example.com/c'/>",
		"<presence from='bob@example.com' type='error'><error type='cancel'/></presence>",
		"<presence from='@'/>",
	} {
		conn.send("%s", p)
	}
	conn.roundTrip()
	var got []string
	h.awaitAll("six presences", func(evs []xmppc2s.Event) bool {
		got = nil
		for _, ev := range evs {
			if p, ok := ev.(xmppc2s.ContactPresence); ok {
				got = append(got, fmt.Sprintf("%v %v %s %s %d", p.JID, p.Available, p.Show, p.Status, p.Priority))
			}
		}
		return len(got) >= 6
	})
	want := []string{
		"bob@example.com/a true away at <lunch> 5", "bob@example.com/b true   0", "bob@example.com/a false   0",
		"bob@example.com/c true   0", "bob@example.com/b false   0", "bob@example.com/c false   0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("presences:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := c.Stats().PresencesIgnored; n != 3 {
		t.Errorf("%d ignored", n)
	}
}

// What a hostile sender can put into a stanza does not end the session, and
// does not come again.
func TestHostileStanzasAreLeftOut(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.MaxStanza = 10000
	c := xmppc2s.New(cfg)
	h := run(t, c)
	conn := s.accept()
	conn.fresh()
	conn.send("<message id='1' from='bob@example.com/x'/>")
	conn.send("<message id='2' from='bob@example.com/x'><body>%s</body></message>", strings.Repeat("x", 20000))
	conn.send("<message id='3' from='bob@example.com/x'>%s%s</message>", strings.Repeat("<a>", 100), strings.Repeat("</a>", 100))
	conn.send("<message id='4' from='bob@example.com/x'><body>&lol;</body></message>")
	conn.send("<message id='5' from='bob@example.com/x'><a><b></a></b></message>")
	conn.send("<iq type='get' id='6' from='@@'><query xmlns='urn:unknown'/></iq>")
	conn.send("<message id='7' from='bob@example.com/x' xmlns='urn:other'/>")
	conn.send("<message id='8' from='bob@example.com/x'/>")
	h.awaitIDs("1", "8")
	conn.roundTrip()
	conn.handled(8) // 1-6, 8 and the ping
	if st := c.Stats(); st.Oversized != 1 || st.Malformed != 3 || st.Undone != 0 {
		t.Errorf("%+v", st)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	cfg := newFake(t).config()
	cfg.QueueLimit, cfg.QueueBytes = 3, 1000
	c := xmppc2s.New(cfg)
	for range 3 {
		send(t, c, chat("bob@example.org", "x"))
	}
	if err := c.Send(chat("bob@example.org", "x")); !errors.Is(err, xmppc2s.ErrQueueFull) {
		t.Errorf("a fourth: %v", err)
	}
	if st := c.Stats(); st.Queued != 3 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
	c = xmppc2s.New(cfg)
	if err := c.Send(chat("bob@example.org", strings.Repeat("x", 1001))); !errors.Is(err, xmppc2s.ErrQueueFull) {
		t.Errorf("a large one: %v", err)
	}
	if err := c.Send(stanza.New("urn:x", "message")); !errors.Is(err, xmppc2s.ErrNotStanza) {
		t.Errorf("no stanza: %v", err)
	}
}

// IJ-03: nobody but the server says who we are.
func TestFromIsNeverOurs(t *testing.T) {
	_, c, _, conn := begin(t)
	send(t, c, chat("bob@example.org", "x").WithAttr("from", "juliet@pronto"))
	got := parseStanza(t, conn.stanza("<message"))
	if got.Attr("from") != "" || got.Attr("id") == "" {
		t.Errorf("sent %s", got)
	}
}

func TestOwnPresenceIsCoalesced(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	c.SetPresence("dnd", "before the start")
	run(t, c)
	conn := s.accept()
	conn.login(bindSM3)
	conn.bound()
	conn.expect("<enable ")
	conn.send("<enabled xmlns='urn:xmpp:sm:3' id='the-id' resume='true'/>")
	conn.stanza("roster")
	conn.stanza("<presence", "dnd", "before the start")
	for i := range 50 {
		c.SetPresence("away", fmt.Sprint("number ", i))
	}
	conn.stanza("<presence", "away", "number 49")
	conn.roundTrip() // the 49 others are not on their way
	conn.cut()
	c.SetPresence("xa", "changed while offline")
	conn = s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ")
	conn.send("<resumed xmlns='urn:xmpp:sm:3' previd='the-id' h='4'/>")
	conn.stanza("<presence", "xa", "changed while offline")
}

// DS-19, IJ-07: queries of the namespace that somebody else answers go to that one, with
// who has sent them; the client announces it, and says nothing to them itself.
func TestQueriesReachWhoeverAnswersThem(t *testing.T) {
	const ns = "urn:example:queries"
	s := newFake(t)
	cfg := s.config()
	told := make(chan *stanza.Element, 10)
	cfg.Queries = xmppc2s.Queries{NS: ns, HandleIQ: func(to jid.JID, iq *stanza.Element) bool {
		told <- iq.WithAttr("to", to.String())
		return iq.Child(ns, "query").Text() != "no"
	}}
	c := xmppc2s.New(cfg)
	h := run(t, c)
	conn := s.accept()
	conn.fresh()
	conn.send("<iq type='get' id='0' from='bob@example.com/x'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
	conn.stanza("<iq", "result", ns)
	conn.send("<iq type='get' id='1' from='bob@example.com/x'><query xmlns='%s'>yes</query></iq>"+
		"<iq type='set' id='2' from='bob@example.com/x'><query xmlns='%s'>no</query></iq>"+
		"<iq type='result' id='3' from='bob@example.com/x'><query xmlns='%s'/></iq>"+
		"<iq type='result' id='4' from='bob@example.com/x'/><iq type='error' id='5' from='bob@example.com/x'/>", ns, ns, ns)
	got := conn.stanza("<iq") // to the first nothing was said
	if el := parseStanza(t, got); el.Attr("id") != "2" || el.Attr("type") != "error" {
		t.Errorf("answered %s", got)
	}
	conn.roundTrip()
	for _, id := range []string{"1", "2", "3", "5"} {
		if len(told) == 0 {
			t.Fatalf("nobody was told of %s", id)
		}
		if iq := <-told; iq.Attr("id") != id || iq.Attr("from") != "bob@example.com/x" || !strings.HasPrefix(iq.Attr("to"), "alice@example.org/") {
			t.Errorf("told of %v, want %s", iq, id)
		}
	}
	if err := c.Send(parseStanza(t, "<iq type='result' id='1' to='bob@example.com/x'/>")); err != nil {
		t.Error(err)
	}
	conn.stanza("<iq", "result", "id='1'")
	if n := len(h.seen()); n != 1 {
		t.Errorf("%d events, want only Online", n)
	}
	if st := c.Stats(); st.IQsServed != 3 {
		t.Errorf("%d were taken, want 3", st.IQsServed)
	}
}
