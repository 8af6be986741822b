package clique

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"meshgate/linklocal/mdns"
)

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

// What cannot be entered is tried again now and then, not all the time.
func TestRoomsThatCannotBeEnteredAreNoWork(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		tries := 0
		lan.busy = func(port uint16) bool { tries++; return port != 7000 }
		alice := lan.host("alice@a", Config{})
		alice.join(Room{Name: "Lab", Group: netip.MustParseAddrPort("239.255.71.7:7000")})
		alice.HandleMDNS(mdns.Appeared{Entry: entryOf(advertOf("x", "Same", netip.MustParseAddrPort("239.255.71.7:7000")))})
		alice.join(Room{Name: "Same", Make: true})
		alice.join(Room{Name: "No port", Make: true})
		pass(time.Minute)
		if tries > 120 {
			t.Errorf("%d sockets opened in a minute", tries)
		}
		if got := alice.info("Same").State; !strings.HasPrefix(got, "looking for its advert: its group is that of") {
			t.Errorf("advertised at the group of another: %s", got)
		}
		if got := alice.info("No port").State; !strings.Contains(got, "cannot listen") {
			t.Errorf("without a port: %s", got)
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

// CQ-09: a room that was found or made does not move from under its members, but
// who is left alone in it does.
func TestARoomMovesWhenItsLastMemberIsAlone(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.host("alice@a", Config{}), lan.host("bob@b", Config{})
		alice.join(Room{Name: "Lab", Make: true})
		pass(enterTime)
		bob.join(Room{Name: "Lab"})
		pass(meetTime)
		there := netip.MustParseAddrPort("239.255.71.250:50000")
		for _, h := range lan.hosts {
			h.HandleMDNS(mdns.Renaming{ID: "clique/Lab", Old: "Lab", New: "Lab-1"})
		}
		pass(2 * time.Second)
		for _, h := range lan.hosts {
			h.HandleMDNS(mdns.Appeared{Entry: entryOf(advertOf("x", "Lab", there))})
		}
		pass(time.Minute)
		if got := alice.info("Lab"); got.Group == there || !strings.Contains(got.State, "another room of this name is at") {
			t.Errorf("with bob in it: %+v", got)
		}
		bob.Leave("Lab")
		pass(enterTime)
		if got := alice.info("Lab"); got.Group != there || got.State != "in the room" {
			t.Errorf("alone: %+v", got)
		}
	})
}
