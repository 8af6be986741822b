package bridge

import (
	"crypto/sha256"
	"encoding/json"
	"iter"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// A Shelf keeps rows over restarts, which only the hub understands. No method
// blocks; what is put is kept soon, and before anything that is sent after it.
type Shelf interface {
	// All are the rows, the oldest first.
	All() iter.Seq2[[]byte, []byte]
	// Put keeps a row. The oldest is forgotten if there are too many.
	Put(key, value []byte)
	// Delete forgets a row. One that is not there is no error.
	Delete(key []byte)
}

// A Past is what the hub has to know of its life before a restart: nil shelves
// forget.
type Past struct {
	Sent  Shelf // whose messages went to the network: Limits.SentIDs rows
	Seen  Shelf // which messages of the network were delivered: MaxSeen rows
	Talks Shelf // who talks with whom: Limits.Conversations rows
}

// MaxPastRow is the most bytes of a row with its key.
const MaxPastRow = 8 << 10

// A shelfName names one of the shelves of Past.
type shelfName uint8

const (
	sentShelf shelfName = iota
	seenShelf
	talkShelf
	numShelves
)

func (p Past) shelves() [numShelves]Shelf {
	return [numShelves]Shelf{sentShelf: p.Sent, seenShelf: p.Seen, talkShelf: p.Talks}
}

// A pastRow is the value of a row. A sent message's key is its id, that of a
// seen one its seenKey, that of a conversation both parties.
type pastRow struct {
	At      int64              `json:"at"` // milliseconds of unix time
	Contact string             `json:"contact,omitempty"`
	Peer    linklocal.Instance `json:"peer,omitempty"`
	Text    string             `json:"text,omitempty"` // a message's excerpt, a conversation's thread
}

// shelve keeps a row.
func (e *engine) shelve(on shelfName, key string, row pastRow) {
	b, err := json.Marshal(row)
	if err != nil {
		panic("bridge: a row cannot be written: " + err.Error()) // it is made of strings
	}
	e.emit(shelve{on, key, b})
}

// unshelve takes a row of before the last restart. One that is of no use any
// more is left to grow old.
func (e *engine) unshelve(on shelfName, key string, value []byte) {
	var row pastRow
	if json.Unmarshal(value, &row) != nil {
		return
	}
	at := time.UnixMilli(row.At)
	if on == seenShelf {
		e.seen.put(at, key, struct{}{})
		return
	}
	ct := e.mirrors.byBare[row.Contact]
	switch {
	case ct == nil: // none any more
	case on == sentShelf:
		e.sent.put(at, key, sentMessage{ct, row.Peer, row.Text})
	case on == talkShelf:
		k := e.talks.touch(at, ct, row.Peer, func() string { return row.Text })
		k.shelved = at
	}
}

// noteSent remembers whose message this id is, as long as its fate is open.
func (e *engine) noteSent(now time.Time, id string, m sentMessage) {
	e.sent.put(now, id, m)
	e.shelve(sentShelf, id, pastRow{At: now.UnixMilli(), Contact: m.contact.bare, Peer: m.peer, Text: m.excerpt})
}

func (e *engine) forgetSent(id string) {
	e.sent.forget(id)
	e.emit(shelve{on: sentShelf, key: id})
}

// noteDelivered remembers for longer than this run that a message need not
// come again.
func (e *engine) noteDelivered(now time.Time, key string) {
	if key != "" {
		e.shelve(seenShelf, key, pastRow{At: now.UnixMilli()})
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
		e.shelve(talkShelf, k.key.bare+"\x00"+k.key.peer, pastRow{At: now.UnixMilli(), Contact: c.bare, Peer: peer, Text: k.thread})
	}
	return k
}

// seenKey recognises a message that comes again, or is "" without an id.
func seenKey(st *stanza.Element, c rewrite.Content) string {
	if st.Attr("id") == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(st.Attr("from") + "\x00" + st.Attr("id") + "\x00" + rewrite.Line(c.Body, 200)))
	return string(sum[:16])
}
