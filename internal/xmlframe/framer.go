// Package xmlframe cuts the bytes of an XMPP stream into its header, its
// top-level elements and its end, without building anything of them.
//
// A frame is found by counting tags; whether the XML within is well formed is
// for the parser to say. What RFC 6120 §11.1 forbids in a stream (comments,
// processing instructions, DTDs) is refused here already.
package xmlframe

import (
	"bytes"
	"errors"
	"fmt"
)

// DefaultLimit bounds the bytes of one frame where New is given no limit.
const DefaultLimit = 256 << 10

// A Kind says what a frame is.
type Kind uint8

const (
	Header  Kind = iota // the start tag of the stream, with what stands before it left out
	Element             // one whole element of depth 1
	Close               // the end tag of the stream
	Skipped             // the first bytes of an element that was too large; see SkipLarge
)

func (k Kind) String() string { return [...]string{"header", "element", "close", "skipped"}[k] }

// A Frame is one piece of a stream. Bytes belongs to whoever receives it.
type Frame struct {
	Kind  Kind
	Bytes []byte
}

// Errors of Feed. After an error the stream cannot be read on.
var (
	ErrRestricted = errors.New("xmlframe: restricted XML (comment, processing instruction or DTD)")
	ErrTooLarge   = errors.New("xmlframe: element too large")
	ErrText       = errors.New("xmlframe: text between the elements of a stream")
	ErrSyntax     = errors.New("xmlframe: not XML")
)

type state uint8

const (
	inText  state = iota // character data
	atTag                // behind <
	inTag                // within a tag
	inQuote              // within a quoted attribute value
	inBang               // behind <!
	inCDATA              // within <![CDATA[
	inDecl               // within <?xml ... ?>
)

// headSize is how much of a skipped element is shown: enough for its start tag.
const headSize = 4 << 10

// A Framer cuts one direction of one stream. It belongs to one goroutine.
type Framer struct {
	// SkipLarge makes an element over the limit a frame of kind Skipped
	// instead of an error: for streams on which one sender's excess must not
	// be everybody's. It is set before the first Feed.
	SkipLarge bool

	limit int
	head  []byte // of the element that is being skipped
	buf   []byte // the incomplete frame
	scan  int    // bytes of buf that have been looked at
	depth int    // open elements, the stream's own included
	state state
	quote byte
	end   bool // the tag at hand is an end tag
	empty bool // the last byte within the tag was a slash
	mark  int  // where the bang or declaration at hand began, or the run of ] in CDATA
}

// New makes a framer for a stream from its first byte on. limit is the most
// bytes that one frame may have; 0 means DefaultLimit.
func New(limit int) *Framer {
	if limit == 0 {
		limit = DefaultLimit
	}
	return &Framer{limit: limit}
}

// NewOpen makes a framer for a stream whose header has been read already.
func NewOpen(limit int) *Framer {
	f := New(limit)
	f.depth = 1
	return f
}

// Pending is the number of bytes that wait for the rest of their frame.
func (f *Framer) Pending() int { return len(f.buf) }

// Feed takes the next bytes and returns the frames that they complete.
// Frames found before an error are returned with it.
func (f *Framer) Feed(p []byte) ([]Frame, error) {
	var frames []Frame
	f.buf = append(f.buf, p...)
	for f.scan < len(f.buf) {
		kind, done, err := f.step()
		if err != nil {
			return frames, err
		}
		switch {
		case done && f.head != nil:
			frames = append(frames, Frame{Skipped, f.head})
			f.head = nil
			f.drop()
		case done:
			frames = append(frames, Frame{kind, bytes.Clone(f.buf[:f.scan])})
			f.drop()
		case f.scan > f.limit && !f.skip():
			return frames, fmt.Errorf("%w: over %d bytes", ErrTooLarge, f.limit)
		}
	}
	if len(f.buf) == 0 && cap(f.buf) > 64<<10 {
		f.buf = nil // one large frame is no reason to keep its memory
	}
	return frames, nil
}

// drop forgets what has been looked at.
func (f *Framer) drop() {
	f.buf = append(f.buf[:0], f.buf[f.scan:]...)
	f.scan = 0
}

// skip drops what has been looked at of an element that is too large, if that
// is wanted. A start of the stream can never be skipped.
func (f *Framer) skip() bool {
	if !f.SkipLarge || f.depth == 0 {
		return false
	}
	if f.head == nil {
		f.head = bytes.Clone(f.buf[:min(len(f.buf), headSize)])
	}
	if f.state != inBang { // which remembers a place in buf, for a few bytes
		f.drop()
	}
	return true
}

// step looks at the next bytes, at least one.
func (f *Framer) step() (k Kind, done bool, err error) {
	c := f.buf[f.scan]
	switch f.state {
	case inText:
		return 0, false, f.text()
	case atTag:
		return 0, false, f.open(c)
	case inTag:
		f.scan++
		return f.tag(c)
	case inQuote:
		f.skipTo(f.quote, inTag)
	case inBang:
		return 0, false, f.bang()
	case inCDATA:
		f.cdata(c)
	case inDecl:
		f.decl(c)
	}
	return 0, false, nil
}

func (f *Framer) text() error {
	i := bytes.IndexByte(f.buf[f.scan:], '<')
	end := f.scan + i
	if i < 0 {
		end = len(f.buf)
	}
	if f.depth <= 1 { // between the elements only white space may stand, and nobody needs it
		if len(bytes.Trim(f.buf[f.scan:end], " \t\r\n")) != 0 {
			return ErrText
		}
		f.scan = end
		f.drop()
		end = 0
	}
	f.scan = end
	if i >= 0 {
		f.scan++
		f.state = atTag
	}
	return nil
}

func (f *Framer) open(c byte) error {
	f.end, f.empty = c == '/', false
	f.state = inTag
	switch {
	case c == '!':
		f.state, f.mark = inBang, f.scan+1
	case c == '?' && f.depth == 0:
		f.state = inDecl
	case c == '?':
		return ErrRestricted
	case c == '>' || c == '<':
		return ErrSyntax
	}
	f.scan++
	return nil
}

func (f *Framer) tag(c byte) (k Kind, done bool, err error) {
	switch c {
	case '"', '\'':
		f.state, f.quote = inQuote, c
	case '<':
		return 0, false, ErrSyntax
	case '>':
		f.state = inText
		return f.closeTag()
	}
	f.empty = c == '/'
	return 0, false, nil
}

func (f *Framer) closeTag() (k Kind, done bool, err error) {
	switch {
	case f.end && f.depth == 0:
		return 0, false, ErrSyntax
	case f.end:
		f.depth--
	case f.empty && f.depth == 0:
		return 0, false, ErrSyntax // a stream that is over before it began
	case f.empty:
	default:
		f.depth++
		if f.depth == 1 {
			return Header, true, nil
		}
	}
	if f.depth == 0 {
		return Close, true, nil
	}
	return Element, f.depth == 1, nil
}

// skipTo goes behind the next c, if it is there, and on in state next.
func (f *Framer) skipTo(c byte, next state) {
	i := bytes.IndexByte(f.buf[f.scan:], c)
	if i < 0 {
		f.scan = len(f.buf)
		return
	}
	f.scan += i + 1
	f.state = next
}

func (f *Framer) bang() error {
	const cdata = "[CDATA["
	f.scan++
	got := f.buf[f.mark:f.scan]
	if f.depth <= 1 || !bytes.HasPrefix([]byte(cdata), got) {
		return ErrRestricted
	}
	if len(got) == len(cdata) {
		f.state, f.mark = inCDATA, 0
	}
	return nil
}

func (f *Framer) cdata(c byte) {
	f.scan++
	switch {
	case c == ']':
		f.mark++
	case c == '>' && f.mark >= 2:
		f.state = inText
	default:
		f.mark = 0
	}
}

// decl skips the XML declaration before the header.
func (f *Framer) decl(c byte) {
	f.scan++
	if c == '>' && f.scan >= 2 && f.buf[f.scan-2] == '?' {
		f.state = inText
		f.drop()
	}
}
