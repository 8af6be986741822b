package xmppc2s

import (
	"strconv"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// A contactBook knows which resources of the contacts are there and how we
// stand with each contact. It is pure, and lives as long as a session.
type contactBook struct {
	own          jid.JID // bare
	contacts     map[string]*contact
	maxResources int
	probing      bool // the presence of the contacts is to be asked for, once the roster is known
}

type contact struct {
	resources map[string]ContactPresence // by resource; only available ones
	wanted    bool                       // we are subscribed to it, or have asked
}

// actions are what follows from an input.
type actions struct {
	events  []Event
	send    []*stanza.Element
	ignored uint64 // presences that concern nobody
}

func newContactBook(own jid.JID, contacts []jid.JID, maxResources int) *contactBook {
	b := &contactBook{own: own.Bare(), contacts: map[string]*contact{}, maxResources: maxResources}
	for _, j := range contacts {
		b.contacts[j.Bare().String()] = &contact{resources: map[string]ContactPresence{}}
	}
	return b
}

// presence takes a presence stanza. Those of strangers are ignored, except
// that their requests are denied.
func (b *contactBook) presence(el *stanza.Element) actions {
	from, err := jid.Parse(el.Attr("from"))
	if err != nil {
		return actions{ignored: 1}
	}
	c := b.contacts[from.Bare().String()]
	switch typ := el.Attr("type"); {
	case typ == "subscribe":
		return b.subscribe(from.Bare(), c)
	case c == nil:
		return actions{ignored: 1}
	case typ == "":
		return b.available(c, from, el)
	case typ == "unavailable", typ == "error":
		return gone(c, from)
	}
	return actions{}
}

// subscribe answers a request to see our presence. RFC 6121 §3.1.4
func (b *contactBook) subscribe(from jid.JID, c *contact) actions {
	if c == nil {
		return actions{send: []*stanza.Element{presenceTo(from.String(), "unsubscribed")}, ignored: 1}
	}
	a := actions{send: []*stanza.Element{presenceTo(from.String(), "subscribed")}}
	if !c.wanted {
		c.wanted = true
		a.send = append(a.send, presenceTo(from.String(), "subscribe"))
	}
	return a
}

func (b *contactBook) available(c *contact, from jid.JID, el *stanza.Element) actions {
	old, known := c.resources[from.Resourcepart()]
	if !known && len(c.resources) >= b.maxResources {
		return actions{ignored: 1}
	}
	now := ContactPresence{JID: from, Available: true, Show: legalShow(el.Child(stanza.NSClient, "show").Text()), Priority: priority(el),
		Status: el.Child(stanza.NSClient, "status").Text()}
	if known && old.Show == now.Show && old.Status == now.Status && old.Priority == now.Priority {
		return actions{} // nothing that anybody is told has changed
	}
	c.resources[from.Resourcepart()] = now
	return actions{events: []Event{now}}
}

// gone takes a resource away, or all of them if from is the contact itself.
// An error counts as that: the contact cannot be reached.
func gone(c *contact, from jid.JID) actions {
	var a actions
	if r := from.Resourcepart(); r != "" {
		if _, known := c.resources[r]; known {
			delete(c.resources, r)
			a.events = append(a.events, ContactPresence{JID: from})
		}
		return a
	}
	for _, r := range sortedKeys(c.resources) {
		a.events = append(a.events, ContactPresence{JID: c.resources[r].JID})
	}
	clear(c.resources)
	return a
}

// legalShow is s if RFC 6121 §4.7.2.1 knows it; everything else means plainly
// available.
func legalShow(s string) string {
	switch s {
	case "away", "chat", "dnd", "xa":
		return s
	}
	return ""
}

// priority is 0 where nothing legal is said: RFC 6121 §4.7.2.3.
func priority(el *stanza.Element) int8 {
	p, err := strconv.ParseInt(el.Child(stanza.NSClient, "priority").Text(), 10, 8)
	if err != nil {
		return 0
	}
	return int8(p)
}

func presenceTo(to, typ string) *stanza.Element {
	return stanza.New(stanza.NSClient, "presence", stanza.Attr{Name: "to", Value: to}, stanza.Attr{Name: "type", Value: typ})
}
