package clique

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/clique/rmulticast"
)

// say has an engine of the test's say what a Service would not.
func (h *fakeHost) raw(stream rmulticast.StreamID, text string) {
	h.lan.t.Helper()
	if err := h.room("Lab").put(&outgoing{stream: stream, data: []byte(text), done: func(error) {}}); err != nil {
		h.lan.t.Error(err)
	}
}

// CQ-07: nonsense on stream 0 and data on unknown streams are counted, and what
// comes after them from anybody is told.
func TestNonsenseSpoilsNothing(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		var log syncBuffer
		alice, bob := lan.pair(Config{MaxStanza: 16 << 10, Log: slog.New(slog.NewTextHandler(&log, nil))})
		n := int64(0)
		for _, in := range hostile {
			if in != "" {
				bob.raw(0, strings.ReplaceAll(in, "'R'", "'Lab'"))
				n++
			}
		}
		bob.raw(0, `<message to='Lab'><body>`+strings.Repeat("x", 1<<20)+`</body></message>`)
		bob.raw(0, `<message to='Elsewhere'><body>x</body></message>`)
		bob.raw(0, `<message><body>x</body></message>`)
		bob.raw(0, `<message to='Lab'><body>x</body><x xmlns='jabber:x:event'><composing/><id/></x></message>`)
		bob.raw(77, "what?")
		bob.raw(0, `<message to='Lab'><tubes xmlns='`+nsTubes+`'/></message>`)
		bob.say("Lab", "still here")
		pass(10 * time.Second)
		alice.want("after all that", "bob@b in Lab: still here")
		s := alice.Stats()
		if s.BadDocuments != n+1 || s.Misaddressed != 2 || s.Typing != 1 || s.UnknownStreams != 1 || s.MessagesIn != 1 {
			t.Errorf("%d bad ones sent, counted %+v", n+1, s)
		}
		if !strings.Contains(log.String(), "member=bob@b") {
			t.Errorf("logged:\n%s", log.String())
		}
	})
}

// Nobody is written to without to, with nothing, or with more than is read.
func TestWhatCannotBeSentIsToldToItsSender(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, _ := lan.pair(Config{MaxStanza: 2000})
		send := func(room string, text string) error {
			done := make(chan error, 1)
			alice.Send(room, textMessage(text), func(err error) { done <- err })
			return <-done
		}
		if err := send("Nowhere", "x"); !errors.Is(err, ErrNoRoom) {
			t.Errorf("in a room that we are not in: %v", err)
		}
		if err := send("Lab", strings.Repeat("x", 2000)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a long one: %v", err)
		}
		alice.join(Room{Name: "Not there"})
		pass(time.Second)
		if err := send("Not there", "x"); !errors.Is(err, ErrNotYet) {
			t.Errorf("in a room that is not found: %v", err)
		}
		done := make(chan error, 1)
		alice.Send("Lab", parse(t, `<presence/>`), func(err error) { done <- err })
		if err := <-done; err == nil {
			t.Error("a presence was sent")
		}
		alice.OpenTube("Lab", aTube)
		if err := alice.SendData("Lab", 1, nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("nothing at all was sent: %v", err)
		}
	})
}

// Every done is called once, in order, whatever comes between.
func TestEachSendIsAnswered(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		type answer struct {
			i   int
			err error
		}
		answers := make(chan answer, 10000)
		for i := range 6000 { // more than may wait
			alice.Send("Lab", textMessage(fmt.Sprint(i)), func(err error) { answers <- answer{i, err} })
		}
		pass(5 * time.Second)
		sent := 0
		var refused []int
		last := -1
		for len(answers) > 0 {
			a := <-answers
			switch {
			case errors.Is(a.err, ErrQueueFull):
				refused = append(refused, a.i)
			case a.err != nil || a.i <= last:
				t.Fatalf("%d after %d: %v", a.i, last, a.err)
			default:
				sent++
				last = a.i
			}
		}
		if sent+len(refused) != 6000 || sent < maxOutgoing || len(refused) == 0 {
			t.Errorf("%d sent, %d refused", sent, len(refused))
		}
		pass(10 * time.Second)
		if got := strings.Count(bob.log(), "alice@a in Lab"); got != sent {
			t.Errorf("bob heard %d of %d", got, sent)
		}
		for i := range 4000 { // and now we stop
			alice.Send("Lab", textMessage(fmt.Sprint(i)), func(err error) { answers <- answer{i, err} })
		}
		alice.stop()
		if len(answers) != 4000 {
			t.Errorf("%d of 4000 answered", len(answers))
		}
	})
}

// A handler that does not come back from one room does not stop the others, and what
// is said meanwhile is not lost.
func TestABlockedHandlerStopsItsRoomOnly(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{MaxQueued: 50_000})
		free := Room{Name: "Free", Group: netip.MustParseAddrPort("239.255.71.8:7000")}
		alice.join(free)
		bob.join(free)
		pass(meetTime)
		alice.log()
		alice.blocks("Lab")
		const lines = 1000
		for i := range lines {
			bob.Send("Lab", textMessage(fmt.Sprint(i, strings.Repeat("x", 1000))), nil)
		}
		pass(20 * time.Second)
		if size := alice.room("Lab").news.size.Load(); size < 50_000 || size > 500_000 {
			t.Errorf("%d bytes wait for the handler", size)
		}
		bob.say("Free", "hello")
		pass(time.Second)
		alice.want("in the other room", "bob@b in Free: hello")
		alice.blocks("")
		pass(30 * time.Second)
		got := strings.Split(alice.log(), "\n")
		if len(got) != lines {
			t.Fatalf("%d lines, want %d", len(got), lines)
		}
		for i, line := range got {
			if !strings.HasPrefix(line, fmt.Sprintf("bob@b in Lab: %d ", i)) && !strings.HasPrefix(line, fmt.Sprintf("bob@b in Lab: %dx", i)) {
				t.Fatalf("line %d is %.40s", i, line)
			}
		}
	})
}

// A member that floods is cut down, and named; nobody else notices.
func TestAFloodIsCutDown(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		var log syncBuffer
		alice, bob := lan.pair(Config{PacketRate: 100, Log: slog.New(slog.NewTextHandler(&log, nil))})
		mallory := lan.host("mallory@m", Config{})
		mallory.join(Room{Name: "Lab"})
		var packet []byte
		lan.loses(func(from, _ *fakeHost, b []byte) bool {
			if from == mallory {
				packet = b
			}
			return false
		})
		pass(meetTime)
		alice.want("mallory came", "joined Lab: mallory@m")
		lan.loses(nil)
		for range 20 {
			for range 500 {
				lan.send(mallory, netip.MustParseAddrPort("239.255.71.7:7000"), 1, packet)
			}
			pass(100 * time.Millisecond)
		}
		bob.say("Lab", "calm")
		pass(2 * time.Second)
		alice.want("in a flood", "bob@b in Lab: calm")
		if got := alice.Stats().Flooded; got < 9000 || got > 9900 {
			t.Errorf("%d of 10000 packets not heard", got)
		}
		if !strings.Contains(log.String(), "address=10.9.0.3 member=mallory@m") {
			t.Errorf("logged:\n%s", log.String())
		}
	})
}

// A syncBuffer is a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Packets of other groups on the port, and longer ones than there are, are nobody's.
func TestPacketsOfOthersAreNotHeard(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, _ := lan.pair(Config{})
		mallory := lan.idle("mallory@m", Config{})
		before := alice.info("Lab").Packets.Malformed
		lan.send(mallory, netip.MustParseAddrPort("239.255.71.8:7000"), 1, []byte("Clique"))
		lan.send(mallory, netip.MustParseAddrPort("10.9.0.1:7000"), 1, []byte("Clique"))
		lan.send(mallory, netip.MustParseAddrPort("239.255.71.7:7000"), 1, make([]byte, 1501))
		pass(2 * time.Second)
		s := alice.Stats()
		if s.OtherGroups != 2 || s.TooLong != 1 || alice.info("Lab").Packets.Malformed != before {
			t.Errorf("counted %+v", s)
		}
	})
}

func TestRoomsAreBounded(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice := lan.idle("alice@a", Config{MaxRooms: 3})
		for i := range 3 {
			alice.join(Room{Name: fmt.Sprint(i), Make: true, Group: netip.AddrPortFrom(netip.MustParseAddr("239.255.71.7"), 7000)})
		}
		if err := alice.Join(Room{Name: "more"}); !errors.Is(err, ErrTooMany) {
			t.Errorf("one more: %v", err)
		}
		alice.run()
		pass(enterTime)
		var states []string
		for _, r := range alice.Rooms() {
			states = append(states, r.State)
		}
		slices.Sort(states)
		// Two nodes of one name in one group would drive each other out for ever.
		if got := strings.Join(slices.Compact(states), ", "); got != "in the room, looking for its advert: its group is that of another room that we are in" {
			t.Errorf("three rooms of one group: %s", got)
		}
		if err := New(Config{}, alice).Run(context.Background(), alice); err == nil {
			t.Error("somebody without a name runs")
		}
	})
}

// CQ-08: a member is called what it says, but nothing of that does harm in a log or
// a window.
func TestHostileNamesAreCleaned(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, _ := lan.pair(Config{})
		mallory := lan.idle("mallory@m", Config{})
		mallory.Service.name = "a@b\n<x>\x00\xff"
		room := newRoom(Room{Name: "Lab", Group: netip.MustParseAddrPort("239.255.71.7:7000")}, mallory.cfg)
		mallory.rooms["Lab"] = room
		ended := make(chan bool)
		ctx := context.Background()
		go func() { newRoomLoop(mallory.Service, room).run(ctx); close(ended) }()
		pass(meetTime)
		alice.want("mallory came", "joined Lab: a@b\uFFFD<x>\uFFFD\uFFFD")
		room.leave()
		<-ended
	})
}

// A handler that hangs delays the end no longer than stopLimit.
func TestStoppingDoesNotWaitForAHandlerThatHangs(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		alice.blocks("Lab")
		bob.say("Lab", "x")
		pass(time.Second)
		start := time.Now()
		alice.stop()
		if d := time.Since(start); d > stopLimit {
			t.Errorf("Run took %v to end", d)
		}
		pass(time.Second)
		bob.want("in order, for all that", "left Lab: alice@a")
	})
}
