package xmppc2s_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"meshgate/bridge/store"
	"meshgate/internal/e2e"
	"meshgate/xmppc2s"
)

// counter is a Handler that only counts messages.
type counter struct {
	online chan struct{}
	got    chan struct{}
}

func (c *counter) HandleServer(_ context.Context, ev xmppc2s.Event) {
	switch ev := ev.(type) {
	case xmppc2s.Online:
		c.online <- struct{}{}
	case xmppc2s.Message:
		ev.Done()
		c.got <- struct{}{}
	}
}

func newCounter() *counter {
	return &counter{online: make(chan struct{}, 10), got: make(chan struct{}, 1<<20)}
}

// BenchmarkThroughServer sends from one client to another through Prosody as
// fast as it goes, with and without the window, and one at a time; and the same
// with a journal.
func BenchmarkThroughServer(b *testing.B) {
	e2e.Require(b)
	s := e2e.Local(b).Prosody(e2e.ServerOptions{
		Users: map[string]string{"alice": "a", "bob": "b"},
		Extra: `modules_disabled = { "s2s", "s2s_auth_certs", "mam", "carbons" }` + "\n", // its archive would be what is measured
	})
	for _, bm := range []struct {
		name   string
		window int
		each   bool
		disk   bool
	}{
		{"window", 0, false, false}, {"no-window", -1, false, false}, {"one-by-one", 0, true, false},
		{"window-disk", 0, false, true}, {"no-window-disk", -1, false, true}, {"one-by-one-disk", 0, true, true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			cfg := account(b, s, "alice", "a")
			cfg.Window = bm.window
			if bm.disk {
				cfg.Journal = newDiskJournal(b)
			}
			alice, bob := xmppc2s.New(cfg), xmppc2s.New(account(b, s, "bob", "b"))
			ha, hb := newCounter(), newCounter()
			defer runWith(b, alice, ha)()
			defer runWith(b, bob, hb)()
			<-ha.online
			<-hb.online
			st := chat(s.JID("bob")+"/meshgate", "a line of text, about as long as what people write to each other, a hundred bytes or so in all")
			b.ResetTimer()
			begin := time.Now()
			got := 0
			for range b.N {
				err := alice.Send(st)
				for errors.Is(err, xmppc2s.ErrQueueFull) {
					select {
					case <-hb.got:
						got++
					case <-time.After(time.Millisecond): // it may be only acknowledgements that are missing
					}
					err = alice.Send(st)
				}
				if err != nil {
					b.Fatal(err)
				}
				if bm.each {
					<-hb.got
					got++
				}
			}
			for ; got < b.N; got++ {
				<-hb.got
			}
			b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "msg/s")
		})
	}
}

// diskJournal is a journal on a real disk.
type diskJournal struct {
	store  *store.Store
	bucket *store.Bucket
	mark   []byte
}

func newDiskJournal(b *testing.B) *diskJournal {
	s, err := store.Open(filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	bucket, err := s.Bucket("outbox", store.Limit{Rows: 1 << 20, RowBytes: 1 << 20, Sorted: true})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	b.Cleanup(func() { cancel(); wg.Wait(); s.Close() })
	return &diskJournal{store: s, bucket: bucket}
}

func (j *diskJournal) Rows() iter.Seq2[[]byte, []byte] { return j.bucket.All() }
func (j *diskJournal) Row(key []byte) []byte           { return j.bucket.Get(key) }
func (j *diskJournal) Mark() []byte                    { return j.mark }
func (j *diskJournal) SetMark(b []byte)                { j.mark = slices.Clone(b) }

func (j *diskJournal) Write(changes []xmppc2s.Change, done func(error)) {
	list := make([]store.Change, len(changes))
	for i, c := range changes {
		if list[i] = j.bucket.Put(c.Key, c.Value); c.Value == nil {
			list[i] = j.bucket.Delete(c.Key)
		}
	}
	j.store.Write(done, list...)
}

// BenchmarkWaiting is what 100,000 messages cost in memory that wait for a
// server, and how long it takes until they are on the disk.
func BenchmarkWaiting(b *testing.B) {
	const waiting = 100_000
	st := chat("bob@example.org", strings.Repeat("a line of text ", 14))
	for b.Loop() {
		j := newDiskJournal(b)
		s := newFake(b)
		s.ln.Close()
		cfg := s.config()
		cfg.Journal, cfg.QueueLimit, cfg.QueueBytes = j, waiting, 1<<30
		c := xmppc2s.New(cfg)
		before := heapInUse()
		stop := runWith(b, c, newCounter())
		begin := time.Now()
		for range waiting {
			if err := c.Send(st); err != nil {
				b.Fatal(err)
			}
		}
		for j.bucket.Len() < waiting {
			time.Sleep(10 * time.Millisecond)
		}
		b.ReportMetric(waiting/time.Since(begin).Seconds(), "msg/s")
		b.ReportMetric(float64(heapInUse()-before)/(1<<20), "heap-MiB")
		stop()
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what the first has found to be garbage
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// BenchmarkInbound is what a message costs between the server's TCP and the
// handler: in bursts of 100, and one at a time.
func BenchmarkInbound(b *testing.B) {
	for _, burst := range []int{100, 1} {
		b.Run(fmt.Sprint("burst-", burst), func(b *testing.B) {
			s := newFake(b)
			h := newCounter()
			runWith(b, xmppc2s.New(s.config()), h)
			conn := s.accept()
			conn.fresh()
			<-h.online
			go io.Copy(io.Discard, conn.conn)
			one := "<message type='chat' id='an-id-as-usual' from='bob@example.org/some-client' to='alice@example.org/desk'>" +
				"<body>a line of text, about as long as what people write to each other</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
			all := strings.Repeat(one, burst)
			before := cpuTime(b)
			b.ResetTimer()
			for n := 0; n < b.N; n += burst {
				conn.send("%s", all)
				for range burst {
					<-h.got
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
