package linklocal

import (
	"bytes"
	"errors"
	"time"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

// The part of the stream engine that decides whether a stream is encrypted.
//
// XEP-0174 v2.0.1 §6 (Initiating an XML Stream), RFC 6120 §5 (STARTTLS)
//
// SASL is not used: the key of the peer's certificate is what we know it by,
// and SASL EXTERNAL would say the same once more.

// A TLSPolicy says what one direction of streams does about TLS.
type TLSPolicy uint8

const (
	Off     TLSPolicy = iota // as if we did not know TLS
	Offer                    // offered, or asked for, where the peer can
	Require                  // streams without it are refused
)

func (p TLSPolicy) String() string { return [...]string{"off", "offer", "require"}[p] }

// A channelError is why a channel is not good enough, in words for the other
// side.
type channelError string

func (e channelError) Error() string { return "channel refused: " + string(e) }

const (
	errPlain     channelError = "Streams have to be encrypted here (STARTTLS)."
	errDowngrade channelError = "Your streams have been encrypted before; without TLS this could be anybody."
	errWrongKey  channelError = "Your TLS key is not the one that is known here under your name."
	errInjected  channelError = "Something was said between the request for TLS and its handshake."
)

var (
	errHandshakeTime = errors.New("TLS handshake: too slow")
	errTLSRefused    = errors.New("the peer offered TLS and then refused it")
	errTLSUnwanted   = errors.New("the peer asked for TLS that we did not offer")
)

const (
	startTLS = "<starttls xmlns='" + stanza.NSTLS + "'/>"
	proceed  = "<proceed xmlns='" + stanza.NSTLS + "'/>"
	noTLS    = "<failure xmlns='" + stanza.NSTLS + "'/>"
)

// features is what we offer to the peer that called: TLS if it is not there
// yet, and what we would answer to disco#info.
//
// "it is RECOMMENDED for the receiving entity … to include its disco#info data
// (including node) as a stream feature". XEP-0174 v2.0.1 §9 (Discovering Capabilities)
func (s *stream) features() *stanza.Element {
	var parts []stanza.Part
	if s.offered = !s.secure && s.cfg.tls != Off; s.offered {
		var required []stanza.Part
		if s.cfg.tls == Require {
			required = append(required, stanza.New(stanza.NSTLS, "required"))
		}
		parts = append(parts, stanza.New(stanza.NSTLS, "starttls", required...))
	}
	if c := s.cfg.caps; c.node != "" {
		parts = append(parts, c.info(c.node+"#"+c.ver))
	}
	return stanza.New(stanza.NSStream, "features", parts...)
}

// negotiate goes on where the peer is known and its header is here. A peer
// without a version has no features, so none are waited for.
func (s *stream) negotiate(now time.Time) {
	switch {
	case s.secure || s.cfg.tls == Off || s.theirs.Version == "":
		s.settle(now)
	case s.cfg.role == recipient:
		s.become(now, offering, s.cfg.negotiate)
	default:
		s.become(now, choosing, s.cfg.negotiate)
	}
}

// handleFeatures takes the peer's stream features.
func (s *stream) handleFeatures(now time.Time, el *stanza.Element) {
	switch {
	case s.state != choosing && s.state != offering:
	case declines(s.cfg.role, el):
		s.settle(now)
	default:
		s.write(startTLS)
		s.become(now, requesting, s.cfg.header)
	}
}

// handleTLS takes an element of the namespace of TLS.
func (s *stream) handleTLS(now time.Time, name string) {
	switch {
	case s.cfg.role == recipient && name == "starttls":
		if s.offered && (s.state == offering || s.state == anonymous) {
			s.upgrade(now, proceed)
		} else {
			s.refuseTLS(now)
		}
	case s.state == requesting && name == "proceed":
		s.upgrade(now, "")
	case s.state == requesting && name == "failure": // and its end tag follows, RFC 6120 §5.4.2.2
		s.sayEnd()
		s.shut(errTLSRefused)
	default:
		s.refuse(now, unsupportedStanza)
	}
}

// upgrade has the handshake done and forgets what was said before it.
//
// Whatever stands behind the request or its answer was not sent under TLS and
// must not count as if it had been: an attacker in between may have put it there.
//
// RFC 6120 §5.3.3 (Restart Rules), §5.4.3.1
func (s *stream) upgrade(now time.Time, answer string) {
	if len(s.queue) > 0 || s.broken != nil || s.framer.Pending() > 0 {
		s.refuse(now, errInjected)
		return
	}
	s.write(answer)
	s.framer = xmlframe.New(s.cfg.maxStanza)
	s.greeted, s.offered, s.theirs = false, false, header{}
	s.out.Secure = true
	s.become(now, securing, s.cfg.handshake)
}

// secured notes that the handshake is done: the streams begin anew, under TLS.
// key is the peer's; nil: it showed none. pin is the key that we know the peer
// by, if the peer is known already.
func (s *stream) secured(now time.Time, key, pin []byte) {
	if s.state != securing {
		return
	}
	s.secure, s.key, s.cfg.pin = true, key, pin
	s.become(now, awaiting, s.cfg.header)
	if s.cfg.role == recipient {
		return // who it is says the new header
	}
	if s.trust(now) { // or else nothing is said but why
		s.greet(ownVersion(s.cfg.tls), s.cfg.peer)
	}
}

// settle opens the stream over the channel that it has, or refuses it. A
// peer's first key is the one that we know it by from then on.
func (s *stream) settle(now time.Time) {
	if !s.trust(now) {
		return
	}
	if s.cfg.pin == nil {
		s.out.Pin = s.key
	}
	s.answerHeader() // unless it is out already: it says that we take the key for the peer's
	s.out.Opened = true
	s.become(now, open, s.cfg.idle)
}

// trust reports whether the channel is good enough for this peer, and refuses
// the stream if it is not.
func (s *stream) trust(now time.Time) bool {
	switch {
	case s.secure && s.cfg.pin == nil:
	case s.secure && !bytes.Equal(s.cfg.pin, s.key):
		s.refuse(now, errWrongKey)
		return false
	case s.secure:
	case s.cfg.tls == Require:
		s.refuse(now, errPlain)
		return false
	case s.cfg.tls == Offer && s.cfg.pin != nil:
		s.refuse(now, errDowngrade)
		return false
	}
	return true
}

// refuseTLS answers a request for TLS that we did not offer, or no more.
//
// "the receiving entity MUST return a <failure/> element …, close the XML
// stream, and terminate the underlying TCP connection." RFC 6120 §5.4.2.2
func (s *stream) refuseTLS(now time.Time) {
	if !s.ended {
		s.greet("", "")
		s.write(noTLS)
		s.sayEnd()
	}
	s.queue, s.why = nil, errTLSUnwanted
	s.become(now, refused, s.cfg.close)
}
