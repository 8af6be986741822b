package xmppc2s

import (
	"slices"
	"strconv"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// mucCodes are status codes (XEP-0045 §17).
type mucCodes []int

func (c mucCodes) has(code int) bool { return slices.Contains(c, code) }

// maxMUCCodes bounds them in a stanza.
const maxMUCCodes = 32

func parseMUCCodes(x *stanza.Element) (codes mucCodes) {
	for c := range x.Children() {
		n, err := strconv.Atoi(c.Attr("code"))
		if err == nil && c.Is(stanza.NSMUCUsr, "status") && len(codes) < maxMUCCodes {
			codes = append(codes, n)
		}
	}
	return codes
}

// presence takes one from the room, by nick.
func (r *mucRoom) presence(now time.Time, nick string, el *stanza.Element) {
	typ := el.Attr("type")
	switch {
	case typ == "error":
		r.presenceError(now, el)
	case r.state < mucEntering || nick == "":
		r.desk.out.strays++
	case typ == "":
		r.heard(now)
		r.here(now, nick, el)
	case typ == "unavailable":
		r.heard(now)
		r.gone(now, nick, el)
	}
}

// here: somebody is in the room, or we are.
func (r *mucRoom) here(now time.Time, nick string, el *stanza.Element) {
	x := el.Child(stanza.NSMUCUsr, "x")
	codes := parseMUCCodes(x)
	if codes.has(110) || r.state == mucEntering && nick == r.nicks.now {
		r.ownHere(now, nick, el, codes)
		return
	}
	who, _ := jid.Parse(x.Child(stanza.NSMUCUsr, "item").Attr("jid")) // zero: the room does not say
	_, known := r.occupants[nick]
	switch {
	case known || nick == r.nicks.now:
		return
	case len(r.occupants) >= r.desk.maxOccupants && r.state == mucEntering:
		r.more++
		return
	case len(r.occupants) >= r.desk.maxOccupants:
		r.desk.out.crowded++
		return
	}
	r.occupants[nick] = who
	if r.state == mucIn {
		r.desk.tell(RoomOccupant{Room: r.jid, Nick: nick, Here: true, JID: who})
	}
}

// ownHere: we are in the room, maybe with a nick that the room has chosen
// (status 210).
func (r *mucRoom) ownHere(now time.Time, nick string, el *stanza.Element, codes mucCodes) {
	if r.about.occupants {
		r.nicks.id = el.Child(stanza.NSOccup, "occupant-id").Attr("id")
	}
	old := r.nicks.now
	delete(r.occupants, nick)
	r.nicks.are(nick)
	r.nicks.given = r.nicks.given || codes.has(210)
	switch {
	case r.state == mucEntering:
		r.isIn(now, codes)
	case nick != old:
		r.desk.tell(RoomOccupant{Room: r.jid, Nick: old, Here: true, NewNick: nick, Own: true})
	}
}

// gone: somebody has left the room or is called otherwise, or we are.
func (r *mucRoom) gone(now time.Time, nick string, el *stanza.Element) {
	x := el.Child(stanza.NSMUCUsr, "x")
	codes, item := parseMUCCodes(x), x.Child(stanza.NSMUCUsr, "item")
	newNick := ""
	if codes.has(303) {
		newNick = item.Attr("nick")
	}
	own := codes.has(110) || r.state == mucIn && nick == r.nicks.now
	switch {
	case own && newNick != "":
		r.ownRenamed(nick, newNick)
	case own:
		r.lose(now, putOut(el))
	case newNick != "":
		r.renamed(now, nick, newNick)
	default:
		who, known := r.occupants[nick]
		delete(r.occupants, nick)
		if known && r.state == mucIn {
			r.desk.tell(RoomOccupant{Room: r.jid, Nick: nick, Why: mucReason(el), JID: who})
		}
		r.nicks.freed(now, nick)
	}
}

// ownRenamed: we are called otherwise, as we wanted or not.
func (r *mucRoom) ownRenamed(nick, newNick string) {
	r.nicks.renamed(newNick)
	if r.state != mucIn {
		r.again = true
		return
	}
	delete(r.occupants, newNick)
	r.desk.tell(RoomOccupant{Room: r.jid, Nick: nick, Here: true, NewNick: newNick, Own: true})
}

// renamed: somebody else is. The presence with the new nick follows.
func (r *mucRoom) renamed(now time.Time, nick, newNick string) {
	who, known := r.occupants[nick]
	if known {
		delete(r.occupants, nick)
		r.occupants[newNick] = who
		if r.state == mucIn {
			r.desk.tell(RoomOccupant{Room: r.jid, Nick: nick, Here: true, NewNick: newNick, JID: who})
		}
	}
	r.nicks.freed(now, nick)
}

// listOccupants lists them by nick.
func (r *mucRoom) listOccupants() []Occupant {
	var list []Occupant
	for _, nick := range sortedKeys(r.occupants) {
		list = append(list, Occupant{Nick: nick, JID: r.occupants[nick]})
	}
	return list
}

// presenceError: we are not let in, may not be called so, or are not in the
// room any more.
func (r *mucRoom) presenceError(now time.Time, el *stanza.Element) {
	err := stanza.ParseError(el)
	switch {
	case r.state == mucEntering && err.Condition == "conflict" && r.nicks.nextTry():
		r.enter(now)
	case r.state == mucEntering:
		r.lose(now, r.keptOut(err))
	case r.state != mucIn:
	case el.Attr("id") == r.nicks.asked && r.nicks.asked != "":
		r.nicks.asked = ""
	default:
		r.check.doubt(now)
	}
}
