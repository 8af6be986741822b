package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The power fails, at any moment. Until a disk has been waited for it may have
// any of the sectors that were written since, in any order, and one that is
// being written in part, if what counts in it has a checksum. These tests take
// down what is written to the files, and open what the disk may have had of it.

// sector is what a disk writes as a whole.
const sector = 512

// A piece is a sector, or less, that is written.
type piece struct {
	at   int64
	data []byte
}

// pieces cuts a write into sectors.
func pieces(at int64, b []byte) (list []piece) {
	for len(b) > 0 {
		n := min(int64(len(b)), sector-at%sector)
		list = append(list, piece{at, bytes.Clone(b[:n])})
		at, b = at+n, b[n:]
	}
	return list
}

// changed are the sectors that are different, and lie between two offsets.
func changed(before, after []byte, from, to int) (list []piece) {
	before = grown(before, len(after))
	for at := from; at < min(to, len(after)); at += sector {
		if end := at + sector; !bytes.Equal(before[at:end], after[at:end]) {
			list = append(list, piece{int64(at), after[at:end]})
		}
	}
	return list
}

func grown(b []byte, size int) []byte {
	return append(bytes.Clone(b), make([]byte, max(0, size-len(b)))...)
}

// A cut is a part of pieces that has reached the disk.
type cut struct {
	name string
	list []piece
}

// cuts are all prefixes, some of them with a part of the next piece, and some
// of what else may be, in any order.
func cuts(rnd *rand.Rand, list []piece, torn bool) (all []cut) {
	for i := range len(list) + 1 {
		if len(list) < 8 || i == 0 || i == len(list) || rnd.IntN(len(list)/6) == 0 {
			all = append(all, cut{fmt.Sprintf("%d sectors of %d", i, len(list)), list[:i]})
		}
	}
	for range 3 {
		some := slices.DeleteFunc(slices.Clone(list), func(piece) bool { return rnd.IntN(2) == 0 })
		if len(some) == 0 {
			continue
		}
		if torn {
			i := rnd.IntN(len(some))
			some[i].data = some[i].data[:rnd.IntN(len(some[i].data))]
		}
		all = append(all, cut{fmt.Sprintf("some sectors, torn: %v", torn), some})
	}
	return all
}

func (c cut) on(file []byte) []byte {
	file = bytes.Clone(file)
	for _, p := range c.list {
		file = grown(file, int(p.at)+len(p.data))
		copy(file[p.at:], p.data)
	}
	return file
}

// A recorder is the disk of a log that takes down what is written.
type recorder struct {
	disk
	writes []piece // since the last wait
	synced func([]piece)
}

func (r *recorder) WriteAt(b []byte, at int64) (int, error) {
	r.writes = append(r.writes, pieces(at, b)...)
	return r.disk.WriteAt(b, at)
}

func (r *recorder) Sync() error {
	r.synced(r.writes)
	r.writes = nil
	return r.disk.Sync()
}

// files are the contents of a store's: the database and its two logs.
type files [3][]byte

func paths(path string) [3]string {
	logs := logNames(path)
	return [3]string{path, logs[0], logs[1]}
}

func readFiles(t *testing.T, path string) (f files) {
	t.Helper()
	for i, name := range paths(path) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f[i] = b
	}
	return f
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	err := os.WriteFile(path, bytes.TrimRight(b, "\x00"), 0o600)
	if err == nil {
		err = os.Truncate(path, int64(len(b))) // a hole costs less
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A powerRun is a store of which everything that is written is taken down.
type powerRun struct {
	*testing.T
	dir     string
	rnd     *rand.Rand
	s       *Store
	b       [2]*Bucket
	commits []powerCommit // since the last fold began
	n       int
}

// A powerCommit is what a commit has written to the log, and what the rows are
// with it.
type powerCommit struct {
	log  int
	list []piece
	rows string
}

var powerLimits = [2]Limit{{Rows: 1000, RowBytes: 20000, Sorted: true}, {Rows: 7, RowBytes: 100, Evict: true}}

func (r *powerRun) path() string { return filepath.Join(r.dir, "x.db") }

func (r *powerRun) begin() {
	r.s, _ = openedSize(r.T, r.path(), smallLog)
	r.b = r.buckets(r.s)
	for i, l := range r.s.logs {
		l.disk = &recorder{disk: l.disk, synced: func(list []piece) {
			r.commits = append(r.commits, powerCommit{log: i, list: list})
		}}
	}
}

func (r *powerRun) buckets(s *Store) (b [2]*Bucket) {
	r.Helper()
	for i, l := range powerLimits {
		var err error
		if b[i], err = s.Bucket(fmt.Sprint(i), l); err != nil {
			r.Fatal(err)
		}
	}
	return b
}

func rowsOf(b [2]*Bucket) string { return text(b[0]) + " | " + text(b[1]) }

func (r *powerRun) commit() {
	var changes []Change
	for i := range 1 + r.rnd.IntN(4) {
		r.n++
		changes = append(changes,
			r.b[0].Put(fmt.Appendf(nil, "%d", r.rnd.IntN(60)), bytes.Repeat([]byte{'a' + byte(r.n%26)}, 1+r.rnd.IntN(1500))),
			r.b[1].Put(fmt.Appendf(nil, "%d-%d", r.n, i), nil))
		if i > 1 {
			changes = append(changes, r.b[0].Delete(fmt.Appendf(nil, "%d", r.rnd.IntN(60))))
		}
	}
	if err := r.s.Update(changes...); err != nil {
		r.Fatal(err)
	}
	r.commits[len(r.commits)-1].rows = rowsOf(r.b)
}

// A foldCut is what the disk has of a fold.
type foldCut struct {
	name string
	db   []byte
}

// foldCuts are what it may have: first the pages, in any order, and when it
// has been waited for, the one that makes them count.
func foldCuts(rnd *rand.Rand, before, after []byte) (all []foldCut) {
	page := os.Getpagesize()
	data, meta := changed(before, after, 2*page, len(after)), changed(before, after, 0, 2*page)
	for _, c := range cuts(rnd, data, true) {
		all = append(all, foldCut{"of the pages " + c.name, c.on(before)})
	}
	file := cut{list: data}.on(grown(before, len(after)))
	for n := 16; n < 80 && len(meta) > 0; n += 16 { // all that counts is within the first sector
		p := piece{meta[0].at, meta[0].data[:n]}
		if torn := (cut{list: []piece{p}}).on(file); !bytes.Equal(torn, after) {
			all = append(all, foldCut{fmt.Sprintf("%d bytes of the last page", n), torn})
		}
	}
	return append(all, foldCut{"everything", after})
}

// survives opens what the disk has, and sees that nothing is missing.
func (r *powerRun) survives(what string, f files, want ...string) {
	r.Helper()
	dir, err := os.MkdirTemp(r.dir, "cut")
	if err != nil {
		r.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "x.db")
	for i, name := range paths(path) {
		writeFile(r.T, name, f[i])
	}
	if err := Check(path); err != nil {
		r.Fatalf("%s: Check = %v", what, err)
	}
	s, err := openSize(path, smallLog)
	if err != nil {
		r.Fatalf("%s: %v", what, err)
	}
	defer s.Close()
	if aside := s.PutAside() + s.LogPutAside(); aside != "" {
		r.Fatalf("%s: %s is put aside", what, aside)
	}
	got := rowsOf(r.buckets(s))
	if !slices.Contains(want, got) {
		r.Fatalf("%s: %d bytes of rows: %.60s …, want %.60s …", what, len(got), got, want[0])
	}
	if again := readFiles(r.T, path); r.rnd.IntN(8) == 0 { // and once more, while it takes up what is left
		cuts := foldCuts(r.rnd, f[0], again[0])
		f[0] = cuts[r.rnd.IntN(len(cuts))].db
		r.survives("again, "+what, f, got)
	}
}

// Commits go on in one log while the other is folded. However far either has
// come, all that was told to be on the disk is there, and of what was under
// way all or nothing.
func TestThePowerMayFailInAnyWrite(t *testing.T) {
	dir, err := memoryTemp(t)
	if err != nil {
		t.Fatal(err)
	}
	r := &powerRun{T: t, dir: dir, rnd: rand.New(rand.NewPCG(1, 2))}
	r.begin()
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		r.commits = nil
		for range 1 + round {
			r.commit()
		}
		r.s.turn()
		r.commits = nil
		before, rows := readFiles(t, r.path()), rowsOf(r.b)
		for range 4 {
			r.commit()
		}
		if err := r.s.fold(); err != nil {
			t.Fatal(err)
		}
		after := readFiles(t, r.path())
		folds := foldCuts(r.rnd, before[0], after[0])
		for i, fold := range folds {
			f, had := before, rows
			f[0] = fold.db
			for n, c := range r.commits {
				cuts := cuts(r.rnd, c.list, true)
				if i > 0 && i < len(folds)-1 { // with each cut of a fold one, with its ends all
					cuts = cuts[r.rnd.IntN(len(cuts)):][:1]
				}
				for _, cut := range cuts {
					has := f
					has[1+c.log] = cut.on(f[1+c.log])
					r.survives(fmt.Sprintf("round %d, commit %d: %s; fold: %s", round, n, cut.name, fold.name), has, had, c.rows)
				}
				f[1+c.log], had = cut{list: c.list}.on(f[1+c.log]), c.rows
			}
			r.survives(fmt.Sprintf("round %d, all commits; fold: %s", round, fold.name), f, had)
			if !bytes.Equal(f[1], after[1]) || !bytes.Equal(f[2], after[2]) {
				t.Fatal("there are writes of which the test knows nothing")
			}
		}
	}
}
