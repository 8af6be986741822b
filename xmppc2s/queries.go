package xmppc2s

import (
	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// Queries say who answers iqs of one namespace that others send to the account,
// in place of the client, which announces it (XEP-0030). What that one says goes
// out by Send.
type Queries struct {
	NS string // "": nobody
	// HandleIQ is told of every get and set with a child of that namespace, and,
	// if they answer nothing of the client's own, of results with one and of
	// errors. to is our full address; from is who it says, by its server. It must
	// not block. If it reports false, a get or set is answered as if nobody did.
	HandleIQ func(to jid.JID, iq *stanza.Element) bool
}

// taken hands on an iq, if it is one of these.
func (q *Queries) taken(to jid.JID, iq *stanza.Element) bool {
	return q.NS != "" && (iq.Speaks(q.NS) || iq.Attr("type") == "error") && q.HandleIQ(to, iq)
}
