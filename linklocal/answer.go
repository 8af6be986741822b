package linklocal

import "meshgate/internal/stanza"

// features are what we say of ourselves to disco#info. They never change.
var features = []string{stanza.NSCaps, stanza.NSDisco, stanza.NSPing}

// answerIQ is the answer to an iq of a peer: what we know is answered, all
// else refused; nothing is forwarded. known tells which. A reply and an error
// are never answered: reply is nil. node is the disco#info node that we
// publish, if any.
//
// "An entity that receives an IQ request of type "get" or "set" MUST reply".
// RFC 6120 §8.2.3 (IQ Semantics)
func answerIQ(iq *stanza.Element, node string) (reply *stanza.Element, known bool) {
	refuse := func(typ string, c stanza.Condition) (*stanza.Element, bool) {
		return (&stanza.Error{Type: typ, Condition: c}).Reply(iq), false
	}
	disco := iq.Child(stanza.NSDisco, "query")
	switch typ := iq.Attr("type"); {
	case typ == "result" || typ == "error":
		return nil, false
	case typ == "get" && iq.Child(stanza.NSPing, "ping") != nil:
		return resultOf(iq, nil), true // XEP-0199 §4.4
	case typ == "get" && disco != nil && (disco.Attr("node") == "" || disco.Attr("node") == node):
		return resultOf(iq, discoInfo(disco.Attr("node"))), true
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

// discoInfo is what kind of thing we are.
//
// XEP-0030 §3.1 (Basic Protocol)
func discoInfo(node string) *stanza.Element {
	parts := []stanza.Part{
		stanza.Attr{Name: "node", Value: node},
		stanza.New(stanza.NSDisco, "identity",
			stanza.Attr{Name: "category", Value: "client"}, stanza.Attr{Name: "type", Value: "pc"}),
	}
	for _, f := range features {
		parts = append(parts, stanza.New(stanza.NSDisco, "feature", stanza.Attr{Name: "var", Value: f}))
	}
	return stanza.New(stanza.NSDisco, "query", parts...)
}
