package dsps_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"meshgate/bridge/dsps"
)

// trickle reads a byte in a second until the connection ends.
func trickle(l *line) {
	for b := make([]byte, 1); ; time.Sleep(time.Second) {
		if _, err := l.Read(b); err != nil {
			return
		}
	}
}

// DS-07, DS-15: one who takes a byte now and then when the sender has left holds up
// the end for so long and no longer, and so does a sender who says a byte now and
// then. The other gets all, and a clean end.
func TestEndedStreamIsHeldByNobody(t *testing.T) {
	const patience, size = 3 * time.Minute, 50 << 10
	inBubble(t, func(t *testing.T, pipes func(*dsps.ServerConfig)) {
		log := make(logLines, 100)
		c := newCrowd(t, 2, plain, "", pipes, func(c *dsps.ServerConfig) {
			c.Engine.Stall = 24 * time.Hour // what a pipe takes is seen only when it has taken all
			c.Engine.Drain, c.Log = patience, slog.New(slog.NewTextHandler(log, nil))
		})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer c.close()
		wg.Go(func() { trickle(c.slaves[0]) })
		var got bytes.Buffer
		wg.Go(func() {
			if _, err := io.Copy(&got, dsps.NewBlockReader(c.slaves[1].Conn)); err != nil {
				t.Errorf("the other's end: %v", err)
			}
		})
		want := c.send(size)
		c.rob.Drop(c.at, c.rob.JID)
		wg.Go(func() { // it goes on to say something
			for err := error(nil); err == nil; time.Sleep(time.Second) {
				_, err = c.master.Write([]byte("."))
			}
		})
		time.Sleep(2*patience - 2*time.Second)
		synctest.Wait()
		if st := c.s.Stats(); st.Active != 1 || st.Late != 1 {
			t.Errorf("before its time is over: %+v", st)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if st := c.s.Stats(); st.Active != 0 || st.Late != 2 {
			t.Errorf("when it is: %+v", st)
		}
		for _, who := range []*person{c.guests[0], c.rob} {
			if line := log.next(t, "cut off"); !strings.Contains(line, " client="+who.JID+" ") {
				t.Errorf("%s, want %s", line, who.JID)
			}
		}
		c.guests[1].Dropped()
		wg.Wait()
		if dots := strings.Count(got.String()[min(size, got.Len()):], "."); dots != got.Len()-size || dots > int(patience/time.Second)+5 {
			t.Errorf("behind %d bytes %d dots were taken", got.Len(), dots)
		}
		if sum := sha256.Sum256(got.Bytes()[:size]); !bytes.Equal(sum[:], want) {
			t.Error("the other got something else")
		}
	})
}

// endlessly sends until the connection ends.
func endlessly(w io.Writer) { _, _ = io.Copy(w, rand.NewChaCha8([32]byte{1})) }

// DS-11: a stranger who is never connected for long is measured all the same, and
// holds up nobody for more than the 16 s; nor are others measured any less.
func TestStrangerWhoKeepsComingIsMeasured(t *testing.T) {
	inBubble(t, func(t *testing.T, pipes func(*dsps.ServerConfig)) {
		c := newCrowd(t, 0, plain, "maxpublic='2'", pipes, func(c *dsps.ServerConfig) { c.StreamRate = 1 << 20 }) // or no time passes while nobody is there
		g := c.o.person("slow@home.org/1")
		at := g.Join(g.Query("dsps.office", "stats").Query[0].Peers[0].JID, g.NewID())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer c.close()
		wg.Go(func() { endlessly(c.master.Conn) })
		for range 17 {
			l := g.Connect(at, plain, "")
			c.rob.Presence(g.JID, "connect")
			time.Sleep(900 * time.Millisecond)
			l.Close()
			c.rob.Presence(g.JID, "waiting")
		}
		if n := c.s.Stats().TooSlow; n != 0 {
			t.Errorf("%d were too slow after 15.3 s", n)
		}
		c.slaves = append(c.slaves, g.Connect(at, plain, ""))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := c.s.Stats().TooSlow; n != 1 {
			t.Errorf("%d were too slow after 17.3 s", n)
		}
		g.Dropped()
	})
}

// DS-11, DS-13: a stranger who takes next to nothing holds up a stream for a
// moment, and then nobody, however it comes again.
func TestStrangerDoesNotSlowDownAStream(t *testing.T) {
	inBubble(t, func(t *testing.T, pipes func(*dsps.ServerConfig)) {
		c := newCrowd(t, 1, plain, "maxpublic='2'", pipes)
		g := c.o.person("slow@home.org/1")
		public := g.Query("dsps.office", "stats").Query[0].Peers[0].JID
		at := g.Join(public, g.NewID())
		stranger := g.Connect(at, plain, "")
		c.rob.Presence(g.JID, "connect")
		var wg sync.WaitGroup
		defer wg.Wait()
		defer c.close()
		wg.Go(func() { trickle(stranger) })
		wg.Go(func() { _, _ = io.Copy(io.Discard, c.slaves[0].Conn) })
		began := time.Now()
		if _, err := io.CopyN(c.master.Conn, rand.NewChaCha8([32]byte{1}), 4<<20); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 16*time.Second || took > 18*time.Second {
			t.Errorf("it took %v", took)
		}
		g.Dropped()
		c.rob.Presence(g.JID, "drop")
		other, id := c.o.person("slow@home.org/2"), "again"
		other.Say(public, "result", id, "<query type='acknowledge' xmlns='jabber:iq:dsps' status='connect'/>")
		if a := other.Reply(id); a.Error.Code != "403" {
			t.Errorf("%+v", a)
		}
		if st := c.s.Stats(); st.TooSlow != 1 || st.Peers != 2 {
			t.Errorf("%+v", st)
		}
	})
}
