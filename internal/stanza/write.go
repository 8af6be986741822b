package stanza

import (
	"encoding/xml"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Append appends e as XML to b. space is the default namespace where e will
// stand; an element in another namespace declares it.
func Append(b []byte, e *Element, space string) []byte {
	b = append(b, '<')
	prefix := ""
	if e.Name.Space == NSStream && space != NSStream {
		prefix = "stream:" // bound by every stream header
	}
	b = append(append(b, prefix...), e.Name.Local...)
	if prefix == "" && e.Name.Space != space {
		b = appendAttr(b, "xmlns", e.Name.Space)
		space = e.Name.Space
	}
	for i, a := range e.Attrs {
		b = appendForeignAttr(b, i, a)
	}
	if len(e.Nodes) == 0 {
		return append(b, "/>"...)
	}
	b = append(b, '>')
	for _, n := range e.Nodes {
		if n.Element != nil {
			b = Append(b, n.Element, space)
		} else {
			b = appendEscaped(b, n.Text)
		}
	}
	b = append(append(b, "</"...), prefix...)
	return append(append(b, e.Name.Local...), '>')
}

func appendForeignAttr(b []byte, i int, a xml.Attr) []byte {
	switch a.Name.Space {
	case "":
		return appendAttr(b, a.Name.Local, a.Value)
	case NSXML:
		return appendAttr(b, "xml:"+a.Name.Local, a.Value)
	}
	p := "a" + strconv.Itoa(i)
	b = appendAttr(b, "xmlns:"+p, a.Name.Space)
	return appendAttr(b, p+":"+a.Name.Local, a.Value)
}

func appendAttr(b []byte, name, value string) []byte {
	b = append(append(b, ' '), name...)
	return append(appendEscaped(append(b, `='`...), value), '\'')
}

// appendEscaped appends s so that it is legal in text and in attributes.
// What XML 1.0 cannot say at all (most control characters, surrogates,
// broken UTF-8) becomes U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		if n := plainPrefix(s[i:]); n > 0 {
			b = append(b, s[i:i+n]...)
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '\'':
			b = append(b, "&#39;"...)
		case r == '"':
			b = append(b, "&#34;"...)
		case r == '\t':
			b = append(b, "&#9;"...)
		case r == '\n':
			b = append(b, "&#10;"...)
		case r == '\r':
			b = append(b, "&#13;"...)
		case !legal(r) || r == utf8.RuneError && n == 1:
			b = append(b, "\uFFFD"...)
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}

// plainPrefix is how many bytes of s may stand as they are, at least: those
// up to the first that is not ASCII, or is markup or a control character.
func plainPrefix(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c >= utf8.RuneSelf, c == '&', c == '<', c == '>', c == '\'', c == '"':
			return i
		}
	}
	return len(s)
}

// Escape returns s as it may stand in text and in attributes of XML.
func Escape(s string) string { return string(appendEscaped(nil, s)) }

// Clean returns s with U+FFFD in place of what XML cannot say.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !legal(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// legal reports whether r is a Char of XML 1.0 (production 2).
func legal(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' ||
		r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}
