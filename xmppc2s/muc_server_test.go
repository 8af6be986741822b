package xmppc2s_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// A hall is a room of a real server, with alice and bob.
type hall struct {
	t          *testing.T
	server     *e2e.Server
	room       jid.JID
	alice, bob *xmppc2s.Client
	a, b       *tail
	stopAlice  func()
	orders     int
}

// halls runs a test in a room of each kind of real server that bob has made,
// with an archive or without.
func halls(t *testing.T, archives bool, test func(*hall)) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		h := &hall{t: t, server: s, room: parse(s.Room("coven"))}
		h.bob, h.b, _ = start(t, account(t, s, "bob", "b"))
		h.bob.EnterRoom(xmppc2s.Room{JID: h.room, Nick: "bob"})
		h.b.await("bob in the room", isEntered)
		h.b.await("the room as it is", isCaughtUp)
		if !archives {
			h.configure(map[string]string{"muc#roomconfig_enablearchiving": "0", "mam": "0"})
		}
		h.begin(account(t, s, "alice", "a"))
		test(h)
	})
}

// begin starts alice's client.
func (h *hall) begin(cfg xmppc2s.Config) {
	h.alice, h.a, h.stopAlice = start(h.t, cfg)
	h.a.await("alice online", isOnline)
}

// enter has alice enter the room.
func (h *hall) enter(change func(*xmppc2s.Room)) xmppc2s.RoomEntered {
	h.t.Helper()
	r := xmppc2s.Room{JID: h.room, Nick: "meshgate"}
	if change != nil {
		change(&r)
	}
	h.alice.EnterRoom(r)
	return h.a.await("alice in the room", isEntered).(xmppc2s.RoomEntered)
}

// say has bob say this.
func (h *hall) say(lines ...string) {
	h.t.Helper()
	for _, line := range lines {
		send(h.t, h.bob, said(h.room, line))
	}
	h.b.awaitLines("bob", append(h.b.lines(), lines...)...)
}

func said(room jid.JID, line string) *stanza.Element {
	return chat(room.String(), line).WithAttr("type", "groupchat").WithAttr("id", "id-"+line)
}

// lines are the words in the rooms so far, each once.
func (h *tail) lines() (list []string) { return linesOf(h.seen()) }

func linesOf(evs []xmppc2s.Event) (list []string) {
	ids := map[string]bool{}
	for _, ev := range evs {
		m, ok := ev.(xmppc2s.RoomMessage)
		if body := m.Stanza.Child(stanza.NSClient, "body"); ok && body != nil && !ids[m.Stanza.Attr("id")] {
			ids[m.Stanza.Attr("id")] = true
			list = append(list, body.Text())
		}
	}
	return list
}

// awaitLines waits until exactly these have come in the end.
func (h *tail) awaitLines(who string, want ...string) {
	h.tb.Helper()
	h.awaitAll(fmt.Sprintf("lines %q for %s", want, who), func(evs []xmppc2s.Event) bool { return slices.Equal(linesOf(evs), want) })
}

// iqFromBob sends an iq of an owner and waits for its answer.
func (h *hall) iqFromBob(payload *stanza.Element) {
	h.t.Helper()
	send(h.t, h.bob, stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: "set"}, stanza.Attr{Name: "id", Value: fmt.Sprintf("order-%d", h.orders)},
		stanza.Attr{Name: "to", Value: h.room.String()}, payload))
	h.orders++
}

const nsAdmin = stanza.NSMUC + "#admin"

// admin changes an item as a moderator: XEP-0045 §8, §9.
func (h *hall) admin(parts ...stanza.Part) {
	h.t.Helper()
	h.iqFromBob(stanza.New(nsAdmin, "query", stanza.New(nsAdmin, "item", append(parts, stanza.New(nsAdmin, "reason", stanza.Text("because")))...)))
}

func (h *hall) configure(fields map[string]string) {
	h.t.Helper()
	form := stanza.New(stanza.NSForm, "x", stanza.Attr{Name: "type", Value: "submit"})
	add := func(name, value string) {
		form.Nodes = append(form.Nodes, stanza.Node{Element: stanza.New(stanza.NSForm, "field", stanza.Attr{Name: "var", Value: name},
			stanza.New(stanza.NSForm, "value", stanza.Text(value)))})
	}
	add("FORM_TYPE", stanza.NSMUC+"#roomconfig")
	for name, value := range fields {
		add(name, value)
	}
	h.iqFromBob(stanza.New(stanza.NSMUCOwn, "query", form))
}

func isEntered(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.RoomEntered); return ok }

func isCaughtUp(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.RoomCaughtUp); return ok }

// lost waits for the next loss of the room.
func (h *hall) lost(why xmppc2s.RoomEnd, words string) xmppc2s.RoomLost {
	h.t.Helper()
	l := h.a.await("a loss: "+why.String(), func(ev xmppc2s.Event) bool {
		l, ok := ev.(xmppc2s.RoomLost)
		return ok && l.Why == why
	}).(xmppc2s.RoomLost)
	if !strings.Contains(l.Err.Error(), words) {
		h.t.Errorf("lost because of %q, want %q", l.Err, words)
	}
	return l
}

// enters counts entrances.
func enters(evs []xmppc2s.Event) (n int) {
	for _, ev := range evs {
		if isEntered(ev) {
			n++
		}
	}
	return n
}

// CQ-13: a room is entered, what is said there comes with the room's id, and our
// own lines come back as such.
func TestARealRoomIsEnteredAndSpokenIn(t *testing.T) {
	halls(t, true, func(h *hall) {
		in := h.enter(nil)
		if in.Nick != "meshgate" || !in.Archive || in.Resumed || len(in.Occupants) != 1 || in.Occupants[0].Nick != "bob" {
			t.Errorf("entered: %+v", in)
		}
		h.a.await("nothing missed", isCaughtUp)
		h.say("hello")
		send(h.t, h.alice, said(h.room, "hi"))
		h.a.awaitLines("alice", "hello", "hi")
		for _, ev := range h.a.seen() {
			if m, ok := ev.(xmppc2s.RoomMessage); ok && (m.ID == "" || !m.Stamp.IsZero() || m.Own != (m.Nick == "meshgate")) {
				t.Errorf("line %+v", m)
			}
		}
	})
}
