package linklocal

import (
	"strings"
	"testing"

	"meshgate/internal/stanza"
)

const nsTest = "urn:example:queries"

// A query is what HandleIQ was told.
type query struct {
	at, from Instance
	iq       *stanza.Element
}

// serving is Config with somebody who answers queries to Juliet, but none that
// say no.
func serving(to ContactID) (Config, chan query) {
	told := make(chan query, 10)
	return Config{Node: "urn:example:gw", Queries: Queries{NS: nsTest, Contact: to, HandleIQ: func(at, from Instance, iq *stanza.Element) bool {
		told <- query{at, from, iq}
		return iq.Child(nsTest, "query").Text() != "no"
	}}}, told
}

// DS-19, IJ-07: queries of the namespace go, with the name of the checked caller, to
// whoever answers them, and the answer comes back on the stream from an address
// with a resource. No message is made of them.
func TestQueriesReachWhoeverAnswersThem(t *testing.T) {
	cfg, told := serving("c")
	n, p := rawTalk(t, cfg)
	p.say("<iq type='get' id='1' to='juliet@gw/s'><query xmlns='%s'>yes</query></iq>", nsTest)
	q := <-told
	if q.at != "juliet@gw" || q.from != "romeo@h3" || q.iq.Attr("to") != "juliet@gw/s" || q.iq.Attr("id") != "1" {
		t.Fatalf("told %+v", q)
	}
	n.Send(Outgoing{From: "c", To: "romeo@h3", Stanza: stanza.New(stanza.NSClient, "iq",
		stanza.Attr{Name: "type", Value: "result"}, stanza.Attr{Name: "id", Value: "1"}, stanza.Attr{Name: "from", Value: "juliet@gw/s"})})
	p.until("from='juliet@gw/s'")
	n.Send(Outgoing{From: "c", To: "romeo@h3", Stanza: stanza.New(stanza.NSClient, "iq",
		stanza.Attr{Name: "id", Value: "2"}, stanza.Attr{Name: "from", Value: "nurse@gw/s"})})
	p.until("from='juliet@gw/s'") // never another name than the stream's
	n.Send(Outgoing{From: "c", To: "romeo@h3", Stanza: stanza.New(stanza.NSClient, "iq",
		stanza.Attr{Name: "id", Value: "a"}, stanza.Attr{Name: "to", Value: "ROMEO@h3/s"})})
	p.until("to='romeo@h3/s'") // who asks somebody that serves
	n.Send(Outgoing{From: "c", To: "romeo@h3", Stanza: stanza.New(stanza.NSClient, "iq",
		stanza.Attr{Name: "id", Value: "b"}, stanza.Attr{Name: "to", Value: "tybalt@h3/s"})})
	p.until("id='b' to='romeo@h3' ")
	p.say("<iq type='get' id='c' from='romeo@h3/s'><query xmlns='%s'>yes</query></iq>", nsTest)
	if q := <-told; q.from != "romeo@h3" || q.iq.Attr("from") != "romeo@h3/s" {
		t.Errorf("told %+v", q)
	}
	p.say("<iq type='set' id='3'><query xmlns='%s'>no</query></iq>", nsTest)
	<-told
	p.until("<iq type='error' id='3'")
	p.until("service-unavailable")
	p.say("<iq type='get' id='4'><query xmlns='urn:other'/></iq>")
	p.until("<iq type='error' id='4'")
	p.say("<iq type='result' id='4'><query xmlns='urn:other'/></iq><iq type='result' id='5'/><iq type='error' id='6'/>")
	for _, id := range []string{"5", "6"} {
		if q := <-told; q.iq.Attr("id") != id {
			t.Errorf("told of %v", q.iq)
		}
	}
	p.say("<message><body>after</body></message>")
	n.waitBody(t, "after")
	if got := n.bodies(); len(got) != 1 {
		t.Errorf("delivered %v", got)
	}
	if st := n.Stats(); st.IQServed != 4 || st.IQRefused != 2 {
		t.Errorf("counters %+v", st)
	}
}

// IJ-07: whom nobody serves refuses such queries, as it does others, and does not say
// that it understands them.
func TestQueriesToOtherContactsAreRefused(t *testing.T) {
	for contact, serves := range map[ContactID]bool{"c": true, "d": false} {
		cfg, told := serving(contact)
		_, p := rawTalk(t, cfg)
		p.say("<iq type='get' id='0'><query xmlns='%s'/></iq>", stanza.NSDisco)
		if info := p.until("</query>"); strings.Contains(info, nsTest) != serves {
			t.Errorf("%s serves: Juliet says %s", contact, info)
		}
		if !serves {
			p.say("<iq type='get' id='1'><query xmlns='%s'/></iq>", nsTest)
			p.until("<iq type='error' id='1'")
			if len(told) > 0 {
				t.Error("it was handed on")
			}
		}
	}
}
