package clique

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"meshgate/internal/stanza"
)

const (
	declaration = `<?xml version="1.0" encoding="UTF-8"?>`

	// maxCopy is how long a body may be, in bytes, to get its copy in XHTML. Salut
	// sends one with every text, and nobody reads it: it is not worth a second packet.
	maxCopy = 512
)

// Why a document is not a message of the room.
var (
	errDocument = errors.New("clique: not one XML document")
	errAddress  = errors.New("clique: not addressed to the room")
	errTyping   = errors.New("clique: a notice that somebody types")
)

// appendDocument writes a message as Salut does, byte for byte: the declaration,
// the root's from, to and type in front of whatever else it has, its namespace
// last, and a newline at the end.
//
// A document without to makes Salut crash, and one that is no whole document
// spoils the next of whoever speaks then: neither can come from here.
func appendDocument(b []byte, from, to string, st *stanza.Element) []byte {
	root := &stanza.Element{Name: st.Name, Nodes: withCopy(st)}
	add := func(name, value string) {
		root.Attrs = append(root.Attrs, xml.Attr{Name: xml.Name{Local: name}, Value: value})
	}
	add("from", from)
	add("to", to)
	if t := st.Attr("type"); t != "" {
		add("type", t)
	}
	for _, a := range st.Attrs {
		if a.Name.Space != "" || !slices.Contains([]string{"from", "to", "type"}, a.Name.Local) {
			root.Attrs = append(root.Attrs, a)
		}
	}
	b = append(b, declaration+"\n"...)
	b = appendElement(b, root, "")
	return append(b, '\n')
}

// withCopy is the content of a message, with a copy of its text in XHTML as Salut has it.
func withCopy(st *stanza.Element) []stanza.Node {
	body := st.Child(stanza.NSClient, "body")
	text := body.Text()
	if text == "" || len(text) > maxCopy || st.Child(stanza.NSIM, "html") != nil {
		return st.Nodes
	}
	html := stanza.New(stanza.NSIM, "html", stanza.New(stanza.NSXHTML, "body", stanza.Text(text)))
	i := slices.IndexFunc(st.Nodes, func(n stanza.Node) bool { return n.Element == body })
	return slices.Insert(slices.Clone(st.Nodes), i+1, stanza.Node{Element: html})
}

// appendElement writes an element where space is the default namespace.
func appendElement(b []byte, e *stanza.Element, space string) []byte {
	b = append(append(b, '<'), e.Name.Local...)
	for i, a := range e.Attrs {
		name := a.Name.Local
		switch a.Name.Space {
		case "":
		case stanza.NSXML:
			name = "xml:" + name
		default:
			prefix := "a" + strconv.Itoa(i)
			b = appendAttr(b, "xmlns:"+prefix, a.Name.Space)
			name = prefix + ":" + name
		}
		b = appendAttr(b, name, a.Value)
	}
	if e.Name.Space != space {
		b = appendAttr(b, "xmlns", e.Name.Space)
	}
	if len(e.Nodes) == 0 {
		return append(b, "/>"...)
	}
	b = append(b, '>')
	for _, n := range e.Nodes {
		if n.Element != nil {
			b = appendElement(b, n.Element, e.Name.Space)
		} else {
			b = appendEscaped(b, n.Text, textEscapes)
		}
	}
	return append(append(append(b, "</"...), e.Name.Local...), '>')
}

func appendAttr(b []byte, name, value string) []byte {
	b = append(append(append(b, ' '), name...), `="`...)
	return append(appendEscaped(b, value, attrEscapes), '"')
}

// What Salut escapes, beside what would be read as something else.
var (
	textEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\r", "&#13;")
	attrEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\r", "&#13;", "\n", "&#10;", "\t", "&#9;")
)

func appendEscaped(b []byte, s string, r *strings.Replacer) []byte {
	return append(b, r.Replace(stanza.Clean(s))...)
}

// parseDocument reads what came on stream 0, which is one document for the room of
// that name. It takes what Salut takes: with or without declaration, white space
// around it, any prefixes, and no namespace at all.
func parseDocument(b []byte, room string) (*stanza.Element, error) {
	b, err := withoutDeclaration(b)
	if err != nil {
		return nil, err
	}
	st, err := stanza.Parse(bytes.TrimSpace(b), stanza.NSClient, stanza.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDocument, err)
	}
	switch {
	case !isWhole(st):
		return nil, errDocument
	case st.Attr("to") != room:
		return nil, errAddress
	case isTyping(st):
		return nil, errTyping
	}
	return st, nil
}

// withoutDeclaration is the document behind its XML declaration. Encodings other
// than UTF-8 are not read.
func withoutDeclaration(b []byte) ([]byte, error) {
	if !utf8.Valid(b) {
		return nil, errDocument
	}
	b = bytes.TrimSpace(b)
	if !bytes.HasPrefix(b, []byte("<?xml")) {
		return b, nil
	}
	end := bytes.Index(b, []byte("?>"))
	if end < 0 {
		return nil, errDocument
	}
	said := strings.ToLower(string(b[:end]))
	if strings.Contains(said, "encoding") && !strings.Contains(said, "utf-8") {
		return nil, errDocument
	}
	return b[end+2:], nil
}

// isWhole reports whether the element can be of a message. The parser binds the
// prefix of XMPP streams, which no document here has.
func isWhole(st *stanza.Element) bool { return st.Name.Local != "" && st.Name.Space != stanza.NSStream }

// isTyping reports whether a message only says that somebody types: with
// composing and an id, as XEP-0022 has it. Salut drops those, and so do we.
func isTyping(st *stanza.Element) bool {
	x := st.Child(stanza.NSEvent, "x")
	return childOf(x, "composing") != nil && childOf(x, "id") != nil
}
