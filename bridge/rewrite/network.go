package rewrite

import (
	"time"

	"meshgate/internal/stanza"
)

// Namespaces that the gateway recognises in order to leave them alone.
const (
	nsCarbons = "urn:xmpp:carbons:2"         // XEP-0280
	nsCorrect = "urn:xmpp:message-correct:0" // XEP-0308
	nsOpenPGP = "urn:xmpp:openpgp:0"         // XEP-0373
	nsVia     = "urn:x-meshgate:via:0"       // our own: <via/> marks what a gateway has written (IJ-08)
)

// ParseNetwork takes a stanza of the XMPP network apart.
func ParseNetwork(st *stanza.Element) Content {
	var c Content
	kind, decided := kindByType(st)
	if decided {
		c.Kind = kind
		return c
	}
	c.Body = body(st)
	sealed, relayed := false, false
	for child := range st.Children() {
		switch child.Name.Space {
		case nsCarbons, stanza.NSMAM, stanza.NSFwd:
			return Content{Kind: Wrapped}
		}
		sealed = sealed || isSealed(child)
		relayed = relayed || child.Is(nsVia, "via")
		c.add(child)
	}
	c.settle()
	switch {
	case sealed:
		c.Kind, c.Body = Encrypted, ""
	case relayed && c.Kind == Words:
		c.Kind, c.Body = Relayed, ""
	case relayed:
		c.Kind, c.State = Nothing, ""
	}
	return c
}

func (c *Content) add(child *stanza.Element) {
	state, isState := chatState(child)
	switch {
	case isState:
		c.State = state
	case child.Is(stanza.NSClient, "body"):
	case child.Is(stanza.NSClient, "thread"):
		c.Thread = child.Text()
	case child.Is(stanza.NSReply, "reply"):
		c.ReplyTo = child.Attr("id")
	case child.Is(nsCorrect, "replace"):
		c.Corrects = true
	case child.Is(stanza.NSRcpt, "request"):
		c.Receipt = true
	case child.Is(stanza.NSDelay, "delay"):
		c.stamp(child.Attr("stamp"))
	default:
		c.Dropped++
	}
}

// stamp keeps the earliest time: a message may be delayed more than once.
func (c *Content) stamp(s string) {
	at, err := time.Parse(time.RFC3339, s)
	if err == nil && (c.Stamp.IsZero() || at.Before(c.Stamp)) {
		c.Stamp = at
	}
}

// isSealed reports whether a payload holds words that only the sender's
// partner can read. An OMEMO element without payload only exchanges keys.
func isSealed(e *stanza.Element) bool {
	switch {
	case e.Is(stanza.NSOMEMO, "encrypted"), e.Is(stanza.NSOMEMO2, "encrypted"):
		return e.Child(e.Name.Space, "payload") != nil
	case e.Is(stanza.NSEME, "encryption"), e.Is(stanza.NSPGP, "x"), e.Is(nsOpenPGP, "openpgp"):
		return true
	}
	return false
}

// An Envelope is what the gateway adds to words on their way to the network.
type Envelope struct {
	To     string // the contact's bare address
	ID     string // of the message, and its origin-id
	Thread string // of the gateway's own making: a reply that carries it finds the way back
}

// ToNetwork builds what a contact gets of the words of a peer. It has no
// from: the server sets the gateway's own (IJ-03).
func ToNetwork(c Content, name string, env Envelope) *stanza.Element {
	return networkMessage(named(name, c.Body), env)
}

// NoticeToNetwork builds the gateway's own words for a contact.
func NoticeToNetwork(mark, text string, env Envelope) *stanza.Element {
	return networkMessage(named(mark, text), env)
}

func networkMessage(text string, env Envelope) *stanza.Element {
	return stanza.New(stanza.NSClient, "message",
		stanza.Attr{Name: "type", Value: "chat"}, stanza.Attr{Name: "to", Value: env.To}, stanza.Attr{Name: "id", Value: env.ID},
		stanza.New(stanza.NSClient, "body", stanza.Text(text)),
		thread(env.Thread),
		stanza.New(stanza.NSStates, "active"),
		stanza.New(nsVia, "via"),
		stanza.New(stanza.NSSID, "origin-id", stanza.Attr{Name: "id", Value: env.ID}))
}

// StateToNetwork builds a chat state for a contact. It is not worth storing.
func StateToNetwork(state string, env Envelope) *stanza.Element {
	return stanza.New(stanza.NSClient, "message",
		stanza.Attr{Name: "type", Value: "chat"}, stanza.Attr{Name: "to", Value: env.To},
		thread(env.Thread),
		stanza.New(stanza.NSStates, state),
		stanza.New(nsVia, "via"),
		stanza.New(stanza.NSHints, "no-store"))
}

func thread(id string) *stanza.Element {
	if id == "" {
		return nil
	}
	return stanza.New(stanza.NSClient, "thread", stanza.Text(id))
}

// Receipt tells the sender of st that it has arrived (XEP-0184).
func Receipt(st *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "message",
		stanza.Attr{Name: "type", Value: "chat"}, stanza.Attr{Name: "to", Value: st.Attr("from")},
		stanza.New(stanza.NSRcpt, "received", stanza.Attr{Name: "id", Value: st.Attr("id")}),
		stanza.New(stanza.NSHints, "store"))
}

// Refusal is the error that answers st, or nil if st must not be answered. It
// has no from: the server sets it. An invitation that a room has passed on is
// declined: an error would have the room put us out (XEP-0045 §11.1), and tell
// nobody else.
func Refusal(e *stanza.Error, st *stanza.Element) *stanza.Element {
	if inv := mediated(st); inv != nil && st.Attr("type") != "error" {
		return decline(st.Attr("from"), inv.Attr("from"), e.Text)
	}
	reply := e.Reply(st)
	if reply == nil {
		return nil
	}
	return reply.WithAttr("from", "")
}
