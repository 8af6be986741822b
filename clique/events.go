package clique

import (
	"context"
	"net/netip"

	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
)

// A Room is a room to be in.
type Room struct {
	// Name is also what the documents of the room are addressed to, byte for byte,
	// and what it is advertised as: 1 to 63 bytes of text.
	Name  string
	Group netip.AddrPort // zero: that of its advert, which is waited for
	// Make makes the room, at a random group, if nobody advertises it for
	// Config.FindFor: without it, it is waited for as long as it takes.
	Make    bool
	Private bool   // never advertised by us: others come by invitation
	Resume  []byte // the last Snapshot of the run before; nil: none. It counts where Group is what it was then
}

// A Handler is told what happens in rooms. The events of one room come in order
// and one by one; several rooms may tell at the same time.
type Handler interface {
	// HandleClique may block: then its room waits, when Config.MaxQueued is reached,
	// and no other does. It returns early when ctx ends.
	HandleClique(ctx context.Context, ev Event)
}

// An Event is one of [Found], [Gone] and the events of a room that we are told to
// be in: [Entered], [Joined], [Left], [Received], [Said], [Data], [Tubes],
// [Frozen], [Restarted], [Snapshot] and [Closed].
type Event interface{ cliqueEvent() }

// A RoomEvent is an Event of a room that we are told to be in.
type RoomEvent interface {
	Event
	RoomName() string // Room.Name
}

// Events.
type (
	// Found: a room is advertised, by others or by us, or now with another group.
	Found struct {
		Name  string
		Group netip.AddrPort
	}
	// Gone: nobody advertises the room any more.
	Gone struct{ Name string }

	// Entered: we have an id in the room and look for others, who can hear us as
	// soon as they are told as Joined. It comes again after Restarted.
	Entered struct {
		Room    string
		Group   netip.AddrPort
		Resumed bool // as the node of Room.Resume: what was said meanwhile follows
	}
	// Joined: these others are members from now on. Somebody who is one already and comes
	// again was lost meanwhile.
	Joined struct {
		Room    string
		Members []string // presence names
	}
	// Left: all that the member said before has been told.
	Left struct {
		Room, Member string
		Why          rmulticast.Reason
	}
	// Received: a member said a document that is addressed to the room. Of the
	// stanza nothing is checked but that: its from is whatever the member put there.
	Received struct {
		Room   string
		From   string // the member's name
		FromID rmulticast.SenderID
		Number rmulticast.PacketID // with FromID the name of the message, the same at all members
		Stanza *stanza.Element
		size   int // of the document
	}
	// Data: a member sent data on a stream that it has announced in its Tubes.
	Data struct {
		Room, From string
		FromID     rmulticast.SenderID
		Stream     rmulticast.StreamID
		Data       []byte
	}
	// Tubes are those that a member has now, if they are others than before.
	Tubes struct {
		Room, From string
		FromID     rmulticast.SenderID
		Tubes      []Tube
	}
	// Frozen says whether the members are agreeing on who is one. Meanwhile, up to
	// half a minute, nobody is heard and nothing is sent.
	Frozen struct {
		Room   string
		Frozen bool
	}
	// Restarted: the others have lost us, or the room has moved. Nobody is a member
	// any more, without a Left for each; Entered follows.
	Restarted struct{ Room string }
	// Said follows Entered with Resumed: this we had said before the restart, and not
	// everybody was known to have it. It need not be sent again.
	Said struct {
		Room   string
		Number rmulticast.PacketID
		Stanza *stanza.Element
		size   int
	}
	// Snapshot is what the next run needs to go on in the room as the same node
	// (Room.Resume) if this one is killed, or Config.Resumable, in place of the one before;
	// of length 0: there is nothing to go on with. The packets that come after it wait until
	// HandleClique has returned, for two seconds at most: by then it is to be kept,
	// and so is what was told before it, where a kill cannot undo that.
	Snapshot struct {
		Room  string
		Data  []byte
		count uint64
	}
	// Closed: we are not in the room any more. It is the room's last event.
	Closed struct {
		Room string
		Err  error // nil: as was wanted
	}
)

func (Found) cliqueEvent()     {}
func (Gone) cliqueEvent()      {}
func (Entered) cliqueEvent()   {}
func (Joined) cliqueEvent()    {}
func (Left) cliqueEvent()      {}
func (Received) cliqueEvent()  {}
func (Data) cliqueEvent()      {}
func (Tubes) cliqueEvent()     {}
func (Said) cliqueEvent()      {}
func (Frozen) cliqueEvent()    {}
func (Restarted) cliqueEvent() {}
func (Snapshot) cliqueEvent()  {}
func (Closed) cliqueEvent()    {}

// A RoomInfo says how things stand with a room, for people.
type RoomInfo struct {
	Name       string
	Group      netip.AddrPort // zero: not known yet
	Ours       bool           // we are told to be in it
	Advertised bool           // by others or by us
	State      string         // in words
	Members    []string       // the others, sorted
	Packets    rmulticast.Stats
}

func (e Entered) RoomName() string   { return e.Room }
func (e Joined) RoomName() string    { return e.Room }
func (e Left) RoomName() string      { return e.Room }
func (e Received) RoomName() string  { return e.Room }
func (e Said) RoomName() string      { return e.Room }
func (e Data) RoomName() string      { return e.Room }
func (e Tubes) RoomName() string     { return e.Room }
func (e Frozen) RoomName() string    { return e.Room }
func (e Restarted) RoomName() string { return e.Room }
func (e Snapshot) RoomName() string  { return e.Room }
func (e Closed) RoomName() string    { return e.Room }
