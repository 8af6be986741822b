package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

// inBubble runs f with a store that runs, in a bubble with a clock of its own.
func inBubble(t *testing.T, f func(t *testing.T, s *Store, b *Bucket)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, closing := opened(t, filepath.Join(t.TempDir(), "x.db"))
		defer closing()
		b := bucket(t, s, roomy)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		f(t, s, b)
		cancel()
		running.Wait()
	})
}

// after is what the bucket holds when that much time has passed.
func after(d time.Duration, b *Bucket) string {
	time.Sleep(d)
	synctest.Wait()
	return text(b)
}

// counts are how many records and folds there have been.
func (s *Store) counts() (seq uint64, folds int) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.seq, s.folds
}

func TestLaterIsMadeWithin50Milliseconds(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, b *Bucket) {
		s.Later(b.Put([]byte("a"), []byte("1")))
		if got := after(30*time.Millisecond, b); got != "" {
			t.Errorf("made at once: %s", got)
		}
		s.Later(b.Put([]byte("b"), []byte("2")))
		got := after(20*time.Millisecond, b)
		if seq, _ := s.counts(); got != "a=1 b=2" || seq != 1 {
			t.Errorf("after 50 ms: %s, in %d records", got, seq)
		}
		s.Later(b.Put([]byte("c"), []byte("3")))
		if got := after(49*time.Millisecond, b); got != "a=1 b=2" {
			t.Errorf("the next is made at once: %s", got)
		}
		if got := after(time.Millisecond, b); got != "a=1 b=2 c=3" {
			t.Errorf("after 50 ms more: %s", got)
		}
	})
}

func TestLaterGoesWithTheNextWriteAndInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, b *Bucket) {
		s.Later(b.Put([]byte("a"), []byte("1")))
		s.Later(b.Put([]byte("b"), []byte("1")))
		s.Write(nil, b.Put([]byte("a"), []byte("2")))
		if got := after(0, b); got != "b=1 a=2" {
			t.Errorf("rows %s", got)
		}
		s.Write(nil, b.Put([]byte("c"), []byte("3")))
		s.Later(b.Delete([]byte("c")), b.Delete([]byte("b")))
		if got := after(50*time.Millisecond, b); got != "a=2" {
			t.Errorf("rows %s", got)
		}
	})
}

func TestLaterIsMadeAtTheEnd(t *testing.T) {
	s, _ := opened(t, filepath.Join(t.TempDir(), "x.db"))
	b := bucket(t, s, roomy)
	s.Later(b.Put([]byte("a"), []byte("1")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := text(b); got != "a=1" {
		t.Errorf("rows %s", got)
	}
}

// Nobody hears of it if Later fails: so it is tried until it works, before what
// has come since.
func TestLaterIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, b *Bucket) {
		s.logs[s.cur].disk = &faulty{disk: s.logs[s.cur].disk, short: -1, sync: syscall.EIO}
		s.Later(b.Put([]byte("a"), []byte("1")))
		s.Later(b.Put([]byte("b"), make([]byte, 10000))) // too large for ever
		if got := after(laterWait, b); got != "" {
			t.Errorf("made by a disk that has failed: %s", got)
		}
		s.Later(b.Put([]byte("a"), []byte("2")), b.Put([]byte("c"), nil))
		if got := after(laterRetry, b); got != "a=2 c=" {
			t.Errorf("rows %s", got)
		}
		if n := s.Stats().Forgotten; n != 1 {
			t.Errorf("%d sets forgotten", n)
		}
	})
}

// Many that nobody waits for do not keep out those that somebody waits for.
func TestLaterLeavesRoomForWrite(t *testing.T) {
	s, _ := opened(t, filepath.Join(t.TempDir(), "x.db"))
	b := bucket(t, s, roomy)
	for range 2 * maxLater {
		s.Later(b.Put([]byte("a"), nil))
	}
	if n := len(s.queue.batches); n != maxLater {
		t.Errorf("%d wait, %d is the most", n, maxLater)
	}
	if n := s.Stats().Forgotten; n != maxLater {
		t.Errorf("%d sets forgotten, %d were too many", n, maxLater)
	}
	s.Write(func(err error) { t.Errorf("Write = %v", err) }, b.Put([]byte("a"), nil))
}

// What a disk that hangs is being asked for counts, too: else as many more
// would wait after each time that it fails.
func TestLaterIsBoundedWhileTheDiskFails(t *testing.T) {
	q := newQueue()
	var left []batch
	for range 3 {
		for range 2 * maxLater {
			_ = q.put(batch{later: true}) // refused in the end
		}
		q.back(left)
		if n := len(q.batches); n != maxLater {
			t.Errorf("%d wait, %d is the most", n, maxLater)
		}
		left, _ = q.take(true)
	}
	q.back(nil)
	if err := q.put(batch{later: true}); err != nil {
		t.Errorf("when all is made: %v", err)
	}
}

// However many wait, a disk that fails is left alone for a while.
func TestLaterIsNotTriedAgainWithEachThatComes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, b *Bucket) {
		put(t, b, "x=1")
		s.folding.Lock()
		s.ruined = syscall.EIO
		s.folding.Unlock()
		s.writing.Lock()
		s.broken = syscall.EIO
		s.writing.Unlock()
		for range maxQueued + 100 {
			s.Later(b.Put([]byte("a"), nil))
		}
		after(2*laterWait, b)
		s.folding.Lock()
		s.ruined = nil
		s.folding.Unlock()
		for range 10 {
			s.Later(b.Put([]byte("b"), nil))
			if got := after(time.Millisecond, b); got != "x=1" {
				t.Fatalf("tried at once: %s", got)
			}
		}
		if got := after(laterRetry, b); got != "x=1 a= b=" {
			t.Errorf("rows %s", got)
		}
	})
}

func TestWhatStandsInALogIsFoldedInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, b *Bucket) {
		folds := func(d time.Duration) int {
			after(d, b)
			_, n := s.counts()
			return n
		}
		for i, key := range []string{"a", "b"} {
			put(t, b, key+"=1")
			if n := folds(foldIdle - time.Second); n != i {
				t.Errorf("%d folds at once", n-i)
			}
			n := folds(2 * time.Second)
			if seq, _ := s.counts(); n != i+1 || foldedSeq(s.db) != seq {
				t.Errorf("after %v: %d folds, up to %d of %d", foldIdle, n, foldedSeq(s.db), seq)
			}
		}
		if n := folds(10 * foldIdle); n != 2 {
			t.Errorf("%d folds of nothing", n-2)
		}
	})
}

// What could not be folded yet is not pushed out by what comes next.
func TestWhatIsToBeFoldedStaysUntilItIs(t *testing.T) {
	s, _ := opened(t, filepath.Join(t.TempDir(), "x.db"))
	b := bucket(t, s, roomy)
	put(t, b, "a=1")
	s.turn()
	put(t, b, "b=2")
	s.turnIdle()
	if got := text(b); got != "a=1 b=2" {
		t.Errorf("rows %s", got)
	}
}

// What is written at once is bounded; a disk that has failed is not asked for
// the rest, which must not overtake what Later has yet to do.
func TestMuchIsWrittenInSeveralRecords(t *testing.T) {
	s, _ := openedSize(t, filepath.Join(t.TempDir(), "x.db"), logBytes)
	b := bucket(t, s, Limit{Rows: 100, RowBytes: maxGroup})
	value := make([]byte, maxGroup/3)
	var told []error
	var batches []batch
	for i := range 7 {
		batches = append(batches, batch{
			changes: []Change{b.Put([]byte{byte(i)}, value)},
			done:    func(err error) { told = append(told, err) },
		})
	}
	if left := s.writeAll(batches); len(left) != 0 || s.seq != 4 || errors.Join(told...) != nil || len(told) != 7 {
		t.Errorf("%d left, %d records, told %v", len(left), s.seq, told)
	}
	told = nil
	s.logs[s.cur].disk = &faulty{disk: s.logs[s.cur].disk, short: -1, sync: syscall.EIO}
	batches[0].later, batches[6].later = true, true
	if left := s.writeAll(batches); len(left) != 2 || len(told) != 5 {
		t.Errorf("%d left, told %v", len(left), told)
	}
	for _, err := range told {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("told %v", err)
		}
	}
}

// A row that comes and goes between two folds never gets into the database.
func TestWhatHasComeAndGoneIsNotFolded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, _ := opened(t, path)
	b := bucket(t, s, roomy)
	put(t, b, "stays=1", "goes=1", "goes=2")
	if err := s.Update(b.Delete([]byte("goes"))); err != nil {
		t.Fatal(err)
	}
	if p := s.active.parts[b.name]; len(p.rows) != 1 {
		t.Errorf("the overlay has %d rows", len(p.rows))
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	b.view(func(_ *bbolt.Tx, base base) {
		if n := base.rows.Stats().KeyN; n != 1 || base.count() != 1 {
			t.Errorf("the database has %d rows, count %d", n, base.count())
		}
	})
}

// Readers, writers and folds at once see whole sets, and lose nothing.
func TestAllAtOnce(t *testing.T) {
	s, _ := openedSize(t, filepath.Join(t.TempDir(), "x.db"), modelLog)
	limit := Limit{Rows: 1000, RowBytes: 1000}
	left, err1 := s.Bucket("left", limit)
	right, err2 := s.Bucket("right", limit)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running, writing sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	const writers, each = 4, 60
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				key := fmt.Appendf(nil, "%d-%d", w, i)
				made := make(chan error, 1)
				s.Write(func(err error) { made <- err }, left.Put(key, key), right.Put(key, key))
				if err := <-made; err != nil {
					t.Error(err)
				}
				if string(left.Get(key)) != string(key) {
					t.Errorf("%s was written and is not there", key)
				}
				s.Later(left.Delete(key))
			}
		})
	}
	running.Go(func() {
		for ctx.Err() == nil {
			n, last := 0, map[string]bool{}
			for k, v := range right.All() {
				if string(k) != string(v) || last[string(k)] {
					t.Errorf("%s=%s", k, v)
				}
				last[string(k)] = true
				n++
			}
			if n > writers*each || right.Len() < n {
				t.Errorf("%d rows, Len %d", n, right.Len())
			}
		}
	})
	writing.Wait()
	cancel()
	running.Wait()
	if left.Len() != 0 || right.Len() != writers*each || s.folds == 0 {
		t.Errorf("%d and %d rows, %d folds", left.Len(), right.Len(), s.folds)
	}
}

// A file of version 1 has no logs.
func TestAFileOfTheOldLayoutOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, _ := opened(t, path)
	b := bucket(t, s, roomy)
	put(t, b, "a=1", "b=2")
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(metaBucket))
		return errors.Join(meta.Put([]byte(versionKey), []byte("1")), meta.Delete([]byte(foldedKey)))
	})
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old.db")
	writeFile(t, old, readFiles(t, path)[0])
	if err := Check(old); err != nil {
		t.Errorf("Check = %v", err)
	}
	s, closing := opened(t, old)
	b = bucket(t, s, roomy)
	put(t, b, "c=3", "a=4")
	closing()
	s, _ = opened(t, old)
	if got := text(bucket(t, s, roomy)); got != "b=2 c=3 a=4" || needsVersion(s.db) {
		t.Errorf("rows %s, of the old version still: %v", got, needsVersion(s.db))
	}
}

// A group that is larger than a log goes into the database at once.
func TestAGroupLargerThanALog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, _ := opened(t, path)
	b := bucket(t, s, Limit{Rows: 100, RowBytes: 1 << 20})
	value := strings.Repeat("x", smallLog)
	for i := range 3 {
		put(t, b, fmt.Sprintf("small%d=%d", i, i), fmt.Sprintf("large%d=%s", i, value))
	}
	again := killed(t, path)
	b = bucket(t, again, Limit{Rows: 100, RowBytes: 1 << 20})
	if got := strings.ReplaceAll(text(b), value, "X"); got != "small0=0 large0=X small1=1 large1=X small2=2 large2=X" || again.LogPutAside() != "" {
		t.Errorf("rows %s, put aside %q", got, again.LogPutAside())
	}
}
