package xmppc2s

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
)

// IJ-08: an id is the room's only if the room says that it gives them, and only
// one; another's is not believed.
func TestAForgedIDIsNotBelieved(t *testing.T) {
	for _, tt := range []struct{ name, features, payload, want string }{
		{"the room's", "<feature var='urn:xmpp:sid:0'/>", "<stanza-id xmlns='urn:xmpp:sid:0' by='%s' id='1'/>", "1"},
		{"an archive's", withArchive, "<stanza-id xmlns='urn:xmpp:sid:0' by='%s' id='1'/>", "1"},
		{"of a room that gives none", "", "<stanza-id xmlns='urn:xmpp:sid:0' by='%s' id='1'/>", ""},
		{"somebody else's", withArchive, "<stanza-id xmlns='urn:xmpp:sid:0' by='%s.evil' id='1'/>", ""},
		{"two", withArchive, "<stanza-id xmlns='urn:xmpp:sid:0' by='%[1]s' id='1'/><stanza-id xmlns='urn:xmpp:sid:0' by='%[1]s' id='2'/>", ""},
		{"too long", withArchive, "<stanza-id xmlns='urn:xmpp:sid:0' by='%s' id='" + strings.Repeat("x", maxArchiveID+1) + "'/>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newMUCRig(t)
			r.in(tt.features)
			r.gets("<message type='groupchat' from='%s/ann'><body>x</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/>%s</message>", coven, fmt.Sprintf(tt.payload, coven))
			if m := hears[RoomMessage](r); m.ID != tt.want || m.OriginID != "o" || m.Nick != "ann" {
				t.Errorf("line %+v", m)
			}
		})
	}
}

// IJ-08: what is ours is known by the room's id of us, which is better than a
// nick, but only if it is the room's.
func TestOurOwnLinesAreKnown(t *testing.T) {
	occupant := func(id string) string { return "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='" + id + "'/>" }
	for _, tt := range []struct {
		name, features, nick, payload string
		want                          bool
	}{
		{"by nick", "", "gate", "", true},
		{"not by another's", "", "ann", "", false},
		{"by id", "<feature var='urn:xmpp:occupant-id:0'/>", "former", occupant("us"), true},
		{"not with another's id", "<feature var='urn:xmpp:occupant-id:0'/>", "gate", occupant("them"), false},
		{"not by an id that anybody may give", "", "ann", occupant("us"), false},
		{"the room itself is not we", "", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newMUCRig(t)
			r.enter(Room{})
			r.explored(tt.features)
			r.gets("<presence from='%s/gate'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>%s</presence>", coven, occupant("us"))
			r.subject("")
			r.told = nil
			r.gets("<message type='groupchat' from='%s'><body>x</body>%s</message>", strings.TrimSuffix(coven+"/"+tt.nick, "/"), tt.payload)
			if m := hears[RoomMessage](r); m.Own != tt.want {
				t.Errorf("own: %v", m.Own)
			}
		})
	}
}

// IJ-08: a nick that we want and another has is the other's, and so is one that
// we have had and another has now.
func TestAnothersLinesAreNotOurs(t *testing.T) {
	r := newMUCRig(t)
	r.enter(Room{})
	r.explored("")
	r.says("<presence")
	r.gets("<presence type='error' from='%s/gate'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", coven)
	r.welcome("gate2", "gate")
	r.subject("")
	r.told = nil
	own := func(nick string) bool {
		r.live(nick, "x")
		return hears[RoomMessage](r).Own
	}
	if own("gate") || !own("gate2") {
		t.Error("the other's lines are ours, or ours are not")
	}
	r.gets("%s", goneIs("gate2", "<item nick='robot'/>", 303, 110))
	r.told = nil
	if !own("gate2") || !own("robot") {
		t.Error("ours are not ours behind a change of the nick")
	}
	r.gets("%s", hereIs("gate2"))
	r.told = nil
	if own("gate2") {
		t.Error("who has our old nick is not we")
	}
}

// A private message is refused in words; but not so that the room throws us out
// for it.
func TestPrivateMessagesAreRefused(t *testing.T) {
	r := newMUCRig(t)
	r.in("", "ann")
	r.gets("<message type='chat' id='p' from='%s/ann'><body>psst</body></message>", coven)
	e := r.says("type='error'", "id='p'", "to='"+coven+"/ann'", "<not-acceptable", "write to the room")
	if e.Attr("from") != "" {
		t.Errorf("from: %s", e)
	}
	r.gets("<message type='chat' id='q' from='%s/ann'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>", coven)
	r.gets("<message type='error' id='p' from='%s/ann'><body>psst</body><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", coven)
	for range 10 {
		r.gets("<message id='flood' from='%s/ann'><body>psst</body></message>", coven)
	}
	r.silent()
	r.wait(privatePace)
	r.gets("<message id='flood' from='%s/ann'><body>psst</body></message>", coven)
	r.says("type='error'")
	r.untold()
	if r.out.private != 12 || r.held != 0 {
		t.Errorf("%d private messages, %d marks kept", r.out.private, r.held)
	}
}

// Only the subject ends what a room says on entering; a line may have one, too.
func TestSubjectsAreTold(t *testing.T) {
	r := newMUCRig(t)
	r.in("", "ann")
	r.gets("<message type='groupchat' from='%s/ann'><subject>toads</subject></message>", coven)
	if s := hears[RoomSubject](r); s.Nick != "ann" || s.Text != "toads" || !s.Stamp.IsZero() {
		t.Errorf("subject: %+v", s)
	}
	r.gets("<message type='groupchat' from='%s/ann'><subject>letter</subject><body>dear all</body></message>", coven)
	r.wantLines("dear all")
}

// A delay counts as the room's only until the room has told its history, and as
// our server's always.
func TestWhoMaySayThatALineIsLate(t *testing.T) {
	stamp := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	late := func(r *mucRig, from string) time.Time {
		r.gets("<message type='groupchat' from='%s/ann'><body>x</body><delay xmlns='urn:xmpp:delay' from='%s' stamp='%s'/></message>", coven, from, stamp.Format(time.RFC3339))
		return hears[RoomMessage](r).Stamp
	}
	r := newMUCRig(t)
	r.enter(Room{Since: stamp, Lines: 7})
	r.explored("")
	r.says("maxstanzas='7'", "since='2026-11-20T07:59:00Z'", "maxchars=")
	r.welcome("gate")
	hears[RoomEntered](r)
	if got := late(r, coven); !got.Equal(stamp) {
		t.Errorf("history: %v", got)
	}
	r.subject("")
	hears[RoomSubject](r)
	hears[RoomCaughtUp](r)
	for from, want := range map[string]time.Time{coven: {}, "evil.example.org": {}, "example.org": stamp} {
		if got := late(r, from); !got.Equal(want) {
			t.Errorf("delay of %s: %v", from, got)
		}
	}
}

// The history ends even if a room has no subject.
func TestARoomWithoutASubjectIsCaughtUpWith(t *testing.T) {
	r := newMUCRig(t)
	r.enter(Room{})
	r.explored("")
	r.says("<presence")
	r.welcome("gate")
	hears[RoomEntered](r)
	r.wait(mucListen - 1)
	r.untold()
	r.wait(1)
	hears[RoomCaughtUp](r)
}

func TestAChangedRoomIsLookedAtAgain(t *testing.T) {
	r := newMUCRig(t)
	r.in("")
	r.gets("<message type='groupchat' from='%s'><x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>", coven)
	r.explored(withArchive)
	r.untold()
	r.live("ann", "a")
	if m := hears[RoomMessage](r); m.ID != "a" {
		t.Errorf("id %q", m.ID)
	}
}

// CQ-13: somebody whom we have invited through the room does not want to come.
func TestWhoDeclinesIsTold(t *testing.T) {
	r := newMUCRig(t)
	r.in("")
	r.gets("<message from='%s'><x xmlns='http://jabber.org/protocol/muc#user'><decline from='ann@example.org/x'><reason>busy</reason></decline></x></message>", coven)
	if d := hears[RoomDeclined](r); d.Room.String() != coven || d.From.String() != "ann@example.org" || d.Reason != "busy" {
		t.Errorf("%+v", d)
	}
	r.untold()
}

func TestStraysAreNobodys(t *testing.T) {
	r := newMUCRig(t)
	r.in("")
	r.gets("<message type='groupchat' from='other@rooms.example.org/x'><body>x</body></message>")
	r.gets("%s", archivedLine(coven, "room-1", "i", r.now, ""))
	for _, d := range []string{coven + "/bob'><x xmlns='http://jabber.org/protocol/muc#user'><decline from='ann@example.org'/>", coven + "'><x xmlns='http://jabber.org/protocol/muc#user'><decline/>"} {
		r.gets("<message from='%s</x></message>", d)
	}
	r.untold()
	if r.out.strays != 2 || r.out.declined != 2 || r.held != 0 {
		t.Errorf("counted %+v, %d marks kept", r.out, r.held)
	}
	q := r.desk.ask(r.now, "get", coven, func(string) *stanza.Element { return nil }, func(time.Time, *stanza.Element) { t.Error("anybody may answer") })
	r.gets("<iq type='result' id='%s' from='%s/ann'/>", q.id, coven)
}
