package clique

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meshgate/clique/rmulticast"
	"meshgate/linklocal/mdns"
)

const (
	enterTime = 8 * time.Second  // to find, make and enter a room alone
	meetTime  = 15 * time.Second // to enter and to be a member
)

// onLAN runs a test in virtual time.
func onLAN(t *testing.T, f func(lan *fakeLAN)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		lan := newFakeLAN(t)
		f(lan)
		for _, h := range lan.hosts {
			if h.running() {
				h.stop()
			}
		}
	})
}

// pair is a room with two members, who have been told so.
func (l *fakeLAN) pair(cfg Config) (alice, bob *fakeHost) {
	l.t.Helper()
	room := Room{Name: "Lab", Group: netip.MustParseAddrPort("239.255.71.7:7000")}
	alice, bob = l.host("alice@a", cfg), l.host("bob@b", cfg)
	alice.join(room)
	bob.join(room)
	pass(meetTime)
	alice.want("met", "entered Lab\njoined Lab: bob@b")
	bob.want("met", "entered Lab\njoined Lab: alice@a")
	return alice, bob
}

// CQ-07, CQ-08, CQ-09, CQ-10: one makes the room and advertises it, the other finds
// it, they talk, and know each other by their presence names.
func TestTwoMeetInARoom(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice := lan.host("alice@a", Config{})
		alice.join(Room{Name: "Witchcraft", Make: true})
		pass(enterTime)
		alice.want("alone", "entered Witchcraft")
		bob := lan.host("bob@b", Config{})
		bob.join(Room{Name: "Witchcraft"})
		pass(meetTime)
		alice.want("bob came", "joined Witchcraft: bob@b")
		bob.want("both", "entered Witchcraft\njoined Witchcraft: alice@a")
		alice.say("Witchcraft", "hello <bob> & all")
		bob.say("Witchcraft", "hello \"alice\"")
		pass(time.Second)
		bob.want("spoken to", "alice@a in Witchcraft: hello <bob> & all")
		alice.want("spoken to", `bob@b in Witchcraft: hello "alice"`)
		bob.stop()
		bob.want("at the end", "clique.Closed")
		pass(time.Second)
		alice.want("bob left", "left Witchcraft: bob@b")
	})
}

// All three BYEs are said, and then Run is over.
func TestStoppingSaysGoodbyeThreeTimes(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		byes := 0
		lan.lose = func(from, to *fakeHost, b []byte) bool {
			if p, err := rmulticast.ParsePacket(b); err == nil && p.Type == rmulticast.Bye && from == bob && to == alice {
				byes++
			}
			return false
		}
		start := time.Now()
		bob.stop()
		if d := time.Since(start); byes != 3 || d > 1500*time.Millisecond {
			t.Errorf("%d BYEs, and Run took %v to end", byes, d)
		}
		if err := bob.Join(Room{Name: "Another"}); !errors.Is(err, ErrStopped) {
			t.Errorf("Join after the end: %v", err)
		}
	})
}

// CQ-09: each member advertises the room from the moment it is in it until it
// leaves, all alike.
func TestEachMemberAdvertisesTheRoom(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		carol := lan.host("carol@c", Config{})
		alice, bob := lan.pair(Config{})
		want := advertOf("clique/Lab", "Lab", netip.MustParseAddrPort("239.255.71.7:7000"))
		for _, h := range []*fakeHost{alice, bob} {
			got := h.own["clique/Lab"]
			if fmt.Sprint(got) != fmt.Sprint(want) || got.Text[0] != "txtvers=0" || got.Addrs[0] != netip.MustParseAddr("239.255.71.7") || got.Type != "_clique._udp" {
				t.Errorf("%s advertises %+v", h.name, got)
			}
		}
		if got := carol.advertised(); got != "Lab 239.255.71.7:7000" {
			t.Errorf("carol finds %q", got)
		}
		alice.stop()
		pass(time.Second)
		if got := carol.advertised(); got != "Lab 239.255.71.7:7000" || len(alice.own) != 0 {
			t.Errorf("alice has left; carol finds %q", got)
		}
		bob.Leave("Lab")
		pass(2 * time.Second)
		if got := carol.advertised(); got != "" {
			t.Errorf("all have left; carol finds %q", got)
		}
	})
}

// CQ-10: a room of a name is made only if nobody advertises it for long enough, and
// never where another is. Salut's second room of the same name must not be.
func TestARoomIsMadeOnlyIfThereIsNone(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice := lan.idle("alice@a", Config{FindFor: 4 * time.Second})
		alice.plug() // no link yet
		alice.run()
		alice.join(Room{Name: "Lab", Make: true})
		alice.join(Room{Name: "Only found"})
		pass(time.Minute)
		alice.want("no link", "")
		alice.plug(theLink)
		pass(4 * time.Second)
		if got := alice.info("Lab").State; got != "looking for its advert" {
			t.Errorf("after less than FindFor: %s", got)
		}
		theirs := netip.MustParseAddrPort("239.1.2.3:4000")
		alice.HandleMDNS(mdns.Appeared{Entry: entryOf(advertOf("x", "lab", theirs))})
		pass(enterTime)
		if got := alice.info("Lab").Group; got != theirs {
			t.Errorf("found at %s, entered %s", theirs, got)
		}
		if r := alice.room("Lab"); r.address() != "lab" {
			t.Errorf("addressed to %q, advertised as lab", r.address())
		}
		if got := alice.info("Only found").State; got != "looking for its advert" {
			t.Errorf("one that is not to be made: %s", got)
		}
		alice.log()
		alice.join(Room{Name: "Made", Make: true})
		pass(enterTime)
		alice.want("made", "entered Made")
	})
}

// CQ-10: a port that somebody has for himself is not taken.
func TestARoomIsMadeElsewhereIfThePortIsTaken(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		tried := map[uint16]bool{}
		lan.busy = func(port uint16) bool { tried[port] = true; return len(tried) < 3 }
		alice := lan.host("alice@a", Config{})
		alice.join(Room{Name: "Lab", Make: true})
		pass(20 * time.Second)
		alice.want("at last", "entered Lab")
		if len(tried) != 3 {
			t.Errorf("%d ports tried", len(tried))
		}
	})
}

// CQ-09: two make a room of one name at the same moment. The advert of one loses;
// it moves to the other's.
func TestTwoRoomsOfOneNameBecomeOne(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.host("alice@a", Config{}), lan.host("bob@b", Config{})
		alice.join(Room{Name: "Lab", Make: true})
		bob.join(Room{Name: "Lab", Make: true})
		pass(enterTime + meetTime + 5*time.Second)
		a, b := alice.info("Lab"), bob.info("Lab")
		if a.Group != b.Group || len(a.Members) != 1 || len(b.Members) != 1 {
			t.Errorf("alice: %+v, bob: %+v", a, b)
		}
		if moves := alice.Stats().Moves + bob.Stats().Moves; moves != 1 {
			t.Errorf("%d moves", moves)
		}
		mover := alice
		if bob.Stats().Moves == 1 {
			mover = bob
		}
		if got := mover.log(); !strings.HasPrefix(got, "entered Lab\nclique.Restarted\nentered Lab\njoined Lab: ") {
			t.Errorf("%s was told\n%s", mover.name, got)
		}
	})
}

// CQ-09: who is not alone, or was told where to be, stays.
func TestARoomWithMembersDoesNotMove(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		other := lan.host("other@o", Config{})
		other.join(Room{Name: "Lab", Group: netip.MustParseAddrPort("239.255.71.99:9999")})
		pass(enterTime)
		alice, bob := lan.pair(Config{})
		if got := alice.info("Lab").State; !strings.Contains(got, "another room of this name is at 239.255.71.99:9999") {
			t.Errorf("alice's room: %s", got)
		}
		if len(alice.own)+len(bob.own) != 0 {
			t.Error("it is advertised though the name is taken")
		}
		other.stop()
		pass(5 * time.Second)
		if len(alice.own)+len(bob.own) != 2 || alice.info("Lab").State != "in the room" {
			t.Errorf("the name is free, but alice has %v: %s", alice.own, alice.info("Lab").State)
		}
	})
}

// CQ-12: nothing of a private room is advertised; who has its address gets in.
func TestPrivateRoomsAreNotAdvertised(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.host("alice@a", Config{}), lan.host("bob@b", Config{})
		alice.join(Room{Name: "Coven", Make: true, Private: true})
		pass(enterTime)
		invite := Invitation{Room: "Coven", Group: alice.info("Coven").Group}
		got, ok := ParseInvitation(invite.Message())
		if !ok || got.Check() != nil {
			t.Fatal(got)
		}
		bob.join(Room{Name: got.Room, Group: got.Group, Private: true})
		pass(meetTime)
		bob.want("invited", "entered Coven\njoined Coven: alice@a")
		if a, b := alice.advertised(), bob.advertised(); a+b != "" || len(alice.own)+len(bob.own) > 0 {
			t.Errorf("advertised: %q, %q", a, b)
		}
	})
}

// CQ-07: streams are opened and released on stream 0, and carry data meanwhile.
func TestStreamsAreOpenedCarriedAndReleased(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		if err := alice.SendData("Lab", 1, []byte("too early")); !errors.Is(err, ErrStream) {
			t.Errorf("on a stream that is not open: %v", err)
		}
		one, err := alice.OpenTube("Lab", aTube)
		if err != nil || one != 1 {
			t.Fatal(one, err)
		}
		pass(time.Second)
		bob.want("opened", "alice@a has 1 tubes")
		data := []byte{0, 1, 255, '<'}
		if err := alice.SendData("Lab", one, data); err != nil {
			t.Error(err)
		}
		pass(time.Second)
		bob.want("data", "alice@a in Lab on 1: \x00\x01\xff<")

		carol := lan.host("carol@c", Config{})
		carol.join(Room{Name: "Lab"})
		pass(meetTime)
		if got := carol.log(); !strings.Contains(got, "alice@a has 1 tubes") {
			t.Errorf("carol came later: %s", got)
		}
		bob.want("told once", "joined Lab: carol@c")
		if err := alice.CloseTube("Lab", one); err != nil {
			t.Error(err)
		}
		pass(time.Second)
		bob.want("released", "alice@a has 0 tubes")
		if err := alice.SendData("Lab", one, data); !errors.Is(err, ErrStream) {
			t.Errorf("on a stream that is released: %v", err)
		}
		if err := alice.CloseTube("Lab", one); !errors.Is(err, ErrStream) {
			t.Errorf("released twice: %v", err)
		}
	})
}

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
		alice, bob := lan.pair(Config{MaxStanza: 16 << 10})
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

// A member that floods one room is cut down, and the other room does not notice.
func TestAFloodIsCutDown(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{PacketRate: 100})
		mallory := lan.idle("mallory@m", Config{})
		group := netip.MustParseAddrPort("239.255.71.7:7000")
		junk, err := rmulticast.AppendPacket(nil, &rmulticast.Packet{Type: rmulticast.WhoisRequest, Sender: 66, Target: 67})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			for range 500 {
				lan.send(mallory, group, 1, junk)
			}
			pass(100 * time.Millisecond)
		}
		bob.say("Lab", "calm")
		pass(2 * time.Second)
		alice.want("in a flood", "bob@b in Lab: calm")
		if got := alice.Stats().Flooded; got < 9000 || got > 9900 {
			t.Errorf("%d of 10000 packets not heard", got)
		}
	})
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

// Links that come and go are followed; what was said meanwhile comes afterwards.
func TestLinksAreFollowed(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		bob.plug()
		pass(2 * time.Second)
		alice.say("Lab", "while you were away")
		pass(20 * time.Second)
		bob.want("no link", "")
		bob.plug(theLink)
		pass(10 * time.Second)
		bob.want("back", "alice@a in Lab: while you were away")
		other := theLink
		other.Name, other.Index = "lan1", 2
		alice.plug(theLink, other)
		bob.plug(other)
		pass(2 * time.Second)
		bob.say("Lab", "on the other link")
		pass(5 * time.Second)
		alice.want("on two links", "bob@b in Lab: on the other link")
	})
}

// A socket that fails is replaced.
func TestAFailedSocketIsReplaced(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		lan.mu.Lock()
		for s := range lan.socks {
			if s.h == bob {
				s.in <- fakePacket{err: errors.New("no buffers")}
			}
		}
		lan.mu.Unlock()
		pass(2 * time.Second)
		alice.say("Lab", "hello again")
		pass(5 * time.Second)
		bob.want("with a new socket", "alice@a in Lab: hello again")
		if n := len(lan.socks); n != 2 {
			t.Errorf("%d sockets", n)
		}
	})
}

// A room that was left can be joined again, when Closed was told.
func TestARoomCanBeJoinedAgain(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		again := Room{Name: "Lab"}
		if err := alice.Join(again); !errors.Is(err, ErrJoined) {
			t.Errorf("joined twice: %v", err)
		}
		alice.Leave("Lab")
		alice.Leave("Lab")
		pass(2 * time.Second)
		alice.want("left", "clique.Closed")
		alice.join(again)
		pass(meetTime)
		alice.want("again", "entered Lab\njoined Lab: bob@b")
		bob.want("meanwhile", "left Lab: alice@a\njoined Lab: alice@a")
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
		room := newRoom(Room{Name: "Lab", Group: netip.MustParseAddrPort("239.255.71.7:7000")}, rmulticast.Limits{})
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

// CQ-08: when our presence name is another, so is what we are called in rooms.
func TestAnotherNameIsTakenIntoRooms(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		if err := alice.SetName(""); err == nil {
			t.Error("nobody can be called nothing")
		}
		if err := alice.SetName("alice1@a"); err != nil {
			t.Error(err)
		}
		pass(meetTime)
		alice.want("under another name", "clique.Restarted\nentered Lab\njoined Lab: bob@b")
		bob.want("alice has another name", "left Lab: alice@a\njoined Lab: alice1@a")
		alice.say("Lab", "me")
		pass(time.Second)
		bob.want("spoken to", "alice1@a in Lab: me")
		if len(alice.own) != 1 {
			t.Error("the room is not advertised any more")
		}
	})
}

// CQ-09: what Salut says of a room with a dot in its name is not what we say; then
// its advert has to do.
func TestAnAdvertInOtherWordsHasToDo(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice := lan.host("alice@a", Config{})
		alice.join(Room{Name: "a.b", Group: netip.MustParseAddrPort("239.255.71.7:7000")})
		pass(enterTime)
		theirs := entryOf(advertOf("x", "A.B", netip.MustParseAddrPort("239.255.71.7:7000")))
		alice.HandleMDNS(mdns.Renaming{ID: "clique/a.b", Old: "a.b", New: "a.b-1"})
		pass(time.Second)
		alice.HandleMDNS(mdns.Appeared{Entry: theirs})
		pass(2 * retryName)
		if len(alice.own) != 0 || alice.info("a.b").State != "in the room" || !alice.info("a.b").Advertised {
			t.Errorf("advertised by others, and also: %v; %+v", alice.own, alice.info("a.b"))
		}
		if got := alice.room("a.b").address(); got != "A.B" {
			t.Errorf("addressed to %s, advertised as A.B", got)
		}
		alice.HandleMDNS(mdns.Vanished{Instance: "A.B", Type: ServiceType})
		pass(2 * time.Second)
		if len(alice.own) != 1 {
			t.Error("nobody advertises the room any more")
		}
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

// CQ-02, CQ-07: over a network that loses packets everybody hears all lines once, and
// all know a line by the same name.
func TestEverybodyHearsEverythingOnce(t *testing.T) {
	const people, lines = 5, 40
	onLAN(t, func(lan *fakeLAN) {
		rng := rand.New(rand.NewPCG(1, 2))
		lan.lose = func(from, to *fakeHost, _ []byte) bool { return from != to && rng.IntN(10) == 0 }
		room := Room{Name: "Lab", Group: netip.MustParseAddrPort("239.255.71.7:7000")}
		for i := range people {
			lan.host(fmt.Sprintf("p%d@h", i), Config{}).join(room)
		}
		pass(3 * meetTime)
		for _, h := range lan.hosts {
			if got := len(h.info("Lab").Members); got != people-1 {
				t.Fatalf("%s sees %d members", h.name, got)
			}
		}
		for i := range lines {
			for _, h := range lan.hosts {
				h.say("Lab", fmt.Sprintf("%s %d", h.name, i))
			}
			pass(50 * time.Millisecond)
		}
		pass(30 * time.Second)
		names := map[string]string{} // of a line, by its text
		for _, h := range lan.hosts {
			heard := 0
			for _, ev := range h.got {
				if r, ok := ev.(Received); ok {
					heard++
					name, text := fmt.Sprint(r.FromID, r.Number), bodyOf(r.Stanza)
					if names[text] == "" {
						names[text] = name
					}
					if names[text] != name || !strings.HasPrefix(text, r.From) {
						t.Errorf("%s heard %q of %s as %s, another as %s", h.name, text, r.From, name, names[text])
					}
				}
			}
			if heard != (people-1)*lines {
				t.Errorf("%s heard %d lines", h.name, heard)
			}
		}
		if len(names) != people*lines {
			t.Errorf("%d lines in all", len(names))
		}
	})
}
