package xmppc2s

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// away brings us to the door of a room with an archive, and in.
func (r *mucRig) back(room Room) {
	r.t.Helper()
	r.enter(room)
	r.explored(withArchive)
	r.says("maxstanzas='0'")
	r.welcome("gate")
	r.subject("")
	hears[RoomEntered](r)
	hears[RoomSubject](r)
}

// CQ-13: an archive is read backwards, up to the line that was done last; what
// was missed comes in order, each line once, and before what arrives meanwhile.
func TestWhatARoomsArchiveHasComesInOrder(t *testing.T) {
	r := newMUCRig(t)
	r.back(Room{After: "b", Since: r.now.Add(-time.Hour)})
	q := r.asks("<before/>", "<max>50</max>")
	r.live("ann", "g")
	r.gives(q, "e f g", false)
	q = r.asks("<before>e</before>")
	r.live("ann", "h")
	r.untold()
	r.gives(q, "a b c gate:d", false)
	for i, want := range []string{"c", "d", "e", "f", "g", "h"} {
		m := r.told[i].event.(RoomMessage)
		if m.ID != want || m.Own != (want == "d") || m.Stamp.IsZero() != (want > "f") {
			t.Errorf("line %d: %+v", i, m)
		}
	}
	r.wantLines("c d e f g h")
	hears[RoomCaughtUp](r)
	r.live("ann", "i")
	r.wantLines("i")
	r.untold()
	if row := r.desk.list[0].mark.row; row.ID != "i" || row.Open {
		t.Errorf("mark: %+v", row)
	}
	if r.held != 0 {
		t.Errorf("%d marks kept", r.held)
	}
}

// CQ-13: of more than is wanted it is the newest.
func TestTheNewestLinesAreTold(t *testing.T) {
	r := newMUCRig(t)
	r.back(Room{After: "a", Lines: 3})
	r.gives(r.asks("<max>3</max>"), "g h", false)
	r.gives(r.asks("<before>g</before>"), "d e f", false)
	r.wantLines("f g h")
	hears[RoomCaughtUp](r)
	r.silent()
}

// Long lines are as many as fit into memory.
func TestLongLinesAreNotAllKept(t *testing.T) {
	r := newMUCRig(t)
	r.back(Room{After: "a", Lines: 1000})
	long := strings.Repeat("x", 200<<10)
	for page := range 2 {
		q := r.asks()
		for i := range 15 {
			id := fmt.Sprintf("%d-%d", 2-page, i)
			r.gets("%s", archivedLine(coven, q, id, r.now, "<message xmlns='jabber:client' type='groupchat' from='"+coven+"/ann' id='"+id+"'><body>"+long+"</body></message>"))
		}
		r.gives(q, "", false)
	}
	r.silent()
	if first, n := r.told[0].event.(RoomMessage).ID, len(strings.Fields(r.lines())); n != 20 || first != "1-10" {
		t.Errorf("%d lines from %s on", n, first)
	}
	hears[RoomCaughtUp](r)
}

// CQ-13: when the line is no more in the archive, its time counts.
func TestAForgottenLineIsFoundByItsTime(t *testing.T) {
	r := newMUCRig(t)
	r.back(Room{After: "gone", Since: r.now})
	q := r.asks("<before/>")
	for id, ago := range map[string]time.Duration{"old": time.Hour, "late": archiveMargin / 2} {
		r.gets("%s", archivedLine(coven, q, id, r.now.Add(-ago), "<message xmlns='jabber:client' type='groupchat' from='"+coven+"/ann'><body>"+id+"</body></message>"))
	}
	r.gives(q, "", true)
	r.wantLines("late")
	hears[RoomCaughtUp](r)
}

// CQ-13: what is older than is wanted is not asked for.
func TestOldLinesAreNotAskedFor(t *testing.T) {
	r := newMUCRig(t)
	r.back(Room{After: "a", Age: time.Hour})
	r.asks("<value>2026-11-21T11:00:00Z</value>")

	r = newMUCRig(t)
	r.back(Room{Since: r.now.Add(-30 * time.Minute)})
	r.asks("<value>2026-11-21T11:29:00Z</value>")
}

// CQ-13: one who has never been there hears nothing of before, and then nothing
// is missed.
func TestOthersPastIsNotTold(t *testing.T) {
	r := newMUCRig(t)
	r.in(withArchive) // asks where the archive ends
	r.gets("%s", goneIs("gate", "", 110, 332))
	hears[RoomLost](r)
	r.wait(5 * time.Second)
	r.explored(withArchive)
	r.says("<presence")
	r.welcome("gate")
	hears[RoomEntered](r)
	r.gives(r.asks("<before/>"), "past end a b", false)
	r.wantLines("a b")
	hears[RoomCaughtUp](r)
}

// A line that is under way still is not told a second time, and none is passed
// over that is not done.
func TestALineUnderWayIsNotToldAgain(t *testing.T) {
	r := newMUCRig(t)
	r.in(withArchive)
	r.live("ann", "a")
	r.live("ann", "b")
	a, b := r.told[0], r.told[1]
	r.told = nil
	r.desk.done(roomLine{b.room, b.number})
	r.gets("%s", goneIs("gate", "", 110))
	hears[RoomLost](r)
	r.wait(time.Second)
	r.explored(withArchive)
	r.says("<presence")
	r.welcome("gate")
	hears[RoomEntered](r)
	r.gives(r.asks(), "end a b c", true)
	r.wantLines("c")
	hears[RoomCaughtUp](r)
	if row := a.room.mark.row; row.ID != "end" {
		t.Errorf("the mark is at %q, and a is not done", row.ID)
	}
	r.desk.done(roomLine{a.room, a.number})
	r.wait(0)
	if row := a.room.mark.row; row.ID != "c" || row.Open {
		t.Errorf("the mark is at %+v, want c", row)
	}
}

// What arrives by itself does not wait for ever, nor does too much of it.
func TestWhatArrivesIsHeldForAWhile(t *testing.T) {
	t.Run("time", func(t *testing.T) {
		r := newMUCRig(t)
		r.back(Room{After: "a"})
		q := r.asks()
		r.live("ann", "d")
		r.wait(archiveHold - 1)
		r.untold()
		r.wait(1)
		r.wantLines("d")
		r.gives(q, "a b c d", true)
		r.wantLines("b c d")
		hears[RoomCaughtUp](r)
		if row := r.desk.list[0].mark.row; row.ID != "d" {
			t.Errorf("the mark is at %q", row.ID)
		}
	})
	t.Run("number", func(t *testing.T) {
		r := newMUCRig(t)
		r.back(Room{After: "a"})
		q := r.asks()
		for range r.desk.maxHeld - 1 {
			r.live("ann", "x")
		}
		r.untold()
		r.live("ann", "y")
		r.wantLines(strings.Repeat("x ", r.desk.maxHeld-1) + "y")
		if row := r.desk.list[0].mark.row; row.ID != "a" {
			t.Errorf("the mark is at %q, and b is missing", row.ID)
		}
		r.gives(q, "a b", true)
		r.wantLines("b")
		hears[RoomCaughtUp](r)
	})
}

// CQ-13: an archive that says nothing is asked again, and given up at last; then
// life goes on.
func TestAnArchiveThatSaysNothingIsGivenUp(t *testing.T) {
	r := newMUCRig(t)
	r.back(Room{After: "a"})
	r.gets("%s", archivedLine(coven, r.asks(), "b", r.now, "<message xmlns='jabber:client' type='groupchat' from='"+coven+"/ann'><body>b</body></message>"))
	r.wait(mucWait + mucPauses[0])
	r.asks("<before/>")
	r.wait(mucWait + mucPauses[1])
	r.untold()
	r.refusedTo(r.says("urn:xmpp:mam:2"), "internal-server-error")
	hears[RoomCaughtUp](r)
	r.live("ann", "z")
	r.wantLines("z")
	if r.desk.list[0].catchUp.bytes != 0 {
		t.Error("bytes of an answer that never ended")
	}
}

// Results count only from the room, to the open question, and as many as were
// asked for; and only what was said in it is a line.
func TestWhatIsNoLineOfTheArchiveIsLeftOut(t *testing.T) {
	r := newMUCRig(t)
	r.back(Room{After: "a", Lines: 4})
	q := r.asks()
	line := "<message xmlns='jabber:client' type='groupchat' from='" + coven + "/ann'><body>x</body></message>"
	r.gets("%s", archivedLine(coven+"/ann", q, "f1", r.now, line))
	r.gets("%s", archivedLine(coven, "other", "f2", r.now, line))
	r.gets("%s", archivedLine(coven, q, "c", r.now, strings.Replace(line, coven, "evil@example.org", 1)))
	r.gets("%s", archivedLine(coven, q, "d", r.now, strings.Replace(line, "<body>x</body>", "<subject>x</subject>", 1)))
	r.gets("%s", archivedLine(coven, q, "e", r.now, strings.Replace(line, "message", "presence", 2)))
	r.gives(q, "g h i", true)
	r.wantLines("g")
	hears[RoomCaughtUp](r)
	if r.out.strays != 3 || r.out.fetched != 1 {
		t.Errorf("%d strays, want f2, h and i; %d fetched", r.out.strays, r.out.fetched)
	}
}

// Only some rooms are read at a time.
func TestFewRoomsAreReadAtATime(t *testing.T) {
	r := newMUCRig(t)
	r.desk.maxOccupants = 1
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		room := newMUCRoom(r.desk, name, Room{})
		room.state, room.about.archive, room.mark.row.ID = mucIn, true, "x"
		room.check.at = r.now.Add(time.Hour)
		r.desk.list = append(r.desk.list, room)
		room.startCatchUp(r.now)
	}
	r.desk.touched = true
	r.settle()
	if len(r.sent) != maxMUCCatching {
		t.Errorf("%d rooms are asked", len(r.sent))
	}
}
