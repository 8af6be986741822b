package store

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"
)

// A Limit bounds a bucket.
type Limit struct {
	Rows     int
	RowBytes int  // of a key and its value together; at most 16 MiB
	Evict    bool // a full bucket forgets its oldest row; else it takes no new one
	Sorted   bool // All goes by key instead of by age, and a row costs less; not with Evict
}

// Errors of Update and Write. They come wrapped.
var (
	ErrFull     = errors.New("the bucket is full")
	ErrTooLarge = errors.New("the row is too large")
)

// maxKey is what bbolt can do.
const maxKey = bbolt.MaxKeySize

// bucketPrefix is that of the names of our buckets among those of bbolt.
const bucketPrefix = "b:"

// A Bucket is a part of a Store, with keys of its own.
type Bucket struct {
	s     *Store
	name  string
	limit Limit
}

// Bucket opens the bucket of that name, and makes it if it is not there. Rows
// beyond a limit that is lower than before are the oldest, and are forgotten
// if the limit says so.
func (s *Store) Bucket(name string, limit Limit) (*Bucket, error) {
	b := &Bucket{s: s, name: bucketPrefix + name, limit: limit}
	err := b.make()
	if err == nil && limit.Evict && b.Len() > limit.Rows {
		err = s.Update(Change{bucket: b, trim: true})
	}
	if err != nil {
		return nil, fmt.Errorf("store: bucket %s: %w", name, err)
	}
	return b, nil
}

// make makes the bucket if it is not there: where the disk is full one that is
// there is of use.
func (b *Bucket) make() error {
	there := false
	err := b.s.db.View(func(tx *bbolt.Tx) error {
		base := openBase(tx, b.name)
		there = base.rows != nil && base.ages != nil
		return nil
	})
	if err != nil || there {
		return err
	}
	return b.s.db.Update(func(tx *bbolt.Tx) error {
		_, err := makeBase(tx, b.name)
		return err
	})
}

// Get returns the value of a key, nil if there is none. The value is the caller's.
func (b *Bucket) Get(key []byte) (value []byte) {
	b.s.mu.RLock()
	r := find(b.s.over(), b.name, string(key))
	b.s.mu.RUnlock()
	if r != nil {
		if r.gone {
			return nil
		}
		return append([]byte{}, r.value...)
	}
	b.view(func(tx *bbolt.Tx, base base) { // what has been folded meanwhile is no older
		if v := base.get(key); v != nil {
			value = append([]byte{}, v[ageLen:]...)
		}
		b.s.touched(tx, len(value))
	})
	return value
}

// Len is the number of rows.
func (b *Bucket) Len() (n int) {
	b.s.mu.RLock()
	for _, o := range b.s.over() {
		if p := o.parts[b.name]; p != nil {
			n = p.count
			b.s.mu.RUnlock()
			return n
		}
	}
	b.s.mu.RUnlock()
	b.view(func(_ *bbolt.Tx, base base) { n = base.count() })
	return n
}

// view reads the bucket of the database. bbolt's View fails only once the
// Store is closed: then there is nothing.
func (b *Bucket) view(f func(*bbolt.Tx, base)) {
	_ = b.s.db.View(func(tx *bbolt.Tx) error {
		f(tx, openBase(tx, b.name))
		return nil
	})
}

// All are the keys and values, the oldest first; a key that was put again has
// the age of the last time. In a sorted bucket they go by key. They are as of
// one moment, and valid within the loop only. Nothing may be changed within it.
func (b *Bucket) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		tx, l, err := b.s.snapshot(b)
		if err != nil {
			return // it is closed: there is nothing
		}
		defer tx.Rollback() // of one that reads it cannot fail
		defer b.s.letGo(tx)
		touching := func(key, value []byte) bool {
			b.s.touched(tx, len(value))
			return yield(key, value)
		}
		if base := openBase(tx, b.name); b.limit.Sorted {
			l.byKey(base, touching)
		} else {
			l.byAge(base, touching)
		}
	}
}

// snapshot is what a bucket's overlays and the database are at one moment. A
// fold must not come between the one and the other.
func (s *Store) snapshot(b *Bucket) (*bbolt.Tx, layer, error) {
	for {
		s.mu.RLock()
		l, folds := flatten(s.over(), b.name, b.limit.Sorted), s.folds
		s.mu.RUnlock()
		tx, err := s.db.Begin(false)
		if err != nil {
			return nil, layer{}, err
		}
		s.mu.RLock()
		same := folds == s.folds
		s.mu.RUnlock()
		if same {
			return tx, l, nil
		}
		_ = tx.Rollback() // of one that reads it cannot fail
	}
}

func (l layer) byKey(base base, yield func(key, value []byte) bool) {
	rest := l.order
	if base.rows != nil {
		c := base.rows.Cursor()
		for key, v := c.First(); key != nil; key, v = c.Next() {
			for len(rest) > 0 && rest[0].key < string(key) {
				if !yield([]byte(rest[0].key), rest[0].value) {
					return
				}
				rest = rest[1:]
			}
			if l.rows[string(key)] == nil && len(v) >= ageLen && !yield(key, v[ageLen:]) {
				return
			}
		}
	}
	l.yield(rest, yield)
}

func (l layer) byAge(base base, yield func(key, value []byte) bool) {
	if base.ages != nil {
		c := base.ages.Cursor()
		for age, key := c.Seek(appendAge(nil, l.floor)); age != nil; age, key = c.Next() {
			if l.rows[string(key)] != nil {
				continue
			}
			if v := base.get(key); v != nil && !yield(key, v[ageLen:]) {
				return
			}
		}
	}
	l.yield(l.order, yield)
}

func (l layer) yield(rows []*row, yield func(key, value []byte) bool) {
	for _, r := range rows {
		if !yield([]byte(r.key), r.value) {
			return
		}
	}
}

// A Change is one that is wanted of a bucket. Its key and value must not be
// altered any more.
type Change struct {
	bucket       *Bucket
	key, value   []byte
	remove, trim bool
}

// Put sets the value of a key.
func (b *Bucket) Put(key, value []byte) Change { return Change{bucket: b, key: key, value: value} }

// Delete removes a key. One that is not there is no error.
func (b *Bucket) Delete(key []byte) Change { return Change{bucket: b, key: key, remove: true} }

// Set changes a row: with a nil value it deletes it.
func (b *Bucket) Set(key, value []byte) Change {
	if value == nil {
		return b.Delete(key)
	}
	return b.Put(key, value)
}

func (c Change) apply(v *view) error {
	switch {
	case c.trim:
		return v.trim(c.bucket.name, c.bucket.limit)
	case c.remove:
		return v.remove(c.bucket.name, string(c.key))
	}
	return v.put(c.bucket.name, string(c.key), slices.Clone(c.value), c.bucket.limit)
}
