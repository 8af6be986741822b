package rooms

import (
	"errors"
	"slices"
	"strings"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

const (
	dueRetry   = 30 * time.Second // after the MUC was not there for a line
	patience   = 5 * time.Second  // for so long a line that was sent holds back its speaker's next
	sendRetry  = 2 * time.Second  // after the session or the LAN has not
	stuckAfter = 2 * time.Minute  // without an answer a line that was sent is lost
	maxTries   = 10               // of one line, if the MUC was not there for it
)

// A lanLine is a line of the LAN that is due in the MUC: it was not seen there
// yet. It is its own row.
type lanLine struct {
	ID   lineID             `json:"id"`
	From linklocal.Instance `json:"from"`
	Text string             `json:"text"`
	At   int64              `json:"at"` // milliseconds of unix time
	seq  uint64

	sent   time.Time // zero: it waits to be sent
	acked  bool      // the server has it
	tries  int
	putOff bool // by the MUC, at least once

	came    time.Time
	granted bool // another gateway carries, does not know the line and leaves it to us
	lacking bool // the disk has not taken its row
}

// due are the LAN lines that are, the oldest first. Each has a row until it was
// seen in the MUC, was refused there, or has waited for too long.
type due struct {
	lines    []*lanLine
	byID     map[lineID]*lanLine
	seq      uint64
	underway int // that were sent
	pause    time.Time
	pace     pace
	awake    time.Time // before that nothing could be heard: we were asleep
	again    time.Time // what the disk has not taken is written once more
}

func (e *engine) addDue(now time.Time, line *lanLine) {
	d := &e.due
	if len(d.lines) >= e.cfg.Limits.Due {
		e.dropDue(now, line.From)
	}
	d.seq++
	line.seq, line.came = d.seq, now
	d.lines = append(d.lines, line)
	d.byID[line.ID] = line
	e.writeDue(line)
}

// dropDue makes room for a line of somebody. It gives up one of whoever has most, so that
// who floods the room pushes out nobody else's: the oldest that is not on its way, for of one
// that is nobody knows yet that the MUC will not have it. If all of theirs are, it is the
// oldest.
func (e *engine) dropDue(now time.Time, newcomer linklocal.Instance) {
	most := e.due.longest(newcomer)
	theirs := slices.IndexFunc(e.due.lines, func(l *lanLine) bool { return l.From == most })
	waits := slices.IndexFunc(e.due.lines, func(l *lanLine) bool { return l.From == most && l.sent.IsZero() })
	line := e.due.lines[max(theirs, waits)]
	e.giveUp(line, wordsOverflow)
	e.endDue(now, line, &e.fromLAN.Overflowed)
}

// longest is who has most lines, with another one of somebody; of several, who has said
// one first.
func (d *due) longest(newcomer linklocal.Instance) (who linklocal.Instance) {
	lines := map[linklocal.Instance]int{newcomer: 1}
	for _, l := range d.lines {
		lines[l.From]++
	}
	for _, l := range d.lines {
		if lines[l.From] > lines[who] {
			who = l.From
		}
	}
	return who
}

// endDue is how each line ends.
func (e *engine) endDue(now time.Time, line *lanLine, end *uint64) {
	d := &e.due
	*end++
	e.unsend(line)
	delete(d.byID, line.ID)
	i := slices.Index(d.lines, line)
	d.lines = slices.Delete(d.lines, i, i+1)
	e.pass(now, e.lineMark(line.ID), false)
	e.emit(later{Change{Key: e.dueRow(line).Key}})
	if len(d.lines) == 0 {
		d.pace.told = nil
	}
}

// unsend makes a line wait to be sent again.
func (e *engine) unsend(line *lanLine) {
	if !line.sent.IsZero() {
		e.due.underway--
		line.sent, line.acked = time.Time{}, false
	}
}

// sendDue sends what waits, as far as we carry, in the order of each speaker: the MUC
// can refuse one line and take the next, so the next waits for the answer to it.
func (e *engine) sendDue(now time.Time) {
	d := &e.due
	carry := e.mayCarry(now)
	if !carry && !e.maySend(now) || now.Before(d.pause) {
		return
	}
	waits := make(map[linklocal.Instance]bool) // for a line of theirs whose fate is not known
	for _, line := range slices.Clone(d.lines) {
		underway := !line.sent.IsZero()
		switch {
		case d.underway >= e.cfg.Limits.Window:
			return
		case underway && (d.pace.gap > 0 || line.sent.Before(e.net.since)): // or of before an outage
			return
		case underway && d.waited(now, line) < patience, e.isClaimed(now, line): // another gateway may still send it
			waits[line.From] = true
		case underway, waits[line.From], !carry && !line.granted:
		case line.tries >= maxTries:
			e.giveUp(line, wordsNotTaken)
			e.endDue(now, line, &e.fromLAN.Bounced)
		default:
			e.send(now, line)
			if waits[line.From] = true; d.pace.gap > 0 {
				d.pause = now.Add(d.pace.gap)
				return
			}
		}
	}
}

// waited is how long nothing has been heard of a line that was sent.
func (d *due) waited(now time.Time, line *lanLine) time.Duration {
	if line.sent.Before(d.awake) {
		return now.Sub(d.awake)
	}
	return now.Sub(line.sent)
}

// send gives a line to the session.
func (e *engine) send(now time.Time, line *lanLine) {
	line.sent = now
	line.tries++
	e.due.underway++
	at := time.UnixMilli(line.At)
	if rewrite.IsFresh(at, now) {
		at = time.Time{}
	}
	e.emit(sendMUC{rewrite.MemberToMUC(line.From, line.Text, e.muc, string(line.ID), e.via(""), at)})
}

// notSent notes that the session has not taken a stanza of ours.
func (e *engine) notSent(now time.Time, st *stanza.Element) {
	if line := e.due.byID[lineID(st.Attr("id"))]; line != nil {
		e.unsend(line)
		line.tries--
		e.due.pause = now.Add(sendRetry)
	}
}

// undelivered notes that the session gives up what it had taken.
func (e *engine) undelivered(now time.Time, ev xmppc2s.Undelivered) {
	line := e.due.byID[lineID(ev.Stanza.Attr("id"))]
	switch {
	case line == nil || line.sent.IsZero():
	case errors.Is(ev.Err, xmppc2s.ErrDeadly), errors.Is(ev.Err, xmppc2s.ErrDropped), errors.Is(ev.Err, xmppc2s.ErrTooLarge):
		e.giveUp(line, wordsNotTaken)
		e.endDue(now, line, &e.fromLAN.Bounced)
	default:
		e.unsend(line)
		if errors.Is(ev.Err, xmppc2s.ErrNoRoom) || errors.Is(ev.Err, xmppc2s.ErrQueueFull) || errors.Is(ev.Err, xmppc2s.ErrExpired) {
			line.tries-- // the MUC was not asked
		}
		e.due.pause = now.Add(sendRetry)
	}
}

func (e *engine) acknowledged(sent []xmppc2s.Sent) {
	for _, s := range sent {
		if line := e.due.byID[lineID(s.ID)]; line != nil && !line.sent.IsZero() {
			line.acked = true
		}
	}
}

// reflected settles a line that was seen in the MUC, whoever has sent it. It
// reports false if ev cannot be a line of this LAN.
func (e *engine) reflected(now time.Time, ev xmppc2s.RoomMessage) bool {
	via, marked := rewrite.ReadVia(ev.Stanza)
	ours := ev.Own || marked && e.isOurSite(via.Site)
	for _, id := range []string{ev.Stanza.Attr("id"), ev.OriginID} {
		line := e.due.byID[lineID(id)]
		switch {
		case line == nil:
			continue
		case ev.Own:
			e.due.pace.taken(line.sent)
			e.endDue(now, line, &e.fromLAN.Delivered)
			return true
		case line.isSaidBy(ev.Stanza): // who is in the MUC can say anything under this id
			e.gates.watchedAt = now
			e.endDue(now, line, &e.fromLAN.Elsewhere)
			return true
		}
	}
	if id := lineID(ev.Stanza.Attr("id")); ours && len(id) == lineIDLen {
		e.overlap(now, ev, e.lineMark(id), false)
		if _, left := e.handover.grants.Get(now, id); left {
			e.handover.grants.Forget(id)
			e.passed.Forget(e.lineMark(id))
		}
		e.pass(now, e.lineMark(id), true) // it may still come on the LAN
	}
	if ours && !ev.Own {
		e.gates.watchedAt = now // somebody does carry, even if the MUC changes words
	}
	return ours
}

// isSaidBy reports whether a message of the MUC has a line's words.
func (l *lanLine) isSaidBy(st *stanza.Element) bool {
	ours := rewrite.MemberToMUC(l.From, l.Text, "", "", rewrite.Via{}, time.Time{})
	fields := func(st *stanza.Element) []string { return strings.Fields(st.Child(stanza.NSClient, "body").Text()) }
	return slices.Equal(fields(ours), fields(st))
}

// refused takes a line that came back from the MUC.
//
// "the service MUST … return a <forbidden/> error" (no voice), "a
// <not-acceptable/> error" (not in the room): XEP-0045 §7.4 (Sending a Message to
// All Occupants)
func (e *engine) refused(now time.Time, ev xmppc2s.RoomRefused) {
	line := e.due.byID[lineID(ev.ID)]
	if line == nil || line.sent.IsZero() {
		return
	}
	absent := isAbsence(ev.Err.Condition)
	if !absent && ev.Err.Type != "wait" {
		e.giveUp(line, wordsBounced(ev.Err))
		e.endDue(now, line, &e.fromLAN.Bounced)
		return
	}
	e.forgive()
	wait := dueRetry
	if !absent {
		e.due.pace.refused(now, line.sent)
		line.putOff, wait = true, e.due.pace.gap
		line.tries-- // time is its bound
	}
	e.unsend(line)
	e.due.pause = now.Add(wait)
}

// isAbsence reports whether an error says that we, or the room, are not there.
func isAbsence(c stanza.Condition) bool {
	switch c {
	case stanza.NotAcceptable, stanza.RecipientUnavailable, stanza.ItemNotFound, stanza.ServiceUnavailable,
		"remote-server-timeout", "remote-server-not-found", "gone", "undefined-condition", stanza.InternalServerError:
		return true
	}
	return false
}

// sortOut decides what has become of lines that were sent before the room was
// entered, now that all that was missed has been told. Not in the archive is not
// in the room. A history goes back only so far: what the server has acknowledged
// before that is taken to have arrived.
func (e *engine) sortOut(now time.Time) {
	e.due.pause, e.due.pace.since = time.Time{}, time.Time{}
	for _, line := range slices.Clone(e.due.lines) {
		covered := e.net.archive || e.net.overlaps || e.net.earliest.IsZero() || e.net.earliest.UnixMilli() <= line.At
		if !covered && line.acked {
			e.endDue(now, line, &e.fromLAN.Delivered)
		} else {
			e.unsend(line)
		}
	}
}

// expire gives up what has waited for too long, and what was sent and is lost.
func (e *engine) expire(now time.Time) {
	before := now.Add(-e.cfg.Timing.LineKept).UnixMilli()
	carry := e.mayCarry(now)
	underway := e.due.underway
	for _, line := range slices.Clone(e.due.lines) {
		if !line.sent.IsZero() {
			underway--
		}
		switch {
		case line.At <= before:
			e.giveUp(line, wordsExpired)
			e.endDue(now, line, &e.fromLAN.Expired)
		case e.isStuck(now, line):
			e.giveUp(line, wordsNotTaken)
			e.endDue(now, line, &e.fromLAN.Bounced)
		case carry && e.due.pace.isOverdue(now, line, e.cfg.Timing.PutOff):
			e.giveUp(line, wordsPutOffLong)
			e.endDue(now, line, &e.fromLAN.Bounced)
			e.due.pause = now.Add(leastGap) // it may be this line that the MUC does not like
		case line.sent.IsZero() && underway == 0:
			return // those behind it are younger
		}
	}
}

// isStuck reports whether a line was sent, and the room, in which we are, has said
// nothing of it for too long.
func (e *engine) isStuck(now time.Time, line *lanLine) bool {
	if line.sent.IsZero() || !e.net.ready() {
		return false
	}
	return e.due.waited(now, line) >= stuckAfter && now.Sub(e.net.since) >= stuckAfter
}

// appendTimes appends when expire or sendDue are wanted.
func (d *due) appendTimes(times []time.Time, kept time.Duration, since, settled time.Time) []time.Time {
	if len(d.lines) == 0 {
		return times
	}
	times = append(times, d.pause, d.again, time.UnixMilli(d.lines[0].At).Add(kept), since.Add(stuckAfter))
	if d.underway > 0 || d.pace.gap > 0 {
		times = append(times, settled.Add(time.Second)) // or it looks as if we slept; and what waits for long is told
	}
	return times
}
