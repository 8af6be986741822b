package xmppc2s

import (
	"context"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// An Event is something that happened on the XMPP network: one of Online,
// Offline, Message, ContactPresence, ContactAvatar, Acknowledged, Undelivered, or
// a RoomEvent.
type Event interface{ serverEvent() }

type (
	// Online: the session is up. After a resumption nothing else has changed;
	// after a fresh bind all contacts are offline until their presence comes.
	Online struct {
		JID     jid.JID // our full address
		Resumed bool
	}
	// Offline: the connection is lost or could not be made. What is sent
	// meanwhile waits.
	Offline struct {
		Err   error         // says in words what is wrong
		Fatal bool          // trying again will not help until a person has mended it
		Retry time.Duration // until the next attempt
	}
	// Message is a message stanza for us, of any type but those that the
	// client answers itself. Done must be called exactly once, from any
	// goroutine, when the message has been delivered, stored or refused with
	// an error to its sender: only then it counts as handled (XEP-0198 §4).
	//
	// A message may come a second time, by itself and from the account's archive
	// or from both sides of a restart: then it has the same ArchiveID.
	Message struct {
		Stanza    *stanza.Element
		Done      func()
		ArchiveID string // names it in the account's archive (XEP-0359); "": unknown
		Place     string // see sm.Mark.Place; "": only the message itself can tell that it comes again
		Missed    bool   // it was sent while there was no session, and has a delay (XEP-0203)
	}
	// ContactPresence is the presence of one resource of a contact.
	ContactPresence struct {
		JID       jid.JID // full
		Available bool
		Show      string // "", away, chat, dnd, xa (RFC 6121 §4.7.2.1)
		Status    string
		Priority  int8
	}
	// ContactAvatar: a contact's picture is known now, or is another.
	ContactAvatar struct {
		JID    jid.JID // bare
		Avatar *Avatar // nil: it has none any more
	}
	// Acknowledged: the server has these messages of Send, in the order in
	// which they were sent. After a crash of the gateway some may come again.
	Acknowledged struct{ Messages []Sent }
	// A Sent is one of them.
	Sent struct{ ID, To string }
	// Undelivered: the client gives up a stanza that it had accepted.
	Undelivered struct {
		Stanza *stanza.Element
		Err    error
	}
)

func (Online) serverEvent()          {}
func (Offline) serverEvent()         {}
func (Message) serverEvent()         {}
func (ContactPresence) serverEvent() {}
func (ContactAvatar) serverEvent()   {}
func (Acknowledged) serverEvent()    {}
func (Undelivered) serverEvent()     {}

// A Handler is told what happens on the network, in order.
type Handler interface {
	// HandleServer may block: nothing more is read from the server meanwhile.
	// It returns early when ctx ends.
	HandleServer(ctx context.Context, ev Event)
}
