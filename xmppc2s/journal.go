package xmppc2s

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"

	"meshgate/xmppc2s/sm"
)

// A Journal keeps the session and what waits in it where they outlive the
// process. Keys and values are the client's own.
type Journal interface {
	// Rows are what is kept, in order of the keys. They are read before the
	// first Write, and valid within the loop only.
	Rows() iter.Seq2[[]byte, []byte]
	// Write makes the changes, all or none, and those of one call after those
	// of the call before. It does not block. done is called once, from any
	// goroutine: when they are durable, or with the reason why they are not.
	Write(changes []Change, done func(error))
	// Mark is what SetMark was given last, as far as that can be told; nil:
	// not at all.
	Mark() []byte
	// SetMark keeps a few bytes, at once, where they outlive the process but
	// not the power.
	SetMark([]byte)
}

// A Change sets the value of a key; nil removes it. Neither is altered any more.
type Change struct{ Key, Value []byte }

// The rows of a journal:
//
//	archive    how far we have come in the account's archive: archiveRow, as JSON
//	own        our presence as it was sent last: ownRow, as JSON
//	session    the session that can be resumed: sm.Session, as JSON; none if there is none
//	w SEQ      a stanza that waits: when it was queued, in milliseconds of unix
//	           time (8 bytes), and its XML; SEQ is its number (8 bytes)
//
// Numbers are big endian, so that the rows are in order.
//
// The mark is our h (4 bytes) and the id of the session that it belongs to. It
// is ahead of the session's row by what has been handled while that was on its
// way to the disk, so that a process that is killed does not have it again.
var (
	ownKey     = []byte("own")
	sessionKey = []byte("session")
)

const (
	waitingKey = 'w'
	numberLen  = 8
)

// An ownRow is our presence with the hash of the capabilities in it.
type ownRow struct {
	Show   string  `json:"show,omitempty"`
	Status string  `json:"status,omitempty"`
	Photo  *string `json:"photo,omitempty"`
	Caps   string  `json:"caps"`
}

func stanzaKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{waitingKey}, seq)
}

func stanzaChange(s sm.Stanza) Change {
	v := make([]byte, 0, numberLen+len(s.Data))
	v = binary.BigEndian.AppendUint64(v, uint64(s.At.UnixMilli()))
	return Change{stanzaKey(s.Seq), append(v, s.Data...)}
}

func parseStanza(key, value []byte) (s sm.Stanza, ok bool) {
	if len(key) != 1+numberLen || key[0] != waitingKey || len(value) < numberLen {
		return s, false
	}
	s = sm.Stanza{
		Seq:  binary.BigEndian.Uint64(key[1:]),
		At:   time.UnixMilli(int64(binary.BigEndian.Uint64(value))),
		Data: slices.Clone(value[numberLen:]),
	}
	return s, s.Seq > 0
}

func sessionChange(s sm.Session) Change {
	if s.ID == "" {
		return Change{Key: sessionKey}
	}
	return Change{sessionKey, mustJSON(s)}
}

func ownChange(p *ownPresence, caps string) Change {
	row := ownRow{Show: p.show, Status: p.status, Caps: caps}
	if p.photo.known {
		row.Photo = &p.photo.hash
	}
	return Change{ownKey, mustJSON(row)}
}

func (r ownRow) presence() ownPresence {
	p := ownPresence{show: r.Show, status: r.Status}
	if r.Photo != nil {
		p.photo = photoHash{known: true, hash: *r.Photo}
	}
	return p
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("xmppc2s: a row cannot be written: " + err.Error()) // it is made of strings and numbers
	}
	return b
}

// maxMarkID bounds the id of a session that has a mark.
const maxMarkID = 200

func appendMark(b []byte, s sm.Session) []byte {
	return append(binary.BigEndian.AppendUint32(b, s.Handled), s.ID...)
}

// ahead is what a mark says of h, if it is one of this session.
func ahead(mark []byte, s sm.Session) uint32 {
	if len(mark) <= 4 || s.ID == "" || string(mark[4:]) != s.ID {
		return s.Handled
	}
	if h := binary.BigEndian.Uint32(mark); h-s.Handled < 1<<31 { // it wraps
		return h
	}
	return s.Handled
}

// A kept is what a journal holds.
type kept struct {
	sm.Snapshot
	own     *ownRow     // nil: none was sent
	archive *archiveRow // nil: nothing is known
}

// readJournal reads everything. Rows that are no use are named in the error;
// the rest stands.
func readJournal(j Journal) (k kept, err error) {
	var bad int
	for key, value := range j.Rows() {
		var e error
		switch s, ok := parseStanza(key, value); {
		case ok && sm.KindOf(s.Data) != sm.Nonza:
			k.Queue = append(k.Queue, s)
		case string(key) == string(sessionKey):
			e = json.Unmarshal(value, &k.Session)
			k.Session.Handled = ahead(j.Mark(), k.Session)
		case string(key) == string(ownKey):
			k.own = new(ownRow)
			e = json.Unmarshal(value, k.own)
		case string(key) == string(archiveKey):
			k.archive, e = parseArchive(value)
		default:
			bad++
		}
		if e != nil {
			bad++
		}
	}
	if bad > 0 {
		// Without a stanza of the queue the numbers of the others are not
		// those that the server counts.
		k.Session = sm.Session{}
		return k, fmt.Errorf("xmppc2s: %d rows of the journal cannot be read", bad)
	}
	return k, nil
}
