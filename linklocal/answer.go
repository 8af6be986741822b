package linklocal

import "meshgate/internal/stanza"

// features are what we say of ourselves to disco#info.
var features = []string{stanza.NSDisco, stanza.NSPing}

// answerIQ is the answer to an iq of a peer: what we know is answered, all
// else refused; nothing is forwarded. known tells which. A reply and an error
// are never answered: reply is nil.
//
// "An entity that receives an IQ request of type "get" or "set" MUST reply".
// RFC 6120 §8.2.3 (IQ Semantics)
func answerIQ(iq *stanza.Element) (reply *stanza.Element, known bool) {
	switch iq.Attr("type") {
	case "get":
		if payload, ok := answerGet(iq); ok {
			return stanza.New(stanza.NSClient, "iq",
				stanza.Attr{Name: "type", Value: "result"}, stanza.Attr{Name: "id", Value: iq.Attr("id")}, payload), true
		}
	case "set":
	case "result", "error":
		return nil, false
	default:
		return (&stanza.Error{Type: "modify", Condition: stanza.BadRequest}).Reply(iq), false
	}
	return (&stanza.Error{Type: "cancel", Condition: stanza.ServiceUnavailable}).Reply(iq), false
}

// answerGet is the payload of a result; nil for an empty one.
func answerGet(iq *stanza.Element) (payload *stanza.Element, ok bool) {
	if iq.Child(stanza.NSPing, "ping") != nil {
		return nil, true // XEP-0199 §4.4
	}
	if q := iq.Child(stanza.NSDisco, "query"); q != nil && q.Attr("node") == "" {
		return discoInfo(), true
	}
	return nil, false
}

// discoInfo is what kind of thing we are.
//
// XEP-0030 §3.1 (Basic Protocol)
func discoInfo() *stanza.Element {
	parts := []stanza.Part{
		stanza.New(stanza.NSDisco, "identity",
			stanza.Attr{Name: "category", Value: "client"}, stanza.Attr{Name: "type", Value: "pc"}),
	}
	for _, f := range features {
		parts = append(parts, stanza.New(stanza.NSDisco, "feature", stanza.Attr{Name: "var", Value: f}))
	}
	return stanza.New(stanza.NSDisco, "query", parts...)
}
