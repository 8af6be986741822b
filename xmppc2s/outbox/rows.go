package outbox

import (
	"bytes"
	"slices"
	"time"

	"meshgate/xmppc2s/sm"
)

// A Change is one of the journal: the row of an Entry is to be there with its
// data, or to be gone. A row has the place that its Seq and its being Aside or
// not say.
type Change struct {
	Entry  Entry
	Remove bool
}

// rows is what the journal knows, and what it does not know yet.
type rows struct {
	gone []Change
	told uint64 // up to this seq all that stays has a row
	sure uint64 // up to this seq the rows are durable
}

// removed notes that an item is there no longer.
func (r *rows) removed(it *item) {
	if it.kept {
		e := it.entry()
		e.Data = nil
		r.gone = append(r.gone, Change{e, true})
	}
}

// Changed reports whether there are Changes to take.
func (b *Box) Changed() bool {
	if !b.cfg.Journal {
		return false
	}
	for l := range b.lanes {
		f := &b.lanes[l]
		if len(f.items) == 0 || f.items[len(f.items)-1].seq <= b.rows.told {
			continue
		}
		if slices.ContainsFunc(f.items[f.from(b.rows.told+1):], func(it item) bool { return !it.gone }) {
			return true
		}
	}
	return len(b.rows.gone) > 0
}

// AppendChanges appends what the rows lack, and returns upTo for Durable. All
// of it belongs into one write, together with what has become of the stanzas
// that Next and Drop returned since the last time.
func (b *Box) AppendChanges(list []Change) (changes []Change, upTo uint64) {
	list = append(list, b.rows.gone...)
	b.rows.gone = b.rows.gone[:0]
	for l := range b.lanes {
		f := &b.lanes[l]
		for i := f.from(b.rows.told + 1); i < len(f.items); i++ {
			if it := &f.items[i]; !it.gone {
				it.kept = true
				list = append(list, Change{Entry: it.entry()})
			}
		}
	}
	b.rows.told = b.seq
	return list, b.seq
}

// Durable says that the rows up to that seq are: of what is too much for the
// memory the data is left to them.
func (b *Box) Durable(upTo uint64) {
	for l := range b.lanes {
		f := &b.lanes[l]
		for i := f.from(b.rows.sure + 1); i < len(f.items) && f.items[i].seq <= upTo; i++ {
			if it := &f.items[i]; b.memory > b.cfg.Memory && it.data != nil {
				b.memory -= len(it.data)
				it.data = nil
				b.stats.Spilled++
			}
		}
	}
	b.rows.sure = max(b.rows.sure, upTo)
}

// Restore takes what a row holds: of a new Box, and in order of the Seqs, those
// of what is aside by themselves. Data is not kept. It reports whether it is a
// stanza.
func (b *Box) Restore(seq uint64, at time.Time, data []byte, aside bool) bool {
	c := classify(data)
	if c.kind == sm.Nonza {
		return false
	}
	if aside {
		c.lane = Aside
	}
	it := item{seq: seq, at: at.UnixMilli(), size: uint32(len(data)), class: c, kept: true, left: true}
	if b.memory < b.cfg.Memory {
		it.data = bytes.Clone(data)
	}
	if c.state && !aside {
		b.states[sm.Attr(data, "to")] = seq
	}
	b.push(it)
	b.seq = max(b.seq, seq)
	b.rows.told, b.rows.sure = b.seq, b.seq
	return true
}
