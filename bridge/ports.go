package bridge

import (
	"mellium.im/xmpp/jid"

	"meshgate/bridge/rooms"
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

// Rooms are the rooms of the LAN that are joined with rooms on the network, as
// the hub asks for them. No method blocks.
type Rooms interface {
	// List are all of them, in an order that stays.
	List() []rooms.Info
	// ByName is the one of this name on the LAN.
	ByName(string) (rooms.Info, bool)
	// ByMUC is the one of this bare address on the network.
	ByMUC(jid.JID) (rooms.Info, bool)
}

// noRooms are none.
type noRooms struct{}

func (noRooms) List() []rooms.Info               { return nil }
func (noRooms) ByName(string) (rooms.Info, bool) { return rooms.Info{}, false }
func (noRooms) ByMUC(jid.JID) (rooms.Info, bool) { return rooms.Info{}, false }

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
