package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Join enters a room and waits until the room says so (status 110). A room that
// this makes is opened to others at once (status 201, XEP-0045 §10.1.2).
func (r *Remote) Join(room, nick string) Event {
	r.tb.Helper()
	r.Raw(fmt.Sprintf("<presence to='%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>", escape(room+"/"+nick)))
	e := r.Await("own presence in "+room, func(e Event) bool {
		return e.Ev == "presence" && e.Type == "" && e.From == room+"/"+nick && slices.Contains(e.Codes, "110")
	})
	if slices.Contains(e.Codes, "201") {
		r.Configure(room, nil)
	}
	return e
}

// MakeRoom makes a room that outlives its occupants, and stays in it.
func (r *Remote) MakeRoom(room, nick string) {
	r.tb.Helper()
	if e := r.Join(room, nick); !slices.Contains(e.Codes, "201") {
		r.tb.Fatalf("e2e: %s: %s was there already", r.Name, room)
	}
	r.Configure(room, map[string]string{"muc#roomconfig_persistentroom": "1"})
}

// Leave leaves a room.
func (r *Remote) Leave(room, nick string) { r.tb.Helper(); r.PresenceTo(room+"/"+nick, "unavailable") }

// Rename takes another nick in a room and waits for it.
func (r *Remote) Rename(room, nick string) {
	r.tb.Helper()
	r.Raw(fmt.Sprintf("<presence to='%s'/>", escape(room+"/"+nick)))
	r.Await("own presence as "+nick, func(e Event) bool {
		return e.Ev == "presence" && e.From == room+"/"+nick && slices.Contains(e.Codes, "110")
	})
}

// Say sends a message to a room.
func (r *Remote) Say(room, body string) {
	r.tb.Helper()
	r.SendMessage(Message{To: room, Body: body, Type: "groupchat"})
}

// AwaitSaid waits for a line that somebody says in a room.
func (r *Remote) AwaitSaid(room, nick, text string) Event {
	r.tb.Helper()
	return r.Await(fmt.Sprintf("%q of %s in %s", text, nick, room), func(e Event) bool {
		return isSaid(e, room) && e.From == room+"/"+nick && e.Body == text
	})
}

// Said returns all lines of a room so far, also those that are late.
func (r *Remote) Said(room string) []Event {
	return slices.DeleteFunc(r.Events(), func(e Event) bool { return !isSaid(e, room) })
}

func isSaid(e Event, room string) bool {
	return e.Ev == "message" && e.Type == "groupchat" && e.Body != "" && strings.HasPrefix(e.From, room+"/")
}

// An Occupant is somebody in a room, as a client sees it.
type Occupant struct {
	Role, Affiliation, Status string
	JID                       string // empty where the room does not say
}

// Occupants returns by nick who is in a room now, as far as the client was told
// since its last entrance.
func (r *Remote) Occupants(room string) map[string]Occupant {
	in := map[string]Occupant{}
	for _, e := range r.Events() {
		nick, ok := strings.CutPrefix(e.From, room+"/")
		switch {
		case e.Ev == "session-end" || e.Ev == "disconnected":
			clear(in)
		case e.Ev != "presence" || !ok || e.Type == "error":
		case e.Type != "unavailable":
			in[nick] = Occupant{Role: e.Role, Affiliation: e.Affiliation, Status: e.Status, JID: e.JID}
		case slices.Contains(e.Codes, "110") && e.NewNick == "":
			clear(in)
		default:
			delete(in, nick)
		}
	}
	return in
}

// AwaitOccupant waits until somebody enters a room, and returns the presence.
func (r *Remote) AwaitOccupant(room, nick string) Event {
	r.tb.Helper()
	return r.AwaitPresence(room+"/"+nick, "")
}

// AwaitGone waits until somebody has left a room, and returns the presence.
func (r *Remote) AwaitGone(room, nick string) Event {
	r.tb.Helper()
	return r.AwaitPresence(room+"/"+nick, "unavailable")
}

// order has the room do something and waits until it is done.
func (r *Remote) order(what, room string, more map[string]any) {
	r.tb.Helper()
	r.orders++
	id := strconv.Itoa(r.orders)
	command := map[string]any{"do": "order", "what": what, "room": room, "id": id}
	for key, value := range more {
		command[key] = value
	}
	r.send(command)
	if e := r.Await(what, func(e Event) bool { return e.Ev == "done" && e.ID == id }); e.Error != "" {
		r.tb.Fatalf("e2e: %s: %s in %s: %s", r.Name, what, room, e.Error)
	}
}

// Configure sets fields of a room's configuration, as an owner: XEP-0045 §10.2.
func (r *Remote) Configure(room string, fields map[string]string) {
	r.tb.Helper()
	if fields == nil {
		fields = map[string]string{}
	}
	r.order("configure", room, map[string]any{"fields": fields})
}

// Kick throws an occupant out.
func (r *Remote) Kick(room, nick, reason string) {
	r.tb.Helper()
	r.order("kick", room, map[string]any{"nick": nick, "reason": reason})
}

// Affiliate makes an account outcast (banned), none, member, admin or owner of a
// room.
func (r *Remote) Affiliate(room, jid, affiliation, reason string) {
	r.tb.Helper()
	r.order("affiliate", room, map[string]any{"jid": jid, "affiliation": affiliation, "reason": reason})
}

// Destroy ends a room.
func (r *Remote) Destroy(room, reason string) {
	r.tb.Helper()
	r.order("destroy", room, map[string]any{"reason": reason})
}

// SetSubject sets a room's subject.
func (r *Remote) SetSubject(room, text string) {
	r.tb.Helper()
	r.order("subject", room, map[string]any{"text": text})
}

// AwaitSubject waits until a room has that subject.
func (r *Remote) AwaitSubject(room, text string) Event {
	r.tb.Helper()
	return r.Await("subject "+text, func(e Event) bool {
		return e.Ev == "message" && e.HasSubject && e.Body == "" && e.Subject == text && strings.HasPrefix(e.From, room)
	})
}

// Invite has the room invite somebody (mediated, XEP-0045 §7.8.2).
func (r *Remote) Invite(room, jid, reason string) {
	r.tb.Helper()
	r.order("invite", room, map[string]any{"jid": jid, "reason": reason})
}

// InviteDirectly invites somebody to a room (XEP-0249).
func (r *Remote) InviteDirectly(room, jid, reason string) {
	r.tb.Helper()
	r.order("invite directly", room, map[string]any{"jid": jid, "reason": reason})
}

// AwaitInvite waits for an invitation to a room, of either kind.
func (r *Remote) AwaitInvite(room string) Event {
	r.tb.Helper()
	return r.Await("invitation to "+room, func(e Event) bool { return e.Ev == "message" && e.Invite == room })
}
