// Package stanza holds XML elements of XMPP streams as immutable trees: the
// currency between the packages of the gateway. It parses them within limits
// and writes them so that what is written parses to the same tree.
package stanza

import (
	"encoding/xml"
	"iter"
	"strings"
)

// An Element is one XML element with everything in it. Elements are not
// changed once built, so they may be shared between goroutines.
type Element struct {
	Name  xml.Name
	Attrs []xml.Attr // namespace declarations are left out: Name.Space says it
	Nodes []Node
}

// A Node is one piece of an element's content: an element, or else text.
type Node struct {
	Element *Element // nil: this is text
	Text    string
}

// A Part is something that New puts into an element: an Attr, a Text or an
// *Element. A nil *Element is left out.
type Part interface{ addTo(*Element) }

// An Attr is an attribute without namespace. One with an empty value is left out.
type Attr struct{ Name, Value string }

// Text is character data.
type Text string

// New builds an element of parts.
func New(space, local string, parts ...Part) *Element {
	e := &Element{Name: xml.Name{Space: space, Local: local}}
	for _, p := range parts {
		p.addTo(e)
	}
	return e
}

func (a Attr) addTo(e *Element) {
	if a.Value != "" {
		e.Attrs = append(e.Attrs, xml.Attr{Name: xml.Name{Local: a.Name}, Value: a.Value})
	}
}

func (t Text) addTo(e *Element) {
	if t != "" {
		e.Nodes = append(e.Nodes, Node{Text: string(t)})
	}
}

func (c *Element) addTo(e *Element) {
	if c != nil {
		e.Nodes = append(e.Nodes, Node{Element: c})
	}
}

// Is reports whether e has this name. A nil element has none.
func (e *Element) Is(space, local string) bool {
	return e != nil && e.Name.Space == space && e.Name.Local == local
}

// Attr returns the value of an attribute without namespace, or "".
func (e *Element) Attr(local string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.Attrs {
		if a.Name.Space == "" && a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// Child returns the first child element of this name, or nil.
func (e *Element) Child(space, local string) *Element {
	for c := range e.Children() {
		if c.Is(space, local) {
			return c
		}
	}
	return nil
}

// Speaks reports whether a child element is of that namespace.
func (e *Element) Speaks(space string) bool {
	for c := range e.Children() {
		if c.Name.Space == space {
			return true
		}
	}
	return false
}

// Children are the child elements in document order.
func (e *Element) Children() iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		if e == nil {
			return
		}
		for _, n := range e.Nodes {
			if n.Element != nil && !yield(n.Element) {
				return
			}
		}
	}
}

// Text is the character data directly within e.
func (e *Element) Text() string {
	if e == nil {
		return ""
	}
	if len(e.Nodes) == 1 && e.Nodes[0].Element == nil {
		return e.Nodes[0].Text
	}
	var b strings.Builder
	for _, n := range e.Nodes {
		b.WriteString(n.Text)
	}
	return b.String()
}

// WithAttr is a copy of e in which an attribute without namespace has this
// value; an empty value takes the attribute away.
func (e *Element) WithAttr(local, value string) *Element {
	c := &Element{Name: e.Name, Nodes: e.Nodes}
	for _, a := range e.Attrs {
		if a.Name.Space != "" || a.Name.Local != local {
			c.Attrs = append(c.Attrs, a)
		}
	}
	Attr{local, value}.addTo(c)
	return c
}

// String is e as XML, for logs and tests.
func (e *Element) String() string { return string(Append(nil, e, NSClient)) }
