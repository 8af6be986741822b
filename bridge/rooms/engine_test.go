package rooms

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/bridge/internal/bounds"
	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// A bench is an engine that carries its room, by itself.
type bench struct {
	*engine
	now      time.Time
	lan, muc []string // what it has said
	sent     []sendLAN
	stanzas  []*stanza.Element
	tales    []tell
	writes   []uint64
	done     int
	marks    map[mark]bool
	rows     map[string][]byte
	status   string // in the MUC
	number   rmulticast.PacketID
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	cfg := Config{Site: "office", Rooms: []Room{{Name: "Witchcraft", MUC: theMUC, Peers: []string{"*"}}}, Location: time.UTC}
	if change != nil {
		change(&cfg)
	}
	cfg = cfg.withDefaults()
	b := &bench{now: start, marks: make(map[mark]bool), rows: make(map[string][]byte)}
	b.engine = newEngine(b.now, &cfg, cfg.Rooms[0], cfg.Site, nil)
	b.restore(b.now, saved{})
	b.handleClique(b.now, clique.Entered{Room: "Witchcraft"})
	b.handleClique(b.now, clique.Joined{Room: "Witchcraft", Members: []string{"crone@h1"}})
	b.handleServer(b.now, xmppc2s.Online{})
	b.server(xmppc2s.RoomEntered{Room: theMUC, Nick: "meshgate", Archive: true, Occupants: []xmppc2s.Occupant{{Nick: "alice"}, {Nick: "bob"}}})
	b.server(xmppc2s.RoomCaughtUp{Room: theMUC})
	b.pass(time.Minute)
	b.lan, b.muc, b.stanzas, b.sent = nil, nil, nil, nil
	return b
}

func (b *bench) carryOut() {
	for actions := b.takeActions(); len(actions) > 0; actions = b.takeActions() {
		for _, a := range actions {
			switch a := a.(type) {
			case sendLAN:
				if body := bodyOf(a.stanza); body != "" {
					b.lan = append(b.lan, body)
				}
				b.sent = append(b.sent, a)
				b.handleSent(b.now, a.token, nil)
			case sendMUC:
				b.muc, b.stanzas = append(b.muc, bodyOf(a.stanza)), append(b.stanzas, a.stanza)
			case write:
				b.writes = append(b.writes, a.token)
				b.change(a.changes)
			case later:
				b.change(a)
			case remember:
				b.marks[a.mark] = true
			case setStatus:
				b.status = a.text
			case tell:
				b.tales = append(b.tales, a)
			case finish:
				for _, f := range a {
					f()
				}
			}
		}
	}
}

func (b *bench) change(changes []Change) {
	for _, c := range changes {
		if delete(b.rows, string(c.Key)); c.Value != nil {
			b.rows[string(c.Key)] = c.Value
		}
	}
}

// pass has time pass.
func (b *bench) pass(d time.Duration) {
	for end := b.now.Add(d); ; b.handleTimeout(b.now) {
		b.carryOut()
		if next := b.nextTimeout(); next.IsZero() || next.After(end) {
			b.now = end
			return
		} else if b.now = next; !next.After(b.settled) {
			panic("it wants to be called again at once")
		}
	}
}

func (b *bench) server(ev xmppc2s.Event) {
	b.handleServer(b.now, ev)
	b.carryOut()
}

func (b *bench) clique(ev clique.Event) {
	b.handleClique(b.now, ev)
	b.carryOut()
}

// says has a LAN member say something.
func (b *bench) says(member string, parts ...stanza.Part) {
	b.number++
	b.clique(clique.Received{
		Room: "Witchcraft", From: member, FromID: 7, Number: b.number,
		Stanza: stanza.New(stanza.NSClient, "message", append(parts, stanza.Attr{Name: "type", Value: "groupchat"})...),
	})
}

func words(s string) *stanza.Element {
	return stanza.New(stanza.NSClient, "body", stanza.Text(s))
}

// hears has an occupant of the MUC say something.
func (b *bench) hears(nick, id, text string, parts ...stanza.Part) {
	st := stanza.New(stanza.NSClient, "message", append(parts, words(text), stanza.Attr{Name: "type", Value: "groupchat"})...)
	b.server(xmppc2s.RoomMessage{Room: theMUC, Nick: nick, ID: id, Stanza: st, Own: nick == "meshgate", Done: func() { b.done++ }})
}

// reflect has the MUC say again what it was sent.
func (b *bench) reflect(i int) {
	b.server(xmppc2s.RoomMessage{Room: theMUC, Nick: "meshgate", ID: "r", Stanza: b.stanzas[i], Own: true, Done: func() {}})
}

// ofPeople is what the LAN has got, without notices.
func (b *bench) ofPeople() []string {
	return slices.DeleteFunc(slices.Clone(b.lan), func(l string) bool { return strings.HasPrefix(l, "[meshgate] ") })
}

func want(t *testing.T, what string, got []string, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// IJ-08: what a gateway has written goes nowhere, be it ours, another's of this
// site, or of another MUC; of another site it is an occupant's like any other.
func TestWhatGatewaysWriteDoesNotComeBack(t *testing.T) {
	b := newBench(t, nil)
	b.says("meshgate@gw2", words("[alice] hi"), via("office", "other@conference.example.org", "s1"))
	b.hears("gw2", "s1", "[crone@h1] hi", via("office", b.engine.muc, ""))
	b.hears("meshgate", "s2", "[crone@h1] hi")
	b.hears("gw9", "s3", "[eve@h9] hi", via("far away", b.engine.muc, ""))
	want(t, "the MUC", b.muc)
	want(t, "the LAN", b.lan, "[gw9] [eve@h9] hi")
	if b.done != 3 {
		t.Errorf("%d are done", b.done)
	}
}

// CQ-13: whoever said a line that the MUC does not take is named, once for many.
func TestLinesThatAreNotPassedOnAreTold(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.MemberRate, c.Limits.BodyBytes = bounds.Rate{PerMinute: 1, Burst: 3}, 10 })
	b.says("crone@h1", words("one"))
	b.says("crone@h1", words("a line that is too long"))
	for range 5 {
		b.says("crone@h1", words("more"))
	}
	b.server(xmppc2s.RoomRefused{Room: theMUC, ID: b.stanzas[0].Attr("id"), Err: &stanza.Error{Type: "auth", Condition: stanza.Forbidden}})
	b.pass(time.Minute)
	want(t, "the MUC", b.muc, "[crone@h1] one", "[crone@h1] more")
	want(t, "the LAN", b.lan, "[meshgate] crone@h1: not passed on: the line is too long",
		"[meshgate] crone@h1: not passed on: the MUC says forbidden\n  crone@h1: not passed on: too many lines in a short time (4 times)")
	if l, _ := b.stats(); l.Refused != 5 || l.Bounced != 1 || l.Pending != 1 {
		t.Errorf("%+v", l)
	}
}

func TestALineIsSentAgainUntilItIsThere(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Timing.LineKept = time.Hour })
	b.says("crone@h1", words("one"))
	id := b.stanzas[0].Attr("id")
	b.server(xmppc2s.RoomRefused{Room: theMUC, ID: id, Err: &stanza.Error{Type: "modify", Condition: stanza.NotAcceptable}})
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomGone})
	b.says("crone@h1", words("two"))
	want(t, "the MUC", b.muc, "[crone@h1] one")
	b.server(xmppc2s.RoomEntered{Room: theMUC, Archive: true})
	b.server(xmppc2s.RoomCaughtUp{Room: theMUC})
	want(t, "the MUC", b.muc, "[crone@h1] one", "[crone@h1] one")
	b.reflect(1)
	want(t, "the MUC", b.muc, "[crone@h1] one", "[crone@h1] one", "[crone@h1] two")
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomKicked})
	b.pass(2 * time.Hour)
	if l, _ := b.stats(); l.Delivered != 1 || l.Expired != 1 || l.Pending != 0 {
		t.Errorf("%+v", l)
	}
}

// A line of which nothing is heard holds back its speaker only, and not for long.
func TestALineWithoutAnAnswerHoldsBackItsSpeakerForAWhile(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("one"))
	b.says("crone@h1", words("two"))
	b.pass(patience - time.Second)
	want(t, "the MUC at first", b.muc, "[crone@h1] one")
	b.pass(time.Second)
	want(t, "the MUC", b.muc, "[crone@h1] one", "[crone@h1] two")
	b.says("crone@h1", words("three"))
	b.now = b.now.Add(stuckAfter) // asleep; what has come meanwhile is still to be heard
	b.handleTimeout(b.now)
	b.carryOut()
	want(t, "the MUC after a sleep", b.muc, "[crone@h1] one", "[crone@h1] two")
	if l, _ := b.stats(); l.Bounced != 0 {
		t.Errorf("%+v", l)
	}
}

// A MUC without an archive tells only what its history still has: what the server
// had acknowledged before counts as said.
func TestAShortHistoryDoublesNothing(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("one"))
	b.says("witch@h2", words("two"))
	b.server(xmppc2s.Acknowledged{Messages: []xmppc2s.Sent{{ID: b.stanzas[0].Attr("id")}}})
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomGone})
	b.pass(time.Minute)
	b.server(xmppc2s.RoomEntered{Room: theMUC})
	b.server(xmppc2s.RoomMessage{Room: theMUC, Nick: "alice", ID: "s1", Stamp: b.now.Add(-time.Second), Stanza: lanSays("hi"), Done: func() {}})
	b.server(xmppc2s.RoomCaughtUp{Room: theMUC})
	want(t, "the MUC", b.muc, "[crone@h1] one", "[witch@h2] two", "[witch@h2] two")
}

// CQ-13: what comes while the LAN cannot hear is on the disk after a second, and
// only then done; what is older is told with its time.
func TestMUCLinesWaitForTheLANOnDisk(t *testing.T) {
	b := newBench(t, nil)
	b.clique(clique.Frozen{Frozen: true})
	b.hears("alice", "s1", "hello")
	b.hears("alice", "s1", "hello")
	b.pass(2 * time.Second)
	if len(b.lan) != 0 || b.done != 0 || len(b.writes) != 1 {
		t.Fatalf("the LAN has %q, %d done, %d writes", b.lan, b.done, len(b.writes))
	}
	b.handleWritten(b.now, b.writes[0], nil)
	b.carryOut()
	if b.done != 2 || b.held.mark.After != "s1" {
		t.Errorf("%d done, up to %q", b.done, b.held.mark.After)
	}
	b.pass(3 * time.Minute)
	b.clique(clique.Frozen{})
	b.pass(time.Minute)
	want(t, "the LAN", b.lan, "[alice, 09:01] hello")
	b.hears("alice", "s1", "hello")
	if _, l := b.stats(); l.Delivered != 1 || l.Duplicate != 2 || b.done != 3 {
		t.Errorf("%+v, %d done", l, b.done)
	}
}

// CQ-13: who comes, goes and is called otherwise, in one notice for many.
func TestComingsAndGoingsAreFolded(t *testing.T) {
	b := newBench(t, nil)
	for _, ev := range []xmppc2s.RoomOccupant{
		{Nick: "carol", Here: true}, {Nick: "dave", Here: true}, {Nick: "dave"}, {Nick: "erin", Here: true}, {Nick: "alice", Here: true, NewNick: "alicia"}, {Nick: "bob"},
	} {
		ev.Room = theMUC
		b.engine.told.next = b.now.Add(10 * time.Second)
		b.server(ev)
	}
	b.server(xmppc2s.RoomSubject{Room: theMUC, Text: "hats"})
	b.server(xmppc2s.RoomSubject{Room: theMUC, Nick: "erin", Text: "cauldrons"})
	b.pass(time.Minute)
	want(t, "the LAN", b.lan, "[meshgate] carol and erin came, bob left, alice is now alicia\n  the subject was set by erin: “cauldrons”")
	b.lan = nil
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomBanned, Fatal: true})
	b.server(xmppc2s.RoomEntered{Room: theMUC, Archive: true, Occupants: []xmppc2s.Occupant{{Nick: "carol"}, {Nick: "erin"}, {Nick: "alicia"}}})
	b.server(xmppc2s.RoomCaughtUp{Room: theMUC})
	b.pass(time.Minute)
	want(t, "the LAN", b.lan, "[meshgate] witchcraft@conference.example.org cannot be reached (we are banned); what is said here waits",
		"[meshgate] witchcraft@conference.example.org is there again")
}

// CQ-13: who is on the other side can be asked for, on both, and not too often.
func TestWhoIsAnswered(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("@who"))
	b.hears("alice", "s1", "meshgate: who")
	want(t, "the LAN", b.lan, "[meshgate] in witchcraft@conference.example.org: alice and bob")
	want(t, "the MUC", b.muc, "[meshgate] on the LAN in Witchcraft: crone@h1")
	for range 20 {
		b.hears("alice", "s"+b.newID(), "@who")
	}
	if len(b.muc) > answerRate.Burst {
		t.Errorf("%d answers", len(b.muc))
	}
}

// CQ-13: a member who comes late is told the last lines, and nobody else.
func TestLateMembersAreToldWhatWasSaid(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Rooms[0].History = History{Lines: 2, Age: time.Hour} })
	b.says("crone@h1", words("one"))
	b.hears("alice", "s1", "two")
	b.says("crone@h1", words("three"))
	b.pass(time.Second)
	b.clique(clique.Joined{Room: "Witchcraft", Members: []string{"late@h3"}})
	b.pass(time.Minute)
	if len(b.engine.said.late) != 0 || len(b.tales) != 1 || b.tales[0] != (tell{"late@h3", "said in Witchcraft before you came:\n[alice, 09:01] two\n[crone@h1, 09:01] three"}) {
		t.Errorf("told %+v", b.tales)
	}
	want(t, "the LAN", b.lan, "[alice] two")
}

// CQ-13: a long line does not hide what was said before it.
func TestLateMembersAreToldTheBeginningOfLongLines(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Rooms[0].History = History{Lines: 3} })
	b.hears("alice", "s1", "one")
	b.says("crone@h1", words(strings.Repeat("x", 2*maxTale)))
	b.hears("alice", "s2", strings.Repeat("y", 2*maxTale))
	b.pass(time.Second)
	b.clique(clique.Joined{Room: "Witchcraft", Members: []string{"late@h3"}})
	b.pass(time.Minute)
	if len(b.tales) != 1 {
		t.Fatalf("told %d times", len(b.tales))
	}
	tale := b.tales[0].text
	if !strings.Contains(tale, "] one\n") || !strings.Contains(tale, "xxx") || !strings.Contains(tale, "yyy") || len(tale) > maxTale {
		t.Errorf("told %d bytes: %.60s", len(tale), tale)
	}
}

// A line of which the MUC has not answered yet is not told to be lost: it is there soon.
func TestALineOnItsWayIsNotGivenUp(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Due = 2 })
	for _, line := range []string{"one", "two", "three"} {
		b.says("crone@h1", words(line))
	}
	b.reflect(0)
	want(t, "the MUC", b.muc, "[crone@h1] one", "[crone@h1] three")
	want(t, "the LAN", b.lan, "[meshgate] crone@h1: "+wordsOverflow)
	if l, _ := b.stats(); l.Delivered != 1 || l.Overflowed != 1 || l.Pending != 1 {
		t.Errorf("%+v", l)
	}
}

// CQ-13: who floods the room while the MUC is away loses own lines, and nobody else's; so
// does who has said most of all in the end. Each is told.
func TestAFlooderPushesOutNobodyElsesLines(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Due = 6 })
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomSessionLost})
	b.says("crone@h1", words("one"))
	b.says("witch@h2", words("two"))
	b.says("witch@h2", words("three"))
	for i := range 10 {
		b.says("flooder@h3", words("flood "+strconv.Itoa(i)))
	}
	b.says("crone@h1", words("four"))
	b.says("crone@h1", words("five"))
	b.pass(time.Minute)
	want(t, "the LAN", b.lan, "[meshgate] flooder@h3: "+wordsOverflow,
		"[meshgate] "+wordsGone(b.engine.muc, "no connection to the server")+"\n  crone@h1: "+wordsOverflow+"\n  flooder@h3: "+wordsOverflow+" (7 times)")
	var left []string
	for _, l := range b.due.lines {
		left = append(left, l.Text)
	}
	want(t, "what waits", left, "two", "three", "flood 8", "flood 9", "four", "five")
	if l, _ := b.stats(); l.Overflowed != 9 || l.Pending != 6 {
		t.Errorf("%+v", l)
	}
}

// Whatever comes, only so much is kept, and what goes is told.
func TestOnlySoMuchWaits(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Limits.Due, c.Limits.Held, c.Limits.Occupants, c.Limits.MemberRate = 5, 6, 7, bounds.Rate{PerMinute: 1e6, Burst: 1e6}
	})
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomGone})
	b.clique(clique.Frozen{Frozen: true})
	for range 100 {
		b.says("crone@h1", words("line"))
		b.hears("alice", b.newID(), strings.Repeat("x", 20000))
		b.server(xmppc2s.RoomOccupant{Room: theMUC, Nick: b.newID(), Here: true})
		b.says(b.newID(), stanza.New(nsGateway, "gateway", stanza.Attr{Name: "room", Value: b.engine.muc}, stanza.Attr{Name: "since", Value: "1"}, stanza.Attr{Name: "id", Value: b.newID()}))
		b.clique(clique.Joined{Room: "Witchcraft", Members: []string{b.newID(), b.newID()}})
	}
	lan, muc := b.stats()
	if lan.Pending != 5 || muc.Pending != 6 || lan.Overflowed != 95 || muc.Overflowed != 94 {
		t.Errorf("%+v\n%+v", lan, muc)
	}
	if n := len(b.people.occupants); n > 7 {
		t.Errorf("%d occupants", n)
	}
	if n, m := len(b.gates.others), len(b.people.members); n > maxGateways || m > maxMembers {
		t.Errorf("%d gateways, %d members", n, m)
	}
}
