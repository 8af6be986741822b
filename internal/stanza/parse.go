package stanza

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits bound what Parse and Decode accept. Zero fields mean the defaults.
// The size in bytes is bounded by whoever frames the stream.
type Limits struct {
	Depth int // elements within elements; default 32
	Nodes int // elements, attributes and pieces of text in all; default 4096
}

const (
	defaultDepth = 32
	defaultNodes = 4096
)

// Errors of Parse and Decode.
var (
	ErrTooComplex = errors.New("stanza: too deep or too many nodes")
	// "Comments, processing instructions, internal or external DTD subsets
	// and internal or external entity references" are not allowed.
	// RFC 6120 §11.1 (XML Restrictions)
	ErrRestricted = errors.New("stanza: restricted XML")
	errTrailing   = errors.New("stanza: data after the element")
)

func (l Limits) withDefaults() Limits {
	if l.Depth == 0 {
		l.Depth = defaultDepth
	}
	if l.Nodes == 0 {
		l.Nodes = defaultNodes
	}
	return l
}

// Parse reads one whole element as it stands in a stream whose default
// namespace is space; the prefix "stream" is bound as on every stream.
func Parse(b []byte, space string, lim Limits) (*Element, error) {
	const root = "<stream:stream xmlns:stream='" + NSStream + "' xmlns='"
	d := xml.NewDecoder(io.MultiReader(strings.NewReader(root+space+"'>"), bytes.NewReader(b)))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("stanza: %w", err)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("stanza: %w", err)
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return nil, ErrRestricted
	}
	e, err := Decode(d, start, lim)
	if err != nil {
		return nil, err
	}
	if rest := d.InputOffset() - int64(len(root)+len(space)+2); rest != int64(len(b)) {
		return nil, errTrailing
	}
	return e, nil
}

// Decode reads the rest of the element that start opened.
func Decode(r xml.TokenReader, start xml.StartElement, lim Limits) (*Element, error) {
	d := decoder{r: r, lim: lim.withDefaults()}
	return d.element(start, 1)
}

type decoder struct {
	r     xml.TokenReader
	lim   Limits
	nodes int
}

func (d *decoder) element(start xml.StartElement, depth int) (*Element, error) {
	e := &Element{Name: start.Name}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
			e.Attrs = append(e.Attrs, a)
		}
	}
	d.nodes += 1 + len(start.Attr)
	if depth > d.lim.Depth || d.nodes > d.lim.Nodes {
		return nil, ErrTooComplex
	}
	for {
		tok, err := d.r.Token()
		if tok == nil {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("stanza: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			c, err := d.element(t, depth+1)
			if err != nil {
				return nil, err
			}
			e.Nodes = append(e.Nodes, Node{Element: c})
		case xml.EndElement:
			return e, nil
		case xml.CharData:
			if err := d.text(e, t); err != nil {
				return nil, err
			}
		default:
			return nil, ErrRestricted
		}
	}
}

func (d *decoder) text(e *Element, t xml.CharData) error {
	if d.nodes++; d.nodes > d.lim.Nodes {
		return ErrTooComplex
	}
	if n := len(e.Nodes); n > 0 && e.Nodes[n-1].Element == nil {
		e.Nodes[n-1].Text += string(t) // CDATA and text in a row are one piece
		return nil
	}
	if len(t) > 0 {
		e.Nodes = append(e.Nodes, Node{Text: string(t)})
	}
	return nil
}
