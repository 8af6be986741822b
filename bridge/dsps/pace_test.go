package dsps_test

import (
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"meshgate/bridge/dsps"
)

// inBubble runs a test in virtual time, over connections without buffers.
func inBubble(t *testing.T, test func(t *testing.T, pipes func(*dsps.ServerConfig))) {
	t.Helper()
	certificate(t) // made outside of it, once
	synctest.Test(t, func(t *testing.T) { test(t, func(c *dsps.ServerConfig) { c.Listen = "none" }) })
}

// wantTook compares with the time for so many bytes at a pace, which may begin
// with an eighth of a second's.
func wantTook(t *testing.T, what string, took time.Duration, bytes, pace float64) {
	t.Helper()
	want := time.Duration(bytes / pace * float64(time.Second))
	if took > want || took < want-time.Second/4 {
		t.Errorf("%s took %v, want %v", what, took, want)
	}
}

// DS-11: "or slower if it is so configured in its internal configuration": one
// stream, and all together.
func TestPaceOfStreams(t *testing.T) {
	const pace, size = 1 << 20, 8 << 20
	for _, tt := range []struct {
		what        string
		stream, all int
		crowds      int
		want        float64
	}{
		{"one stream of that pace", pace, 0, 1, pace},
		{"one of all that pace", 0, pace, 1, pace},
		{"two streams of that pace", pace, 0, 2, 2 * pace},
		{"two of all that pace", 0, pace, 2, pace},
		{"two that are faster than all may be", pace, pace, 2, pace},
	} {
		inBubble(t, func(t *testing.T, pipes func(*dsps.ServerConfig)) {
			c := newCrowd(t, 1, plain, "", pipes, func(c *dsps.ServerConfig) { c.StreamRate, c.Rate = tt.stream, tt.all })
			crowds := []*crowd{c}
			if tt.crowds > 1 {
				crowds = append(crowds, c.another(t))
			}
			began := time.Now()
			var senders, readers sync.WaitGroup
			defer readers.Wait()
			for _, c := range crowds {
				defer c.close()
				readers.Go(func() { _, _ = io.Copy(io.Discard, c.slaves[0].Conn) })
				senders.Go(func() { c.send(size) })
			}
			senders.Wait()
			wantTook(t, tt.what, time.Since(began), float64(size*tt.crowds), tt.want)
		})
	}
}

// DS-11: a reader below minthroughput over 16 s of transfer is disconnected, not
// dropped; one above it is not, nor is one that there is nothing for.
func TestReadersBelowMinThroughput(t *testing.T) {
	const least = 8 << 10
	for pace, slow := range map[int]bool{least / 2: true, least * 3 / 2: false} {
		inBubble(t, func(t *testing.T, pipes func(*dsps.ServerConfig)) {
			c := newCrowd(t, 2, plain, "minthroughput='8KB'", pipes)
			var wg sync.WaitGroup
			defer wg.Wait()
			defer c.close()
			wg.Go(func() { _, _ = io.Copy(io.Discard, c.slaves[1].Conn) })
			time.Sleep(time.Hour) // nobody sends, nobody is slow
			wg.Go(func() { _, _ = io.CopyN(c.master.Conn, rand.NewChaCha8([32]byte{1}), 64<<20) })
			wg.Go(func() {
				for err := error(nil); err == nil; time.Sleep(time.Second) {
					_, err = io.CopyN(io.Discard, c.slaves[0].Conn, int64(pace))
				}
			})
			began := time.Now()
			if !slow {
				time.Sleep(5 * time.Minute)
				c.rob.Refute("that somebody is slow", func(a answer) bool { return a.Is("set", "presence") && a.Query[0].Peers[0].Status != "connect" })
				return
			}
			c.rob.Presence(c.guests[0].JID, "waiting")
			if took := time.Since(began); took < 16*time.Second || took > 18*time.Second {
				t.Errorf("disconnected after %v", took)
			}
			if st := c.s.Stats(); st.TooSlow != 1 || st.Peers != 3 {
				t.Errorf("%+v", st)
			}
			c.guests[0].Connect(c.places[0], plain, "").Close() // it is still a peer
			c.rob.Presence(c.guests[0].JID, "connect")
			c.guests[0].Refute("that it is dropped", func(a answer) bool { return strings.Contains(a.Word(), "acknowledge") && a.Query[0].Status == "drop" })
		})
	}
}

// DS-07, DS-11: who takes nothing, and leaves, holds up the stream no longer, even
// if it goes on to say something. What it has sent is still taken.
func TestWhoLeavesHoldsUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, pipes func(*dsps.ServerConfig)) {
		c := newCrowd(t, 2, plain, "", pipes)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer c.close()
		var said atomic.Int64
		wg.Go(func() {
			_ = c.master.All(counter{&said})
		})
		wg.Go(func() { _, _ = io.Copy(io.Discard, c.slaves[1].Conn) })
		sent := make(chan struct{})
		wg.Go(func() {
			defer close(sent)
			_, _ = io.CopyN(c.master.Conn, rand.NewChaCha8([32]byte{1}), 1<<20)
		})
		synctest.Wait() // all stands: nobody reads slaves[0]
		c.guests[0].Drop(c.places[0], c.guests[0].JID)
		const words = 20
		wg.Go(func() {
			for range words {
				_, _ = io.WriteString(c.slaves[0].Conn, ".")
				time.Sleep(time.Second)
			}
		})
		select {
		case <-sent:
		case <-time.After(10 * time.Second):
			t.Error("the stream stands still")
		}
		time.Sleep(time.Minute)
		if n := said.Load(); n != words {
			t.Errorf("%d bytes of %d came of who has left", n, words)
		}
	})
}

// A counter counts what is written to it.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}
