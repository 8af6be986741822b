package store

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"
)

var (
	rowsName  = []byte("rows")
	agesName  = []byte("ages")
	countName = []byte("count")
)

const ageLen = 8

// A base is a bucket as the database has it. One that is not there is empty.
type base struct{ top, rows, ages *bbolt.Bucket }

func openBase(tx *bbolt.Tx, bucket string) base {
	top := tx.Bucket([]byte(bucket))
	if top == nil {
		return base{}
	}
	return base{top, top.Bucket(rowsName), top.Bucket(agesName)}
}

// get is the value of a row with its age in front, nil if there is none.
func (b base) get(key []byte) []byte {
	if b.rows == nil {
		return nil
	}
	if v := b.rows.Get(key); len(v) >= ageLen {
		return v
	}
	return nil
}

func (b base) count() int {
	if b.top == nil {
		return 0
	}
	if n := b.top.Get(countName); len(n) == 8 {
		return int(binary.BigEndian.Uint64(n))
	}
	return 0
}

func (b base) nextAge() uint64 {
	if b.ages == nil {
		return 1
	}
	return b.ages.Sequence() + 1
}

func appendAge(b []byte, age uint64) []byte { return binary.BigEndian.AppendUint64(b, age) }

func makeBase(tx *bbolt.Tx, bucket string) (b base, err error) {
	if b.top, err = tx.CreateBucketIfNotExists([]byte(bucket)); err != nil {
		return b, err
	}
	if b.rows, err = b.top.CreateBucketIfNotExists(rowsName); err != nil {
		return b, err
	}
	b.ages, err = b.top.CreateBucketIfNotExists(agesName)
	return b, err
}

// A view is a database with overlays over it, of which the first is the newest
// and takes what is changed. It belongs to one goroutine.
type view struct {
	db    *bbolt.DB
	over  []*overlay
	tx    *bbolt.Tx // nil: it was not needed yet
	bases map[string]base
}

// base is a bucket below the overlays.
func (v *view) base(bucket string) (base, error) {
	if b, ok := v.bases[bucket]; ok {
		return b, nil
	}
	if v.tx == nil {
		tx, err := v.db.Begin(false)
		if err != nil {
			return base{}, err
		}
		v.tx, v.bases = tx, map[string]base{}
	}
	b := openBase(v.tx, bucket)
	v.bases[bucket] = b
	return b, nil
}

func (v *view) close() {
	if v.tx != nil {
		_ = v.tx.Rollback() // of one that reads it cannot fail
	}
}

// part is what takes the changes of a bucket.
func (v *view) part(bucket string) (*part, error) {
	if p := v.over[0].parts[bucket]; p != nil {
		return p, nil
	}
	p := &part{rows: map[string]*row{}}
	v.over[0].parts[bucket] = p
	for _, o := range v.over[1:] {
		if q := o.parts[bucket]; q != nil {
			p.count, p.nextAge, p.floor = q.count, q.nextAge, q.floor
			return p, nil
		}
	}
	b, err := v.base(bucket)
	if err != nil {
		return nil, err
	}
	p.count, p.nextAge = b.count(), b.nextAge()
	return p, nil
}

// has reports whether there is a row of that key.
func (v *view) has(bucket, key string) (bool, error) {
	if r := find(v.over, bucket, key); r != nil {
		return !r.gone, nil
	}
	b, err := v.base(bucket)
	return err == nil && b.get([]byte(key)) != nil, err
}

// remove removes a row, if it is there.
func (v *view) remove(bucket, key string) error {
	p, err := v.part(bucket)
	if err != nil {
		return err
	}
	had, err := v.has(bucket, key)
	if had {
		p.count--
		p.set(&row{key: key, age: p.nextAge, gone: true, below: true})
	}
	return err
}

// insert puts a row that is not there, with the age that it is to have.
func (v *view) insert(bucket, key string, value []byte, age uint64) error {
	p, err := v.part(bucket)
	if err != nil {
		return err
	}
	// Where the overlay itself has no word on it, what lies below has no row.
	p.set(&row{key: key, value: value, age: age})
	p.count, p.nextAge = p.count+1, max(p.nextAge, age+1)
	return nil
}

// put sets a row as the newest of its bucket, within the limit.
func (v *view) put(bucket, key string, value []byte, limit Limit) error {
	if len(key) == 0 || len(key) > maxKey || len(key)+len(value) > limit.RowBytes {
		return ErrTooLarge
	}
	if err := v.remove(bucket, key); err != nil {
		return err
	}
	p, err := v.part(bucket)
	if err != nil {
		return err
	}
	for p.count >= limit.Rows {
		found := false
		if limit.Evict {
			if found, err = v.evict(bucket, p); err != nil {
				return err
			}
		}
		if !found {
			return ErrFull
		}
	}
	age := p.nextAge
	if limit.Sorted {
		age = 0
	}
	return v.insert(bucket, key, value, age)
}

// trim evicts what is beyond the limit.
func (v *view) trim(bucket string, limit Limit) error {
	p, err := v.part(bucket)
	for found := true; err == nil && found && p.count > limit.Rows; {
		found, err = v.evict(bucket, p)
	}
	return err
}

// replay makes the changes of a record, and closes the view.
func (v *view) replay(r record) error {
	defer v.close()
	for c, err := range r.changes() {
		if err == nil {
			err = v.remove(c.bucket, c.key)
		}
		if err == nil && !c.gone {
			err = v.insert(c.bucket, c.key, slices.Clone(c.value), c.age)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// evict removes the oldest row, and reports whether there was one.
func (v *view) evict(bucket string, p *part) (bool, error) {
	key, age, err := v.oldest(bucket, p.floor)
	if err != nil || key == "" {
		return false, err
	}
	p.floor = age + 1
	return true, v.remove(bucket, key)
}

// oldest is the row of the lowest age from floor on.
func (v *view) oldest(bucket string, floor uint64) (key string, age uint64, err error) {
	b, err := v.base(bucket)
	if err != nil {
		return "", 0, err
	}
	if b.ages != nil {
		c := b.ages.Cursor()
		for a, k := c.Seek(appendAge(nil, floor)); a != nil; a, k = c.Next() {
			if len(a) == ageLen && find(v.over, bucket, string(k)) == nil {
				return string(k), binary.BigEndian.Uint64(a), nil
			}
		}
	}
	for i := len(v.over) - 1; i >= 0; i-- {
		p := v.over[i].parts[bucket]
		if p == nil {
			continue
		}
		for r := range p.since(floor) {
			if !r.gone && find(v.over[:i], bucket, r.key) == nil {
				return r.key, r.age, nil
			}
		}
	}
	return "", 0, nil
}
