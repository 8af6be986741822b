package linklocal

import "meshgate/internal/stanza"

// Queries say who answers iqs of one namespace, in place of the Service, which
// announces them in the capabilities of one contact.
type Queries struct {
	NS      string    // of the queries; "": nobody
	Contact ContactID // of ours, to whom they are sent
	// HandleIQ is told of every iq with a child of that namespace, of every error,
	// and of results that have nothing in them. at is the contact's name, from the peer's, checked as for Received.
	// What it says goes out by Send, from the contact's name with or without a
	// resource behind it. It is called by the loop, and must not block. If it reports
	// false, a get or set is answered as if nobody served it.
	HandleIQ func(at, from Instance, iq *stanza.Element) bool
}

// isFor reports whether an iq to a contact is for those who serve ns; "": nobody.
func isFor(ns string, iq *stanza.Element) bool {
	typ := iq.Attr("type")
	return ns != "" && (iq.Speaks(ns) || typ == "error" || typ == "result" && len(iq.Nodes) == 0)
}

// serves is the namespace that a contact serves, or "".
func (s *Service) serves(id ContactID) string {
	if id != s.cfg.Queries.Contact {
		return ""
	}
	return s.cfg.Queries.NS
}

// capsOf are the capabilities of a contact.
func (s *Service) capsOf(id ContactID) caps {
	if s.serves(id) != "" {
		return s.serving
	}
	return s.caps
}

// passOn hands on what a peer asks of those who serve. It reports whether some
// of it was answered by the stream instead.
func (l *loop) passOn(c *conn, queries []*stanza.Element) (answered bool) {
	for _, iq := range queries {
		if l.cfg.Queries.HandleIQ(c.stream.cfg.local, c.stream.cfg.peer, iq) {
			l.count.iqServed.Add(1)
		} else {
			c.stream.answer(iq)
			answered = true
		}
	}
	return answered
}
