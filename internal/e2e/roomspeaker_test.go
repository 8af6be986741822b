package e2e

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/clique/rmulticast"
)

// nonsense is what a member of a room may say on stream 0; R is the room.
var nonsense = []string{
	"hello", " \n",
	"<message to='R'><body>unterminated</body>", "<message to='R'",
	"<message to='R'><body>one</body></message><message to='R'><body>two</body></message>",
	"<message to='R'><body>\x01</body></message>", "<message to='R'><body>&#1;</body></message>", "<message to='R'><body>\xff</body></message>",
	`<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><message to='R'><body>&b;</body></message>`,
	"<message to='R'>" + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + "</message>",
	"<message to='R'" + strings.Repeat(" a='b'", 5000) + "/>",
	"<message to='R'><body>" + strings.Repeat("x", 1<<19) + "</body></message>",
	"</stream:stream>",
}

// misaddressed is what may be for another room that has the same group.
var misaddressed = []string{
	"<message to='Elsewhere' type='groupchat'><body>x</body></message>", "<message type='groupchat'><body>x</body></message>",
}

// CQ-07: a member of the room says what is no message. The others' lines go on in
// both directions, nothing of it is told in the MUC, and it is counted.
func TestARoomSurvivesNonsense(t *testing.T) {
	t.Parallel()
	h := openHall(t, OfficeOptions{Config: NoLimits()})
	group := netip.MustParseAddrPort(h.witches[0].AwaitEvent("entered", theRoom).Group)
	mallory := h.Host("h3").speaker(t, "mallory@h3", group)
	for _, w := range h.witches {
		w.awaitThat(JoinPatience, "mallory in the room", func() bool { return len(w.Members(theRoom)) == len(h.witches)+1 })
	}
	const rounds, each = 5, 4
	for round := range rounds {
		for i, doc := range append(nonsense, misaddressed...) {
			if round == 0 || len(doc) < 1<<16 {
				mallory.say(t, strings.ReplaceAll(doc, "'R'", "'"+theRoom+"'"))
			}
			if i < each {
				h.talk(round*each+i, 1)
			}
		}
	}
	h.awaitTalk(rounds*each - 1)
	mallory.say(t, "<message to='"+theRoom+"' type='groupchat'><body>the end</body></message>")
	h.alice.Await("the end", func(e Event) bool { return isSaid(e, h.muc) && e.Body == "[mallory@h3] the end" })
	for _, w := range h.witches {
		w.AwaitSaid(theRoom, "mallory@h3", "the end")
		for _, e := range w.Said(theRoom) {
			if e.From == "mallory@h3" && e.Body != "the end" {
				t.Errorf("%s reads %q of mallory", w.Instance, e.Body)
			}
		}
	}
	for _, e := range h.alice.Said(h.muc) {
		if strings.HasPrefix(e.Body, "[mallory") && e.Body != "[mallory@h3] the end" {
			t.Errorf("alice reads %q", e.Body)
		}
	}
	if peak := h.Gateway.Usage().PeakRSS; peak > 128<<20 {
		t.Errorf("the gateway took %d MiB, want at most 128", peak>>20)
	}
	h.Gateway.AwaitLog("a member says what cannot be read", "member", "mallory@h3")
	if code := h.Gateway.Stop(); code != 0 {
		t.Errorf("status %d", code)
	}
	counted := h.Gateway.AwaitLog("counters", "part", "clique")
	bad, wrong := counted["bad_documents"].(float64), counted["misaddressed"].(float64)
	if want := rounds*(len(nonsense)-1) + 1; int(bad) != want || int(wrong) != rounds*len(misaddressed) {
		t.Errorf("%v documents counted as bad, want %d, and %v as of another room, want %d", bad, want, wrong, rounds*len(misaddressed))
	}
}

// A speaker is a member of a room that says what it likes on stream 0.
type speaker struct {
	engine *rmulticast.Engine // the loop's alone
	conn   net.PacketConn
	group  net.Addr
	docs   chan []byte
}

// speaker enters a room at a group.
func (h *Host) speaker(t *testing.T, name string, group netip.AddrPort) *speaker {
	t.Helper()
	conn, err := h.ListenMulticast(group)
	if err != nil {
		t.Fatal(err)
	}
	s := &speaker{
		engine: rmulticast.New(rmulticast.Config{Name: name, Rand: rand.New(rand.NewPCG(1, 2))}),
		conn:   conn, group: net.UDPAddrFromAddrPort(group), docs: make(chan []byte),
	}
	stop, packets := make(chan struct{}), make(chan []byte, 1024)
	var work sync.WaitGroup
	work.Go(func() { s.listen(packets, stop) })
	work.Go(func() { s.run(packets, stop) })
	t.Cleanup(func() {
		close(stop)
		conn.Close()
		work.Wait()
	})
	return s
}

// say says a document, if it is one.
func (s *speaker) say(t *testing.T, doc string) {
	t.Helper()
	select {
	case s.docs <- []byte(doc):
	case <-time.After(Patience):
		t.Fatal("the speaker hangs")
	}
}

func (s *speaker) listen(packets chan<- []byte, stop <-chan struct{}) {
	b := make([]byte, 2048)
	for {
		n, _, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		select {
		case packets <- append([]byte(nil), b[:n]...):
		case <-stop:
			return
		}
	}
}

func (s *speaker) run(packets <-chan []byte, stop <-chan struct{}) {
	tick := time.NewTicker(5 * time.Millisecond) // a clock that is good enough
	defer tick.Stop()
	if err := s.engine.Join(time.Now()); err != nil {
		panic(err) // it was never in a room
	}
	for {
		select {
		case b := <-packets:
			s.engine.HandlePacket(time.Now(), b)
		case doc := <-s.docs:
			if err := s.engine.Send(time.Now(), 0, doc); err != nil {
				panic(err) // it is in the room, and its queue takes 8 MiB
			}
		case <-tick.C:
			s.engine.HandleTimeout(time.Now())
		case <-stop:
			return
		}
		for _, b := range s.engine.TakeOutput().Datagrams {
			if _, err := s.conn.WriteTo(b, s.group); err == nil {
				s.engine.HandlePacket(time.Now(), b) // the socket does not loop it back
			}
		}
	}
}
