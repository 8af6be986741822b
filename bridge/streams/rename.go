package streams

import (
	"strings"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// rename writes an iq with other addresses in the <peer/> and <publicid/>
// elements of its queries. All else stays as it is.
func rename(iq *stanza.Element, to func(dsps.JID) dsps.JID) *stanza.Element {
	one := func(p *stanza.Element) *stanza.Element {
		addr := dsps.JID(strings.TrimSpace(p.Text()))
		return &stanza.Element{Name: p.Name, Attrs: p.Attrs, Nodes: []stanza.Node{{Text: string(to(addr))}}}
	}
	return eachChild(iq, "query", func(q *stanza.Element) *stanza.Element {
		return eachChild(eachChild(q, "peer", one), "publicid", one)
	})
}

// eachChild is e with other children for those of that name.
func eachChild(e *stanza.Element, name string, f func(*stanza.Element) *stanza.Element) *stanza.Element {
	out := &stanza.Element{Name: e.Name, Attrs: e.Attrs, Nodes: make([]stanza.Node, len(e.Nodes))}
	for i, n := range e.Nodes {
		if n.Element != nil && n.Element.Is(dsps.NS, name) {
			n.Element = f(n.Element)
		}
		out.Nodes[i] = n
	}
	return out
}
