package sm

import (
	"fmt"
	"slices"
	"strconv"

	"pgregory.net/rapid"

	"meshgate/internal/stanza"
)

// A server is the other end, as dumb as XEP-0198 allows. Its counts begin at
// zero; on the wire they begin at base.
type server struct {
	*rapid.T
	dialect Dialect
	base    uint32
	out     []byte // written and not delivered

	known    bool // it remembers a session
	enabled  bool // and counts in it
	sessions int
	got      uint64   // stanzas of the client
	sent     []string // not acknowledged by the client
	acked    uint64   // that it has
	arrived  []string // of all sessions
	lost     []string // of sessions that it has forgotten: not acknowledged

	// sm:1
	u       uint64 // the client's last; 0: none
	uAt     uint64 // stanzas before it
	skip    uint64 // of the resumed stream: it has them
	asked   []serverRequest
	nextAsk uint64
}

type serverRequest struct{ u, at uint64 }

const sessionID = "id<'"

func (s *server) writef(format string, args ...any) { s.out = fmt.Appendf(s.out, format, args...) }

// h is what it says it has handled; ok is false if it has nothing to say.
func (s *server) h() (h uint64, ok bool) {
	if s.dialect == V1 {
		return s.u, s.u > 0
	}
	return uint64(s.base + uint32(s.got)), true
}

// clientAcked takes an h of the client.
func (s *server) clientAcked(h string) {
	n, err := strconv.ParseUint(h, 10, 64)
	if err != nil {
		s.Fatal(err)
	}
	at := s.acked + uint64(uint32(n)-s.base-uint32(s.acked))
	if s.dialect == V1 {
		i := slices.IndexFunc(s.asked, func(r serverRequest) bool { return r.u == n })
		if i < 0 {
			s.Fatalf("h=%d was never asked: %v", n, s.asked)
		}
		at = s.asked[i].at
		s.asked = s.asked[i:]
	}
	if at < s.acked || at-s.acked > uint64(len(s.sent)) {
		s.Fatalf("the client acknowledges %d, %d were, %d are sent", at, s.acked, len(s.sent))
	}
	s.sent = s.sent[at-s.acked:]
	s.acked = at
}

// request asks for an acknowledgement.
func (s *server) request() {
	if s.dialect != V1 {
		s.writef("<r xmlns='%s'/>", s.dialect)
		return
	}
	s.nextAsk += 1 + uint64(len(s.sent)%3)
	s.asked = append(s.asked, serverRequest{s.nextAsk, s.acked + uint64(len(s.sent))})
	if h, ok := s.h(); ok && s.nextAsk%2 == 0 {
		s.writef("<r xmlns='%s' u='%d' h='%d'/>", s.dialect, s.nextAsk, h)
	} else {
		s.writef("<r xmlns='%s' u='%d'/>", s.dialect, s.nextAsk)
	}
}

func (s *server) handle(b []byte) {
	el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
	if err != nil {
		s.Fatal(err)
	}
	switch el.Name.Local {
	case "message", "iq":
		s.stanza(el)
	case "enable":
		s.enable()
	case "r":
		s.requested(el)
	case "a":
		s.clientAcked(el.Attr("h"))
	}
}

func (s *server) stanza(el *stanza.Element) {
	switch {
	case !s.enabled:
		s.Fatal("a stanza before <enabled/>")
	case s.skip > 0:
		s.skip--
		return
	case el.Name.Local == "message":
		s.arrived = append(s.arrived, el.Attr("id"))
	}
	s.got++
}

func (s *server) enable() {
	s.known, s.enabled, s.got, s.acked = true, true, 0, 0
	s.u, s.skip, s.asked, s.nextAsk = 0, 0, nil, 0
	s.sessions++
	s.writef("<enabled xmlns='%s' id=\"%s\" resume='true' max='600'/>", s.dialect, stanza.Escape(sessionID))
}

// requested answers <r/>. In sm:1 its u must be new, and names the last stanza.
func (s *server) requested(el *stanza.Element) {
	if s.dialect == V1 {
		u, err := strconv.ParseUint(el.Attr("u"), 10, 64)
		if err != nil || u <= s.u || u != s.got-s.skip {
			s.Fatalf("u=%s after u=%d and stanza %d: %v", el.Attr("u"), s.u, s.got-s.skip, err)
		}
		s.u, s.uAt = u, u
	}
	h, _ := s.h()
	s.writef("<a xmlns='%s' h='%d'/>", s.dialect, h)
}

// resume begins a resumed stream and returns the h of <resumed/>.
func (s *server) resume(r Resumption) *uint64 {
	if r.ID != sessionID || r.Dialect != s.dialect {
		s.Fatalf("resumes %+v", r)
	}
	if r.H != "" {
		s.clientAcked(r.H)
	}
	for _, id := range s.sent {
		s.out = append(s.out, message(id)...)
	}
	h, ok := s.h()
	if s.skip = s.got - s.uAt; s.dialect != V1 {
		s.skip = 0
	}
	if !ok {
		s.skip = s.got
		return nil
	}
	return &h
}

// forget gives the session up.
func (s *server) forget() {
	s.known, s.enabled = false, false
	s.lost = append(s.lost, s.sent...)
	s.sent = nil
}
