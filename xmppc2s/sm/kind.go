package sm

import (
	"bytes"
	"html"
	"strings"

	"meshgate/internal/stanza"
)

// A Kind says what a top-level element of a stream is.
type Kind uint8

// Only iq, message and presence are stanzas; nothing else is counted
// (XEP-0198 §4, RFC 6120 §8).
const (
	Nonza Kind = iota
	IQ
	Message
	Presence
)

func (k Kind) String() string { return [...]string{"nonza", "iq", "message", "presence"}[k] }

// KindOf looks at the start tag of one whole element on a stream whose default
// namespace is jabber:client.
func KindOf(b []byte) Kind {
	tag := startTag(b)
	name := tag
	if i := bytes.IndexAny(tag, " \t\r\n/>"); i >= 0 {
		name = tag[:i]
	}
	var k Kind
	switch string(name) {
	case "message":
		k = Message
	case "presence":
		k = Presence
	case "iq":
		k = IQ
	default:
		return Nonza
	}
	if ns, declared := attribute(tag[len(name):], "xmlns"); declared && ns != stanza.NSClient {
		return Nonza
	}
	return k
}

// startTag is what stands between the first < and the first > that is not
// within quotes, or everything if b ends before.
func startTag(b []byte) []byte {
	if len(b) == 0 || b[0] != '<' {
		return nil
	}
	var quote byte
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return b[1:i]
		}
	}
	return b[1:]
}

// Lasting reports whether a stanza of that kind means the same in another
// session.
func Lasting(k Kind, b []byte) bool { return k == Message || k == Presence && aboutSubscription(b) }

// aboutSubscription reports whether a presence manages a subscription, rather
// than says how somebody is. RFC 6121 §3
func aboutSubscription(b []byte) bool {
	tag := startTag(b)
	t, _ := attribute(tag[min(len("presence"), len(tag)):], "type")
	switch t {
	case "subscribe", "subscribed", "unsubscribe", "unsubscribed":
		return true
	}
	return false
}

// Attr is the value of an attribute of the start tag of one whole element; ""
// if it has none of that name.
func Attr(b []byte, name string) string {
	tag := startTag(b)
	space := bytes.IndexAny(tag, " \t\r\n")
	if space < 0 {
		return ""
	}
	value, _ := attribute(tag[space:], name)
	if strings.Contains(value, "&") {
		return html.UnescapeString(value) // knows those of XML, too
	}
	return value
}

// attribute finds the value of an attribute, as it is written, among those of
// a tag.
func attribute(attrs []byte, want string) (value string, found bool) {
	for {
		eq := bytes.IndexByte(attrs, '=')
		if eq < 0 {
			return "", false
		}
		name := bytes.TrimSpace(attrs[:eq])
		rest := bytes.TrimLeft(attrs[eq+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return "", false
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return "", false
		}
		if string(name) == want {
			return string(rest[1 : 1+end]), true
		}
		attrs = rest[end+2:]
	}
}
