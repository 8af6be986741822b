package rooms

import (
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/xmppc2s"
)

// maxWords bounds what a server says about an error, in bytes.
const maxWords = 200

func (e *engine) online(now time.Time, resumed bool) {
	e.net.online, e.net.since = true, now
	if !resumed {
		e.net.inside, e.net.caught = false, false
	}
	if e.net.ready() {
		e.told.found()
	}
}

func (e *engine) offline(now time.Time, ev xmppc2s.Offline) {
	if e.net.online {
		e.told.lost(now)
		e.net.lost = now
	}
	e.net.online = false
	e.told.why = "no connection to the server"
	if ev.Fatal && ev.Err != nil {
		e.told.why += ": " + rewrite.Line(ev.Err.Error(), maxWords)
	}
}

func (e *engine) enteredMUC(now time.Time, ev xmppc2s.RoomEntered) {
	e.people.enter(ev.Occupants, ev.More, e.cfg.Limits.Occupants)
	if e.net.inside {
		e.net.nick = ev.Nick // entered twice: what was sent meanwhile is on its way
		return
	}
	e.held.unplace()
	e.net = mucSide{online: true, inside: true, archive: ev.Archive, membersOnly: ev.MembersOnly, since: now, nick: ev.Nick}
}

func (e *engine) lostMUC(now time.Time, ev xmppc2s.RoomLost) {
	if e.net.inside {
		e.told.lost(now)
	}
	e.net.inside, e.net.caught = false, false
	e.people.known = false
	if ev.Why == xmppc2s.RoomSessionLost {
		return
	}
	e.net.refused = wordsLost(ev)
	e.told.why = e.net.refused
	if ev.Fatal || ev.Why == xmppc2s.RoomKicked || ev.Why == xmppc2s.RoomBanned || ev.Why == xmppc2s.RoomDestroyed {
		e.told.soon = true
	}
}

// caughtUp settles what was sent before the room was entered: what was missed has
// all been told, and what has come back by now has been, too.
func (e *engine) caughtUp(now time.Time, start string) {
	if !e.net.inside || e.net.caught {
		return
	}
	e.net.caught, e.net.since = true, now
	e.net.refused = ""
	e.told.found()
	e.sortOut(now)
	e.allPlaced(now)
	e.beginMark(now, start)
}

func (e *engine) subject(ev xmppc2s.RoomSubject) {
	text := rewrite.Line(ev.Text, maxSubject)
	p := &e.people
	news := p.subjectKnown && text != p.subject
	p.subject, p.subjectKnown = text, true
	if news {
		e.told.subject, e.told.subjectBy = &p.subject, ev.Nick
	}
}

// maxSubject bounds a subject in a notice, in bytes.
const maxSubject = 300
