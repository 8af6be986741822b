package store

import (
	"encoding/binary"
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

// A Bucket is a part of a Store, with keys of its own.
type Bucket struct {
	s     *Store
	name  []byte
	limit Limit
}

var (
	rowsName  = []byte("rows")
	agesName  = []byte("ages")
	countName = []byte("count")
)

// Bucket opens the bucket of that name, and makes it if it is not there. Rows
// beyond a limit that is lower than before are the oldest, and are forgotten
// if the limit says so.
func (s *Store) Bucket(name string, limit Limit) (*Bucket, error) {
	b := &Bucket{s: s, name: []byte("b:" + name), limit: limit}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		top, err := tx.CreateBucketIfNotExists(b.name)
		if err != nil {
			return err
		}
		for _, sub := range [][]byte{rowsName, agesName} {
			if _, err := top.CreateBucketIfNotExists(sub); err != nil {
				return err
			}
		}
		r := b.in(tx)
		for limit.Evict && r.count() > limit.Rows {
			if err := r.evict(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: bucket %s: %w", name, err)
	}
	return b, nil
}

// Get returns the value of a key, nil if there is none. The value is the caller's.
func (b *Bucket) Get(key []byte) (value []byte) {
	b.view(func(r rows) {
		if v := r.rows.Get(key); v != nil {
			value = append([]byte{}, v[ageLen:]...)
		}
	})
	return value
}

// Len is the number of rows.
func (b *Bucket) Len() (n int) {
	b.view(func(r rows) { n = r.count() })
	return n
}

// All are the keys and values, the oldest first; a key that was put again has
// the age of the last time. In a sorted bucket they go by key. They are as of
// one moment, and valid within the loop only. Nothing may be changed within it.
func (b *Bucket) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		b.view(func(r rows) {
			if r.limit.Sorted {
				c := r.rows.Cursor()
				for key, v := c.First(); key != nil && yield(key, v[ageLen:]); key, v = c.Next() {
				}
				return
			}
			c := r.ages.Cursor()
			for age, key := c.First(); age != nil; age, key = c.Next() {
				if v := r.rows.Get(key); v != nil && !yield(key, v[ageLen:]) {
					return
				}
			}
		})
	}
}

// view reads the bucket as it is now. bbolt's View fails only once the Store
// is closed: then there is nothing.
func (b *Bucket) view(f func(rows)) {
	_ = b.s.db.View(func(tx *bbolt.Tx) error {
		f(b.in(tx))
		return nil
	})
}

// A Change is one that is wanted of a bucket. Its key and value must not be
// altered any more.
type Change struct {
	bucket     *Bucket
	key, value []byte
	remove     bool
}

// Put sets the value of a key.
func (b *Bucket) Put(key, value []byte) Change { return Change{bucket: b, key: key, value: value} }

// Delete removes a key. One that is not there is no error.
func (b *Bucket) Delete(key []byte) Change { return Change{bucket: b, key: key, remove: true} }

func (c Change) apply(tx *bbolt.Tx) error {
	r := c.bucket.in(tx)
	if c.remove {
		return r.remove(c.key)
	}
	return r.put(c.key, c.value)
}

// rows are a bucket within a transaction.
type rows struct {
	top, rows, ages *bbolt.Bucket
	limit           Limit
}

const ageLen = 8

func (b *Bucket) in(tx *bbolt.Tx) rows {
	top := tx.Bucket(b.name)
	return rows{top, top.Bucket(rowsName), top.Bucket(agesName), b.limit}
}

func (r rows) count() int {
	if n := r.top.Get(countName); len(n) == 8 {
		return int(binary.BigEndian.Uint64(n))
	}
	return 0
}

func (r rows) setCount(n int) error {
	return r.top.Put(countName, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func (r rows) put(key, value []byte) error {
	if len(key) == 0 || len(key) > maxKey || len(key)+len(value) > r.limit.RowBytes {
		return ErrTooLarge
	}
	if err := r.remove(key); err != nil {
		return err
	}
	for r.count() >= r.limit.Rows {
		if !r.limit.Evict {
			return ErrFull
		}
		if err := r.evict(); err != nil {
			return err
		}
	}
	age, err := r.newAge(key)
	if err != nil {
		return err
	}
	if err := r.rows.Put(key, slices.Concat(age, value)); err != nil {
		return err
	}
	return r.setCount(r.count() + 1)
}

// noAge is that of the rows of a sorted bucket.
var noAge = make([]byte, ageLen)

// newAge notes that the key is the newest.
func (r rows) newAge(key []byte) ([]byte, error) {
	if r.limit.Sorted {
		return noAge, nil
	}
	seq, err := r.ages.NextSequence()
	if err != nil {
		return nil, err
	}
	age := binary.BigEndian.AppendUint64(nil, seq)
	return age, r.ages.Put(age, key)
}

func (r rows) remove(key []byte) error {
	old := r.rows.Get(key)
	if len(old) < ageLen {
		return nil
	}
	if !r.limit.Sorted {
		if err := r.ages.Delete(old[:ageLen]); err != nil {
			return err
		}
	}
	if err := r.rows.Delete(key); err != nil {
		return err
	}
	return r.setCount(r.count() - 1)
}

// evict removes the oldest row.
func (r rows) evict() error {
	age, key := r.ages.Cursor().First()
	if age == nil {
		return r.setCount(0)
	}
	return r.remove(slices.Clone(key))
}
