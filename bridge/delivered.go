package bridge

import (
	"crypto/sha256"
	"iter"
	"slices"
	"strings"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// MaxDelivered is how many keys are remembered of messages of the network, from
// the very moment in which these were written to their peers. Each has two, and
// what counts is only what a server has sent and not heard of.
const MaxDelivered = 8192

// Marks are the keys of messages that have been delivered, kept where they
// outlive the process, if not the power, as soon as Add returns, which is at once.
// Its methods are called from any goroutine, and none blocks.
//
// A message is written to its peer before anybody else can know of that: the
// server, which will send it again until it is told, or the shelf Passed,
// which waits for a disk. A process that is killed then has this to know it by.
type Marks interface {
	// All are the keys, the oldest first.
	All() iter.Seq[[16]byte]
	// Add keeps a key. The oldest is forgotten if there are more than MaxDelivered.
	Add([16]byte)
	// Remove forgets a key: the peer has not read the message after all, and
	// it is written once more.
	Remove([16]byte)
}

// placeKey recognises a message that comes again when its session is resumed,
// though it may have neither id nor stamp; "" where it has no place in one. Its
// words are in the key, too: COMPAT ejabberd 23.01 may change the order of what
// it sends again, and then something else is at this place.
func placeKey(m xmppc2s.Message) string {
	if m.Place == "" {
		return ""
	}
	st := m.Stanza
	sum := sha256.Sum256([]byte(strings.Join([]string{
		m.Place, st.Attr("from"), st.Attr("id"), st.Child(stanza.NSClient, "body").Text(),
	}, "\x00")))
	sum[0] |= placeBit
	return string(sum[:16])
}

// markLen is how long keys are that are marked.
const markLen = 16

// placeBit, in its first byte, tells the key of a place from that of a row.
const placeBit = 0x80

// maxUnfiled is how many of the newest marks are looked at for messages whose
// row was lost with the process.
const maxUnfiled = 1024

// filedKey is the one row of Filed. Its value is the key of the message of the
// network whose row was made last. It is written together with that and stays
// when the row is forgotten: what has a newer mark has never had a row.
var filedKey = []byte("from network")

// unfiled are the keys of messages that were delivered and never had a row, the
// oldest first: those that were marked behind all that have one, and behind the
// last one that had.
func unfiled(marks Marks, past Past) (lost []string) {
	last := past.Get(Filed, filedKey)
	keys := slices.Collect(marks.All())
	keys = keys[max(0, len(keys)-maxUnfiled):]
	for _, key := range slices.Backward(keys) {
		if string(key[:]) == string(last) || past.Get(Passed, key[:]) != nil {
			break
		}
		if key[0]&placeBit == 0 {
			lost = append(lost, string(key[:]))
		}
	}
	slices.Reverse(lost)
	return lost
}

// mayBeMarked reports whether there can be a mark that has the key of the row.
func (n *entry) mayBeMarked() bool { return !n.fromLAN && n.end == Delivered && len(n.key) == markLen }

// markDelivered is what is to be called when the message of these keys is
// written, or has turned out not to be read; nil: nothing is.
func markDelivered(marks Marks, keys [2]string) func(written bool) {
	if marks == nil {
		return nil
	}
	return func(written bool) {
		for _, key := range keys {
			switch {
			case len(key) != markLen: // there is none
			case written:
				marks.Add([16]byte([]byte(key)))
			default:
				marks.Remove([16]byte([]byte(key)))
			}
		}
	}
}

// markedBefore are the marks of before the start, for the book.
func markedBefore(marks Marks) iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for key := range marks.All() {
			if !yield(string(key[:]), true) {
				return
			}
		}
	}
}

// wasMarked reports whether a message was written to its peer before the start,
// and comes again: in the session that we have resumed, or out of a store and
// with a delay. What has the id and the words of another one and neither has
// been written twice.
func (e *engine) wasMarked(in *incoming) bool {
	return e.book.marked[placeKey(in.message)] || e.book.marked[in.entry.key] && !in.content.Stamp.IsZero()
}

// repeated is how a message ends that comes again: if nobody has noted the
// first time, it is this one that was delivered.
func (e *engine) repeated(now time.Time, in *incoming) Outcome {
	n, known := e.book.recent.Get(now, in.entry.key)
	if e.book.coming[in.entry.key] == nil && (!known || n.isRestored()) {
		in.entry.why = wordsMarkedAgain
		return Delivered
	}
	return Duplicate
}

// receiptAgain answers a repeat of a message that has been delivered, if its
// sender wants a receipt: the first may have been lost with the process.
func (e *engine) receiptAgain(in *incoming) {
	if in.wantsReceipt() && e.book.coming[in.entry.key] == nil {
		e.emit(toServer{rewrite.Receipt(in.message.Stanza)})
	}
}

// wantsReceipt reports whether its sender wants to know that it has arrived.
func (in *incoming) wantsReceipt() bool {
	return in.content.Receipt && in.message.Stanza.Attr("id") != ""
}
