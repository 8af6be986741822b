package rooms

import (
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/clique"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// received takes what a LAN member has said.
func (e *engine) received(now time.Time, ev clique.Received) {
	e.heardLAN(now)
	l := &e.fromLAN
	l.Entered++
	if e.heardGateway(now, ev.From, ev.Stanza) {
		l.Ignored++
		return
	}
	if via, ok := rewrite.ReadVia(ev.Stanza); ok { // another gateway has said it (IJ-08)
		l.Ignored++
		if e.gates.others[ev.From] != nil { // anybody can write such a mark
			e.heardCarried(now, via)
			e.heardGivenUp(now, ev.Stanza)
		} else if e.gates.duty == listening {
			e.listen(now.Add(listenFor), e.lan.enteredAt.Add(aloneFor)) // a gateway that carries says soon that it is one
		}
		return
	}
	c := rewrite.ParseCliqueLine(ev.Stanza)
	if c.Kind != rewrite.Words {
		l.Ignored++
		return
	}
	line := &lanLine{ID: newLineID(e.room.Name, ev.FromID, ev.Number), From: linklocal.Instance(ev.From), Text: c.Body, At: now.UnixMilli()}
	if end := e.admit(now, line); end != nil {
		*end++
	}
}

// admit decides about a line. It returns the counter of its end, nil for one that
// is due.
func (e *engine) admit(now time.Time, line *lanLine) (end *uint64) {
	l := &e.fromLAN
	early, passed := e.hasPassed(now, e.lineMark(line.ID))
	switch {
	case e.due.byID[line.ID] != nil || passed && !early:
		return &l.Duplicate
	case e.isQuestion(line.Text, ""):
		e.pass(now, e.lineMark(line.ID), false)
		e.answerLAN(now)
		return &l.Answered
	}
	e.said.add(now, rewrite.DisplayName(line.From), line.Text)
	switch {
	case passed:
		return &l.Elsewhere
	case !e.may.Admit(line.From):
		e.turnAway(now, line.From)
		return &l.Refused
	case !e.members.Allow(now, line.From.Key()):
		e.giveUp(line, wordsTooFast)
		return &l.Refused
	case len(line.Text) > e.cfg.Limits.BodyBytes:
		e.giveUp(line, wordsTooLong)
		return &l.Refused
	}
	e.addDue(now, line)
	return nil
}

// turnAway tells the LAN now and then that a member is not heard in the MUC. The
// other gateways ask for themselves.
func (e *engine) turnAway(now time.Time, member linklocal.Instance) {
	if _, told := e.refusal.Get(now, member.Key()); !told {
		e.refusal.Put(now, member.Key(), struct{}{})
		e.told.complain(rewrite.DisplayName(member), wordsNotAllowed)
	}
}

// giveUp tells why a line does not get into the MUC: the LAN, and the other
// gateways, so that none of them sends it later.
func (e *engine) giveUp(line *lanLine, why string) {
	e.told.complain(rewrite.DisplayName(line.From), why)
	e.told.giveUp(line.ID)
}

// heardGivenUp ends lines that another gateway has given up.
func (e *engine) heardGivenUp(now time.Time, st *stanza.Element) {
	el := st.Child(nsGateway, "given-up")
	if el.Attr("room") != e.muc {
		return
	}
	for _, id := range listed(el) {
		if line := e.due.byID[id]; line != nil {
			e.endDue(now, line, &e.fromLAN.Elsewhere)
		} else {
			e.pass(now, e.lineMark(id), true)
		}
	}
}
