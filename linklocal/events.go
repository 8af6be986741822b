package linklocal

import (
	"context"
	"net/netip"

	"meshgate/internal/stanza"
)

// A Status is the value of the TXT key "status".
//
// "Allowable values are "avail", "away", and "dnd"." XEP-0174 §3.1 (TXT Records)
type Status string

const (
	Available Status = "avail"
	Away      Status = "away"
	DND       Status = "dnd"
)

// A Presence is what a peer's TXT record says. All of it is optional.
//
// XEP-0174 §3.1 (TXT Records)
type Presence struct {
	Status Status // "" where the record does not say: available
	Msg    string // natural-language text, as <status/> of XMPP

	Nick, First, Last, Email, JID string // personal: published only where the configuration says so

	PHSH            string // SHA-1 of the buddy icon, in hex
	VC              string // conferencing flags
	Node, Ver, Hash string // entity capabilities; only if Hash is there (XEP-0115)
	Ext             string
	Port            uint16 // port.p2pj, for old peers; never dialled

	Extra []string // keys that we do not know, as they came
}

// A Peer is somebody else on the mesh.
type Peer struct {
	Instance Instance
	Presence Presence
	Host     string       // the target of the SRV record, "h1.local"
	Addrs    []netip.Addr // of Host, sorted; link-local IPv6 with its zone
	Port     uint16
}

// A ContactID is the caller's own key for a contact that it publishes.
type ContactID string

// A Contact is one peer that we publish: a presence name with a listening
// port of its own.
type Contact struct {
	ID       ContactID
	User     string // wanted user part of the presence name; a digit is added if the name is taken
	Presence Presence
	Icon     *Icon        // nil: none; what is published is made to fit, and Presence.PHSH is its hash
	Publish  *PublishKeys // what may be published of it; nil: as Config.Publish says
}

// An Icon is a picture of a person. It is not changed once it is shared.
type Icon struct {
	Data []byte
	Type string // "image/png", "image/jpeg", "image/gif"
}

// An Outgoing is a stanza from one of our contacts to a peer.
type Outgoing struct {
	From   ContactID
	To     Instance
	Stanza *stanza.Element // its to and from are set by the Service (XEP-0174 §7), but for a resource behind the names
	// OpenOnly drops the stanza where no stream to the peer is open: for
	// chat states, which are not worth a connection.
	OpenOnly bool
	// Done, if not nil, is called once, from any goroutine and without
	// blocking: with nil when the stanza has been written to the peer's
	// stream, else with the reason why it could not be.
	Done func(error)
	// Mark, if not nil, is called with true the moment in which the stanza is
	// written: it is for what has to be known if the program is killed then. With
	// false it takes that back: the stanza was not written after all, or the peer
	// has turned out not to have read it. What was not read is written once more.
	// It must return at once.
	Mark func(written bool)
}

// An Event is something that happened on the mesh: one of PeerAppeared,
// PeerChanged, PeerVanished, PeerIcon, ContactPublished, StreamOpened, Received.
type Event interface{ lanEvent() }

type (
	// PeerAppeared: a peer came online.
	PeerAppeared struct{ Peer Peer }
	// PeerChanged: its presence or its address changed.
	PeerChanged struct{ Peer Peer }
	// PeerVanished: it said goodbye, or its records ran out.
	PeerVanished struct{ Instance Instance }
	// PeerIcon: a peer's picture is there, after its PeerAppeared, or is another.
	PeerIcon struct {
		Instance Instance
		Icon     *Icon // nil: it has none any more
	}
	// ContactPublished: our contact holds this presence name now. It comes
	// again when a conflict made us take another.
	ContactPublished struct {
		ID       ContactID
		Instance Instance
	}
	// StreamOpened: one of our contacts and a peer are in conversation, by
	// either's call. It comes before any Received of that stream.
	StreamOpened struct {
		Contact ContactID
		Peer    Instance
		TLS     bool // false: everybody on the LAN can read it
	}
	// Received: a peer sent a message to one of our contacts. From has been
	// checked against mDNS and the connection's source address (IJ-04); the
	// stanza itself is as it came and must not be believed.
	Received struct {
		To     ContactID
		From   Instance
		Stanza *stanza.Element
	}
)

func (PeerAppeared) lanEvent()     {}
func (PeerChanged) lanEvent()      {}
func (PeerVanished) lanEvent()     {}
func (PeerIcon) lanEvent()         {}
func (ContactPublished) lanEvent() {}
func (StreamOpened) lanEvent()     {}
func (Received) lanEvent()         {}

// A Handler is told what happens on the mesh, each peer's events in order.
type Handler interface {
	// HandleLAN may block: the stream that delivered is not read meanwhile.
	// It returns early when ctx ends.
	HandleLAN(ctx context.Context, ev Event)
}
