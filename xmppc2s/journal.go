package xmppc2s

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"meshgate/xmppc2s/outbox"
	"meshgate/xmppc2s/sm"
)

// A Journal keeps the session and what waits in it where they outlive the
// process. Keys and values are the client's own.
type Journal interface {
	// Rows are what is kept, in order of the keys. They are read before the
	// first Write, and valid within the loop only.
	Rows() iter.Seq2[[]byte, []byte]
	// Row is what the last Write that is durable has made of a key; nil:
	// nothing. It is the caller's.
	Row(key []byte) []byte
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
//	q SEQ      a stanza that waits for the session
//	w SEQ      one that was given to it, and that the server may have
//	a SEQ      one that was set aside
//
// SEQ is a number of 8 bytes, of the outbox (q, a) or of the engine (w). The
// value of the last three is rowVersion, the strikes against the stanza (1
// byte), when it was queued, in milliseconds of unix time (8 bytes), and its
// XML. Before rowVersion was 1 there were only w, and neither version nor
// strikes: such a row begins with the 0 of its time.
//
// Numbers are big endian, so that the rows of a kind are in order.
//
// The mark has our h in the session, and the id of the row archive. It is ahead
// of those rows by what has been handled while they were on their way to the
// disk, so that a process that is killed does not have it again.
var (
	ownKey     = []byte("own")
	sessionKey = []byte("session")
)

const (
	queuedKey  = 'q'
	sentKey    = 'w'
	asideKey   = 'a'
	rowVersion = 1
	rowKeyLen  = 1 + 8
	rowHeadLen = 2 + 8
)

// An ownRow is our presence with the hash of the capabilities in it.
type ownRow struct {
	Show   string  `json:"show,omitempty"`
	Status string  `json:"status,omitempty"`
	Photo  *string `json:"photo,omitempty"`
	Caps   string  `json:"caps"`
}

func rowKey(kind byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, seq)
}

// entryKey is where the row of something that waits is.
func entryKey(e outbox.Entry) []byte {
	if e.Lane == outbox.Aside {
		return rowKey(asideKey, e.Seq)
	}
	return rowKey(queuedKey, e.Seq)
}

func rowChange(key []byte, at time.Time, strikes uint8, data []byte) Change {
	v := append(make([]byte, 0, rowHeadLen+len(data)), rowVersion, strikes)
	v = binary.BigEndian.AppendUint64(v, uint64(at.UnixMilli()))
	return Change{key, append(v, data...)}
}

// parseRow reads the row of a stanza, whose Data is then part of value.
func parseRow(key, value []byte) (kind byte, s sm.Stanza, ok bool) {
	if len(key) != rowKeyLen {
		return 0, s, false
	}
	kind, s.Seq = key[0], binary.BigEndian.Uint64(key[1:])
	s.At, s.Strikes, s.Data, ok = parseRowValue(value)
	return kind, s, ok && s.Seq > 0 && (kind == queuedKey || kind == sentKey || kind == asideKey)
}

func parseRowValue(v []byte) (at time.Time, strikes uint8, data []byte, ok bool) {
	if len(v) > 0 && v[0] == 0 { // as it was before there were versions
		v = append([]byte{rowVersion, 0}, v...)
	}
	if len(v) < rowHeadLen || v[0] != rowVersion {
		return at, 0, nil, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(v[2:]))), v[1], v[rowHeadLen:], true
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

// maxMark bounds a mark: Journal.SetMark takes as much.
const maxMark = 255

// appendMark writes a mark: h (4 bytes), the id of the session, and, if we are
// in step with an archive, a zero byte, archiveRow's Turn (8 bytes) and its ID.
// What there is no room for is left out: it is in the rows, if a moment later.
func appendMark(b []byte, s sm.Session, a archiveRow) []byte {
	b = binary.BigEndian.AppendUint32(b, s.Handled)
	if len(b)+len(s.ID) <= maxMark {
		b = append(b, s.ID...)
	}
	if a.ID != "" && len(b)+1+8+len(a.ID) <= maxMark {
		b = append(binary.BigEndian.AppendUint64(append(b, 0), a.Turn), a.ID...)
	}
	return b
}

// ahead is what a mark says of h, if it is one of this session.
func ahead(mark []byte, s sm.Session) uint32 {
	if len(mark) <= 4 || s.ID == "" {
		return s.Handled
	}
	id, _, _ := bytes.Cut(mark[4:], []byte{0})
	if h := binary.BigEndian.Uint32(mark); string(id) == s.ID && h-s.Handled < 1<<31 { // it wraps
		return h
	}
	return s.Handled
}

// further is the row as a mark has it, if that is later.
func (r archiveRow) further(mark []byte) archiveRow {
	if len(mark) <= 4 {
		return r
	}
	_, rest, _ := bytes.Cut(mark[4:], []byte{0})
	if len(rest) > 8 && binary.BigEndian.Uint64(rest) > r.Turn {
		r.Turn, r.ID = binary.BigEndian.Uint64(rest), string(rest[8:])
	}
	return r
}

// A kept is what a journal holds, beside what waits.
type kept struct {
	sm.Snapshot
	own     *ownRow     // nil: none was sent
	archive *archiveRow // nil: nothing is known
}

// readJournal reads everything, and puts what waits into the box. Rows that are
// no use are named in the error; the rest stands.
func readJournal(j Journal, box *outbox.Box) (k kept, err error) {
	var bad int
	for key, value := range j.Rows() {
		kind, s, ok := parseRow(key, value)
		switch {
		case ok && kind != sentKey:
			ok = box.Restore(s.Seq, s.At, s.Data, kind == asideKey)
		case ok && sm.KindOf(s.Data) != sm.Nonza:
			s.Data = bytes.Clone(s.Data)
			k.Queue = append(k.Queue, s)
		case string(key) == string(sessionKey):
			ok = json.Unmarshal(value, &k.Session) == nil
			k.Session.Handled = ahead(j.Mark(), k.Session)
		case string(key) == string(ownKey):
			k.own = new(ownRow)
			ok = json.Unmarshal(value, k.own) == nil
		case string(key) == string(archiveKey):
			k.archive = new(archiveRow)
			ok = json.Unmarshal(value, k.archive) == nil
			*k.archive = k.archive.further(j.Mark())
		default:
			ok = false
		}
		if !ok {
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
