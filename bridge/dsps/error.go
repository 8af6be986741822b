package dsps

import (
	"fmt"
	"strconv"

	"meshgate/internal/stanza"
)

// An Error is a refusal, by the code of the document's tables.
type Error struct {
	Code int
	Text string // for people; "": the code's own
}

// The codes.
const (
	Unauthorized     = 401 // no such pair of addresses, or not that key
	Forbidden        = 403 // not with these rights, or not by policy
	MethodNotAllowed = 405 // not now, or a limit, or not supported
	Conflict         = 409 // connected already
	GatewayTimeout   = 504 // no service behind us can be reached
)

// codes are the codes with their words, and the conditions that stand for
// them today: XEP-0086 (Error Condition Mappings).
var codes = []struct {
	code      int
	text      string
	typ       string
	condition stanza.Condition
}{
	{Unauthorized, "Unauthorized", "auth", "not-authorized"},
	{Forbidden, "Forbidden", "auth", stanza.Forbidden},
	{MethodNotAllowed, "Method Not Allowed", "cancel", "not-allowed"},
	{Conflict, "Conflict", "cancel", "conflict"},
	{GatewayTimeout, "Gateway Timeout", "wait", "remote-server-timeout"},
}

// text is the document's word for a code.
func text(code int) string {
	for _, c := range codes {
		if c.code == code {
			return c.text
		}
	}
	return ""
}

// Error says why, for people.
func (e *Error) Error() string {
	s := fmt.Sprintf("dsps: refused: %d %s", e.Code, text(e.Code))
	if e.Text != "" && e.Text != text(e.Code) {
		s += ": " + e.Text
	}
	return s
}

// element is the error both as the document has it and as RFC 6120 §8.3 does.
func (e *Error) element() *stanza.Element {
	words := e.Text
	if words == "" {
		words = text(e.Code)
	}
	parts := []stanza.Part{stanza.Attr{Name: "code", Value: strconv.Itoa(e.Code)}}
	for _, c := range codes {
		if c.code == e.Code {
			parts = append(parts, stanza.Attr{Name: "type", Value: c.typ}, stanza.Text(words), stanza.New(stanza.NSError, string(c.condition)))
		}
	}
	return stanza.New(stanza.NSClient, "error", parts...)
}

// parseError reads the error of a stanza. It has a code even if only the
// condition was said, and 0 if neither is known.
func parseError(iq *stanza.Element) *Error {
	el := iq.Child(iq.Name.Space, "error")
	e := &Error{Text: trim(el.Text())}
	if code, err := strconv.Atoi(el.Attr("code")); err == nil && code > 0 && code < 1000 {
		e.Code = code
	}
	for c := range el.Children() {
		if c.Is(stanza.NSError, "text") {
			e.Text = trim(c.Text())
		}
		for _, known := range codes {
			if e.Code == 0 && c.Is(stanza.NSError, string(known.condition)) {
				e.Code = known.code
			}
		}
	}
	if e.Text == "" {
		e.Text = text(e.Code)
	}
	return e
}
