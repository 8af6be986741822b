package clique

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meshgate/clique/rmulticast"
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
		lan.loses(func(from, to *fakeHost, b []byte) bool {
			if p, err := rmulticast.ParsePacket(b); err == nil && p.Type == rmulticast.Bye && from == bob && to == alice {
				byes++
			}
			return false
		})
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

// CQ-02, CQ-07: over a network that loses packets everybody hears all lines once, and
// all know a line by the same name.
func TestEverybodyHearsEverythingOnce(t *testing.T) {
	const people, lines = 5, 40
	onLAN(t, func(lan *fakeLAN) {
		rng := rand.New(rand.NewPCG(1, 2))
		lan.loses(func(from, to *fakeHost, _ []byte) bool { return from != to && rng.IntN(10) == 0 })
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
