package bridge

import (
	"errors"
	"time"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// heldFor is how long a message to a peer waits for its sender's mirror to be
// on the mesh: probing for a name takes a second, a conflict some more.
const heldFor = 15 * time.Second

var errNoMirror = errors.New("bridge: the contact has no presence name on the mesh")

// A heldStanza waits for its contact's mirror to have a presence name.
type heldStanza struct {
	stanza toLAN
	until  time.Time
}

// dispatch sends a stanza to a peer, as soon as the contact is on the mesh.
func (e *engine) dispatch(now time.Time, t toLAN) {
	if _, published := e.peers.ownKey[t.from]; published {
		e.emit(t)
		return
	}
	e.held = append(e.held, heldStanza{t, now.Add(heldFor)})
}

// releaseHeld sends what waited for this contact, in order.
func (e *engine) releaseHeld(id linklocal.ContactID) {
	var rest []heldStanza
	for _, h := range e.held {
		if h.stanza.from == id {
			e.emit(h.stanza)
		} else {
			rest = append(rest, h)
		}
	}
	e.held = rest
}

// expireHeld gives up what has waited too long.
func (e *engine) expireHeld(now time.Time) {
	for len(e.held) > 0 && !now.Before(e.held[0].until) {
		token := e.held[0].stanza.token
		e.held = e.held[1:]
		e.handleSent(now, token, errNoMirror)
	}
}

// nextHeld is when expireHeld is wanted; zero: never.
func (e *engine) nextHeld() time.Time {
	if len(e.held) == 0 {
		return time.Time{}
	}
	return e.held[0].until
}

// voice is the mirror in whose window the gateway speaks to a peer about a
// contact. If the contact has none at the moment, it is the concierge's, and
// the text says about whom it is.
func (e *engine) voice(c *contact, text string) (linklocal.ContactID, string) {
	if _, published := e.peers.ownKey[c.mirror.id]; published {
		return c.mirror.id, text
	}
	return ConciergeID, "to " + c.name() + ": " + text
}

// tellAbout says something about a contact to a peer.
func (e *engine) tellAbout(c *contact, to linklocal.Instance, text string) {
	from, text := e.voice(c, text)
	e.tell(from, to, text)
}

// refusalOf is the error for a message that did not reach its peer.
func refusalOf(peer linklocal.Instance, err error) *stanza.Error {
	return &stanza.Error{Type: "wait", Condition: stanza.RecipientUnavailable, Text: wordsNotReached(peer, reasonLAN(err))}
}
