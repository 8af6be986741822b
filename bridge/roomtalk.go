package bridge

import (
	"strings"
	"time"
	"unicode"

	"meshgate/bridge/rewrite"
	"meshgate/bridge/rooms"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// A roomCommand is what somebody asks the gateway about rooms.
type roomCommand struct{ verb, rest string }

// roomCommandOf reads "@Rooms", "who ROOM", "join ROOM" and "invite SOMEBODY ROOM".
func roomCommandOf(body string) (c roomCommand, ok bool) {
	if question(body) == "rooms" {
		return roomCommand{verb: "rooms"}, true
	}
	text := strings.TrimLeft(body, "@＠ \t\n")
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		return c, false
	}
	c = roomCommand{strings.ToLower(text[:end]), strings.TrimSpace(text[end:])}
	switch c.verb {
	case "who", "join", "invite":
		return c, true
	}
	return c, false
}

func (e *engine) hasRooms() bool { return len(e.rooms.List()) > 0 }

// findRoom finds the room that somebody calls so: by its name, in quotation marks
// or not, or by its address on the network.
func (e *engine) findRoom(text string) (found rooms.Info, ok bool) {
	for _, name := range []string{strings.TrimSpace(text), strings.Trim(text, "“”\"'?!., \t\n")} {
		for _, r := range e.rooms.List() {
			switch {
			case r.Name == name:
				return r, true
			case !ok && (strings.EqualFold(r.Name, name) || strings.EqualFold(r.MUC.String(), name)):
				found, ok = r, true
			}
		}
	}
	return found, ok
}

// roomCommandOfPeer carries out what a peer has written to the concierge.
func (e *engine) roomCommandOfPeer(now time.Time, n *entry, c roomCommand) Outcome {
	say := func(text string) Outcome { return e.remark(now, ConciergeID, n.peer, text) }
	if rest, ok := cutWord(c.rest, "me"); ok && c.verb == "invite" {
		c = roomCommand{"join", rest}
	}
	if c.verb == "rooms" {
		return say(e.listRooms())
	}
	var to *contact
	name := c.rest
	if c.verb == "invite" {
		among, rest := e.namedContacts(c.rest, n.peer)
		if len(among) != 1 {
			return say(wordsWhichContact(c.rest, among))
		}
		to, name = among[0], rest
	}
	room, ok := e.findRoom(name)
	switch {
	case !ok:
		return say(e.wordsNoRoom(name))
	case c.verb == "who":
		return say(wordsRoom(room, room.Members, 0))
	case c.verb == "join":
		return e.invitePeer(now, n.peer, room)
	}
	if !e.remarks.Allow(now, peerKey(n.peer)) {
		return RefusedRate
	}
	e.sendInvitation(now, to, n, room, "")
	e.tell(ConciergeID, n.peer, wordsInvited(to.name(), room.Name))
	return Pending
}

// invitePeer invites a peer who has asked for it.
func (e *engine) invitePeer(now time.Time, to linklocal.Instance, room rooms.Info) Outcome {
	switch {
	case !room.Group.IsValid():
		return e.remark(now, ConciergeID, to, wordsNotOnLAN(room.Name))
	case !e.remarks.Allow(now, peerKey(to)):
		return RefusedRate
	}
	c := rewrite.Content{Room: room.Name, Group: room.Group}
	e.emit(toLAN{from: ConciergeID, to: to, stanza: rewrite.InviteToLAN(c, e.cfg.Concierge, now)})
	return Answered
}

// roomCommandOfContact carries out what a contact has written.
func (e *engine) roomCommandOfContact(now time.Time, in *incoming, c roomCommand) Outcome {
	say := func(text string) Outcome { return e.answer(now, in, Answered, text) }
	if rest, ok := cutWord(c.rest, "me"); ok && c.verb == "invite" {
		c = roomCommand{"join", rest}
	}
	switch c.verb {
	case "rooms":
		return say(e.listRooms())
	case "invite":
		return e.inviteNamed(now, in, c.rest)
	}
	room, ok := e.findRoom(c.rest)
	switch {
	case !ok:
		return say(e.wordsNoRoom(c.rest))
	case c.verb == "who":
		members, hidden := e.visible(room.Members, in.contact)
		return say(wordsRoom(room, members, hidden))
	case !e.remarks.Allow(now, contactKey(in.contact.bare)):
		return e.refuse(in.message.Stanza, RefusedRate, "wait", stanza.PolicyViolation, wordsTooFast)
	}
	env := rewrite.Envelope{To: in.contact.bare, ID: e.newID()}
	e.emit(toServer{e.invitation(room, e.cfg.Concierge, wordsJoin(room.Name), env)})
	return Answered
}

// inviteNamed has a contact invite the peer that text begins with to the room
// that it ends with.
func (e *engine) inviteNamed(now time.Time, in *incoming, text string) Outcome {
	among, name := mention(strings.TrimLeft(text, "@＠"), e.known(now, in.contact))
	switch room, ok := e.findRoom(name); {
	case len(among) != 1:
		first, _, _ := strings.Cut(rewrite.Line(text, maxExcerpt), " ")
		w := way{fate: unknown, name: first}
		if len(among) > 1 {
			w = way{fate: ambiguous, among: among}
		}
		return e.astray(now, in, w)
	case !ok:
		return e.answer(now, in, Answered, e.wordsNoRoom(name))
	default:
		in.content.Body, in.content.ReplyTo, in.answers = "", "", among[0]
		return e.inviteTo(now, in, room)
	}
}

// namedContacts are the contacts that a peer may mean by the longest name with
// which text begins. rest is the text behind it.
func (e *engine) namedContacts(text string, peer linklocal.Instance) (found []*contact, rest string) {
	text = strings.TrimLeft(text, "@＠")
	longest := 0
	for _, c := range e.mirrors.contacts {
		if !e.policy.connects(peer, c.bare) {
			continue
		}
		n := 0
		for _, name := range []string{c.name(), c.user(), e.peers.ownKey[c.mirror.id]} {
			n = max(n, nameLen(text, name))
		}
		switch {
		case n == 0 || n < longest:
		case n > longest:
			found, longest = []*contact{c}, n
		default:
			found = append(found, c)
		}
	}
	return found, strings.TrimLeftFunc(strings.TrimLeft(text[longest:], ":,;"), unicode.IsSpace)
}

// visible are the members of a room that a contact may know of, and how many
// others there are.
func (e *engine) visible(members []string, ct *contact) (seen []string, hidden int) {
	for _, m := range members {
		if e.policy.connects(linklocal.Instance(m), ct.bare) {
			seen = append(seen, m)
		}
	}
	return seen, len(members) - len(seen)
}

// cutWord cuts the first word off if it is this one.
func cutWord(text, word string) (rest string, ok bool) {
	first, rest, _ := strings.Cut(text, " ")
	return strings.TrimSpace(rest), strings.EqualFold(first, word)
}

// listRooms is the answer to "rooms".
func (e *engine) listRooms() string {
	var lines []string
	for _, r := range e.rooms.List() {
		lines = append(lines, describeRoom(r))
	}
	return "rooms:\n" + joinLines(lines, maxWho)
}
