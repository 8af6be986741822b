package linklocal

import "meshgate/internal/stanza"

// answerIQ is the answer to an iq of a peer: what we know is answered, all
// else refused; nothing is forwarded. known tells which. A reply and an error
// are never answered: reply is nil.
//
// "An entity that receives an IQ request of type "get" or "set" MUST reply".
// RFC 6120 §8.2.3 (IQ Semantics)
func answerIQ(iq *stanza.Element, c caps) (reply *stanza.Element, known bool) {
	refuse := func(typ string, c stanza.Condition) (*stanza.Element, bool) {
		return (&stanza.Error{Type: typ, Condition: c}).Reply(iq), false
	}
	disco := iq.Child(stanza.NSDisco, "query")
	switch typ := iq.Attr("type"); {
	case typ == "result" || typ == "error":
		return nil, false
	case typ == "get" && iq.Child(stanza.NSPing, "ping") != nil:
		return resultOf(iq, nil), true // XEP-0199 §4.4
	case typ == "get" && disco != nil && c.has(disco.Attr("node")):
		return resultOf(iq, c.info(disco.Attr("node"))), true
	case typ == "get" && disco != nil:
		return refuse("cancel", stanza.ItemNotFound)
	case typ == "get" || typ == "set":
		return refuse("cancel", stanza.ServiceUnavailable)
	}
	return refuse("modify", stanza.BadRequest)
}

func resultOf(iq, payload *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq",
		stanza.Attr{Name: "type", Value: "result"}, stanza.Attr{Name: "id", Value: iq.Attr("id")}, payload)
}
