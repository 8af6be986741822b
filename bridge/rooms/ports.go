package rooms

import (
	"iter"

	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// LAN are the Clique rooms; *clique.Service has it. No method blocks.
type LAN interface {
	Join(clique.Room) error
	Send(room string, st *stanza.Element, done func(error))
	Rooms() []clique.RoomInfo // whose Packets.Others says whether anybody is heard
}

// Server is the session on the XMPP network; *xmppc2s.Client has it. No method
// blocks.
//
// Lines rely on the order in which the client sends: what was given to Send
// before a room was entered is sent before that, so that when the room is caught
// up its fate is known.
type Server interface {
	EnterRoom(xmppc2s.Room)
	SetRoomStatus(room jid.JID, status string)
	Send(*stanza.Element) error
}

// A Past keeps rows over restarts, which only this package understands: a bucket
// of the store with room for MaxRows rows of MaxRowBytes bytes, sorted or not,
// that takes no new row when it is full. No method blocks.
type Past interface {
	// All are the rows by key. Nothing may be written within the loop.
	All() iter.Seq2[[]byte, []byte]
	// Write makes the changes, all or none, in order with all others, and before
	// anything that the Server is given later is on the disk. done, if not nil, is
	// called from any goroutine when they are durable, or cannot be.
	Write(done func(error), changes ...Change)
	// Later makes them soon; nobody waits. They come in order with those of Write.
	Later(changes ...Change)
}

// A Change puts a row, or with a nil Value removes it.
type Change struct{ Key, Value []byte }

// MaxRowBytes is the most bytes of a row with its key.
const MaxRowBytes = 192 << 10

// MaxRows is how many rows there may be.
func (c Config) MaxRows() int {
	c = c.withDefaults()
	return 1 + len(c.Rooms)*(c.Limits.Due+c.Limits.Held+1)
}

// Marks are the keys of lines that have passed, kept where they outlive the
// process, if not the power, as soon as Add returns, which is at once; a
// store.Ring of MaxMarks slots. Its methods are safe from any goroutine.
type Marks interface {
	All() iter.Seq[[16]byte]
	Add([16]byte)
}

// MaxMarks is how many keys are wanted.
const MaxMarks = 8192

// Snapshots keep of each Clique room what its next run needs to go on as the same node,
// where it outlives the process as soon as Set returns, which is at once. After another
// start of the machine there is none, unless all was written in order: who goes on from an
// old one says something else under numbers that are taken. Its methods are safe from any
// goroutine.
type Snapshots interface {
	Get(room string) []byte             // what the run before has set last; nil: nothing
	Set(room string, data []byte) error // empty: nothing is to be gone on with
}

// Parts are what Rooms command.
type Parts struct {
	LAN    LAN
	Server Server
	Past   Past  // nil: it forgets
	Marks  Marks // nil: none are kept
	// Snapshots are kept with the Past, or not at all (nil).
	Snapshots Snapshots
	// Tell says something to one LAN member alone, on a XEP-0174 stream from the
	// gateway's own presence name; Clique itself has nothing for that. It does not
	// block, and whether it worked is nobody's concern. nil: History is not told.
	Tell func(peer, text string)
}

// noPast forgets.
type noPast struct{}

func (noPast) All() iter.Seq2[[]byte, []byte] { return func(func(_, _ []byte) bool) {} }
func (noPast) Later(...Change)                {}
func (noPast) Write(done func(error), _ ...Change) {
	if done != nil {
		done(nil)
	}
}

// noSnapshots keep none.
type noSnapshots struct{}

func (noSnapshots) Get(string) []byte        { return nil }
func (noSnapshots) Set(string, []byte) error { return nil }

// noMarks keep none.
type noMarks struct{}

func (noMarks) All() iter.Seq[[16]byte] { return func(func([16]byte) bool) {} }
func (noMarks) Add([16]byte)            {}
