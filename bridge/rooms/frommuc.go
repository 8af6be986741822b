package rooms

import (
	"strings"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/xmppc2s"
)

// roomMessage takes a line of the MUC.
func (e *engine) roomMessage(now time.Time, ev xmppc2s.RoomMessage) {
	l := &e.fromMUC
	l.Entered++
	if !e.net.caught && !ev.Stamp.IsZero() && (e.net.earliest.IsZero() || ev.Stamp.Before(e.net.earliest)) {
		e.net.earliest = ev.Stamp
	}
	c := rewrite.ParseMUCLine(ev.Stanza)
	switch {
	case e.reflected(now, ev):
		l.Ignored++
	case c.Kind == rewrite.Encrypted:
		e.sealed(now, ev, c)
	case c.Kind != rewrite.Words:
		l.Ignored++
	default:
		e.roomWords(now, ev, c)
		return
	}
	e.passOver(now, ev)
}

// overlap notes that what was missed begins with what was told before.
func (e *engine) overlap(now time.Time, ev xmppc2s.RoomMessage, m mark, held bool) {
	early, passed := e.hasPassed(now, m)
	if (held || passed && !early) && !e.net.caught && !ev.Stamp.IsZero() {
		e.net.overlaps = true
	}
}

// sealed takes a line that nobody can show; the LAN is told, once.
func (e *engine) sealed(now time.Time, ev xmppc2s.RoomMessage, c rewrite.Content) {
	key, unsure := newMUCKey(ev, c)
	if _, passed := e.hasPassed(now, e.heldMark(key)); passed || unsure && !ev.Stamp.IsZero() {
		e.fromMUC.Duplicate++
		return
	}
	e.fromMUC.Refused++
	e.told.complain(e.nickOf(ev.Nick), wordsSealed)
	if !unsure {
		e.pass(now, e.heldMark(key), false)
	}
}

// sameFor is how far a history's clock may be from ours, for a line without any id.
const sameFor = time.Minute

// isNameless reports whether a line of a history is one without any id that was
// heard live.
func (e *engine) isNameless(now time.Time, key mucKey, stamp time.Time) bool {
	came, ok := e.nameless.Get(now, key)
	return ok && came.Sub(stamp).Abs() < sameFor
}

// roomWords takes words of an occupant. They are not done before they are on the
// LAN, or on our disk.
func (e *engine) roomWords(now time.Time, ev xmppc2s.RoomMessage, c rewrite.Content) {
	l := &e.fromMUC
	key, unsure := newMUCKey(ev, c)
	early, passed := e.hasPassed(now, e.heldMark(key))
	same := e.held.byKey[key]
	e.overlap(now, ev, e.heldMark(key), same != nil)
	switch {
	case !unsure:
	case ev.Stamp.IsZero(): // nobody can tell whether a line without any id comes again
		e.nameless.Put(now, key, now)
		key, passed, same = mucKey("x-"+e.newID()), false, nil
	default:
		passed = passed || e.isNameless(now, key, ev.Stamp)
	}
	at := said(now, ev)
	switch {
	case same != nil:
		l.Duplicate++
		same.dones = append(same.dones, ev.Done)
		e.toldAgain(now, key)
		return
	case passed && early:
		l.Elsewhere++
		e.said.add(at, e.nickOf(ev.Nick), c.Body)
		e.toldPassed(now, key)
	case passed:
		l.Duplicate++
		if e.held.placing && !unsure && !e.isQuestion(c.Body, e.net.nick) {
			e.toldPassed(now, key)
		}
	case ev.Stamp.IsZero() && e.isQuestion(c.Body, e.net.nick):
		l.Answered++
		e.pass(now, e.heldMark(key), false)
		e.answerMUC(now)
	default:
		e.addHeld(now, &mucLine{
			Key: key, Archive: ev.ID, Nick: ev.Nick, Text: rewrite.Clip(c.Body, e.cfg.Limits.BodyBytes), At: at.UnixMilli(),
			came: now, told: true, dones: []func(){ev.Done},
		})
		return
	}
	e.passOver(now, ev)
}

// said is when a line was said.
func said(now time.Time, ev xmppc2s.RoomMessage) time.Time {
	if ev.Stamp.IsZero() {
		return now
	}
	return ev.Stamp
}

// nickOf is how the LAN sees an occupant.
func (e *engine) nickOf(nick string) string {
	if nick == "" {
		return "*" // the room itself; no RoomNick is just that
	}
	return rewrite.RoomNick(nick, e.cfg.Mark)
}

// isQuestion reports whether a line asks the gateway who is on the other side.
func (e *engine) isQuestion(text, nick string) bool {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "@who") {
		return true
	}
	if nick == "" || len(text) <= len(nick) || !strings.EqualFold(text[:len(nick)], nick) {
		return false
	}
	rest, ok := strings.CutPrefix(text[len(nick):], ":")
	if !ok {
		rest, ok = strings.CutPrefix(text[len(nick):], ",")
	}
	return ok && strings.EqualFold(strings.TrimSpace(rest), "who")
}

func (e *engine) answerLAN(now time.Time) {
	if e.mayCarry(now) && e.answers.Allow(now, "lan") {
		e.notify(wordsOccupants(e.muc, andMore(e.occupants(), e.people.more), e.net.ready()))
	}
}

func (e *engine) answerMUC(now time.Time) {
	if (e.mayCarry(now) || e.isDeserted()) && e.answers.Allow(now, "muc") {
		e.emit(sendMUC{rewrite.NoticeToMUC(e.cfg.Mark, wordsMembers(e.room.Name, e.shownMembers()), e.muc, e.newID(), e.via(""))})
	}
}
