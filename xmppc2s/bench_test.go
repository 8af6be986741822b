package xmppc2s_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

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
// fast as it goes, with and without the window, and one at a time.
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
	}{{"window", 0, false}, {"no-window", -1, false}, {"one-by-one", 0, true}} {
		b.Run(bm.name, func(b *testing.B) {
			cfg := account(b, s, "alice", "a")
			cfg.Window = bm.window
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
