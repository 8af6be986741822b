package streams

import (
	"encoding/xml"
	"strings"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// rename writes an iq with other addresses in the <peer/> elements of its
// queries. All else stays as it is.
func rename(iq *stanza.Element, to func(dsps.JID) dsps.JID) *stanza.Element {
	return eachChild(iq, xml.Name{Space: dsps.NS, Local: "query"}, func(q *stanza.Element) *stanza.Element {
		return eachChild(q, xml.Name{Space: dsps.NS, Local: "peer"}, func(p *stanza.Element) *stanza.Element {
			addr := dsps.JID(strings.TrimSpace(p.Text()))
			return &stanza.Element{Name: p.Name, Attrs: p.Attrs, Nodes: []stanza.Node{{Text: string(to(addr))}}}
		})
	})
}

// eachChild is e with other children for those of that name.
func eachChild(e *stanza.Element, name xml.Name, f func(*stanza.Element) *stanza.Element) *stanza.Element {
	out := &stanza.Element{Name: e.Name, Attrs: e.Attrs, Nodes: make([]stanza.Node, len(e.Nodes))}
	for i, n := range e.Nodes {
		if n.Element != nil && n.Element.Name == name {
			n.Element = f(n.Element)
		}
		out.Nodes[i] = n
	}
	return out
}
