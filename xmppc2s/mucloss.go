package xmppc2s

import (
	"errors"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// mucCalm is how long we must have been in a room for a loss to be the first.
const mucCalm = 15 * time.Minute

// mucRetries are the pauses behind losses in a row, the last one for all
// further ones: by patience those who put us out would have.
var mucRetries = map[RoomEnd][]time.Duration{
	RoomGone:         {time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute},
	RoomShutDown:     {5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute},
	RoomUnreachable:  {10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute},
	RoomKicked:       {time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour},
	RoomFull:         {time.Minute, 5 * time.Minute, 15 * time.Minute},
	RoomNickTaken:    {time.Minute, 5 * time.Minute, 15 * time.Minute},
	RoomNotAllowed:   {time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour},
	RoomRefusedEntry: {time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour},
	RoomDestroyed:    {15 * time.Minute, time.Hour},
	RoomBanned:       {time.Hour},
	RoomMembersOnly:  {time.Hour},
	RoomPassword:     {time.Hour},
}

// fatal: a person has to mend it.
func (e RoomEnd) fatal() bool { return e == RoomBanned || e == RoomMembersOnly || e == RoomPassword }

// passing: another session may find it otherwise.
func (e RoomEnd) passing() bool { return e == RoomGone || e == RoomShutDown || e == RoomUnreachable }

// words say to people what has happened, with what the room says of it.
func (e RoomEnd) words(text string) error {
	s := [...]string{
		"the room does not know the gateway any more",
		"the gateway's session with its server was lost",
		"the gateway was thrown out of the room",
		"the gateway is banned from the room",
		"only members may enter the room, and the gateway is none",
		"the room wants a password that the gateway does not have",
		"the room was destroyed",
		"the room was shut down with its server",
		"there are too many in the room already",
		"the gateway's nick is taken in the room, and all those that it tried instead",
		"there is no such room that the gateway may enter or make",
		"the room cannot be reached",
		"the room does not let the gateway in",
	}[e]
	if text != "" {
		s += ": " + text
	}
	return errors.New(s)
}

// A loss is why we are not in a room.
type loss struct {
	why         RoomEnd
	text        string // by the room
	alternative jid.JID
}

// lose: we are out, and come back later.
func (r *mucRoom) lose(now time.Time, l loss) {
	if r.state == mucIn && now.Sub(r.since) >= mucCalm {
		r.tries = 0
	}
	retries := mucRetries[l.why]
	retry := retries[min(r.tries, len(retries)-1)]
	r.tries++
	r.release()
	r.outOf(mucAway, now.Add(retry))
	r.end = l.why
	err := l.why.words(l.text)
	r.desk.log.Warn("not in the room", "room", r.key, "err", err, "retry", retry)
	r.desk.tell(RoomLost{Room: r.jid, Why: l.why, Err: err, Retry: retry, Fatal: l.why.fatal(), Alternative: l.alternative})
}

// putOut says why we are out, by our own last presence in the room.
//
// XEP-0045 §17 (Status Codes); 333 stands beside 307 where the room was not
// asked to throw us out, but has had errors from us.
func putOut(el *stanza.Element) loss {
	x := el.Child(stanza.NSMUCUsr, "x")
	codes := parseMUCCodes(x)
	l := loss{text: mucReason(el)}
	destroy := x.Child(stanza.NSMUCUsr, "destroy")
	switch {
	case destroy != nil:
		l.why, l.text = RoomDestroyed, destroy.Child(stanza.NSMUCUsr, "reason").Text()
		l.alternative, _ = jid.Parse(destroy.Attr("jid")) // zero if it does not parse
	case codes.has(301):
		l.why = RoomBanned
	case codes.has(332):
		l.why = RoomShutDown
	case codes.has(333):
		l.why = RoomGone
	case codes.has(307):
		l.why = RoomKicked
	case codes.has(321), codes.has(322):
		l.why = RoomMembersOnly
	}
	return l
}

// keptOut says why we are not let in. XEP-0045 §7.2
func (r *mucRoom) keptOut(err *stanza.Error) loss {
	l := loss{why: RoomRefusedEntry, text: err.Error()}
	switch err.Condition {
	case stanza.Forbidden:
		l.why = RoomBanned
	case "registration-required":
		l.why = RoomMembersOnly
	case "not-authorized":
		l.why = RoomPassword
	case "conflict":
		l.why = RoomNickTaken
	case "gone", "redirect":
		l.why = RoomDestroyed
	case stanza.ItemNotFound, "not-allowed":
		l.why = RoomNotAllowed
	case "remote-server-not-found", "remote-server-timeout":
		l.why = RoomUnreachable
	case stanza.ServiceUnavailable: // "has reached its maximum number of occupants", if there is a room
		if l.why = RoomUnreachable; r.about.known {
			l.why = RoomFull
		}
	}
	return l
}

// mucReason is what was said in leaving, or by whoever has put somebody out.
func mucReason(el *stanza.Element) string {
	if reason := el.Child(stanza.NSMUCUsr, "x").Child(stanza.NSMUCUsr, "item").Child(stanza.NSMUCUsr, "reason").Text(); reason != "" {
		return reason
	}
	return el.Child(stanza.NSClient, "status").Text()
}
