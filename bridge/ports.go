package bridge

import (
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// LAN is the mesh, as the hub commands it. No method blocks.
type LAN interface {
	// Publish makes the contact present, or changes its presence if it is.
	Publish(linklocal.Contact) error
	// Withdraw takes the contact off the mesh. One that is not there is no error.
	Withdraw(linklocal.ContactID)
	// Send sends a stanza; what becomes of it is told to its Done.
	Send(linklocal.Outgoing)
}

// Server is the session on the XMPP network, as the hub commands it. No
// method blocks.
type Server interface {
	// Send takes the stanza into the outbox, where it waits for the server.
	// An error means that it was not taken.
	Send(*stanza.Element) error
	// SetPresence tells the gateway's own presence, now and in each new session.
	SetPresence(show, status string)
	// SetAvatar sets the account's own picture, nil being none. Before the
	// first call the account keeps what it has.
	SetAvatar(*xmppc2s.Avatar)
}

// Notes are short texts that the hub remembers over restarts. No method blocks.
type Notes interface {
	// All are those that were kept, the oldest first.
	All() []string
	// Keep keeps one, if not at once. The oldest is forgotten if there are too many.
	Keep(text string)
	// Drop forgets one.
	Drop(text string)
}

// MaxNotes is how many notes there may be.
const MaxNotes = maxTold + 1

// noNotes remember nothing.
type noNotes struct{}

func (noNotes) All() []string { return nil }
func (noNotes) Keep(string)   {}
func (noNotes) Drop(string)   {}
