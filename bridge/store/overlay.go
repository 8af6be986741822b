package store

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// An overlay is what is to be changed in a database, or in what other overlays
// make of one: the newest word on each row. It has no lock.
type overlay struct{ parts map[string]*part }

func newOverlay() *overlay { return &overlay{map[string]*part{}} }

// A part is that of one bucket.
type part struct {
	rows    map[string]*row
	order   []*row // as they were set; those that are no more in rows are of the past
	count   int    // rows that there are with it, in all
	nextAge uint64
	floor   uint64 // nothing below it has a row of a lower age that is not in it, too
}

// A row is a word on a row: what it holds, or that it is gone. It is not
// altered once another goroutine may see it.
type row struct {
	key   string
	value []byte
	age   uint64 // 0 in a sorted bucket; of one that is gone that of the next
	gone  bool
	below bool // what lies below its overlay has a row of that key
}

// set makes r the word on its row. Of one that is gone and was never below
// nothing is left.
func (p *part) set(r *row) {
	if old := p.rows[r.key]; old != nil {
		r.below = old.below
	}
	if r.gone && !r.below {
		delete(p.rows, r.key)
		return
	}
	if len(p.order) > 2*len(p.rows)+64 {
		p.order = slices.Collect(p.live())
	}
	p.rows[r.key] = r
	p.order = append(p.order, r)
}

// live are the rows as they were set last.
func (p *part) live() iter.Seq[*row] { return p.since(0) }

// since are those of live that have that age or a higher one.
func (p *part) since(age uint64) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		at, _ := slices.BinarySearchFunc(p.order, age, func(r *row, age uint64) int {
			if r.age < age {
				return -1
			}
			return 1
		})
		for _, r := range p.order[at:] {
			if p.rows[r.key] == r && !yield(r) {
				return
			}
		}
	}
}

// merge takes over what the overlay above says. That is of no use any more then.
func (o *overlay) merge(above *overlay) {
	for name, a := range above.parts {
		p := o.parts[name]
		if p == nil {
			o.parts[name] = a
			continue
		}
		p.count, p.nextAge, p.floor = a.count, a.nextAge, a.floor
		for r := range a.live() {
			p.set(r)
		}
	}
}

// empty reports whether it says nothing.
func (o *overlay) empty() bool {
	for _, p := range o.parts {
		if len(p.rows) > 0 {
			return false
		}
	}
	return true
}

// find is the newest word of the overlays on a row, the newest of which is the
// first; nil if there is none.
func find(over []*overlay, bucket, key string) *row {
	for _, o := range over {
		if p := o.parts[bucket]; p != nil {
			if r := p.rows[key]; r != nil {
				return r
			}
		}
	}
	return nil
}

// A layer is what overlays say of one bucket, as of one moment.
type layer struct {
	rows  map[string]*row
	order []*row // those that are not gone, by age or, if sorted, by key
	floor uint64
}

// flatten makes one layer of the overlays, the newest of which is the first.
func flatten(over []*overlay, bucket string, sorted bool) layer {
	l := layer{rows: map[string]*row{}}
	for _, o := range slices.Backward(over) {
		if p := o.parts[bucket]; p != nil {
			maps.Copy(l.rows, p.rows)
			l.floor = p.floor
		}
	}
	for _, r := range l.rows {
		if !r.gone {
			l.order = append(l.order, r)
		}
	}
	slices.SortFunc(l.order, func(a, b *row) int {
		if sorted {
			return cmp.Compare(a.key, b.key)
		}
		return cmp.Compare(a.age, b.age)
	})
	return l
}
