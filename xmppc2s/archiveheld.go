package xmppc2s

import (
	"errors"
	"time"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

var errNoAnswer = errors.New("xmppc2s: no answer")

// maxArchiveHad bounds what is remembered of a catching up: by then the
// archive has been asked again for hours.
const maxArchiveHad = 1 << 14

// lateFor is how long behind a connection's beginning a message may arrive that
// has waited at the server for it: all at once, but as fast as they are taken.
const lateFor = 30 * time.Second

// message takes a message that arrived by itself. While the archive is asked
// for what came before, it is held back; but not so many that no answer of the
// archive could come behind them.
func (d *archiveDesk) message(now time.Time, el *stanza.Element, mark sm.Mark) {
	a := passing{stanza: el, at: now, live: true, mark: mark}
	a.missed = (!d.holdUntil.IsZero() || now.Before(d.lateUntil)) && el.Child(stanza.NSDelay, "delay") != nil
	if d.holdUntil.IsZero() {
		d.pass(a)
		return
	}
	if d.held = append(d.held, a); len(d.held) >= d.maxHeld {
		d.release()
	}
}

// release passes on what is held, and holds nothing any more.
func (d *archiveDesk) release() {
	d.holdUntil = time.Time{}
	for _, a := range d.held {
		d.pass(a)
	}
	d.held = nil
}

// pass passes on what arrived by itself, and notes where in the archive it is.
// One that the archive has given already is passed on as well: whoever gets it
// recognises it by its id.
func (d *archiveDesk) pass(a passing) {
	row := &d.mark.row
	if row.IDs || d.state == archiveExploring { // too many came before it could say so
		a.id = stanzaID(a.stanza, d.own)
	}
	_, again := d.had[a.id]
	if !row.At.IsZero() && (a.id != "" && !again || a.id == "" && !row.IDs && isForUs(a.stanza, d.own)) {
		e := d.mark.arrived(a.id, sentAt(a.stanza, a.at))
		a.number = e.number
		if row.Open && a.id != "" && len(d.had) < maxArchiveHad {
			d.had[a.id] = e
		}
	}
	d.out.pass = append(d.out.pass, a)
}

// result takes a message from our own account with a result in it. What was
// not asked for, nobody gets: only our own account answers, and only the open
// question (XEP-0313, Security Considerations).
func (d *archiveDesk) result(now time.Time, el *stanza.Element) {
	a := parseArchived(el, d.own)
	if d.state != archiveAsking || a.query != d.asked || a.id == "" || len(a.id) > maxArchiveID || d.results >= d.query.max {
		d.out.strays++
		return
	}
	d.results++
	d.looked++
	d.last, d.until = a.id, now.Add(archiveWait)
	entry, again := d.had[a.id]
	switch {
	case again:
		if entry != nil {
			d.mark.place(entry) // it has arrived by itself
		}
	case a.message == nil || !isForUs(a.message, d.own) || a.stamp.Before(now.Add(-d.age)):
		d.leaveOut(a)
	case d.news >= d.messages:
		d.over = true
		d.leaveOut(a)
	default:
		e := d.mark.fetch(a.id, sentAt(a.message, now))
		d.had[a.id] = e
		d.news++
		d.out.fetched++
		d.out.pass = append(d.out.pass, passing{stanza: a.message, at: now, id: a.id, missed: true, number: e.number})
	}
}

func (d *archiveDesk) leaveOut(a archived) {
	d.had[a.id] = nil
	d.mark.pass(a.id, a.stamp)
}

// abandon ends a session. It returns how many of those that are held come again:
// the server sends again what it counts, and the archive has, in its place, what
// has an id there. The rest is passed on. The mark stays open, if it is.
func (d *archiveDesk) abandon() (coming int) {
	for _, a := range d.held {
		if a.mark.Counted() || d.mark.row.IDs && stanzaID(a.stanza, d.own) != "" {
			coming++
		} else {
			d.pass(a)
		}
	}
	d.held, d.holdUntil = nil, time.Time{}
	if d.state == archiveAsking {
		d.page = max(1, d.page/4)
	}
	d.become(archiveResting)
	d.tell()
	return coming
}
