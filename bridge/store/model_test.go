package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A shelf is what a bucket should be: rows in the order in which they were put.
type shelf struct {
	limit Limit
	rows  []pair
}

type pair struct{ key, value string }

func (m *shelf) drop(key string) {
	m.rows = slices.DeleteFunc(m.rows, func(p pair) bool { return p.key == key })
}

func (m *shelf) put(key, value string) error {
	if len(key)+len(value) > m.limit.RowBytes {
		return ErrTooLarge
	}
	m.drop(key)
	if len(m.rows) >= m.limit.Rows {
		if !m.limit.Evict {
			return ErrFull
		}
		m.rows = m.rows[1:]
	}
	m.rows = append(m.rows, pair{key, value})
	return nil
}

func (m *shelf) text() string {
	rows := slices.Clone(m.rows)
	if m.limit.Sorted {
		slices.SortFunc(rows, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	}
	var out []string
	for _, p := range rows {
		out = append(out, p.key+"="+p.value)
	}
	return strings.Join(out, " ")
}

// A modelRun is a store and what it should be.
type modelRun struct {
	*rapid.T
	path    string
	s       *Store
	buckets []*Bucket
	model   []*shelf
	n       int
}

// modelLog is the size of a log there: a few records fill it.
const modelLog = logStart + 640

var modelLimits = []Limit{
	{Rows: 4, RowBytes: 1000, Evict: true},
	{Rows: 5, RowBytes: 1000, Sorted: true},
	{Rows: 40, RowBytes: 1000},
	{Rows: 12, RowBytes: 1000, Evict: true},
}

func (r *modelRun) open() {
	var err error
	if r.s, err = openSize(r.path, modelLog); err != nil {
		r.Fatal(err)
	}
	if r.s.PutAside()+r.s.LogPutAside() != "" {
		r.Fatalf("put aside: %q, %q", r.s.PutAside(), r.s.LogPutAside())
	}
	r.buckets = nil
	for i, m := range r.model {
		b, err := r.s.Bucket(fmt.Sprint(i), m.limit)
		if err != nil {
			r.Fatal(err)
		}
		r.buckets = append(r.buckets, b)
		for m.limit.Evict && len(m.rows) > m.limit.Rows {
			m.rows = m.rows[1:]
		}
	}
}

// batch is a set of changes, and what becomes of the model if it is made.
func (r *modelRun) batch() (batch, []*shelf, error) {
	var b batch
	var failed error
	after := make([]*shelf, len(r.model))
	for i, m := range r.model {
		after[i] = &shelf{m.limit, slices.Clone(m.rows)}
	}
	for range rapid.IntRange(1, 6).Draw(r.T, "changes") {
		i := rapid.IntRange(0, len(r.model)-1).Draw(r.T, "bucket")
		key := rapid.StringMatching(`[a-o]`).Draw(r.T, "key")
		if rapid.IntRange(0, 2).Draw(r.T, "delete") == 0 {
			b.changes = append(b.changes, r.buckets[i].Delete([]byte(key)))
			after[i].drop(key)
			continue
		}
		r.n++
		value := fmt.Sprint(r.n) + strings.Repeat(".", rapid.SampledFrom([]int{0, 0, 0, 30, 700, 1001}).Draw(r.T, "more"))
		b.changes = append(b.changes, r.buckets[i].Put([]byte(key), []byte(value)))
		if err := after[i].put(key, value); err != nil && failed == nil {
			failed = err
		}
	}
	if failed != nil {
		return b, r.model, failed
	}
	return b, after, nil
}

// write commits some batches at once.
func (r *modelRun) write() {
	var batches []batch
	var want []error
	for range rapid.IntRange(1, 3).Draw(r.T, "batches") {
		b, after, err := r.batch()
		batches, want, r.model = append(batches, b), append(want, err), after
	}
	for i, err := range r.s.commit(batches) {
		if !errors.Is(err, want[i]) {
			r.Fatalf("batch %d of %d: %v, want %v", i, len(batches), err, want[i])
		}
	}
}

func (r *modelRun) check() {
	for i, m := range r.model {
		b := r.buckets[i]
		if diff := cmp.Diff(m.text(), text(b)); diff != "" || b.Len() != len(m.rows) {
			r.Fatalf("bucket %d has %d rows, want %d: %s", i, b.Len(), len(m.rows), diff)
		}
		for _, key := range strings.Split("abcdefghijklmno", "") {
			at := slices.IndexFunc(m.rows, func(p pair) bool { return p.key == key })
			got := b.Get([]byte(key))
			if (got != nil) != (at >= 0) || at >= 0 && string(got) != m.rows[at].value {
				r.Fatalf("bucket %d: %s is %q", i, key, got)
			}
		}
	}
}

// kill goes on with copies of the files as they are.
func (r *modelRun) kill() {
	path := filepath.Join(filepath.Dir(r.path), fmt.Sprintf("%d.db", r.n))
	from, to := logNames(r.path), logNames(path)
	for old, name := range map[string]string{r.path: path, from[0]: to[0], from[1]: to[1]} {
		b, err := os.ReadFile(old)
		if err == nil {
			err = os.WriteFile(name, b, 0o600)
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	if err := r.s.Close(); err != nil {
		r.Fatal(err)
	}
	r.path, r.n = path, r.n+1
	r.open()
}

// The store is maps with an order and a limit, whatever is in the log and in
// the overlays, and whenever the program is ended or killed.
func TestAStoreIsWhatItsModelIs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := memoryTemp(t)
		if err != nil {
			rt.Fatal(err)
		}
		r := &modelRun{T: rt, path: filepath.Join(dir, "x.db")}
		for _, l := range modelLimits {
			r.model = append(r.model, &shelf{limit: l})
		}
		r.open()
		defer func() { r.s.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { r.T = t; r.check() },
			"write": func(t *rapid.T) {
				r.T = t
				r.write()
			},
			"turn": func(*rapid.T) {
				if r.s.frozen == nil {
					r.s.turn()
				}
			},
			"fold":  func(t *rapid.T) { wantNil(t, r.s.fold()) },
			"flush": func(t *rapid.T) { wantNil(t, r.s.flush()) },
			"restart": func(t *rapid.T) {
				r.T = t
				wantNil(t, r.s.Close())
				r.open()
			},
			"lower": func(t *rapid.T) {
				r.T = t
				r.model[3].limit.Rows = rapid.IntRange(1, 12).Draw(t, "rows")
				wantNil(t, r.s.Close())
				r.open()
			},
			"kill": func(t *rapid.T) { r.T = t; r.kill() },
		})
	})
}

func wantNil(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// memoryTemp is a directory in memory, if there is such a thing: for tests
// that wait for a disk often and find nothing out by that.
func memoryTemp(t *testing.T) (string, error) {
	dir, err := os.MkdirTemp(memoryDir, "meshgate-")
	if err != nil {
		return os.MkdirTemp(t.TempDir(), "")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir, nil
}
