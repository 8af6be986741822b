package rooms

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// announces has a LAN member say that it is a gateway of the same MUC, elder than us.
func (b *bench) announces(member, id string, parts ...stanza.Part) {
	el := stanza.New(nsGateway, "gateway", append([]stanza.Part{
		stanza.Attr{Name: "room", Value: b.engine.muc}, stanza.Attr{Name: "site", Value: "office"},
		stanza.Attr{Name: "since", Value: "1"}, stanza.Attr{Name: "id", Value: id}}, parts...)...)
	b.says(member, el)
}

// announcesFor has it say so every second.
func (b *bench) announcesFor(d time.Duration, member, id string, parts ...stanza.Part) {
	for end := b.now.Add(d); b.now.Before(end); b.pass(time.Second) {
		b.announces(member, id, parts...)
	}
}

// givesUp has a LAN member say that the line we have sent last is given up.
func (b *bench) givesUp(member string) {
	id := lineID(b.stanzas[len(b.stanzas)-1].Attr("id"))
	given := idList("given-up", []lineID{id}).WithAttr("room", b.engine.muc)
	b.says(member, given, via("office", b.engine.muc, ""))
}

func via(site, room, id string) *stanza.Element {
	return stanza.New("urn:x-meshgate:via:0", "via", stanza.Attr{Name: "site", Value: site}, stanza.Attr{Name: "room", Value: room}, stanza.Attr{Name: "id", Value: id})
}

var (
	ready    = stanza.Attr{Name: "ready", Value: "1"}
	carries1 = stanza.Attr{Name: "carrying", Value: "1"}
)

// IJ-08: what gateways say of lines counts from those only that have said that they
// are some.
func TestOnlyGatewaysSpeakOfLines(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("one"))
	b.givesUp("eve@h3")
	b.says("eve@h3", words("[alice] hi"), via("office", b.engine.muc, "s1"))
	b.hears("alice", "s1", "hello")
	if l, _ := b.stats(); l.Pending != 1 {
		t.Errorf("a member has ended a line: %+v", l)
	}
	want(t, "the LAN", b.lan, "[alice] hello")
	b.announces("gate@h4", "g4")
	b.givesUp("gate@h4")
	b.says("gate@h4", words("[alice] hi"), via("office", b.engine.muc, "s2"))
	b.hears("alice", "s2", "hi")
	if l, m := b.stats(); l.Pending != 0 || m.Elsewhere != 1 {
		t.Errorf("a gateway is not heard: %+v, %+v", l, m)
	}
	want(t, "the LAN", b.lan, "[alice] hello")
}

// A gateway's names are short, or it is none: each is kept as long as it is there.
func TestAGatewayHasNoLongNames(t *testing.T) {
	b := newBench(t, nil)
	long := strings.Repeat("x", maxKey+1)
	b.announces("eve@h3", long, ready, carries1)
	for _, name := range []string{"site", "instead", "last"} {
		el := stanza.New(nsGateway, "gateway", stanza.Attr{Name: "room", Value: b.engine.muc}, stanza.Attr{Name: "since", Value: "1"}, stanza.Attr{Name: "id", Value: "e"})
		b.says("eve@h3", el.WithAttr(name, long))
	}
	if len(b.gates.others) != 0 {
		t.Errorf("it is one: %+v", b.gates.others["eve@h3"])
	}
}

// A message that gives up more lines than a gateway does at once displaces no more of
// what is known than that one would.
func TestOnlySoManyLinesAreGivenUpAtOnce(t *testing.T) {
	b := newBench(t, nil)
	b.announces("gate@h4", "g4")
	known := len(b.marks)
	var ids []lineID
	for i := range rmulticast.PacketID(10 * maxGivenUp) {
		ids = append(ids, newLineID("Witchcraft", 9, i))
	}
	b.says("gate@h4", idList("given-up", ids).WithAttr("room", b.engine.muc), via("office", b.engine.muc, ""))
	if n := len(b.marks) - known; n != maxGivenUp {
		t.Errorf("%d lines count as given up", n)
	}
}

// IJ-08: nobody takes a line out of the way by saying something else under its id.
func TestAReflectionHasTheWordsOfItsLine(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("one"))
	id := stanza.Attr{Name: "id", Value: b.stanzas[0].Attr("id")}
	b.hears("eve", "s1", "[crone@h1] two", id, via("office", b.engine.muc, ""))
	if l, _ := b.stats(); l.Pending != 1 {
		t.Errorf("other words have ended a line: %+v", l)
	}
	b.hears("gw2", "s2", "[crone@h1]  one", id, via("office", b.engine.muc, ""))
	if l, _ := b.stats(); l.Pending != 0 || l.Elsewhere != 1 {
		t.Errorf("its words have not: %+v", l)
	}
	want(t, "the LAN", b.lan)
}

// IJ-08: who says that it carries, and does not, keeps nobody else from it for long.
func TestWhoDoesNotCarryIsTakenOverFrom(t *testing.T) {
	b := newBench(t, nil)
	b.announcesFor(5*time.Second, "eve@h3", "e", ready, carries1)
	b.says("crone@h1", words("one"))
	b.announcesFor(25*time.Second, "eve@h3", "e", ready, carries1)
	want(t, "the MUC, with another gateway that carries", b.muc)
	b.announcesFor(10*time.Second, "eve@h3", "e", ready, carries1)
	want(t, "the MUC", b.muc, "[crone@h1] one")
	if el := b.announced(); el.Attr("instead") != "e" || el.Attr("carrying") != "1" {
		t.Errorf("we say %v", el)
	}
	b.server(xmppc2s.RoomRefused{Room: theMUC, ID: b.stanzas[0].Attr("id"), Err: &stanza.Error{Type: "wait", Condition: stanza.ResourceConstraint}})
	if el := b.announced(); b.gates.duty != standing || el.Attr("instead") != "" {
		t.Errorf("the MUC takes nothing of us, either, and we are %v and say %v", b.gates.duty, el)
	}
}

// announced is what we have said of ourselves last.
func (b *bench) announced() *stanza.Element {
	return b.sent[len(b.sent)-1].stanza.Child(nsGateway, "gateway")
}

// Who was asleep does not take for idle whom it could not hear.
func TestSleepMakesNobodyIdle(t *testing.T) {
	b := newBench(t, nil)
	b.announcesFor(5*time.Second, "gate@h4", "g4", ready, carries1)
	b.says("crone@h1", words("one"))
	b.now = b.now.Add(2 * idleAfter)
	b.handleTimeout(b.now)
	b.announces("gate@h4", "g4", ready, carries1)
	if b.gates.duty != standing || b.announced().Attr("instead") != "" {
		t.Errorf("we are %v, and say %v", b.gates.duty, b.announced())
	}
}

// The other side of that: one that is told that it does not carry leaves it to who
// says so; and who carries slowly is left alone.
func TestWhoIsTakenOverFromStandsBy(t *testing.T) {
	b := newBench(t, nil)
	instead := stanza.Attr{Name: "instead", Value: b.gates.self.id}
	b.announces("gate@h4", "g4", ready, instead)
	if b.gates.duty != standing || b.announced().Attr("ready") != "" {
		t.Errorf("we are %v, and say %v", b.gates.duty, b.announced())
	}
	b.announces("third@h5", "a5", ready)
	if b.rival(b.now) != "third@h5" { // for which the other stands by, too, now that we are not ready
		t.Errorf("we stand by for %q", b.rival(b.now))
	}
	b.clique(clique.Left{Room: "Witchcraft", Member: "third@h5", Why: rmulticast.Said})
	b.announces("gate@h4", "g4", ready, carries1, instead)
	for i := range 4 {
		b.says("crone@h1", words(fmt.Sprint(i)))
		b.announcesFor(20*time.Second, "gate@h4", "g4", ready, carries1)
		line := b.due.lines[0]
		b.hears("gw4", b.newID(), "[crone@h1] "+fmt.Sprint(i), stanza.Attr{Name: "id", Value: string(line.ID)}, via("office", b.engine.muc, ""))
	}
	want(t, "the MUC", b.muc)
}

// A line that the carrier has left to another gateway is not known to its next run:
// it would take it for said.
func TestAGrantIsForgottenWithItsGiver(t *testing.T) {
	b := newBench(t, nil)
	id := newLineID("Witchcraft", 3, 4)
	b.announces("gate@h4", "g4", idList("due", []lineID{id}))
	if el := b.announced().Child(nsGateway, "yours"); len(listed(el)) != 1 {
		t.Fatalf("the line was not left: %v", el)
	}
	if b.marks[b.lineMark(id)] {
		t.Error("it counts as said in the next run")
	}
	b.hears("gw4", "s1", "[crone@h1] one", stanza.Attr{Name: "id", Value: string(id)}, via("office", b.engine.muc, ""))
	if !b.marks[b.lineMark(id)] {
		t.Error("it does not, though it was seen")
	}
}

// Who hears packets of others is not alone, even if they take their time to let us in.
func TestNobodyCarriesBesideMembersThatAreBusy(t *testing.T) {
	b := newBench(t, nil)
	b.clique(clique.Left{Member: "crone@h1", Why: rmulticast.Said})
	b.clique(clique.Restarted{})
	b.clique(clique.Entered{Room: "Witchcraft"})
	b.hears("alice", "s1", "hello")
	for range 50 {
		b.heardLAN(b.now)
		b.pass(time.Second)
	}
	want(t, "the LAN", b.lan)
	b.clique(clique.Joined{Room: "Witchcraft", Members: []string{"crone@h1"}})
	b.pass(5 * time.Second)
	want(t, "the LAN", b.lan, "[alice] hello")
	b.clique(clique.Left{Member: "crone@h1", Why: rmulticast.Said})
	b.clique(clique.Restarted{})
	b.clique(clique.Entered{Room: "Witchcraft"})
	for range 130 {
		b.heardLAN(b.now)
		b.pass(time.Second)
	}
	if b.gates.duty != carrying {
		t.Errorf("somebody who never lets us in has us %v", b.gates.duty)
	}
}

// Who comes and goes all the time does not keep us listening for ever, be it at first or
// when others are met again.
func TestWhoComesAndGoesKeepsNobodyFromCarrying(t *testing.T) {
	b := newBench(t, nil)
	for i, why := range []rmulticast.Reason{rmulticast.Said, rmulticast.Silent} {
		b.clique(clique.Left{Member: "crone@h1", Why: why})
		b.clique(clique.Restarted{})
		b.clique(clique.Entered{Room: "Witchcraft"})
		b.pass(2 * time.Second)
		b.clique(clique.Joined{Room: "Witchcraft", Members: []string{"crone@h1"}})
		if b.gates.duty != listening {
			t.Fatalf("%d: we are %v", i, b.gates.duty)
		}
		for end := b.now.Add(aloneFor + listenFor); b.now.Before(end); b.pass(listenFor - time.Millisecond) {
			b.clique(clique.Joined{Room: "Witchcraft", Members: []string{"eve@h3"}})
			b.clique(clique.Left{Member: "eve@h3", Why: rmulticast.Said})
		}
		if b.gates.duty != carrying {
			t.Errorf("%d: we are %v", i, b.gates.duty)
		}
	}
}

// What the session cannot take, or gives back, the MUC was not asked about.
func TestAFullDiskEndsNoLine(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("one"))
	for range 3 * maxTries {
		b.server(xmppc2s.Undelivered{Stanza: b.stanzas[len(b.stanzas)-1], Err: xmppc2s.ErrNoRoom})
		b.pass(3 * time.Second)
	}
	if l, _ := b.stats(); l.Pending != 1 {
		t.Errorf("%+v", l)
	}
	b.server(xmppc2s.Undelivered{Stanza: b.stanzas[0], Err: xmppc2s.ErrTooLarge})
	if l, _ := b.stats(); l.Bounced != 1 {
		t.Errorf("%+v", l)
	}
}
