package rooms

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// next is the run that finds what b has left, with another configuration.
func (b *bench) next(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	n := newBench(t, change)
	var s saved
	for key, value := range b.rows {
		s.add([]byte(strings.TrimPrefix(key, "Witchcraft\x00")), value)
	}
	e := newEngine(b.now, n.cfg, n.room, n.site, b.marks)
	n.engine, n.now, n.rows, n.marks, n.lan, n.muc = e, b.now, maps.Clone(b.rows), b.marks, nil, nil
	e.restore(n.now, s)
	n.carryOut()
	return n
}

// meet has a run enter both sides, and carry.
func (b *bench) meet() {
	b.clique(clique.Entered{Room: "Witchcraft"})
	b.clique(clique.Joined{Room: "Witchcraft", Members: []string{"crone@h1"}})
	b.server(xmppc2s.Online{})
	b.server(xmppc2s.RoomEntered{Room: b.room.MUC, Archive: true})
	b.server(xmppc2s.RoomCaughtUp{Room: b.room.MUC})
	b.pass(time.Minute)
}

// IJ-09: what was said in a room for those in one MUC is not for those in another.
func TestAnotherMUCGetsNothingOfTheLast(t *testing.T) {
	b := newBench(t, nil)
	b.hears("alice", "s1", "hello")
	b.clique(clique.Frozen{Frozen: true})
	b.hears("alice", "s2", "for the same MUC only")
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomKicked})
	b.says("crone@h1", words("for the same MUC only"))
	b.pass(5 * time.Second)
	same := b.next(t, nil)
	if r := same.mucRoom(); len(same.due.lines) != 1 || len(same.held.lines) != 1 || r.After != "s1" {
		t.Errorf("the same MUC: %d and %d lines, %+v", len(same.due.lines), len(same.held.lines), r)
	}
	other := b.next(t, func(c *Config) { c.Rooms[0].MUC = jid.MustParse("other@conference.example.org") })
	if r := other.mucRoom(); r.After != "" || !r.Since.IsZero() {
		t.Errorf("another MUC: %+v", r)
	}
	other.meet()
	want(t, "the other MUC", other.muc)
	if got := slices.Sorted(maps.Keys(other.rows)); len(got) != 1 || got[0] != "Witchcraft\x00m" {
		t.Errorf("rows of the last are left: %q", got)
	}
}

// CQ-13: what is not for the LAN is done, and not asked for again.
func TestTheMarkPassesWhatIsNotForTheLAN(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("one"))
	b.reflect(0)
	if b.held.mark.After != "r" {
		t.Errorf("our own line: after %q", b.held.mark.After)
	}
	b.hears("alice", "s2", "", stanza.New("urn:xmpp:reactions:0", "reactions"))
	if b.held.mark.After != "s2" {
		t.Errorf("a line without words: after %q", b.held.mark.After)
	}
	b.clique(clique.Frozen{Frozen: true})
	b.hears("alice", "s3", "waits")
	b.done = 0
	for i := range 100 {
		b.hears("alice", "r"+strconv.Itoa(i), "")
	}
	if b.held.mark.After != "s2" || b.done != 100 || len(b.held.order) != 2 {
		t.Errorf("behind one that waits: after %q, %d done, %d kept", b.held.mark.After, b.done, len(b.held.order))
	}
	b.clique(clique.Frozen{})
	b.pass(time.Minute)
	if b.held.mark.After != "r99" {
		t.Errorf("in the end: after %q", b.held.mark.After)
	}
}

// CQ-13: the LAN is told once that something cannot be shown.
func TestAnEncryptedLineIsToldOnce(t *testing.T) {
	b := newBench(t, nil)
	b.hears("alice", "s1", "x", stanza.New("urn:xmpp:eme:0", "encryption"))
	b.pass(time.Minute)
	for range 3 {
		b.hears("alice", "s1", "x", stanza.New("urn:xmpp:eme:0", "encryption"))
		b.pass(time.Minute)
	}
	want(t, "the LAN", b.lan, "[meshgate] alice: "+wordsSealed)
}

// CQ-13: a line without any id that is in the history, too, is told once; and so is
// each of two that are alike.
func TestALineWithoutAnIDIsKnownByItsTime(t *testing.T) {
	b := newBench(t, nil)
	b.hears("alice", "", "ok")
	b.hears("alice", "", "ok")
	at := b.now
	b.pass(time.Hour)
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomGone})
	b.server(xmppc2s.RoomEntered{Room: theMUC})
	for _, stamp := range []time.Time{at.Add(-time.Second), at.Add(time.Second), at.Add(20 * time.Minute)} {
		st := stanza.New(stanza.NSClient, "message", words("ok"), stanza.Attr{Name: "type", Value: "groupchat"})
		b.server(xmppc2s.RoomMessage{Room: theMUC, Nick: "alice", Stanza: st, Stamp: stamp, Done: func() {}})
	}
	b.server(xmppc2s.RoomCaughtUp{Room: theMUC})
	b.pass(time.Minute)
	want(t, "the LAN", b.ofPeople(), "[alice] ok", "[alice] ok", "[alice, 09:21] ok")
}

// CQ-13: when nobody is on the LAN any more the MUC is told, and answered.
func TestAMUCIsToldThatNobodyIsThere(t *testing.T) {
	b := newBench(t, nil)
	if b.status != "LAN: crone@h1" {
		t.Errorf("at first: %q", b.status)
	}
	b.clique(clique.Left{Room: "Witchcraft", Member: "crone@h1", Why: rmulticast.Silent})
	b.hears("alice", "s1", "@who")
	want(t, "the MUC", b.muc, "[meshgate] on the LAN in Witchcraft: nobody")
	if b.status != "LAN: nobody" {
		t.Errorf("then: %q", b.status)
	}
}

// CQ-13: nobody who comes into the room is told what was said a week ago.
func TestMUCLinesDoNotWaitForever(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Timing.HeldKept = time.Hour })
	b.clique(clique.Frozen{Frozen: true})
	b.hears("alice", "s1", "old")
	b.pass(50 * time.Minute)
	b.hears("alice", "s2", "new")
	b.pass(20 * time.Minute)
	if _, l := b.stats(); l.Expired != 1 || l.Pending != 1 || b.mucRoom().Age != time.Hour {
		t.Errorf("%+v", l)
	}
	b.clique(clique.Frozen{})
	b.pass(time.Minute)
	want(t, "the LAN", b.lan, "[meshgate] "+wordsDropped(1), "[alice, 09:51] new")
}

// CQ-13: those of a large MUC who are not named are counted.
func TestOccupantsWithoutANameAreCounted(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Occupants = 2 })
	b.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomGone})
	b.server(xmppc2s.RoomEntered{Room: theMUC, More: 40, Occupants: []xmppc2s.Occupant{{Nick: "alice"}, {Nick: "bob"}, {Nick: "carol"}}})
	b.server(xmppc2s.RoomCaughtUp{Room: theMUC})
	for range 3 {
		b.server(xmppc2s.RoomOccupant{Room: theMUC, Nick: "alice", Here: true})
	}
	b.says("crone@h1", words("@who"))
	b.pass(time.Second)
	want(t, "the LAN", b.lan, "[meshgate] in witchcraft@conference.example.org: alice, bob and 41 more")
	if i := b.info(b.now); i.More != 41 || len(i.Occupants) != 2 {
		t.Errorf("%+v", i)
	}
}

// The longest line that may be fits a row, whatever is in it.
func TestRowsAreSmallEnough(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.BodyBytes = 1 << 20 })
	b.clique(clique.Frozen{Frozen: true})
	for i, s := range []string{"<", "&", `"`, `\`, "\n", "\u2028", "\t", "é"} {
		nick := strings.Repeat(s, 1023/len(s))
		b.hears(nick, "s"+strconv.Itoa(i), "x"+strings.Repeat(s, 1<<20/len(s))+"x")
		b.says(strings.Repeat("x", 63), words("x"+strings.Repeat(s, (maxBody-2)/len(s))+"x"))
	}
	b.pass(time.Minute)
	n := 0
	for key, value := range b.rows {
		if size := len(key) + len(value); size > MaxRowBytes {
			t.Errorf("a row of %d bytes", size)
		} else if size > maxBody {
			n++
		}
	}
	if n < 10 {
		t.Errorf("only %d rows are long", n)
	}
}

// The archive's last line is where a room without a past begins.
func TestAFreshMUCBeginsAtItsArchivesEnd(t *testing.T) {
	b := newBench(t, nil)
	b.rows = make(map[string][]byte)
	n := b.next(t, nil)
	n.server(xmppc2s.Online{})
	n.server(xmppc2s.RoomEntered{Room: theMUC, Archive: true})
	n.server(xmppc2s.RoomCaughtUp{Room: theMUC, Start: "s9"})
	if r := n.next(t, nil).mucRoom(); r.After != "s9" {
		t.Errorf("the next run asks for %+v", r)
	}
}

// CQ-13: what was given to a LAN from which nothing is heard any more is given again
// when it is there again, and nothing else.
func TestLinesForALANThatWasCutOffWait(t *testing.T) {
	b := newBench(t, nil)
	b.hears("alice", "s1", "one")
	b.heardLAN(b.now)
	b.hears("alice", "s2", "two")
	b.clique(clique.Left{Room: "Witchcraft", Member: "crone@h1", Why: rmulticast.Silent})
	b.hears("alice", "s3", "three")
	b.clique(clique.Restarted{})
	b.clique(clique.Entered{Room: "Witchcraft"})
	b.clique(clique.Joined{Room: "Witchcraft", Members: []string{"crone@h1"}})
	b.heardLAN(b.now)
	b.pass(time.Minute)
	want(t, "the LAN", b.lan, "[alice] one", "[alice] two", "[alice] two", "[alice] three")
	if _, l := b.stats(); l.Delivered != 3 || l.Entered != 3 || b.done != 3 {
		t.Errorf("%+v, %d done", l, b.done)
	}
}
