package outbox

import (
	"bytes"
	"time"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// A Lane is a queue of its own within a Box.
type Lane uint8

const (
	// Control are iq of at most maxShort bytes, and probes. Somebody waits for
	// them or for the answer, for seconds: there are servers that end a session
	// whose answer to a ping stands behind a long queue.
	Control Lane = iota
	// Chat is what people say, and all that has to keep its order with it:
	// presence for somebody (a room is entered before one speaks there),
	// subscriptions.
	Chat
	// Light are messages that only say how another one fares, or that somebody
	// writes: chat states, receipts, markers, errors.
	Light
	// Presence is our own, for everybody. There is one at most: the newest.
	Presence
	// Bulk are iq of more than maxShort bytes: avatars, vCards.
	Bulk
	// Aside is what must not be sent for now.
	Aside
	numLanes = int(Aside) + 1
)

func (l Lane) String() string {
	return [numLanes]string{"control", "chat", "light", "presence", "bulk", "aside"}[l]
}

// headStart is how much longer than the head of Chat that of another lane has
// to have waited to go first. Control needs none. As all of a long queue may
// have waited that long, Chat has its chatShare besides.
var headStart = [...]time.Duration{Chat: 0, Light: 2 * time.Second, Presence: 5 * time.Second, Bulk: 15 * time.Second}

const (
	// maxShort is the most bytes of an iq that is Control.
	maxShort = 4 << 10
	// chatShare is how many stanzas of Chat, if they wait, go for each of the
	// lanes behind it.
	chatShare = 3
	// maxAhead is how many bytes more than the other lanes Control may have had
	// while they waited.
	maxAhead = 4 << 10
)

// A class is what a Box knows of a stanza beside its size.
type class struct {
	kind    sm.Kind
	lane    Lane
	lasting bool // it means the same in another session
	state   bool // it is a chat state and nothing else
}

// classify looks at one whole stanza; its kind is sm.Nonza if it is none.
func classify(b []byte) class {
	c := class{kind: sm.KindOf(b), lane: Chat}
	switch c.kind {
	case sm.Message:
		if !bytes.Contains(b, []byte("<body")) {
			c.lane, c.state = lightness(b)
		}
	case sm.Presence:
		switch {
		case sm.Attr(b, "type") == "probe":
			c.lane = Control
		case sm.Attr(b, "to") == "":
			c.lane = Presence
		}
	case sm.IQ:
		if c.lane = Control; len(b) > maxShort {
			c.lane = Bulk
		}
	}
	c.lasting = sm.Lasting(c.kind, b) && !c.state
	return c
}

// lightness says where a message without a body belongs, and whether it is a
// chat state and nothing else.
func lightness(b []byte) (l Lane, state bool) {
	el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
	if err != nil {
		return Chat, false
	}
	states, others := 0, 0
	for c := range el.Children() {
		switch {
		case c.Name.Space == stanza.NSStates:
			states++
		case c.Name.Space == stanza.NSHints || c.Is(stanza.NSClient, "thread"): // go with any
		case c.Name.Space == stanza.NSRcpt || c.Name.Space == stanza.NSMarks || c.Is(stanza.NSClient, "error"):
			others++
		default:
			return Chat, false // an invitation, a subject, …
		}
	}
	if states+others == 0 {
		return Chat, false
	}
	return Light, others == 0
}
