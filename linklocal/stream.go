package linklocal

import (
	"cmp"
	"encoding/xml"
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
	open                           // stanzas flow
	ending                         // our end tag is out, theirs is not in; what they still say counts
	refused                        // our stream error is out; what they still say does not count
	closed                         // the TCP connection is to be closed
)

func (s streamState) String() string {
	return [...]string{"awaiting", "anonymous", "identifying", "open", "ending", "refused", "closed"}[s]
}

// A streamConfig is what a stream must know at birth.
type streamConfig struct {
	role      role
	local     Instance // our contact
	peer      Instance // initiator: whom we called
	caps      caps     // that disco#info tells
	maxStanza int      // bytes

	idle, header, caller, close time.Duration
}

// A streamOutput is what a stream wants done, in this order: Write to the
// connection behind everything before, deliver Messages, ask who calls, close.
type streamOutput struct {
	Write    []byte
	Messages []*stanza.Element
	Caller   *callerQuestion // not nil: answer with identified or refuse
	Close    bool            // the connection, when everything has been written
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
	theirs   header
	why      error     // refused, closed: the reason; nil for an orderly end
	deadline time.Time // of the state
	out      streamOutput
}

func newStream(now time.Time, cfg streamConfig) *stream {
	s := &stream{cfg: cfg, framer: xmlframe.New(cfg.maxStanza)}
	s.become(now, awaiting, cfg.header)
	if cfg.role == initiator {
		s.greet("", cfg.peer)
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
	case ending, refused:
		s.shut(s.why)
	default:
		s.refuse(now, connectionTimeout)
	}
}

// handleBytes takes what the peer sent.
func (s *stream) handleBytes(now time.Time, p []byte) {
	if s.state == refused || s.state == closed || s.broken != nil {
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

// identified answers a callerQuestion.
func (s *stream) identified(now time.Time, peer Instance) {
	if s.state == identifying {
		s.cfg.peer = peer
		s.become(now, open, s.cfg.idle)
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
	switch s.state {
	case open:
		s.write(endTag)
		s.become(now, ending, s.cfg.close)
	case awaiting, anonymous, identifying:
		s.greet("", "")
		s.write(endTag)
		s.queue = nil
		s.become(now, refused, s.cfg.close)
	}
}

// refuse ends the stream with a stream error.
func (s *stream) refuse(now time.Time, c condition) {
	if s.state == refused || s.state == closed {
		return
	}
	s.greet("", "") // an error needs a stream to stand in, RFC 6120 §4.9.1.2
	if s.state != ending {
		s.out.Write = appendError(s.out.Write, c)
		s.write(endTag)
	}
	s.queue, s.why = nil, c
	s.become(now, refused, s.cfg.close)
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
func (s *stream) appendStanza(b []byte, el *stanza.Element) []byte {
	el = el.WithAttr("to", string(s.cfg.peer)).WithAttr("from", string(s.cfg.local))
	return stanza.Append(b, el, stanza.NSClient)
}

// greet writes our header unless it is out already.
func (s *stream) greet(version string, to Instance) {
	if s.greeted {
		return
	}
	s.greeted = true
	h := header{From: s.cfg.local, To: to, Version: version}
	s.out.Write = appendHeader(s.out.Write, h, s.cfg.role == recipient)
}

func (s *stream) write(text string) { s.out.Write = append(s.out.Write, text...) }

// work handles the frames that have been read, up to a question.
func (s *stream) work(now time.Time) {
	for len(s.queue) > 0 && s.state != identifying {
		f := s.queue[0]
		s.queue = s.queue[1:]
		switch f.Kind {
		case xmlframe.Header:
			s.handleHeader(now, f.Bytes)
		case xmlframe.Element:
			s.handleElement(now, f.Bytes)
		case xmlframe.Close:
			s.handleClose()
		}
	}
	if s.broken != nil && s.state != identifying {
		s.refuse(now, conditionOf(s.broken))
	}
}

func (s *stream) handleHeader(now time.Time, b []byte) {
	h, err := parseHeader(b)
	if err != nil {
		s.refuse(now, conditionOf(err))
		return
	}
	s.theirs = h
	if s.cfg.role == recipient {
		// At once: libpurple 2.14 loses its message if it waits in vain.
		s.greet(headerVersion(h.Version), saidTo(h.From))
		if h.From == "" {
			s.become(now, anonymous, s.cfg.caller)
		} else {
			s.ask(now, h.From, h.To)
		}
		return
	}
	if h.From != "" && h.From.Key() != s.cfg.peer.Key() {
		s.refuse(now, invalidFrom)
		return
	}
	s.become(now, open, s.cfg.idle)
}

// ask has the Service find out who calls.
func (s *stream) ask(now time.Time, claim, to Instance) {
	s.out.Caller = &callerQuestion{claim, to}
	s.become(now, identifying, 0)
}

// handleClose takes the peer's end tag.
func (s *stream) handleClose() {
	if s.state != ending {
		s.greet("", "")
		s.write(endTag)
	}
	s.shut(nil)
}

func (s *stream) handleElement(now time.Time, b []byte) {
	el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
	switch {
	case err != nil:
		s.refuse(now, conditionOf(err))
	case sentFeatures(el):
	case el.Is(stanza.NSStream, "error"):
		s.handleClose() // stream errors are unrecoverable, RFC 6120 §4.9.1.1
	case !isStanza(el.Name):
		s.refuse(now, unsupportedStanza)
	case s.state == anonymous:
		s.queue = append([]xmlframe.Frame{{Kind: xmlframe.Element, Bytes: b}}, s.queue...)
		s.ask(now, Instance(el.Attr("from")), cmp.Or(s.theirs.To, Instance(el.Attr("to"))))
	default:
		s.handleStanza(now, el)
	}
}

func isStanza(n xml.Name) bool {
	return n.Space == stanza.NSClient && (n.Local == "message" || n.Local == "presence" || n.Local == "iq")
}

// handleStanza takes a stanza of a peer that is known. One stream carries one
// peer: a stanza that says another name is an imposture.
func (s *stream) handleStanza(now time.Time, el *stanza.Element) {
	s.out.Counts.Stanzas++
	if from := Instance(el.Attr("from")); from != "" && from.Key() != s.cfg.peer.Key() {
		s.refuse(now, invalidFrom)
		return
	}
	s.touch(now)
	switch el.Name.Local {
	case "message":
		s.out.Messages = append(s.out.Messages, el)
	case "iq":
		s.handleIQ(el)
	default:
		s.out.Counts.Ignored++ // presence is the TXT record
	}
}

func (s *stream) handleIQ(el *stanza.Element) {
	reply, known := answerIQ(el, s.cfg.caps)
	switch {
	case reply == nil || s.state != open:
		s.out.Counts.Ignored++
		return
	case known:
		s.out.Counts.Answered++
	default:
		s.out.Counts.Refused++
	}
	s.out.Write = s.appendStanza(s.out.Write, reply)
}
