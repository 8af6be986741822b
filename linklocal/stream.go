package linklocal

import (
	"strings"
	"time"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

const endTag = "</stream:stream>"

// A role says who opened the TCP connection of a stream.
type role uint8

const (
	initiator role = iota // we did
	recipient             // the peer did
)

func (r role) String() string { return [...]string{"initiator", "recipient"}[r] }

// A streamState says how far a stream is; see the diagram in doc.go.
type streamState uint8

const (
	awaiting    streamState = iota // their header
	anonymous                      // recipient: the header did not say who calls, the first stanza may
	identifying                    // recipient: the Service finds out who calls; nothing is handled meanwhile
	offering                       // recipient: we offered TLS, they have not said what they want
	choosing                       // initiator: their features, if they have any
	requesting                     // initiator: we want TLS, they have not said whether they do
	securing                       // the TLS handshake
	open                           // stanzas flow
	ending                         // our end tag is out, theirs is not in; what they still say counts
	refused                        // our stream error is out; what they still say does not count
	closed                         // the TCP connection is to be closed
)

func (s streamState) String() string {
	return [...]string{"awaiting", "anonymous", "identifying", "offering", "choosing", "requesting", "securing",
		"open", "ending", "refused", "closed"}[s]
}

// A streamConfig is what a stream must know at birth.
type streamConfig struct {
	role      role
	local     Instance // our contact
	peer      Instance // initiator: whom we called
	caps      caps     // that disco#info tells
	serves    string   // namespace of queries that somebody else answers; "": none
	maxStanza int      // bytes

	tls TLSPolicy // of this direction
	pin []byte    // the key that we know the peer by; nil: none, or the peer is not known yet

	idle, header, caller, negotiate, handshake, close time.Duration
}

// A streamOutput is what a stream wants done, in this order: remember the key,
// tell that the stream is open, Write to the connection behind everything
// before, deliver Messages, ask who calls, secure, close.
type streamOutput struct {
	Pin      []byte // not nil: the peer's key, from now on; if it has another already, refuse
	Opened   bool
	Write    []byte
	Messages []*stanza.Element
	Queries  []*stanza.Element // for those who serve; if they do not want one: answer
	Caller   *callerQuestion   // not nil: answer with identified or refuse
	Secure   bool              // do the TLS handshake when everything has been written; answer with secured or handleEOF
	Close    bool              // the connection, when everything has been written
	Counts   streamCounts
}

// A callerQuestion asks who is calling, and whether it has reached whom it
// wants: "from" and "to" of its header, or else of its first stanza, or "" if
// it says nothing.
type callerQuestion struct{ Claim, To Instance }

// streamCounts is what came in since the last output.
type streamCounts struct{ Stanzas, Answered, Refused, Ignored int }

// A stream is the engine of one XML stream between one of our contacts and
// one peer. It does no I/O and never reads the clock. One goroutine owns it.
//
// XEP-0174 v0.9 (Establishing XML Streams, Exchanging Messages, Ending a Chat)
type stream struct {
	cfg      streamConfig
	state    streamState
	framer   *xmlframe.Framer
	queue    []xmlframe.Frame // read, not handled: bounded by what is fed while identifying
	broken   error            // behind the queue
	greeted  bool             // our header is out
	ended    bool             // our end tag is out
	offered  bool             // TLS, by us
	secure   bool             // under TLS
	key      []byte           // secure: the peer's, see Pins; nil: it showed none
	theirs   header
	why      error     // refused, closed: the reason; nil for an orderly end
	deadline time.Time // of the state
	out      streamOutput
}

func newStream(now time.Time, cfg streamConfig) *stream {
	s := &stream{cfg: cfg, framer: xmlframe.New(cfg.maxStanza)}
	s.become(now, awaiting, cfg.header)
	if cfg.role == initiator {
		s.greet(ownVersion(cfg.tls), cfg.peer)
	}
	return s
}

func (s *stream) become(now time.Time, st streamState, timeout time.Duration) {
	s.state, s.deadline = st, now.Add(timeout)
}

// takeOutput returns what is to be done and forgets it.
func (s *stream) takeOutput() streamOutput {
	out := s.out
	s.out = streamOutput{}
	return out
}

// nextTimeout is when handleTimeout wants to be called; zero: never.
func (s *stream) nextTimeout() time.Time {
	if s.state == closed || s.state == identifying {
		return time.Time{} // the Service's own time limit ends identifying
	}
	return s.deadline
}

func (s *stream) handleTimeout(now time.Time) {
	if at := s.nextTimeout(); at.IsZero() || now.Before(at) {
		return
	}
	switch s.state {
	case open:
		s.end(now)
	case offering, choosing:
		s.settle(now) // they do not negotiate
	case securing:
		s.shut(errHandshakeTime)
	case ending, refused:
		s.shut(s.why)
	default:
		s.refuse(now, connectionTimeout)
	}
}

// handleBytes takes what the peer sent.
func (s *stream) handleBytes(now time.Time, p []byte) {
	if s.state == refused || s.state == securing || s.state == closed || s.broken != nil {
		return
	}
	frames, err := s.framer.Feed(p)
	s.queue, s.broken = append(s.queue, frames...), err
	s.work(now)
}

// handleEOF notes that the peer has closed the connection. Many do so right
// behind their end tag, or without one.
func (s *stream) handleEOF(err error) {
	if s.state != closed {
		s.shut(err)
	}
}

// identified answers a callerQuestion. pin is the key that we know the peer
// by; nil: none.
func (s *stream) identified(now time.Time, peer Instance, pin []byte) {
	if s.state == identifying {
		s.cfg.peer, s.cfg.pin = peer, pin
		s.negotiate(now)
		s.work(now)
	}
}

// end ends the stream from our side. What the peer has sent before it hears
// of it still counts.
//
// "either party closes the XML stream … The other party then closes the
// stream in the other direction as well … Both parties then MUST close the
// TCP connection between them." XEP-0174 v0.9 (Ending a Chat)
func (s *stream) end(now time.Time) {
	if s.state == offering {
		s.settle(now) // what they say still counts
	}
	switch s.state {
	case open:
		s.sayEnd()
		s.become(now, ending, s.cfg.close)
	case awaiting, anonymous, identifying, choosing, requesting:
		s.sayEnd()
		s.queue = nil
		s.become(now, refused, s.cfg.close)
	case securing:
		s.shut(nil)
	}
}

// refuse ends the stream with the stream error for why.
func (s *stream) refuse(now time.Time, why error) {
	if s.state == refused || s.state == securing || s.state == closed {
		return
	}
	if !s.ended {
		s.greet("", "") // an error needs a stream to stand in, RFC 6120 §4.9.1.2
		s.out.Write = appendError(s.out.Write, why)
		s.sayEnd()
	}
	s.queue, s.why = nil, why
	s.become(now, refused, s.cfg.close)
}

// sayEnd writes our end tag unless it is out already.
func (s *stream) sayEnd() {
	if !s.ended {
		s.greet("", "")
		s.write(endTag)
		s.ended = true
	}
}

// shut is the end: nothing more is read or written.
func (s *stream) shut(why error) {
	if s.why == nil {
		s.why = why
	}
	s.queue = nil
	s.out.Close = true
	s.become(time.Time{}, closed, 0)
}

// touch notes that a stanza of ours was written.
func (s *stream) touch(now time.Time) {
	if s.state == open {
		s.deadline = now.Add(s.cfg.idle)
	}
}

// appendStanza appends a stanza of ours as it goes over this stream.
//
// "The "JIDs" MUST be of the form "username@machine-name" as discovered via
// SRV (this is the <Instance> portion of the Service Instance Name)."
// XEP-0174 v0.9 (Exchanging Messages)
//
// Who serves has addresses of its own: its name with a resource.
func (s *stream) appendStanza(b []byte, el *stanza.Element) []byte {
	from := string(s.cfg.local)
	if _, resource, ok := strings.Cut(el.Attr("from"), "/"); ok && s.cfg.serves != "" {
		from += "/" + resource // by the name that this stream was opened with
	}
	el = el.WithAttr("to", s.cfg.peer.address(el.Attr("to"))).WithAttr("from", from)
	return stanza.Append(b, el, stanza.NSClient)
}

// greet writes our header unless it is out already.
func (s *stream) greet(version string, to Instance) {
	if s.greeted {
		return
	}
	s.greeted = true
	s.out.Write = appendHeader(s.out.Write, header{From: s.cfg.local, To: to, Version: version})
	if s.cfg.role == recipient && version != "" {
		s.out.Write = stanza.Append(s.out.Write, s.features(), stanza.NSClient)
	}
}

// answerHeader writes our header in answer to theirs.
func (s *stream) answerHeader() { s.greet(answerVersion(s.theirs.Version), saidTo(s.theirs.From)) }

func (s *stream) write(text string) { s.out.Write = append(s.out.Write, text...) }
