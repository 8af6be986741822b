package sm

import (
	"fmt"
	"strconv"
	"time"

	"meshgate/internal/stanza"
)

// A Dialect is a version of the protocol, named by its namespace.
type Dialect string

// The dialects that an Engine speaks. sm:2 (XEP-0198 v0.8 to v1.1) has the
// elements and the counting of sm:3; the h of its <resumed/> may be missing,
// and stanzas and <t/> in it are ignored. sm:1 (v0.7) has the same elements
// with another meaning: see legacy.go.
const (
	None Dialect = ""
	V3   Dialect = stanza.NSSM3
	V2   Dialect = stanza.NSSM2
	V1   Dialect = stanza.NSSM1
)

// Newest picks the newest dialect among the stream features offered.
func Newest(offered func(namespace string) bool) Dialect {
	for _, d := range []Dialect{V3, V2, V1} {
		if offered(string(d)) {
			return d
		}
	}
	return None
}

func (d Dialect) appendEnable(b []byte) []byte {
	return fmt.Appendf(b, "<enable xmlns='%s' resume='true'/>", string(d))
}

func (d Dialect) appendRequest(b []byte) []byte {
	return fmt.Appendf(b, "<r xmlns='%s'/>", string(d))
}

func (d Dialect) appendAnswer(b []byte, h string) []byte {
	b = append(append(b, "<a xmlns='"...), d...)
	b = append(append(b, "' h='"...), h...)
	return append(b, "'/>"...)
}

// parseH reads the h attribute: an unsigned 32-bit integer (XEP-0198 §4), in
// sm:1 an integer without end, of which ours are below 2^63.
func (d Dialect) parseH(el *stanza.Element) (uint64, error) {
	bits := 32
	if d == V1 {
		bits = 63
	}
	h, err := strconv.ParseUint(el.Attr("h"), 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%w: h=%.20q in <%s/>", ErrBadAnswer, el.Attr("h"), el.Name.Local)
	}
	return h, nil
}

// A Resumption is what a request to resume the session needs. It holds for
// one attempt.
type Resumption struct {
	Dialect Dialect
	ID      string
	JID     string // the full address of the session, which <resumed/> does not repeat
	H       string // as it is written; "": there is none to give (sm:1)
	covers  uint32 // the number of the last stanza that H acknowledges

	// NotBefore is when a server that still reads the last connection while it
	// resumes its session may be asked to; zero: at once.
	NotBefore time.Time
}

// AppendResume appends the request to resume a session.
func (r Resumption) AppendResume(b []byte) []byte {
	b = fmt.Appendf(b, "<resume xmlns='%s' previd='%s'", string(r.Dialect), stanza.Escape(r.ID))
	if r.H != "" {
		b = fmt.Appendf(b, " h='%s'", r.H)
	}
	return append(b, "/>"...)
}

// An Answer is what the server says to a Resumption.
type Answer struct {
	Resumed bool    // or else it will not
	H       *uint64 // how far it has handled what we sent; nil: not said
}

// ParseAnswer reads the answer to r. After an error the session is worth
// nothing: the server does not know how to resume it.
func (r Resumption) ParseAnswer(el *stanza.Element) (Answer, error) {
	h, err := r.Dialect.parseH(el)
	switch {
	case el.Is(string(r.Dialect), "resumed") && err == nil:
		return Answer{Resumed: true, H: &h}, nil
	case el.Is(string(r.Dialect), "resumed") && el.Attr("h") == "" && r.Dialect != V3:
		return Answer{Resumed: true}, nil
	case el.Is(string(r.Dialect), "resumed"):
		return Answer{}, err
	case el.Is(string(r.Dialect), "failed") && err == nil:
		return Answer{H: &h}, nil
	case el.Is(string(r.Dialect), "failed"):
		return Answer{}, nil
	}
	return Answer{}, fmt.Errorf("%w: <%.20s/> to <resume/>", ErrBadAnswer, el.Name.Local)
}
