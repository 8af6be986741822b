// Package rawstream is a client of data stream proxy services for tests, written
// from XEP-0037 alone: with sockets, and with stanzas as text. It has nothing of
// the services' own code, so that what both agree on is not a reading they share.
package rawstream

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
)

// Patience is how long a person waits for what must come.
const Patience = 30 * time.Second

// maxHeard is how many stanzas a person keeps that nobody has asked it for.
const maxHeard = 1000

// An Answer is a stanza of a service.
type Answer struct {
	XMLName xml.Name
	Type    string  `xml:"type,attr"`
	ID      string  `xml:"id,attr"`
	From    string  `xml:"from,attr"`
	To      string  `xml:"to,attr"`
	Query   []Query `xml:"query"`
	Error   struct {
		Code string `xml:"code,attr"`
	} `xml:"error"`
}

// A Query is what it carries, with what tests look at.
type Query struct {
	Type      string `xml:"type,attr"`
	Host      string `xml:"host,attr"`
	Port      string `xml:"port,attr"`
	Status    string `xml:"status,attr"`
	MaxPublic string `xml:"maxpublic,attr"`
	Body      string `xml:",chardata"`
	Peers     []struct {
		JID    string `xml:",chardata"`
		Type   string `xml:"type,attr"`
		ID     string `xml:"id,attr"`
		Status string `xml:"status,attr"`
	} `xml:"peer"`
}

// Word is the type of the query, "" without one.
func (a Answer) Word() string {
	if len(a.Query) == 0 {
		return ""
	}
	return a.Query[0].Type
}

// Is reports whether the answer is of that kind, with a query of that type.
func (a Answer) Is(kind, word string) bool { return a.Type == kind && a.Word() == word }

// A Config is what a Person is and has.
type Config struct {
	JID     string // its full JID, or its presence name
	Service string // where it creates streams
	Send    func(iq *stanza.Element) error
	// Dial connects to the service whose address for the person is at, and which
	// says that it listens at addr.
	Dial func(at, addr string) (net.Conn, error)
}

// A Person is somebody with an address. Its methods are for the goroutine of the
// test; Hear is for any.
type Person struct {
	Config
	tb     testing.TB
	in     chan Answer
	kept   []Answer
	places map[string]string // where services listen, by their addresses
	ids    int
}

// New makes a person.
func New(tb testing.TB, cfg Config) *Person {
	return &Person{Config: cfg, tb: tb, in: make(chan Answer, maxHeard), places: map[string]string{}}
}

// Hear takes a stanza that has come; only iqs matter.
func (p *Person) Hear(iq *stanza.Element) {
	if iq.Name.Local != "iq" {
		return
	}
	var a Answer
	if err := xml.Unmarshal([]byte(iq.String()), &a); err != nil {
		p.tb.Errorf("%v in %s", err, iq)
		return
	}
	select {
	case p.in <- a:
	default:
		p.tb.Errorf("%s does not read its stanzas", p.JID)
	}
}

// Say sends a stanza as text.
func (p *Person) Say(to, typ, id, inner string) {
	p.tb.Helper()
	if err := p.Try(to, typ, id, inner); err != nil {
		p.tb.Errorf("%s: %v", p.JID, err)
	}
}

// Try is Say for what may not be taken.
func (p *Person) Try(to, typ, id, inner string) error {
	text := fmt.Sprintf("<iq id='%s' type='%s' from='%s' to='%s'>%s</iq>", id, typ, p.JID, to, inner)
	el, err := stanza.Parse([]byte(text), "jabber:client", stanza.Limits{})
	if err != nil {
		return fmt.Errorf("%w in %s", err, text)
	}
	return p.Send(el)
}

// NewID is an id for a stanza.
func (p *Person) NewID() string {
	p.ids++
	return "dsps" + strconv.Itoa(p.ids)
}

// Get waits for a stanza that fits; others are kept for later.
func (p *Person) Get(what string, fits func(Answer) bool) Answer {
	p.tb.Helper()
	a, err := p.await(what, fits)
	if err != nil {
		p.tb.Fatal(err)
	}
	return a
}

func (p *Person) await(what string, fits func(Answer) bool) (Answer, error) {
	for i, a := range p.kept {
		if fits(a) {
			p.kept = append(p.kept[:i:i], p.kept[i+1:]...)
			return a, nil
		}
	}
	for late := time.After(Patience); ; {
		select {
		case a := <-p.in:
			if fits(a) {
				return a, nil
			}
			p.kept = append(p.kept, a)
		case <-late:
			return Answer{}, fmt.Errorf("%s waits for %s; there is %+v", p.JID, what, p.kept)
		}
	}
}

// Refute fails if a stanza that fits has come so far.
func (p *Person) Refute(what string, fits func(Answer) bool) {
	p.tb.Helper()
	for len(p.in) > 0 {
		p.kept = append(p.kept, <-p.in)
	}
	for _, a := range p.kept {
		if fits(a) {
			p.tb.Errorf("%s was told %s: %+v", p.JID, what, a)
		}
	}
}

// Reply waits for the answer to a stanza.
func (p *Person) Reply(id string) Answer {
	p.tb.Helper()
	a := p.Get("the answer to "+id, func(a Answer) bool { return a.ID == id && (a.Type == "result" || a.Type == "error") })
	if a.Is("result", "create") {
		p.places[a.From] = net.JoinHostPort(a.Query[0].Host, a.Query[0].Port)
	}
	return a
}

// Ask sends a stanza and waits for the answer.
func (p *Person) Ask(to, typ, inner string) Answer {
	p.tb.Helper()
	id := p.NewID()
	p.Say(to, typ, id, inner)
	return p.Reply(id)
}

// Query asks for something that needs no more than its name.
func (p *Person) Query(at, word string) Answer {
	p.tb.Helper()
	return p.Ask(at, "get", "<query type='"+word+"' xmlns='jabber:iq:dsps'/>")
}

// Create makes a stream and returns the service's address for it.
func (p *Person) Create(attrs, inner string) string {
	p.tb.Helper()
	a := p.Ask(p.Service, "get", "<query type='create' xmlns='jabber:iq:dsps' "+attrs+">"+inner+"</query>")
	if a.Type != "result" {
		p.tb.Fatalf("create: %+v", a)
	}
	return a.From
}

// Invite has guest join, who is called so here; it returns guest's address.
func (p *Person) Invite(at string, guest *Person, called, right, comment string) string {
	p.tb.Helper()
	p.Ask(at, "set", "<query type='admin' xmlns='jabber:iq:dsps' expire='20000' wait='60000'>"+comment+"<peer type='"+right+"'>"+called+"</peer></query>")
	inv := guest.Get("an invitation", func(a Answer) bool { return a.Is("get", "acknowledge") })
	if inv.Query[0].Status != right {
		p.tb.Errorf("invitation %+v", inv)
	}
	return guest.Join(inv.From, inv.ID)
}

// Join accepts an invitation, or joins a public stream; it returns the service's
// address for the person.
func (p *Person) Join(at, id string) string {
	p.tb.Helper()
	p.Say(at, "result", id, "<query type='acknowledge' xmlns='jabber:iq:dsps' status='connect'/>")
	a := p.Reply(id)
	if !a.Is("result", "create") {
		p.tb.Fatalf("%s joins: %+v", p.JID, a)
	}
	return a.From
}

// Drop takes somebody off a stream.
func (p *Person) Drop(at, whom string) {
	p.tb.Helper()
	p.Ask(at, "set", "<query type='admin' xmlns='jabber:iq:dsps'><peer type='drop'>"+whom+"</peer></query>")
}

// Dropped waits to be told that it is no peer any more.
func (p *Person) Dropped() {
	p.tb.Helper()
	p.Get("its drop", func(a Answer) bool { return a.Word() == "acknowledge" && a.Query[0].Status == "drop" })
}

// Presence waits for a change of a peer.
func (p *Person) Presence(jid, status string) {
	p.tb.Helper()
	p.Get(jid+" "+status, func(a Answer) bool {
		return a.Is("set", "presence") && a.Query[0].Peers[0].JID == jid && a.Query[0].Peers[0].Status == status
	})
}

// Relay has a service create a stream that is connected to at, which is on another
// one, as a peer with those attributes. It carries the keys, and waits until the
// relay stands; it returns the service's address for the person.
func (p *Person) Relay(service, at, attrs string) string {
	p.tb.Helper()
	id := p.NewID()
	p.Say(service, "get", id, "<query type='create' xmlns='jabber:iq:dsps'><peer "+attrs+">"+at+"</peer></query>")
	return p.carry(id, at)
}

// Again has the service of a stream that Relay returned connect to at again.
func (p *Person) Again(stream, at string) {
	p.tb.Helper()
	id := p.NewID()
	p.Say(stream, "get", id, "<query type='create' xmlns='jabber:iq:dsps'/>")
	p.carry(id, at)
}

func (p *Person) carry(id, at string) string {
	p.tb.Helper()
	made := p.Reply(id)
	if made.Type != "result" {
		p.tb.Fatalf("no relay: %+v", made)
	}
	ask := p.Get("a key", func(a Answer) bool { return a.Is("get", "create") })
	next, err := p.NextKey(at, ask.Query[0].Body)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.Say(ask.From, "result", ask.ID, "<query type='create' xmlns='jabber:iq:dsps'>"+next+"</query>")
	bare, _, _ := strings.Cut(at, "/")
	p.Presence(bare, "connect")
	return made.From
}

// errRefused is a key that was not taken.
var errRefused = errors.New("refused")

// NextKey brings a service a key that it said on a connection, and returns the next.
func (p *Person) NextKey(at, key string) (string, error) {
	p.tb.Helper()
	a := p.Ask(at, "get", "<query type='auth' xmlns='jabber:iq:dsps'>"+key+"</query>")
	if !a.Is("result", "auth") {
		return "", fmt.Errorf("key %q: %w: %+v", key, errRefused, a)
	}
	return a.Query[0].Body, nil
}
