package xmppc2s_test

import (
	"testing"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

const fakeRoom = "coven@rooms.example.org"

// admits plays a room without an archive that the client enters, and counts
// what is sent to it there.
func (c *fakeConn) admits() (stanzas int) {
	c.t.Helper()
	id, _ := c.iq("disco#info", fakeRoom)
	c.send("<iq type='result' id='%s' from='%s'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:sid:0'/></query></iq>", id, fakeRoom)
	c.stanza("<presence", fakeRoom+"/gate")
	c.send("<presence from='%s/gate'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>", fakeRoom)
	c.send("<message type='groupchat' from='%s'><subject/></message>", fakeRoom)
	return 3
}

func (c *fakeConn) says(id string) {
	c.t.Helper()
	c.send("<message type='groupchat' from='%s/ann' id='%s'><body>x</body></message>", fakeRoom, id)
}

func roomLines(evs []xmppc2s.Event) (list []xmppc2s.RoomMessage) {
	for _, ev := range evs {
		if m, ok := ev.(xmppc2s.RoomMessage); ok {
			list = append(list, m)
		}
	}
	return list
}

// SM-07, CQ-13: a line of a room counts as handled when its Done is called, and
// what the client deals with itself at once.
func TestALineCountsWhenItIsDone(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	c.EnterRoom(xmppc2s.Room{JID: parse(fakeRoom + "/any"), Nick: "gate"})
	h := newTail(t)
	h.hold = true
	runWith(t, c, h)
	conn := s.accept()
	conn.fresh()
	n := conn.admits()
	h.await("the room", isEntered)
	conn.says("a")
	conn.says("b")
	h.awaitAll("two lines", func(evs []xmppc2s.Event) bool { return len(roomLines(evs)) == 2 })
	conn.handled(n)
	if u := c.Stats().Undone; u != 2 {
		t.Errorf("%d undone", u)
	}
	lines := roomLines(h.seen())
	lines[1].Done()
	conn.handled(n)
	lines[0].Done()
	lines[0].Done() // a second time is nothing
	conn.handled(n + 2)
	if u := c.Stats().Undone; u != 0 {
		t.Errorf("%d undone", u)
	}
	if m := h.messages(); len(m) != 0 {
		t.Errorf("a room's lines as messages: %v", m)
	}
}

// CQ-13: a room that does not answer keeps its lines undone only for a while, and
// a session that is lost meanwhile leaves nothing behind.
func TestHeldLinesAreCountedOut(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	c.EnterRoom(xmppc2s.Room{JID: parse(fakeRoom), Nick: "gate", After: "x"})
	h := run(t, c)
	conn := s.accept()
	conn.fresh()
	id, _ := conn.iq("disco#info", fakeRoom)
	conn.send("<iq type='result' id='%s' from='%s'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query></iq>", id, fakeRoom)
	conn.stanza("<presence", fakeRoom+"/gate", "maxstanzas='0'")
	conn.send("<presence from='%s/gate'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>", fakeRoom)
	conn.iq("urn:xmpp:mam:2", fakeRoom)
	conn.says("held")
	conn.roundTrip()
	if u := c.Stats().Undone; u != 1 {
		t.Errorf("%d undone", u)
	}
	conn = conn.lose()
	h.await("the loss", func(ev xmppc2s.Event) bool {
		l, ok := ev.(xmppc2s.RoomLost)
		return ok && l.Why == xmppc2s.RoomSessionLost
	})
	n := conn.admits()
	h.awaitAll("the room again", func(evs []xmppc2s.Event) bool { return enters(evs) == 2 })
	conn.handled(n) // the subject, too, which comes behind our entrance
	if u := c.Stats().Undone; u != 0 {
		t.Errorf("%d undone", u)
	}
}

// CQ-13: what the room tells of itself reaches no contact book, and a room that
// is left is not heard any more.
func TestALeftRoomIsQuiet(t *testing.T) {
	_, c, h, conn := begin(t)
	c.EnterRoom(xmppc2s.Room{JID: parse(fakeRoom), Nick: "gate"})
	n := conn.admits()
	h.await("the room", isCaughtUp)
	c.SetRoomStatus(parse(fakeRoom), "crone\x00, maiden")
	c.LeaveRoom(parse(fakeRoom))
	conn.stanza("<presence", "unavailable", fakeRoom+"/gate")
	conn.says("late")
	conn.send("<presence from='%s/ann'/>", fakeRoom)
	conn.handled(n + 2)
	conn.roundTrip() // and what was counted with them is told
	if st := c.Stats(); st.RoomStrays != 1 || st.PresencesIgnored != 1 {
		t.Errorf("%d strays, %d presences of strangers", st.RoomStrays, st.PresencesIgnored)
	}
	if got := len(roomLines(h.seen())); got != 0 {
		t.Errorf("%d lines", got)
	}
}

// CQ-13: an invitation counts when its Done is called, as a message does.
func TestAnInvitationCountsWhenItIsDone(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	h := newTail(t)
	h.hold = true
	runWith(t, c, h)
	conn := s.accept()
	conn.fresh()
	conn.send("<message from='bob@example.org/x' id='i'><x xmlns='%s' jid='%s'/></message>", stanza.NSConf, fakeRoom)
	inv := h.await("the invitation", func(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.RoomInvited); return ok }).(xmppc2s.RoomInvited)
	if inv.From.String() != "bob@example.org/x" || !inv.Direct || inv.RoomJID().String() != fakeRoom {
		t.Errorf("invited: %+v", inv)
	}
	conn.handled(0)
	inv.Done()
	conn.handled(1)
}
