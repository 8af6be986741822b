package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"
)

// What a message costs: a row of an outbox, one of what is remembered of it,
// and a little later the first is removed. Each is measured beside a bare
// append to a file with fdatasync, the yardstick.

// rowBytes is the size of a message in the outbox.
const rowBytes = 400

// A load makes the changes for one message after the other.
type load struct {
	s            *Store
	outbox, sent *Bucket
	n            uint64
	value        []byte
}

func newLoad(b *testing.B) *load {
	s, _ := openedSize(b, filepath.Join(b.TempDir(), "x.db"), logBytes)
	l := &load{s: s, value: bytes.Repeat([]byte{'x'}, rowBytes)}
	var err error
	if l.outbox, err = s.Bucket("outbox", Limit{Rows: 1 << 20, RowBytes: 1 << 20, Sorted: true}); err != nil {
		b.Fatal(err)
	}
	if l.sent, err = s.Bucket("sent", Limit{Rows: 16384, RowBytes: 1024, Evict: true}); err != nil {
		b.Fatal(err)
	}
	return l
}

func seqKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'w'}, n) }

func idKey(n uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 16), n*0x9E3779B97F4A7C15) // in no order
}

func (l *load) message(done func(error)) {
	l.n++
	l.s.Write(done, l.outbox.Put(seqKey(l.n), l.value), l.sent.Put(idKey(l.n), l.value[:100]))
	if l.n > 100 {
		l.s.Later(l.outbox.Delete(seqKey(l.n - 100)))
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it has no error for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report reports the time of the median and of one in a hundred, and what the
// processors have spent on each.
func report(b *testing.B, took []time.Duration, spent time.Duration) {
	slices.Sort(took)
	n := len(took)
	b.ReportMetric(float64(took[n/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[n*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[n-1].Microseconds()), "max-µs")
	b.ReportMetric(float64(spent.Microseconds())/float64(n), "cpu-µs/op")
}

// Where the disk stalls this waits, and counts once; others count each that came meanwhile.
func BenchmarkYardstick(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "x.log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	row := make([]byte, rowBytes+150)
	var took []time.Duration
	before := cpu()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		start := time.Now()
		if _, err := f.Write(row); err != nil {
			b.Fatal(err)
		}
		if err := datasync(f); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	report(b, took, cpu()-before)
}

// running runs the store until the benchmark ends.
func (l *load) running(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- l.s.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-ended })
}

// A thousand messages in a second, of which each is measured.
func BenchmarkWriteAThousandPerSecond(b *testing.B) {
	l := newLoad(b)
	l.running(b)
	var took []time.Duration
	results := make(chan time.Duration, 1<<20)
	before := cpu()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		start := time.Now()
		l.message(func(err error) {
			if err != nil {
				b.Error(err)
			}
			results <- time.Since(start)
		})
	}
	for range b.N {
		took = append(took, <-results)
	}
	report(b, took, cpu()-before)
	b.ReportMetric(float64(l.s.folds), "folds")
}

// As many as there can be with a thousand on their way.
func BenchmarkWriteFlatOut(b *testing.B) {
	l := newLoad(b)
	l.running(b)
	room := make(chan struct{}, 1000)
	took := make([]time.Duration, 0, 1<<20)
	before := cpu()
	for b.Loop() {
		room <- struct{}{}
		start := time.Now()
		l.message(func(err error) {
			if err != nil {
				b.Error(err)
			}
			took = append(took, time.Since(start)) // always Run's goroutine
			<-room
		})
	}
	for range cap(room) {
		room <- struct{}{}
	}
	report(b, took, cpu()-before)
	b.ReportMetric(float64(l.s.folds), "folds")
}

// resident is the memory of this process, in MiB, and what of it are files.
func resident(b *testing.B) (all, files float64) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	var size, rss, shared float64
	if _, err := fmt.Sscan(string(text), &size, &rss, &shared); err != nil {
		b.Fatal(err)
	}
	page := float64(os.Getpagesize()) / (1 << 20)
	return rss * page, shared * page
}

// Messages that wait and do not go: memory does not grow with them, if
// -benchtime 100000x is not more than 1000x.
func BenchmarkWaiting(b *testing.B) {
	l := newLoad(b)
	l.running(b)
	idle, _ := resident(b)
	room := make(chan struct{}, 100)
	for b.Loop() {
		room <- struct{}{}
		l.n++
		l.s.Write(func(error) { <-room }, l.outbox.Put(seqKey(l.n), l.value))
	}
	for range cap(room) {
		room <- struct{}{}
	}
	debug.FreeOSMemory()
	put, _ := resident(b)
	for range l.outbox.All() {
	}
	for n := range l.n {
		l.outbox.Get(seqKey(n))
	}
	debug.FreeOSMemory()
	read, files := resident(b)
	b.ReportMetric(put-idle, "MiB-put")
	b.ReportMetric(read-idle, "MiB-read")
	b.ReportMetric(files, "MiB-files")
}

// One row after the other, of those in the database and of those that are not
// there yet.
func BenchmarkGet(b *testing.B) {
	for _, folded := range []bool{true, false} {
		b.Run(fmt.Sprintf("folded=%v", folded), func(b *testing.B) {
			l := newLoad(b)
			var changes []Change
			for n := range uint64(5000) {
				changes = append(changes, l.outbox.Put(seqKey(n), l.value))
			}
			if err := l.s.Update(changes...); err != nil {
				b.Fatal(err)
			}
			if folded {
				if err := l.s.flush(); err != nil {
					b.Fatal(err)
				}
			}
			var n uint64
			for b.Loop() {
				if n++; l.outbox.Get(seqKey(n%5000)) == nil {
					b.Fatal("it is not there")
				}
			}
		})
	}
}
