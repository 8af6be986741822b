package outbox

import (
	"cmp"
	"slices"
	"time"

	"meshgate/xmppc2s/sm"
)

// An item is an Entry as it is kept.
type item struct {
	seq   uint64
	at    int64  // in milliseconds of unix time
	data  []byte // nil: only the row has it
	size  uint32
	class class
	kept  bool // it has a row, or is to have one
	gone  bool // it is none any more
	left  bool // by another process
}

// An Entry is one stanza that waits.
type Entry struct {
	Seq  uint64 // puts entries in order, and names each as long as it is here
	At   time.Time
	Kind sm.Kind
	Lane Lane
	Size int
	Data []byte // nil: its row has it
	Left bool   // by another process
}

func (it *item) entry() Entry {
	return Entry{Seq: it.seq, At: time.UnixMilli(it.at), Kind: it.class.kind, Lane: it.class.lane, Size: int(it.size), Data: it.data, Left: it.left}
}

// A fifo holds items in order of their seq. Its first one is never gone.
type fifo struct {
	items []item
	gone  int
	base  [16]item // of items, as long as there are few
}

func (f *fifo) len() int { return len(f.items) - f.gone }

func (f *fifo) push(it item) {
	if len(f.items) == 0 {
		f.items = f.base[:0]
	}
	f.items = append(f.items, it)
}

// from is the index of the first item with that seq or a higher one.
func (f *fifo) from(seq uint64) int {
	i, _ := slices.BinarySearchFunc(f.items, seq, func(it item, seq uint64) int { return cmp.Compare(it.seq, seq) })
	return i
}

// find returns the index of an item, -1 if it is not there.
func (f *fifo) find(seq uint64) int {
	if i := f.from(seq); i < len(f.items) && f.items[i].seq == seq && !f.items[i].gone {
		return i
	}
	return -1
}

// remove takes out the item at index i. Indexes are void behind that.
func (f *fifo) remove(i int) {
	f.items[i] = item{seq: f.items[i].seq, gone: true}
	f.gone++
	if i == 0 {
		f.trim()
	} else if f.gone > len(f.items)/2 {
		f.items = slices.DeleteFunc(f.items, func(it item) bool { return it.gone })
		f.gone = 0
	}
}

// trim makes the first item one that is there.
func (f *fifo) trim() {
	n := 0
	for n < len(f.items) && f.items[n].gone {
		n++
	}
	f.items = f.items[n:]
	f.gone -= n
	if len(f.items) == 0 {
		f.items = nil
	}
}
