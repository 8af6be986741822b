package bridge

import (
	"encoding/binary"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
)

// An entry is what the ledger knows of one message. Of its words there is no
// more than an excerpt, for its sender if it comes back.
type entry struct {
	key     string // of its row
	fromLAN bool
	end     Outcome
	came    int64              // milliseconds of unix time
	ended   int64              // 0: it is pending
	passed  int64              // it was delivered then, and came back; else 0
	contact string             // bare address, or ConciergeID
	peer    linklocal.Instance // "": none was found
	id      string             // of the stanza on the network
	archive string             // by which our server's archive knows it (XEP-0359); "" unknown
	text    string             // mesh to network: how it begins
	why     string             // bounced: in words
	worded  bool               // it holds what a person wrote; not in the row
}

// Bounds of what others choose of an entry, in bytes.
const (
	maxEntryID  = 128
	maxEntryWhy = 250
)

// worded reports whether a message of this kind holds what a person wrote:
// these have a row in the ledger, the others are only counted.
func worded(k rewrite.Kind) bool {
	switch k {
	case rewrite.Words, rewrite.Invite, rewrite.Encrypted, rewrite.Relayed, rewrite.Wrapped:
		return true
	}
	return false
}

// shelf is where the row of the entry is.
func (n *entry) shelf() Shelf {
	switch n.end {
	case Pending:
		return Waiting
	case Delivered, Bounced, Expired, Dropped, Aside, Unsure:
		return Passed
	}
	return Refused
}

// mayBecome reports whether a message of the mesh that has ended may have
// another end: what was delivered may come back, and what was set aside may be
// tried again.
func (n *entry) mayBecome(o Outcome) bool {
	return n.fromLAN && n.end != o && (n.end == Delivered || n.end == Aside)
}

// appendRow writes the entry as a row: a byte for the end, one for the
// direction (1: from the LAN), three times as uvarint, and six texts, each with
// its length in front as uvarint. More may follow one day.
func (n *entry) appendRow(b []byte) []byte {
	way := byte(0)
	if n.fromLAN {
		way = 1
	}
	b = append(b, byte(n.end), way)
	for _, at := range []int64{n.came, n.ended, n.passed} {
		b = binary.AppendUvarint(b, uint64(at))
	}
	for _, s := range []string{n.contact, string(n.peer), n.id, n.archive, n.text, n.why} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// rowEnd reads the beginning of a row.
func rowEnd(b []byte) (end Outcome, fromLAN, ok bool) {
	if len(b) < 2 || b[0] >= byte(numOutcomes) || b[1] > 1 {
		return 0, false, false
	}
	return Outcome(b[0]), b[1] == 1, true
}

// parseRow reads a row. What cannot be read is none.
func parseRow(key string, b []byte) (n entry, ok bool) {
	if n.end, n.fromLAN, ok = rowEnd(b); !ok {
		return n, false
	}
	n.key, b = key, b[2:]
	for _, at := range []*int64{&n.came, &n.ended, &n.passed} {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return n, false
		}
		*at, b = int64(v), b[size:]
	}
	var peer string
	for _, s := range []*string{&n.contact, &peer, &n.id, &n.archive, &n.text, &n.why} {
		v, size := binary.Uvarint(b)
		if size <= 0 || v > uint64(len(b)-size) {
			return n, false
		}
		*s, b = string(b[size:size+int(v)]), b[size+int(v):]
	}
	n.peer = linklocal.Instance(peer)
	return n, true
}

// last is when something happened to the message last.
func (n *entry) last() time.Time { return time.UnixMilli(max(n.came, n.ended)) }
