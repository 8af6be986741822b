package stanza

import "fmt"

// An Error is a stanza error (RFC 6120 §8.3): a refusal with a defined
// condition, and words for the person who sent what was refused.
type Error struct {
	Type      string // auth, cancel, continue, modify, wait
	Condition Condition
	Text      string
}

// A Condition is a defined condition of RFC 6120 §8.3.3.
type Condition string

// The conditions that meshgate uses itself.
const (
	BadRequest           Condition = "bad-request"
	Forbidden            Condition = "forbidden"
	InternalServerError  Condition = "internal-server-error"
	ItemNotFound         Condition = "item-not-found"
	NotAcceptable        Condition = "not-acceptable"
	PolicyViolation      Condition = "policy-violation"
	RecipientUnavailable Condition = "recipient-unavailable"
	ResourceConstraint   Condition = "resource-constraint"
	ServiceUnavailable   Condition = "service-unavailable"
)

func (e *Error) Error() string {
	if e.Text == "" {
		return string(e.Condition)
	}
	return fmt.Sprintf("%s (%s)", e.Text, e.Condition)
}

// Element is the error as it stands in a stanza.
func (e *Error) Element() *Element {
	var text *Element
	if e.Text != "" {
		text = New(NSError, "text", Text(e.Text))
	}
	typ := e.Type
	if typ == "" {
		typ = "cancel"
	}
	return New(NSClient, "error", Attr{"type", typ}, New(NSError, string(e.Condition)), text)
}

// ParseError reads the <error/> child of a stanza. It is never nil: a stanza
// of type error without one says undefined-condition.
func ParseError(st *Element) *Error {
	child := st.Child(NSClient, "error")
	out := &Error{Type: child.Attr("type"), Condition: "undefined-condition"}
	for c := range child.Children() {
		switch {
		case c.Is(NSError, "text"):
			out.Text = c.Text()
		case c.Name.Space == NSError:
			out.Condition = Condition(c.Name.Local)
		}
	}
	return out
}

// Reply is the stanza that answers st with this error, its addresses
// exchanged. Errors are never answered by errors, nor are presences and
// results: Reply returns nil for them.
func (e *Error) Reply(st *Element) *Element {
	switch st.Attr("type") {
	case "error", "result":
		return nil
	}
	if st.Name.Local == "presence" {
		return nil
	}
	return New(NSClient, st.Name.Local,
		Attr{"type", "error"}, Attr{"to", st.Attr("from")}, Attr{"from", st.Attr("to")}, Attr{"id", st.Attr("id")},
		e.Element())
}
