package bridge

import (
	"meshgate/internal/stanza"
	"meshgate/linklocal"
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
}
