package xmppc2s

import (
	"maps"
	"slices"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// rosterRequest asks for the roster, once for each fresh session: from then on
// the server pushes changes (RFC 6121 §2.1.3).
func rosterRequest() []byte {
	req := stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: "get"}, stanza.Attr{Name: "id", Value: rosterID},
		stanza.New(stanza.NSRoster, "query"))
	return stanza.Append(nil, req, stanza.NSClient)
}

// roster takes the whole roster and asks every contact for a subscription
// that we do not have.
func (b *contactBook) roster(query *stanza.Element) actions {
	a := b.push(query)
	for _, bare := range sortedKeys(b.contacts) {
		if c := b.contacts[bare]; !c.wanted {
			c.wanted = true
			a.send = append(a.send, presenceTo(bare, "subscribe"))
		}
	}
	b.probing = false
	return a
}

// push takes a change of the roster.
func (b *contactBook) push(query *stanza.Element) actions {
	var a actions
	for item := range query.Children() {
		j, err := jid.Parse(item.Attr("jid"))
		if err != nil || !item.Is(stanza.NSRoster, "item") {
			continue
		}
		c := b.contacts[j.Bare().String()]
		if c == nil {
			continue
		}
		switch item.Attr("subscription") {
		case "to", "both":
			c.wanted = true
			if b.probing {
				a.send = append(a.send, probe(j.Bare().String()))
			}
		default:
			// "ask" says that a request of ours is on its way: RFC 6121 §2.1.2.2
			c.wanted = item.Attr("ask") == "subscribe"
			add := gone(c, j.Bare())
			a.events = append(a.events, add.events...)
		}
	}
	return a
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
