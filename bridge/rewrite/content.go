package rewrite

import (
	"net/netip"
	"time"

	"meshgate/internal/stanza"
)

// A Kind says what a message turned out to be.
type Kind uint8

const (
	Words     Kind = iota // for people: Body is not empty
	State                 // no words, but a chat state
	Nothing               // nothing that the other side could use: receipts, markers, key exchanges
	Failure               // type error: somebody could not deliver what we sent
	WrongType             // groupchat, headline
	Encrypted             // words that the gateway cannot read
	Relayed               // words of another gateway, or that it has passed on
	Wrapped               // carbon or archive: a message in a message, which we never asked for
	Foreign               // no message stanza at all
	Invite                // an invitation to a room, of which Body is the reason, or ""
)

func (k Kind) String() string {
	return [...]string{"text", "state", "nothing", "failure", "wrong type", "encrypted", "relayed", "wrapped", "foreign", "invitation"}[k]
}

// A Content is everything that the rules can carry from one side to the other.
type Content struct {
	Kind     Kind
	Body     string    // cleaned by Text
	State    string    // XEP-0085: active, composing, paused, inactive, gone; or ""
	Thread   string    // RFC 6121 §5.2.5; used for routing, never passed on
	ReplyTo  string    // XEP-0461: id of the message that this one answers
	Stamp    time.Time // XEP-0203: when it was really sent; zero: now
	Corrects bool      // XEP-0308: a new wording of an earlier message
	Receipt  bool      // XEP-0184: the sender wants to know that it arrived
	Dropped  int       // payloads that are on no allow-list

	Room  string         // Invite: the name of the room on the LAN, as it came
	Group netip.AddrPort // Invite: where it is there
}

// body is the text of the first body, preferring one without a language.
func body(st *stanza.Element) string {
	first := ""
	for c := range st.Children() {
		if !c.Is(stanza.NSClient, "body") {
			continue
		}
		text := Text(c.Text())
		if !hasLang(c) && !blank(text) {
			return text
		}
		if blank(first) {
			first = text
		}
	}
	return first
}

func hasLang(e *stanza.Element) bool {
	for _, a := range e.Attrs {
		if a.Name.Space == stanza.NSXML && a.Name.Local == "lang" {
			return true
		}
	}
	return false
}

// kindByType sorts out what is not for people, by name and type alone.
func kindByType(st *stanza.Element) (k Kind, decided bool) {
	if !st.Is(stanza.NSClient, "message") {
		return Foreign, true
	}
	switch st.Attr("type") {
	case "error":
		return Failure, true
	case "groupchat", "headline":
		return WrongType, true
	}
	return Words, false // anything else counts as normal: RFC 6121 §5.2.2
}

// chatState reads a child as a chat state.
//
// XEP-0085 §2 (Definitions)
func chatState(c *stanza.Element) (string, bool) {
	if c.Name.Space != stanza.NSStates {
		return "", false
	}
	switch c.Name.Local {
	case "active", "composing", "paused", "inactive", "gone":
		return c.Name.Local, true
	}
	return "", false
}
