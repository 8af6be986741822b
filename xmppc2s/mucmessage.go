package xmppc2s

import (
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// errPrivate answers a private message. Not any condition will do: COMPAT Prosody
// and ejabberd throw an occupant out that answers with one that says that it
// cannot be reached.
var errPrivate = &stanza.Error{Type: "modify", Condition: stanza.NotAcceptable, Text: "This is a gateway. Private messages are not passed on: write to the room."}

// message takes one from the room, by the nick of who has sent it. It reports
// false for what is no matter of the room.
func (r *mucRoom) message(now time.Time, nick string, el *stanza.Element, claim func() sm.Mark) bool {
	r.heard(now)
	switch x := el.Child(stanza.NSMUCUsr, "x"); {
	case nick == "" && x.Child(stanza.NSMUCUsr, "invite") != nil:
		return false
	case x.Child(stanza.NSMUCUsr, "decline") != nil:
		r.declined(nick, x.Child(stanza.NSMUCUsr, "decline"))
	case el.Attr("type") == "error":
		r.refused(now, nick, el)
	case nick == "" && el.Child(stanza.NSMAM, "result") != nil:
		r.result(now, el)
	case el.Attr("type") == "groupchat":
		r.groupchat(now, nick, el, claim)
	case nick != "" && el.Child(stanza.NSClient, "body") != nil:
		r.refuse(now, el)
	}
	return true
}

// declined: somebody does not follow an invitation of ours. In a private message an
// occupant could say so of another.
//
// XEP-0045 §7.8.2 (Mediated Invitation)
func (r *mucRoom) declined(nick string, decline *stanza.Element) {
	r.desk.out.declined++
	who, err := jid.Parse(decline.Attr("from"))
	if nick == "" && err == nil {
		r.desk.tell(RoomDeclined{Room: r.jid, From: who.Bare(), Reason: decline.Child(stanza.NSMUCUsr, "reason").Text()})
	}
}

// refuse refuses a private message; not each of a flood.
func (r *mucRoom) refuse(now time.Time, el *stanza.Element) {
	r.desk.out.private++
	if now.Sub(r.privateAt) >= privatePace {
		r.privateAt = now
		r.desk.out.send = append(r.desk.out.send, errPrivate.Reply(el.WithAttr("to", "")))
	}
}

// privatePace is the least time between two such refusals in a room.
const privatePace = time.Second

// refused: a message of ours came back.
func (r *mucRoom) refused(now time.Time, nick string, el *stanza.Element) {
	if nick != "" {
		return // the refusal of a private message was refused
	}
	err := stanza.ParseError(el)
	if r.state == mucIn && (err.Condition == stanza.NotAcceptable || err.Condition == stanza.ItemNotFound) {
		r.check.doubt(now)
	}
	r.desk.tell(RoomRefused{Room: r.jid, ID: el.Attr("id"), Err: err})
}

// configChanged are the status codes that say that the room is another than it
// was. XEP-0045 §10.2.1
var configChanged = []int{104, 170, 171, 172, 173, 174}

func (r *mucRoom) groupchat(now time.Time, nick string, el *stanza.Element, claim func() sm.Mark) {
	codes := parseMUCCodes(el.Child(stanza.NSMUCUsr, "x"))
	body := el.Child(stanza.NSClient, "body") != nil
	switch {
	case nick == "" && !body && slices.ContainsFunc(configChanged, codes.has):
		if r.state == mucIn && r.asked == nil {
			r.lookAgain(now)
		}
	case isSubject(el):
		r.subject(now, nick, el)
	case r.state != mucIn && (!r.desk.takeover || r.entered):
		r.desk.out.strays++
	case r.about.archive && r.state == mucIn && !r.settled && !r.stamp(el).IsZero(): // history, which the archive has
	default:
		r.arrived(now, mucHeld{el: el, nick: nick, mark: claim(), at: now})
	}
}

// isSubject: "only a message that contains a <subject/> but no <body/> element
// shall be considered a subject change". XEP-0045 §8.1
func isSubject(el *stanza.Element) bool {
	return el.Child(stanza.NSClient, "subject") != nil && el.Child(stanza.NSClient, "body") == nil && el.Child(stanza.NSClient, "thread") == nil
}

// subject: the first one in the room ends what is said on entering.
func (r *mucRoom) subject(now time.Time, nick string, el *stanza.Element) {
	if r.state != mucIn {
		return
	}
	r.desk.tell(RoomSubject{Room: r.jid, Nick: nick, Text: el.Child(stanza.NSClient, "subject").Text(), Stamp: r.stamp(el)})
	r.settled = true
	if r.catchUp.state == mucListening {
		r.caughtUp()
	}
}

// stamp is when a message was said; zero: now. Until the subject has come, the
// room says it; from then on only our own server, of what it could not bring at
// once.
func (r *mucRoom) stamp(el *stanza.Element) time.Time {
	for c := range el.Children() {
		if !c.Is(stanza.NSDelay, "delay") || c.Attr("from") != r.desk.domain && (r.settled || c.Attr("from") != r.key) {
			continue
		}
		if t, err := time.Parse(time.RFC3339, c.Attr("stamp")); err == nil {
			return t
		}
	}
	return time.Time{}
}

// arrived takes a line that came by itself. What was missed comes before it; but
// no more is held back for that than leaves room for what was missed.
func (r *mucRoom) arrived(now time.Time, h mucHeld) {
	if r.state != mucIn && !r.holding {
		r.holding, r.hold = true, now.Add(archiveHold)
	}
	if !r.holding {
		r.pass(h)
		return
	}
	r.held = append(r.held, h)
	if r.desk.held++; r.desk.held >= r.desk.maxHeld {
		r.release()
	}
}

// release passes on what is held, and holds nothing any more.
func (r *mucRoom) release() {
	held := r.held
	r.stopHolding()
	for _, h := range held {
		r.pass(h)
	}
}

func (r *mucRoom) stopHolding() {
	r.desk.held -= len(r.held)
	r.held, r.holding, r.hold = nil, false, time.Time{}
}

// abandon is the desk's, for one room: what the server counts it sends again, and
// what the archive has it gives.
func (r *mucRoom) abandon() (coming int) {
	held := r.held
	r.stopHolding()
	for _, h := range held {
		if h.mark.Counted() || r.about.archive && stanzaID(h.el, r.key) != "" {
			coming++
		} else {
			r.pass(h)
		}
	}
	return coming
}

// pass passes on what came by itself, and notes how far that gets us.
func (r *mucRoom) pass(h mucHeld) *archiveEntry {
	ev := r.line(h.nick, h.el, r.stamp(h.el))
	at := h.at
	if !ev.Stamp.IsZero() && ev.Stamp.Before(at) {
		at = ev.Stamp
	}
	e := r.mark.arrived(archiveName{id: ev.ID}, at)
	r.tellLine(mucTelling{event: ev, number: e.number, live: true, mark: h.mark})
	return e
}

func (r *mucRoom) tellLine(t mucTelling) {
	t.room = r
	r.desk.out.tell = append(r.desk.out.tell, t)
}

// line is a message of the room.
func (r *mucRoom) line(nick string, el *stanza.Element, stamp time.Time) RoomMessage {
	m := RoomMessage{Room: r.jid, Nick: nick, Stanza: el, Stamp: stamp, Own: r.isOwn(nick, el, !stamp.IsZero())}
	if r.about.ids || r.isUnknown() {
		m.ID = stanzaID(el, r.key)
	}
	if id := el.Child(stanza.NSSID, "origin-id").Attr("id"); len(id) <= maxArchiveID {
		m.OriginID = id
	}
	return m
}

// isUnknown reports whether lines come of a room that did not say yet what it is:
// another process was in it. So much may come that not all of it can wait for the
// answer; and it is called what that process called it, and what the archive will.
func (r *mucRoom) isUnknown() bool { return r.desk.takeover && !r.entered && !r.about.known }

// isOwn reports whether a line is ours: by the id that the room gives its
// occupants, else by the nick, unless that is another's by now. In the past we
// may have had the one that is wanted.
func (r *mucRoom) isOwn(nick string, el *stanza.Element, past bool) bool {
	id := el.Child(stanza.NSOccup, "occupant-id").Attr("id")
	_, taken := r.occupants[nick]
	switch {
	case nick == "":
		return false
	case r.about.occupants && id != "" && r.nicks.id != "":
		return id == r.nicks.id
	}
	return !taken && (r.nicks.isOurs(nick) || past && nick == r.nicks.wanted)
}
