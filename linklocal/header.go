package linklocal

import (
	"bytes"
	"encoding/xml"
	"errors"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

// A condition is a defined condition of a stream error.
//
// RFC 6120 §4.9.3 (Defined Stream Error Conditions)
type condition string

const (
	badNamespacePrefix condition = "bad-namespace-prefix"
	connectionTimeout  condition = "connection-timeout"
	hostUnknown        condition = "host-unknown"
	invalidFrom        condition = "invalid-from"
	invalidNamespace   condition = "invalid-namespace"
	notAuthorized      condition = "not-authorized"
	notWellFormed      condition = "not-well-formed"
	policyViolation    condition = "policy-violation"
	restrictedXML      condition = "restricted-xml"
	unsupportedStanza  condition = "unsupported-stanza-type"
)

// Error makes a condition an error: the reason why we ended a stream.
func (c condition) Error() string { return "stream error " + string(c) }

// refusal is the condition of a stream error of ours; false: why is none.
func refusal(why error) (condition, bool) {
	switch why.(type) {
	case condition, channelError:
		return conditionOf(why), true
	}
	return "", false
}

// conditionOf is the stream error for what the framer or the parser said.
func conditionOf(err error) condition {
	var c condition
	var w channelError
	switch {
	case errors.As(err, &c):
		return c
	case errors.As(err, &w):
		return policyViolation
	case errors.Is(err, xmlframe.ErrRestricted), errors.Is(err, stanza.ErrRestricted):
		return restrictedXML
	case errors.Is(err, xmlframe.ErrTooLarge), errors.Is(err, stanza.ErrTooComplex):
		return policyViolation
	}
	return notWellFormed
}

// A header is what matters of the start tag of a stream. All of it may be
// missing: v0.9 has neither "to" nor "from", libpurple and iChat no version.
type header struct {
	From, To Instance
	Version  string
}

// appendHeader appends a stream header as XEP-0174 v2.0.1 wants it.
//
// v0.9: "with no 'to' or 'from' address"; v2.0.1 wants both, and so does
// libpurple 2.14: without "from" it cannot tell our contacts apart.
func appendHeader(b []byte, h header) []byte {
	b = append(b, "<?xml version='1.0' encoding='UTF-8'?><stream:stream xmlns='"+stanza.NSClient+
		"' xmlns:stream='"+stanza.NSStream+"'"...)
	attr := func(name, value string) {
		if value != "" {
			b = append(b, " "+name+"='"+stanza.Escape(value)+"'"...)
		}
	}
	attr("from", string(h.From))
	attr("to", string(h.To))
	attr("version", h.Version)
	return append(b, '>')
}

// parseHeader reads the start tag of a stream.
//
// The prefix has to be "stream": what stands in the stream is parsed on its
// own, with this prefix bound and no other. Every known peer uses it.
func parseHeader(b []byte) (header, error) {
	tok, err := xml.NewDecoder(bytes.NewReader(b)).Token()
	start, ok := tok.(xml.StartElement)
	switch {
	case err != nil || !ok:
		return header{}, notWellFormed
	case start.Name != xml.Name{Space: stanza.NSStream, Local: "stream"}:
		return header{}, invalidNamespace
	case !bytes.HasPrefix(b, []byte("<stream:stream")):
		return header{}, badNamespacePrefix
	}
	var h header
	for _, a := range start.Attr {
		switch a.Name {
		case xml.Name{Local: "xmlns"}:
			if a.Value != stanza.NSClient {
				return header{}, invalidNamespace
			}
		case xml.Name{Local: "from"}:
			h.From = Instance(a.Value)
		case xml.Name{Local: "to"}:
			h.To = Instance(a.Value)
		case xml.Name{Local: "version"}:
			h.Version = a.Value
		}
	}
	return h, nil
}

// appendError appends the stream error for why.
func appendError(b []byte, why error) []byte {
	el := stanza.New(stanza.NSStream, "error", stanza.New(stanza.NSStErr, string(conditionOf(why))))
	var words channelError
	if errors.As(why, &words) {
		text := stanza.New(stanza.NSStErr, "text", stanza.Text(words))
		el.Nodes = append(el.Nodes, stanza.Node{Element: text})
	}
	return stanza.Append(b, el, stanza.NSClient)
}
