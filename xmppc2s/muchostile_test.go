package xmppc2s

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// A room may say anything, in any order: nothing ends the process, and nothing
// grows without end.
func TestARoomMaySayAnything(t *testing.T) {
	names := []string{"", "/gate", "/gate2", "/ann", "/ben", "/cat", "/dan"}
	types := []string{"", "unavailable", "error", "groupchat", "chat", "result", "headline"}
	parts := []string{
		"", "<body>x</body>", "<subject/>", "<subject>s</subject>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/><status code='201'/><status code='210'/></x>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><item nick='ben' jid='%%'/><status code='303'/></x>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><item nick=''/><status code='303'/><status code='110'/></x>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><item nick='ann'/><status code='303'/><status code='110'/></x>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><destroy jid='%%'/></x>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><status code='307'/><status code='x'/></x>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x>",
		"<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>", "<x xmlns='http://jabber.org/protocol/muc#user'><decline/></x>",
		"<error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
		"<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
		"<error/>", "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query>",
		"<delay xmlns='urn:xmpp:delay' from='" + coven + "' stamp='2026-11-21T11:00:00Z'/><body>x</body>",
		"<delay xmlns='urn:xmpp:delay' from='" + coven + "' stamp='x'/><stanza-id xmlns='urn:xmpp:sid:0' by='" + coven + "' id='i'/><body>x</body>",
		"<result xmlns='urn:xmpp:mam:2' queryid='@'/>", "<result xmlns='urn:xmpp:mam:2' queryid='@' id='i'/>",
		"<result xmlns='urn:xmpp:mam:2' queryid='@' id='j'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='groupchat' from='" + coven + "/ann'><body>x</body></message></forwarded></result>",
		"<fin xmlns='urn:xmpp:mam:2'/>", "<fin xmlns='urn:xmpp:mam:2' complete='true'/>",
	}
	rapid.Check(t, func(t *rapid.T) {
		r := newMUCRig(testing.TB(nil))
		r.enter(Room{After: rapid.SampledFrom([]string{"", "a"}).Draw(t, "after")})
		said, seen := 0, 0
		say := func(kind, from, id, typ, payload string) {
			q := ""
			for _, room := range r.desk.list {
				if a := room.catchUp.asked; a != nil {
					q = a.id
				}
			}
			payload = strings.ReplaceAll(payload, "@'", q+"'")
			el, err := stanza.Parse([]byte(fmt.Sprintf("<%s from='%s' id='%s' type='%s'>%s</%[1]s>", kind, from, id, typ, payload)), stanza.NSClient, stanza.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			switch kind {
			case "iq":
				r.desk.answer(r.now, el)
			case "presence":
				r.desk.presence(r.now, el)
			default:
				r.desk.message(r.now, el, func() sm.Mark { r.held++; return sm.Mark{} })
			}
			said++
			r.settle()
		}
		t.Repeat(map[string]func(*rapid.T){
			"stanza": func(t *rapid.T) {
				say(rapid.SampledFrom([]string{"presence", "message"}).Draw(t, "kind"), coven+rapid.SampledFrom(names).Draw(t, "from"), "x",
					rapid.SampledFrom(types).Draw(t, "type"), rapid.SampledFrom(parts).Draw(t, "payload"))
			},
			"answer": func(t *rapid.T) {
				for _, id := range sortedKeys(r.desk.open) {
					say("iq", r.desk.open[id].from, id, rapid.SampledFrom([]string{"result", "error"}).Draw(t, "type"), rapid.SampledFrom(parts).Draw(t, "payload"))
				}
			},
			"let us in": func(*rapid.T) {
				for _, el := range r.sent[seen:] {
					switch {
					case el.Child(stanza.NSDisco, "query") != nil:
						say("iq", coven, el.Attr("id"), "result", "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query>")
					case el.Child(stanza.NSMUC, "x") != nil:
						say("presence", el.Attr("to"), "", "", "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>")
					}
				}
				seen = len(r.sent)
			},
			"result": func(t *rapid.T) {
				say("message", coven, "", "", rapid.SampledFrom(parts[len(parts)-5:]).Draw(t, "payload"))
			},
			"wait": func(t *rapid.T) {
				r.wait(rapid.SampledFrom([]time.Duration{1, time.Second, time.Minute, time.Hour}).Draw(t, "time"))
			},
			"fresh": func(t *rapid.T) {
				r.held -= r.desk.abandon()
				r.desk.fresh(r.now, rapid.Bool().Draw(t, "bound"))
				r.settle()
			},
			"done": func(*rapid.T) {
				for _, told := range r.told {
					if told.room != nil {
						r.desk.done(roomLine{told.room, told.number})
					}
				}
				r.told = nil
				r.settle()
			},
			"": func(t *rapid.T) {
				d := r.desk
				if len(d.open) > 4 || d.held > d.maxHeld || r.held < 0 || r.held > d.held {
					t.Fatalf("%d questions, %d held, %d marks", len(d.open), d.held, r.held)
				}
				for _, room := range d.list {
					if len(room.occupants) > d.maxOccupants+1 || len(room.nicks.had) > maxOldNicks || len(room.catchUp.page) > archivePage {
						t.Fatalf("%d occupants, %d nicks, %d results", len(room.occupants), len(room.nicks.had), len(room.catchUp.page))
					}
				}
				if len(r.sent) > 20+3*said+10*int(r.now.Sub(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))/time.Minute) {
					t.Fatalf("%d stanzas for %d", len(r.sent), said)
				}
			},
		})
	})
}
