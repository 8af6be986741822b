package outbox

import (
	"time"

	"meshgate/xmppc2s/sm"
)

// Fresh drops what means nothing in another session: iq, whose answers would
// come to that one, presence, which is said anew, and that somebody was writing.
func (b *Box) Fresh() []Entry {
	return b.dropAll(-1, func(it *item) bool { return !it.class.lasting })
}

// Expire gives up at most limit of the messages, and of what is aside, that
// were queued before that time.
func (b *Box) Expire(before time.Time, limit int) []Entry {
	ms := before.UnixMilli()
	return b.dropAll(limit, func(it *item) bool { return it.class.kind == sm.Message && it.at < ms })
}

// Drain empties the Box, but for the rows.
func (b *Box) Drain() []Entry {
	all := b.dropAll(-1, func(it *item) bool { return it.class.lane != Aside })
	b.rows.gone = nil
	return all
}

// dropAll drops at most limit (negative: all) of the items that are meant.
func (b *Box) dropAll(limit int, meant func(*item) bool) (gone []Entry) {
	for l := range b.lanes {
		f := &b.lanes[l]
		for i := 0; i < len(f.items) && len(gone) != limit; {
			if it := &f.items[i]; it.gone || !meant(it) {
				i++
				continue
			}
			it := b.take(Lane(l), i)
			gone = append(gone, it.entry())
			i = f.from(it.seq + 1) // indexes are void
		}
	}
	return gone
}

// Get returns what waits or is aside under that seq.
func (b *Box) Get(seq uint64) (Entry, bool) {
	if l, i := b.find(seq); i >= 0 {
		return b.lanes[l].items[i].entry(), true
	}
	return Entry{}, false
}

func (b *Box) find(seq uint64) (Lane, int) {
	for l := range b.lanes {
		if i := b.lanes[l].find(seq); i >= 0 {
			return Lane(l), i
		}
	}
	return 0, -1
}

// Drop takes out what waits or is aside under that seq.
func (b *Box) Drop(seq uint64) (Entry, bool) {
	l, i := b.find(seq)
	if i < 0 {
		return Entry{}, false
	}
	it := b.take(l, i)
	return it.entry(), true
}

// SetAside keeps a message that must not be sent for now.
func (b *Box) SetAside(now time.Time, data []byte) {
	if b.lanes[Aside].len() >= b.cfg.MaxAside {
		b.take(Aside, 0)
	}
	c := classify(data)
	c.lane = Aside
	b.seq++
	b.push(item{seq: b.seq, at: now.UnixMilli(), data: data, size: uint32(len(data)), class: c})
}

// Retry makes a stanza that is aside wait again, as if it came now; data is
// its own. It reports false if there is none.
func (b *Box) Retry(now time.Time, seq uint64, data []byte) bool {
	i := b.lanes[Aside].find(seq)
	if i < 0 {
		return false
	}
	b.take(Aside, i)
	return b.Add(now, data) == nil
}

// List returns what waits or is aside, the oldest first, and at most limit of it.
func (b *Box) List(limit int) []Entry {
	var list []Entry
	var at [numLanes]int
	for len(list) < limit {
		best := -1
		for l := range b.lanes {
			f := &b.lanes[l]
			for at[l] < len(f.items) && f.items[at[l]].gone {
				at[l]++
			}
			if at[l] < len(f.items) && (best < 0 || f.items[at[l]].seq < b.lanes[best].items[at[best]].seq) {
				best = l
			}
		}
		if best < 0 {
			break
		}
		list = append(list, b.lanes[best].items[at[best]].entry())
		at[best]++
	}
	return list
}
