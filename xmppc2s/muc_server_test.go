package xmppc2s_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
// with an archive ("1") or without.
func halls(t *testing.T, archives string, test func(*hall)) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		h := openHall(t, s, archives)
		h.begin(account(t, s, "alice", "a"))
		test(h)
	})
}

// openHall has bob make the room.
func openHall(t *testing.T, s *e2e.Server, archives string) *hall {
	h := &hall{t: t, server: s, room: parse(s.Room("coven"))}
	h.bob, h.b, _ = start(t, account(t, s, "bob", "b"))
	h.bob.EnterRoom(xmppc2s.Room{JID: h.room, Nick: "bob"})
	h.b.await("bob in the room", isEntered)
	h.b.await("the room as it is", isCaughtUp)
	archiving := map[string]string{"prosody": "muc#roomconfig_enablearchiving", "ejabberd": "mam"}[s.Kind]
	h.configure(map[string]string{"muc#roomconfig_persistentroom": "1", archiving: archives})
	return h
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
	all := append(h.b.lines(), lines...)
	for _, line := range lines {
		send(h.t, h.bob, said(h.room, line))
	}
	h.b.awaitLines("bob", all...)
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
	halls(t, "1", func(h *hall) {
		in := h.enter(nil)
		if in.Nick != "meshgate" || !in.Archive || in.Resumed || len(in.Occupants) != 1 || in.Occupants[0].Nick != "bob" {
			h.t.Errorf("entered: %+v", in)
		}
		h.a.await("nothing missed", isCaughtUp)
		h.say("hello")
		send(h.t, h.alice, said(h.room, "hi"))
		h.a.awaitLines("alice", "hello", "hi")
		for _, ev := range h.a.seen() {
			if m, ok := ev.(xmppc2s.RoomMessage); ok && (m.ID == "" || !m.Stamp.IsZero() || m.Own != (m.Nick == "meshgate")) {
				h.t.Errorf("line %+v", m)
			}
		}
	})
}

// CQ-13: a nick that is taken gets a number, and is taken when it is free.
func TestARealRoomHasOurNickTaken(t *testing.T) {
	halls(t, "1", func(h *hall) {
		h.bob.EnterRoom(xmppc2s.Room{JID: h.room, Nick: "meshgate"})
		h.b.await("bob's other nick", isRenamed("meshgate"))
		if in := h.enter(nil); in.Nick != "meshgate2" {
			h.t.Errorf("in as %q", in.Nick)
		}
		h.bob.EnterRoom(xmppc2s.Room{JID: h.room, Nick: "bob"})
		h.a.await("our nick", isRenamed("meshgate"))
		h.b.await("alice's nick", func(ev xmppc2s.Event) bool {
			o, ok := ev.(xmppc2s.RoomOccupant)
			return ok && !o.Own && o.Nick == "meshgate2" && o.NewNick == "meshgate"
		})
	})
}

func isRenamed(nick string) func(xmppc2s.Event) bool {
	return func(ev xmppc2s.Event) bool {
		o, ok := ev.(xmppc2s.RoomOccupant)
		return ok && o.Own && o.NewNick == nick
	}
}

// CQ-13: whoever puts us out is understood, and we come back when told so.
func TestARealRoomPutsUsOut(t *testing.T) {
	item := func(name, value string) stanza.Part { return stanza.Attr{Name: name, Value: value} }
	for name, tc := range map[string]struct {
		out, in func(*hall) // in: what must be undone
		why     xmppc2s.RoomEnd
		words   string
		retry   time.Duration
	}{
		"kick": {func(h *hall) { h.admin(item("nick", "meshgate"), item("role", "none")) }, nil, xmppc2s.RoomKicked, "because", time.Minute},
		"ban": {
			func(h *hall) { h.admin(item("jid", h.server.JID("alice")), item("affiliation", "outcast")) },
			func(h *hall) { h.admin(item("jid", h.server.JID("alice")), item("affiliation", "none")) },
			xmppc2s.RoomBanned, "because", time.Hour,
		},
		"members only": {
			func(h *hall) { h.configure(map[string]string{"muc#roomconfig_membersonly": "1"}) },
			func(h *hall) { h.configure(map[string]string{"muc#roomconfig_membersonly": "0"}) },
			xmppc2s.RoomMembersOnly, "", time.Hour,
		},
		"destroyed": {func(h *hall) {
			h.iqFromBob(stanza.New(stanza.NSMUCOwn, "query", stanza.New(stanza.NSMUCOwn, "destroy", stanza.Attr{Name: "jid", Value: "other@" + h.room.Domainpart()},
				stanza.New(stanza.NSMUCOwn, "reason", stanza.Text("because")))))
		}, nil, xmppc2s.RoomDestroyed, "because", 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			halls(t, "1", func(h *hall) {
				h.enter(nil)
				tc.out(h)
				l := h.lost(tc.why, tc.words)
				if l.Retry != tc.retry || l.Fatal != (tc.retry == time.Hour) || (l.Alternative.String() != "") != (tc.why == xmppc2s.RoomDestroyed) {
					h.t.Errorf("lost: %+v", l)
				}
				if tc.in != nil {
					h.alice.EnterRoom(xmppc2s.Room{JID: h.room, Nick: "meshgate"})
					h.a.awaitAll("no entrance", func(evs []xmppc2s.Event) bool { return losses(evs) == 2 })
					tc.in(h)
				}
				h.alice.EnterRoom(xmppc2s.Room{JID: h.room, Nick: "meshgate"})
				if tc.why == xmppc2s.RoomDestroyed && h.server.Kind == "prosody" { // COMPAT: it remembers
					h.a.awaitAll("no entrance", func(evs []xmppc2s.Event) bool { return losses(evs) == 2 })
					return
				}
				h.a.awaitAll("the second entrance", func(evs []xmppc2s.Event) bool { return enters(evs) == 2 })
			})
		})
	}
}

func losses(evs []xmppc2s.Event) (n int) {
	for _, ev := range evs {
		if _, ok := ev.(xmppc2s.RoomLost); ok {
			n++
		}
	}
	return n
}

// CQ-13: what was said while we were away comes once, in order and with its
// time, be it from an archive or from the history.
func TestARealRoomTellsWhatWasMissed(t *testing.T) {
	for name, archives := range map[string]string{"archive": "1", "history": "0"} {
		t.Run(name, func(t *testing.T) {
			halls(t, archives, func(h *hall) {
				h.say("others' past")
				if in := h.enter(nil); in.Archive != (archives == "1") {
					h.t.Errorf("archive %v", in.Archive)
				}
				h.a.await("nothing missed", isCaughtUp)
				h.say("first")
				h.a.awaitLines("alice", "first")
				var last xmppc2s.RoomMessage
				for _, ev := range h.a.seen() {
					if m, ok := ev.(xmppc2s.RoomMessage); ok {
						last = m
					}
				}
				began := time.Now()
				h.stopAlice()
				h.say("second", "third")
				h.begin(account(t, h.server, "alice", "a"))
				h.enter(func(r *xmppc2s.Room) { r.After, r.Since = last.ID, began })
				h.a.await("all that was missed", isCaughtUp)
				h.say("fourth")
				h.a.awaitAll("the end", func(evs []xmppc2s.Event) bool { l := linesOf(evs); return len(l) > 0 && l[len(l)-1] == "fourth" })
				got := slices.DeleteFunc(h.a.lines(), func(s string) bool { return archives == "0" && (s == "first" || s == "others' past") })
				if want := []string{"second", "third", "fourth"}; !slices.Equal(got, want) {
					h.t.Errorf("lines %q, want %q", got, want)
				}
				for _, ev := range h.a.seen() {
					if m, ok := ev.(xmppc2s.RoomMessage); ok && m.Stamp.IsZero() != (m.Stanza.Attr("id") == "id-fourth") {
						h.t.Errorf("stamp %v of %s", m.Stamp, m.Stanza)
					}
				}
			})
		})
	}
}

// CQ-13, IJ-08: the process that comes after another in the same session is in
// its rooms, and nobody sees a difference.
func TestARealRoomIsTakenOverWithTheSession(t *testing.T) {
	halls(t, "1", func(h *hall) {
		h.stopAlice()
		cfg := account(t, h.server, "alice", "a")
		cfg.CloseOnStop, cfg.Journal = false, newMemJournal()
		h.begin(cfg)
		h.bob.EnterRoom(xmppc2s.Room{JID: h.room, Nick: "meshgate"})
		h.b.await("bob's other nick", isRenamed("meshgate"))
		h.enter(nil)
		h.bob.EnterRoom(xmppc2s.Room{JID: h.room, Nick: "bob"})
		h.a.await("our nick", isRenamed("meshgate"))
		h.say("one")
		h.a.awaitLines("alice", "one")
		id := h.a.await("one", func(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.RoomMessage); return ok }).(xmppc2s.RoomMessage).ID
		before := occupantEvents(h.b.seen())
		h.stopAlice()
		h.say("two")
		h.begin(cfg)
		if on := h.a.await("online", isOnline).(xmppc2s.Online); !on.Resumed {
			h.t.Fatal("not resumed")
		}
		in := h.enter(func(r *xmppc2s.Room) { r.After = id })
		if !in.Resumed || in.Nick != "meshgate" || len(in.Occupants) != 1 || in.Occupants[0].Nick != "bob" {
			h.t.Errorf("entered: %+v", in)
		}
		h.a.await("all that was missed", isCaughtUp)
		h.say("three")
		h.a.awaitLines("alice", "two", "three")
		if n := occupantEvents(h.b.seen()); n != before {
			h.t.Errorf("bob sees %d comings and goings", n-before)
		}
	})
}

func occupantEvents(evs []xmppc2s.Event) (n int) {
	for _, ev := range evs {
		if _, ok := ev.(xmppc2s.RoomOccupant); ok {
			n++
		}
	}
	return n
}

// CQ-13: a server that restarts has thrown everybody out.
func TestARealRoomOutlivesARestartOfItsServer(t *testing.T) {
	halls(t, "1", func(h *hall) {
		h.enter(nil)
		h.say("one")
		h.a.awaitLines("alice", "one")
		h.server.Restart()
		h.b.awaitAll("bob is back", func(evs []xmppc2s.Event) bool { return enters(evs) == 2 })
		h.say("two")
		h.a.awaitAll("alice is back", func(evs []xmppc2s.Event) bool { return enters(evs) == 2 })
		h.say("three")
		h.a.awaitLines("alice", "one", "two", "three")
	})
}

// prosodyForgets throws an occupant out of a room without a word: the body of a
// message to it is the occupant's address.
const prosodyForgets = `local jid = require "util.jid";
module:hook("message/host", function(e)
	local nick = e.stanza:get_child_text("body");
	local room = prosody.hosts["` + e2e.RoomService + `"].modules.muc.get_room_from_jid(jid.bare(nick));
	local occupant = room:get_occupant_by_nick(nick);
	local sessions = {};
	for real in occupant:each_session() do table.insert(sessions, real); end
	for _, real in ipairs(sessions) do occupant:remove_session(real); end
	room:save_occupant(occupant);
	return true;
end);
`

// CQ-13: a room that has forgotten us, as one does whose server was cut off, is
// noticed by XEP-0410 when a session is resumed, and what was said meanwhile is
// there; COMPAT Prosody: a line that is sent to it comes back.
func TestARealRoomThatForgetsUsIsEnteredAgain(t *testing.T) {
	t.Parallel()
	e2e.Require(t)
	for name, notice := range map[string]func(*hall, *e2e.Proxy){
		"a resumption":     func(h *hall, p *e2e.Proxy) { p.Cut(e2e.RST) },
		"a line came back": func(h *hall, _ *e2e.Proxy) { send(h.t, h.alice, said(h.room, "lost")) },
	} {
		t.Run(name, func(t *testing.T) {
			host := e2e.Local(t)
			host.WriteFile("prosody/plugins/mod_lab_forgets.lua", prosodyForgets)
			const forgets = "forgets." + e2e.Domain
			s := host.Prosody(e2e.ServerOptions{Users: map[string]string{"alice": "a", "bob": "b"}, Extra: `Component "` + forgets + `" "lab_forgets"`})
			h := openHall(t, s, "1")
			proxy := host.Proxy(s.LoopbackAddr())
			cfg := account(t, s, "alice", "a")
			cfg.Host, cfg.Port = split(t, proxy.Addr())
			h.begin(cfg)
			h.enter(nil)
			h.say("one")
			h.a.awaitLines("alice", "one")
			send(t, h.bob, chat(forgets, h.room.String()+"/meshgate"))
			h.say("two")
			notice(h, proxy)
			h.lost(xmppc2s.RoomGone, "does not know the gateway")
			h.a.awaitAll("the second entrance", func(evs []xmppc2s.Event) bool { return enters(evs) == 2 })
			h.say("three")
			h.a.awaitLines("alice", "one", "two", "three")
			if countFresh(h.a.seen()) != 1 {
				t.Error("the session was another")
			}
		})
	}
}

// CQ-13: invitations through a room, and their refusal, and direct ones.
func TestARealRoomInvites(t *testing.T) {
	halls(t, "1", func(h *hall) {
		direct := stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "to", Value: h.server.JID("alice")}, stanza.New(stanza.NSConf, "x",
			stanza.Attr{Name: "jid", Value: h.room.String()}, stanza.Attr{Name: "reason", Value: "come"}))
		send(h.t, h.bob, direct)
		mediated := stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "to", Value: h.room.String()}, stanza.New(stanza.NSMUCUsr, "x",
			stanza.New(stanza.NSMUCUsr, "invite", stanza.Attr{Name: "to", Value: h.server.JID("alice")}, stanza.New(stanza.NSMUCUsr, "reason", stanza.Text("come")))))
		send(h.t, h.bob, mediated)
		for _, isDirect := range []bool{true, false} {
			inv := h.a.await("an invitation", func(ev xmppc2s.Event) bool {
				inv, ok := ev.(xmppc2s.RoomInvited)
				return ok && inv.Direct == isDirect
			}).(xmppc2s.RoomInvited)
			from := inv.From.Bare().String() // COMPAT Prosody: of a room that hides who is who, it is the nick
			if !inv.Room.Equal(h.room) || inv.Reason != "come" || from != h.server.JID("bob") && (isDirect || inv.From.String() != h.room.String()+"/bob") {
				h.t.Errorf("invited: %+v", inv)
			}
			if !isDirect {
				send(h.t, h.alice, stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "to", Value: h.room.String()}, stanza.New(stanza.NSMUCUsr, "x",
					stanza.New(stanza.NSMUCUsr, "decline", stanza.Attr{Name: "to", Value: inv.From.String()}, stanza.New(stanza.NSMUCUsr, "reason", stanza.Text("busy"))))))
			}
		}
		no := h.b.await("a refusal", func(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.RoomDeclined); return ok }).(xmppc2s.RoomDeclined)
		if no.From.String() != h.server.JID("alice") || no.Reason != "busy" {
			h.t.Errorf("declined: %+v", no)
		}
	})
}

// A private message is refused, and we are not thrown out for that.
func TestARealRoomKeepsWhoRefusesPrivateMessages(t *testing.T) {
	halls(t, "1", func(h *hall) {
		h.enter(nil)
		send(h.t, h.bob, chat(h.room.String()+"/meshgate", "psst").WithAttr("id", "p"))
		h.say("one", "two")
		h.a.awaitLines("alice", "one", "two")
		if n := h.alice.Stats().RoomPrivates; n != 1 {
			h.t.Errorf("%d private messages", n)
		}
		send(h.t, h.alice, said(h.room, "three"))
		h.b.awaitLines("bob", "one", "two", "three")
		if losses(h.a.seen()) != 0 || len(h.a.messages()) != 0 {
			h.t.Errorf("alice hears %s", describe(h.a.seen()))
		}
	})
}
