package bridge

import (
	"fmt"
	"strings"

	"meshgate/bridge/rewrite"
	"meshgate/bridge/rooms"
)

// What the gateway says to people about rooms.
const (
	wordsShortHelpRooms   = "I am the gateway to XMPP; \"help\" says what I know. Write to a contact in the contact's own window."
	wordsLANHelpRooms     = "\nrooms: says which rooms are on both sides\nwho ROOM: says who is in it\njoin ROOM: invites you\ninvite CONTACT ROOM: invites a contact"
	wordsNetworkHelpRooms = "\n@rooms: says which rooms are on both sides\n@who ROOM: says who is in it\n@join ROOM: invites you\n@invite NAME ROOM: invites somebody on the LAN"
)

// Bounds of what others choose in the words about rooms, in bytes.
const (
	maxNick  = 60
	maxState = 200
)

func wordsInvites(room string) string { return "invites you to " + quote(rewrite.Line(room, maxNick)) }

func wordsInvitation(room string) string { return "invitation to " + room }

func wordsJoin(room string) string {
	return "the room " + quote(room) + " of the LAN, as you have asked"
}

func wordsInvited(who, room string) string { return who + " is invited to " + quote(room) }

func wordsDeclined(who, room, reason string) string {
	text := who + " declines the invitation to " + quote(room)
	if reason = rewrite.Line(reason, maxReason); reason != "" {
		text += ": " + quote(reason)
	}
	return text
}

func wordsNotOnLAN(room string) string {
	return "not sent: the room " + quote(room) + " is not on the LAN at the moment"
}

// wordsMapped is for whoever invites the gateway itself.
func wordsMapped(r rooms.Info) string {
	return fmt.Sprintf("%s is on both sides already, as %s on the network; to invite a contact, invite that contact, or write \"invite CONTACT ROOM\" here", quote(r.Name), r.MUC)
}

// wordsUnmapped is for whoever invites to a room that is on one side only.
func wordsUnmapped(room string) string {
	return "not sent: the room " + quote(rewrite.Line(room, maxNick)) + " is not on both sides of the gateway; ask the person who runs it"
}

// wordsOther is for whoever invites to a room that has the name of another.
func wordsOther(r rooms.Info) string {
	return fmt.Sprintf("not sent: there is another room called %s on the LAN, and that one is on both sides; write \"join %s\" to the gateway to come into it", quote(r.Name), r.Name)
}

func (e *engine) wordsNoRoom(name string) string {
	return "there is no room called " + quote(rewrite.Line(name, maxExcerpt)) + " on both sides" + e.wordsRooms()
}

// wordsRooms is which rooms there are, in a line of its own.
func (e *engine) wordsRooms() string {
	var names []string
	for _, r := range e.rooms.List() {
		names = append(names, quote(r.Name))
	}
	if len(names) == 0 {
		return ""
	}
	return "\nrooms: " + joinWords(names, maxWho)
}

func wordsWhichContact(asked string, among []*contact) string {
	if len(among) == 0 {
		first, _, _ := strings.Cut(rewrite.Line(asked, maxExcerpt), " ")
		return "nobody called " + quote(first) + " is a contact that you may write to; write \"invite CONTACT ROOM\""
	}
	var names []string
	for _, c := range among {
		names = append(names, c.user())
	}
	return "several have this name; write one of " + joinWords(names, maxWho)
}

// describeRoom is a room in a line.
func describeRoom(r rooms.Info) string {
	return fmt.Sprintf("%s = %s: %d on the LAN, %d on the network; %s", quote(r.Name), r.MUC, len(r.Members), len(r.Occupants)+r.More, rewrite.Line(r.State, maxState))
}

// wordsRoom is the answer to "who ROOM", with these of its members and so many
// others.
func wordsRoom(r rooms.Info, members []string, hidden int) string {
	lan := joinNames(members, 0)
	switch {
	case hidden > 0 && len(members) == 0:
		lan = fmt.Sprintf("%d whom you may not write to", hidden)
	case hidden > 0:
		lan += fmt.Sprintf(" and %d whom you may not write to", hidden)
	}
	return strings.Join([]string{
		quote(r.Name) + " = " + r.MUC.String() + ": " + rewrite.Line(r.State, maxState),
		"on the LAN: " + lan,
		"on the network: " + joinNames(r.Occupants, r.More),
	}, "\n")
}

// joinNames is a list of those in a room, and so many whose names are not known.
func joinNames(names []string, more int) string {
	shown := make([]string, 0, len(names))
	for _, n := range names {
		shown = append(shown, rewrite.Line(n, maxNick))
	}
	return joinSome(shown, more, maxWho)
}

// joinLines are the first lines that fit into so many bytes, and how many more
// there are.
func joinLines(lines []string, limit int) string {
	n := 0
	for i, l := range lines {
		if n += len(l) + 1; n > limit {
			return fmt.Sprintf("%s\nand %d more", strings.Join(lines[:i], "\n"), len(lines)-i)
		}
	}
	return strings.Join(lines, "\n")
}
