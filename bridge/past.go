package bridge

import (
	"encoding/json"
	"iter"
	"time"

	"meshgate/linklocal"
)

// A Past keeps rows over restarts, which only the hub understands.
type Past interface {
	// All are the rows of a shelf, the oldest first; those of Waiting in any
	// order. Nothing may be written within the loop.
	All(Shelf) iter.Seq2[[]byte, []byte]
	// Get is a row, nil if there is none. What was written only just now may
	// not be there yet.
	Get(on Shelf, key []byte) []byte
	// Write makes the changes, all or none, soon, and before anything that is
	// sent after it is on the disk. It does not block.
	Write(...ShelfChange)
}

// A Shelf is a part of a Past. Each but Waiting forgets its oldest row if there
// are too many.
type Shelf uint8

const (
	Waiting Shelf = iota // messages of the mesh that the server has not acknowledged
	Passed               // those that it has, those delivered to a peer, and those that came back
	Refused              // those that were not passed on
	Talks                // who talks with whom: Limits.Conversations rows
	Filed                // which message of the network was put into Passed last: one row
	numShelves
)

func (s Shelf) String() string {
	return [numShelves]string{"waiting", "passed", "refused", "talks", "filed"}[s]
}

// A ShelfChange puts a row, or with a nil Value removes it.
type ShelfChange struct {
	On         Shelf
	Key, Value []byte
}

// MaxPastRow is the most bytes of a row with its key.
const MaxPastRow = 8 << 10

// noPast forgets.
type noPast struct{}

func (noPast) All(Shelf) iter.Seq2[[]byte, []byte] { return func(func(_, _ []byte) bool) {} }
func (noPast) Get(Shelf, []byte) []byte            { return nil }
func (noPast) Write(...ShelfChange)                {}

// A talkRow is the value of a conversation's row, whose key is both parties.
type talkRow struct {
	At      int64              `json:"at"` // milliseconds of unix time
	Contact string             `json:"contact,omitempty"`
	Peer    linklocal.Instance `json:"peer,omitempty"`
	Text    string             `json:"text,omitempty"` // the thread
}

// unshelve takes a row of before the last restart. One that is of no use any
// more is left to grow old.
func (e *engine) unshelve(on Shelf, key string, value []byte) {
	switch on {
	case Waiting:
		e.takeOver(key, value)
	case Talks:
		var row talkRow
		if json.Unmarshal(value, &row) != nil || e.mirrors.byBare[row.Contact] == nil {
			return
		}
		at := time.UnixMilli(row.At)
		k := e.talks.touch(at, e.mirrors.byBare[row.Contact], row.Peer, func() string { return row.Text })
		k.shelved = at
	}
}

// talkShelved is how old the time of a conversation may be that is remembered.
const talkShelved = time.Hour

// touchTalk is talks.touch, and remembers the conversation if that is news:
// it is another than the last one, or was remembered long ago.
func (e *engine) touchTalk(now time.Time, c *contact, peer linklocal.Instance) *talk {
	last := e.talks.order
	k := e.talks.with(now, c, peer)
	news := k == nil || k.order != last || k.peer != peer || now.Sub(k.shelved) >= talkShelved
	k = e.talks.touch(now, c, peer, e.newID)
	if news {
		k.shelved = now
		e.shelveTalk(k)
	}
	return k
}

func (e *engine) shelveTalk(k *talk) {
	b, err := json.Marshal(talkRow{At: k.shelved.UnixMilli(), Contact: k.contact.bare, Peer: k.peer, Text: k.thread})
	if err != nil {
		panic("bridge: a row cannot be written: " + err.Error()) // it is made of strings
	}
	e.emit(shelve{{Talks, []byte(k.key.bare + "\x00" + k.key.peer), b}})
}
