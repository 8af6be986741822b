package linklocal

import (
	"cmp"
	"encoding/xml"
	"time"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

// What a peer says on a stream, frame by frame.

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
		if answerAtOnce(s.secure, h.From) {
			s.answerHeader()
		}
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
	s.negotiate(now)
}

// ask has the Service find out who calls.
func (s *stream) ask(now time.Time, claim, to Instance) {
	s.out.Caller = &callerQuestion{claim, to}
	s.become(now, identifying, 0)
}

// handleClose takes the peer's end tag.
func (s *stream) handleClose() {
	s.sayEnd()
	s.shut(nil)
}

func (s *stream) handleElement(now time.Time, b []byte) {
	el, err := s.parse(b)
	switch {
	case err != nil:
		s.refuse(now, conditionOf(err))
	case el.Is(stanza.NSStream, "features"):
		s.handleFeatures(now, el)
	case el.Is(stanza.NSStream, "error"):
		s.handleClose() // stream errors are unrecoverable, RFC 6120 §4.9.1.1
	case el.Name.Space == stanza.NSTLS:
		s.handleTLS(now, el.Name.Local)
	case !isStanza(el.Name):
		s.refuse(now, unsupportedStanza)
	case s.state == anonymous:
		s.queue = append([]xmlframe.Frame{{Kind: xmlframe.Element, Bytes: b}}, s.queue...)
		s.ask(now, Instance(el.Attr("from")), cmp.Or(s.theirs.To, Instance(el.Attr("to"))))
	case s.state == requesting:
		s.refuse(now, policyViolation) // RFC 6120 §5.4.3.3: no stanzas while TLS is negotiated
	case s.state == offering || s.state == choosing:
		s.settle(now) // it does not negotiate
		if s.state == open {
			s.handleStanza(now, el)
		}
	default:
		s.handleStanza(now, el)
	}
}

// parse reads an element. What is not well formed is looked at once more.
func (s *stream) parse(b []byte) (*stanza.Element, error) {
	el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
	if err != nil && conditionOf(err) == notWellFormed {
		if again := looseAmpersands(b); len(again) > len(b) && len(again) <= s.cfg.maxStanza {
			return stanza.Parse(again, stanza.NSClient, stanza.Limits{})
		}
	}
	return el, err
}

func isStanza(n xml.Name) bool {
	return n.Space == stanza.NSClient && (n.Local == "message" || n.Local == "presence" || n.Local == "iq")
}

// handleStanza takes a stanza of a peer that is known. One stream carries one
// peer: a stanza that says another name is an imposture. An address of the
// peer's with a resource is the peer's all the same.
func (s *stream) handleStanza(now time.Time, el *stanza.Element) {
	s.out.Counts.Stanzas++
	if from := el.Attr("from"); from != "" && !s.cfg.peer.owns(from) {
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
	if s.state == open && isFor(s.cfg.serves, el) {
		s.out.Queries = append(s.out.Queries, el)
		return
	}
	s.answer(el)
}

// answer answers an iq that nobody else does.
func (s *stream) answer(el *stanza.Element) {
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
