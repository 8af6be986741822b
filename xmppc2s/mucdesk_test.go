package xmppc2s

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

func compareJIDs(a, b jid.JID) bool { return a.Equal(b) }

// CQ-13: who is there is told at once, and from then on who comes, goes, and is
// called otherwise.
func TestOccupantsAreTold(t *testing.T) {
	r := newMUCRig(t)
	r.enter(Room{Status: "crone, maiden", Password: "toad"})
	r.explored("")
	join := r.says("<presence", "<status>crone, maiden</status>", "<password>toad</password>", "maxstanzas='0'")
	if join.Child(stanza.NSCaps, "c") == nil {
		t.Errorf("no capabilities: %s", join)
	}
	r.gets("%s", hereIs("ann"))
	r.gets("%s", mucPresence("ben", "", "<item jid='ben@example.org/x' affiliation='none' role='participant'/>"))
	r.untold()
	r.gets("%s", hereIs("gate", 110))
	want := RoomEntered{Room: jid.MustParse(coven), Nick: "gate", Occupants: []Occupant{{Nick: "ann"}, {"ben", jid.MustParse("ben@example.org/x")}}}
	if diff := cmp.Diff(want, hears[RoomEntered](r), cmp.Comparer(compareJIDs)); diff != "" {
		t.Errorf("entered (-want +got):\n%s", diff)
	}
	r.gets("%s", hereIs("cat"))
	r.gets("%s", hereIs("cat")) // another status
	r.gets("%s", hereIs("dan"))
	r.gets("%s", goneIs("ben", "<item nick='bea'/>", 303))
	r.gets("%s", hereIs("bea"))
	r.gets("%s", goneIs("ann", "<item><reason>rude</reason></item>", 307))
	r.gets("%s", goneIs("dan", ""))
	for _, want := range []RoomOccupant{
		{Nick: "cat", Here: true},
		{Nick: "ben", Here: true, NewNick: "bea", JID: jid.MustParse("ben@example.org/x")},
		{Nick: "ann", Why: "rude"},
	} {
		want.Room = jid.MustParse(coven)
		if diff := cmp.Diff(want, hears[RoomOccupant](r), cmp.Comparer(compareJIDs)); diff != "" {
			t.Errorf("occupant (-want +got):\n%s", diff)
		}
	}
	r.untold()
	if r.out.crowded != 1 {
		t.Errorf("%d presences of those beyond the limit, want 1: dan's", r.out.crowded)
	}
}

func TestACrowdIsCounted(t *testing.T) {
	r := newMUCRig(t)
	r.enter(Room{})
	r.explored("")
	r.welcome("gate", "a", "b", "c", "d", "e")
	if in := hears[RoomEntered](r); len(in.Occupants) != 3 || in.More != 2 {
		t.Errorf("%d by name and %d more", len(in.Occupants), in.More)
	}
}

// CQ-13: each way to be put out has its words and its pause.
func TestWhoeverPutsUsOutIsUnderstood(t *testing.T) {
	for _, tt := range []struct {
		name, item string
		codes      []int
		why        RoomEnd
		retry      time.Duration
		words      string
	}{
		{"kicked", "<item><reason>noise</reason></item>", []int{110, 307}, RoomKicked, time.Minute, "thrown out of the room: noise"},
		{"banned", "<item><reason>spam</reason></item>", []int{110, 301, 307}, RoomBanned, time.Hour, "banned from the room: spam"},
		{"no member any more", "", []int{110, 321}, RoomMembersOnly, time.Hour, "only members"},
		{"members only now", "", []int{110, 322}, RoomMembersOnly, time.Hour, "only members"},
		{"shut down", "", []int{110, 332}, RoomShutDown, 5 * time.Second, "shut down"},
		{"errors", "", []int{110, 307, 333}, RoomGone, time.Second, "does not know the gateway"},
		{"destroyed", "<destroy jid='den@rooms.example.org'><reason>moved</reason></destroy>", nil, RoomDestroyed, 15 * time.Minute, "destroyed: moved"},
		{"without a word", "", nil, RoomGone, time.Second, "does not know"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newMUCRig(t)
			r.in("")
			r.gets("%s", goneIs("gate", tt.item, tt.codes...))
			l := hears[RoomLost](r)
			if l.Why != tt.why || l.Retry != tt.retry || !strings.Contains(l.Err.Error(), tt.words) || l.Fatal != (tt.retry == time.Hour) {
				t.Errorf("lost: %v for %v (fatal %v): %v", l.Why, l.Retry, l.Fatal, l.Err)
			}
			if alternative := l.Alternative.String(); (alternative == "den@rooms.example.org") != (tt.why == RoomDestroyed) {
				t.Errorf("alternative %q", alternative)
			}
			r.wait(tt.retry - time.Millisecond)
			r.silent()
			r.wait(time.Millisecond)
			r.says("disco#info")
		})
	}
}

// CQ-13: each refusal at the door, too.
func TestWhoeverKeepsUsOutIsUnderstood(t *testing.T) {
	for condition, want := range map[string]RoomEnd{
		"forbidden": RoomBanned, "registration-required": RoomMembersOnly, "not-authorized": RoomPassword, "not-allowed": RoomNotAllowed,
		"item-not-found": RoomNotAllowed, "service-unavailable": RoomFull, "remote-server-timeout": RoomUnreachable, "gone": RoomDestroyed,
		"resource-constraint": RoomRefusedEntry,
	} {
		t.Run(condition, func(t *testing.T) {
			r := newMUCRig(t)
			r.enter(Room{})
			r.explored("")
			r.says("<presence")
			r.gets("<presence type='error' from='%s/gate'><error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no, no</text></error></presence>", coven, condition)
			if l := hears[RoomLost](r); l.Why != want || !strings.Contains(l.Err.Error(), "no, no") {
				t.Errorf("lost because of %v: %v", l.Why, l.Err)
			}
		})
	}
}

// CQ-13: who is thrown out again comes back later, who had some peace in between
// as after the first time, and who is told to, at once.
func TestTheNextPauseIsLonger(t *testing.T) {
	r := newMUCRig(t)
	r.in("")
	kick := func(stay, want time.Duration) {
		t.Helper()
		for end := r.now.Add(stay); r.now.Before(end); { // asked now and then whether we are in
			r.wait(min(end.Sub(r.now), mucIdle))
			for len(r.sent) > 0 {
				r.gets("<iq type='result' id='%s' from='%s/gate'/>", r.says("urn:xmpp:ping").Attr("id"), coven)
			}
		}
		r.gets("%s", goneIs("gate", "", 110, 307))
		if l := hears[RoomLost](r); l.Retry != want {
			t.Fatalf("the pause is %v, want %v", l.Retry, want)
		}
	}
	back := func() {
		t.Helper()
		r.explored("")
		r.says("<presence")
		r.welcome("gate")
		r.subject("")
		r.told = nil
	}
	kick(0, time.Minute)
	r.wait(time.Minute)
	back()
	kick(time.Minute, 5*time.Minute)
	r.wait(5 * time.Minute)
	back()
	kick(mucIdle, 15*time.Minute)
	r.enter(Room{})
	r.wait(mucPace)
	back()
	kick(mucIdle, time.Hour)
	r.enter(Room{})
	r.wait(mucPace)
	back()
	kick(mucCalm, time.Minute)
}

// CQ-13: a destroyed room is not made again by us, unless we are told to.
func TestADestroyedRoomStaysDestroyed(t *testing.T) {
	r := newMUCRig(t)
	r.in("")
	r.gets("%s", goneIs("gate", "<destroy/>", 110))
	hears[RoomLost](r)
	r.wait(15 * time.Minute)
	r.refusedTo(r.says("disco#info"), "item-not-found")
	if l := hears[RoomLost](r); l.Why != RoomDestroyed {
		t.Errorf("lost: %+v", l)
	}
	r.silent()
	r.wait(mucPace)
	r.enter(Room{})
	r.refusedTo(r.says("disco#info"), "item-not-found")
	r.says("<presence")
	r.welcome("gate")
	r.gets("%s", hereIs("gate", 110))
}

// CQ-13: a room that we have made is opened to others as it is.
func TestAMadeRoomIsOpened(t *testing.T) {
	r := newMUCRig(t)
	r.enter(Room{})
	r.refusedTo(r.says("disco#info"), "item-not-found")
	r.says("<presence")
	r.gets("%s", hereIs("gate", 110, 201))
	if in := hears[RoomEntered](r); in.Archive {
		t.Error("an archive that nobody has spoken of")
	}
	q := r.says("muc#owner", "type='submit'")
	r.gets("<iq type='result' id='%s' from='%s'/>", q.Attr("id"), coven)
	r.explored(withArchive)
	r.subject("")
	hears[RoomSubject](r)
	hears[RoomCaughtUp](r)
	r.live("ann", "a")
	if m := hears[RoomMessage](r); m.ID != "a" {
		t.Errorf("id %q", m.ID)
	}
}

// CQ-13: a room or server that says nothing is given up, and tried again.
func TestARoomThatDoesNotAnswerIsTriedAgain(t *testing.T) {
	r := newMUCRig(t)
	r.enter(Room{})
	r.says("disco#info")
	r.wait(mucWait)
	if l := hears[RoomLost](r); l.Why != RoomUnreachable || l.Retry != 10*time.Second {
		t.Errorf("lost: %+v", l)
	}
	r.wait(10 * time.Second)
	r.explored("")
	r.says("<presence")
	r.wait(mucWait)
	if l := hears[RoomLost](r); l.Why != RoomUnreachable || l.Retry != time.Minute {
		t.Errorf("lost: %+v", l)
	}
	r.wait(time.Minute)
	r.refusedTo(r.says("disco#info"), "remote-server-not-found")
	if l := hears[RoomLost](r); l.Why != RoomUnreachable || !strings.Contains(l.Err.Error(), "remote-server-not-found") {
		t.Errorf("lost: %+v", l)
	}
	r.wait(5 * time.Minute)
	q := r.says("disco#info")
	r.gets("<iq type='error' id='%s' from='%s'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", q.Attr("id"), coven)
	if l := hears[RoomLost](r); l.Why != RoomUnreachable || !strings.Contains(l.Err.Error(), "resource-constraint") {
		t.Errorf("lost: %+v", l)
	}
	r.silent()
}

// CQ-13: a room that has forgotten us without a word is found out.
func TestALostPlaceInARoomIsNoticed(t *testing.T) {
	for condition, want := range map[string]RoomEnd{
		"not-acceptable": RoomGone, "item-not-found": RoomGone, "": -1, "service-unavailable": -1, "feature-not-implemented": -1, "remote-server-timeout": -2,
	} {
		t.Run(condition, func(t *testing.T) {
			r := newMUCRig(t)
			r.in("")
			r.wait(mucIdle - time.Second)
			r.live("ann", "heard")
			r.wantLines("heard")
			r.wait(mucIdle - time.Second)
			r.silent()
			r.wait(time.Second)
			q := r.says("urn:xmpp:ping", coven+"/gate")
			if condition == "" {
				r.gets("<iq type='result' id='%s' from='%s/gate'/>", q.Attr("id"), coven)
			} else {
				r.refusedTo(q, condition)
			}
			switch want {
			case -1:
				r.untold()
				r.wait(mucIdle - time.Second)
				r.silent()
			case -2:
				r.wait(mucUnsure)
				r.refusedTo(r.says("urn:xmpp:ping"), condition)
				r.wait(mucUnsure)
				r.says("urn:xmpp:ping")
				r.untold()
				r.wait(mucWait) // and no answer at all
				if l := hears[RoomLost](r); l.Why != RoomUnreachable {
					t.Errorf("lost: %+v", l)
				}
			default:
				if l := hears[RoomLost](r); l.Why != want || l.Retry != time.Second {
					t.Errorf("lost: %+v", l)
				}
			}
		})
	}
}

// CQ-13: a resumed session asks, and so does one whose line came back; what is
// heard meanwhile may be from before.
func TestADoubtIsCleared(t *testing.T) {
	for name, doubt := range map[string]func(*mucRig){
		"resumption": func(r *mucRig) {
			r.desk.connected(r.now, false)
			r.wait(2 * mucIdle)
			r.silent()
			r.desk.connected(r.now, true)
			r.settle()
		},
		"a line came back": func(r *mucRig) {
			r.gets("<message type='error' id='l1' from='%s'><error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", coven)
			if e := hears[RoomRefused](r); e.ID != "l1" || e.Err.Condition != stanza.NotAcceptable {
				r.t.Errorf("refused: %+v", e)
			}
		},
		"our presence came back": func(r *mucRig) {
			r.gets("<presence type='error' id='?' from='%s/gate'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", coven)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newMUCRig(t)
			r.in("")
			r.wait(mucPace)
			doubt(r)
			r.live("ann", "a")
			q := r.says("urn:xmpp:ping")
			r.wantLines("a")
			r.refusedTo(q, "not-acceptable")
			hears[RoomLost](r)
		})
	}
}

// CQ-13: many rooms are entered one after the other.
func TestEntrancesAreSpread(t *testing.T) {
	r := newMUCRig(t)
	for i := range 20 {
		room := jid.MustParse(fmt.Sprintf("r%d@rooms.example.org", i))
		r.desk.order(r.now, room.String(), roomOrder{enter: &Room{JID: room, Nick: "gate"}})
	}
	for i := range 20 {
		r.settle()
		r.says("disco#info", fmt.Sprintf("to='r%d@", i))
		r.silent()
		r.wait(mucPace)
	}
}

func TestTheStatusIsShownInItsTime(t *testing.T) {
	r := newMUCRig(t)
	r.in("")
	status := func(s string) { r.desk.order(r.now, coven, roomOrder{status: &s}); r.settle() }
	status("crone")
	r.silent()
	status("crone, maiden")
	r.wait(mucStatusPace)
	p := r.says("<presence", coven+"/gate", "<status>crone, maiden</status>")
	if p.Child(stanza.NSMUC, "x") != nil {
		t.Errorf("it enters again: %s", p)
	}
	r.wait(mucStatusPace)
	r.silent()
	status("")
	if p := r.says("<presence"); p.Child(stanza.NSClient, "status") != nil {
		t.Errorf("status: %s", p)
	}
}

func TestWhoeverLeavesHearsNoMore(t *testing.T) {
	r := newMUCRig(t)
	r.in("", "ann")
	r.desk.order(r.now, coven, roomOrder{leave: true})
	r.settle()
	r.says("unavailable", coven+"/gate")
	r.live("ann", "a")
	r.gets("%s", goneIs("gate", "", 110))
	r.untold()
	if r.out.strays != 1 || r.held != 0 {
		t.Errorf("%d strays, %d marks kept", r.out.strays, r.held)
	}
	r.wait(time.Hour)
	r.silent()
}

func TestARoomIsChangedInPlace(t *testing.T) {
	r := newMUCRig(t)
	r.in("")
	r.enter(Room{Nick: "portal", Status: "new"})
	r.says("<presence", coven+"/portal'")
	r.gets("%s", goneIs("gate", "<item nick='portal'/>", 303, 110))
	r.gets("%s", hereIs("portal", 110))
	if o := hears[RoomOccupant](r); o.NewNick != "portal" || !o.Own {
		t.Errorf("renamed: %+v", o)
	}
	r.wait(mucStatusPace)
	r.says("<status>new</status>", coven+"/portal'")
	r.live("gate", "mine") // on its way while we were renamed
	if m := hears[RoomMessage](r); !m.Own {
		t.Error("our line is not ours")
	}
}

// CQ-13: a session that follows another enters all rooms again.
func TestAnotherSessionEntersAnew(t *testing.T) {
	r := newMUCRig(t)
	r.in("", "ann")
	r.desk.abandon()
	r.desk.connected(r.now, false)
	r.desk.fresh(r.now, true)
	r.settle()
	if l := hears[RoomLost](r); l.Why != RoomSessionLost || l.Retry != 0 {
		t.Errorf("lost: %+v", l)
	}
	r.silent()
	r.desk.connected(r.now, true)
	r.wait(mucPace)
	r.explored("")
	r.says("<presence", "since='")
	r.welcome("gate")
	if in := hears[RoomEntered](r); len(in.Occupants) != 0 || in.Resumed {
		t.Errorf("entered: %+v", in)
	}
}

// CQ-13: in another process's session the room is asked again who is in it; if
// that makes it rename us, once more.
func TestAnotherProcessTakesOver(t *testing.T) {
	r := newMUCRig(t)
	r.desk.fresh(r.now, false)
	r.enter(Room{})
	r.live("ann", "early")
	r.explored("<feature var='urn:xmpp:sid:0'/>")
	r.says(coven + "/gate'")
	r.gets("%s", goneIs("gate2", "<item nick='gate'/>", 110, 303))
	r.gets("%s", hereIs("gate", 110))
	r.untold()
	r.says(coven + "/gate'")
	r.welcome("gate", "ann")
	if in := hears[RoomEntered](r); len(in.Occupants) != 1 || !in.Resumed || in.Nick != "gate" {
		t.Errorf("entered: %+v", in)
	}
	if m := hears[RoomMessage](r); m.ID != "early" {
		t.Errorf("early: %+v", m)
	}
}

// CQ-13, IJ-08: so much has waited for another process that it is told before the
// room has said whether its ids count. It has its ids all the same: whoever is told
// by the archive, or was told by that process, knows it again.
func TestWhatWaitedForAnotherProcessKeepsItsID(t *testing.T) {
	r := newMUCRig(t)
	r.desk.fresh(r.now, false)
	r.enter(Room{After: "a"})
	for range r.desk.maxHeld {
		r.live("ann", "b")
	}
	r.wantLines(strings.TrimSpace(strings.Repeat("b ", r.desk.maxHeld)))
	r.explored(withArchive)
	r.says(coven + "/gate'")
	r.welcome("gate", "ann")
	hears[RoomEntered](r)
	r.gives(r.asks(), "a b c", true)
	r.wantLines("c")
	hears[RoomCaughtUp](r)
}
