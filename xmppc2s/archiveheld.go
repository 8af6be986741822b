package xmppc2s

import (
	"errors"
	"slices"
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

// maxParked and maxParkedBytes bound the held messages that are parked. A burst
// of some seconds has its place in them.
const (
	maxParked      = 1024
	maxParkedBytes = 4 << 20
)

// message takes a message that arrived by itself, in so many bytes. While the
// archive is asked for what came before, it is held back: parked, if it comes
// again when the session is lost. Parked messages do not count as undone, so
// that answers of the archive can come behind them. Of others only so many are
// held that some still can.
func (d *archiveDesk) message(now time.Time, el *stanza.Element, mark sm.Mark, size int) {
	a := passing{stanza: el, at: now, live: true, mark: mark, id: stanzaID(el, d.own), size: size}
	a.missed = (!d.holdUntil.IsZero() || now.Before(d.lateUntil)) && el.Child(stanza.NSDelay, "delay") != nil
	if d.holdUntil.IsZero() && len(d.held) == 0 {
		d.pass(a)
		return
	}
	if !d.holdUntil.IsZero() && d.comesAgain(&a) {
		d.park(&a)
	}
	if d.held = append(d.held, a); len(d.held)-d.parked >= d.maxHeld || d.parked >= maxParked || d.parkedBytes >= maxParkedBytes {
		d.release()
	}
}

// comesAgain reports whether a message that is held comes again if the session
// is lost, in its place: the server sends again what it counts, and the archive
// has what has an id there.
func (d *archiveDesk) comesAgain(a *passing) bool {
	return a.mark.Counted() || d.mark.row.IDs && a.id != ""
}

func (d *archiveDesk) park(a *passing) {
	a.parked = true
	d.parked, d.parkedBytes, d.out.parked = d.parked+1, d.parkedBytes+a.size, d.out.parked+1
}

// unpark has a message count as undone again.
func (d *archiveDesk) unpark(a *passing) {
	if a.parked {
		a.parked = false
		d.parked, d.parkedBytes, d.out.parked = d.parked-1, d.parkedBytes-a.size, d.out.parked-1
	}
}

// release parks nothing any more: what is held is passed on as there is room,
// and what arrives meanwhile behind it.
func (d *archiveDesk) release() {
	d.holdUntil = time.Time{}
	for i := range d.held {
		d.unpark(&d.held[i])
	}
}

// drain passes on so many of what is held and waits for the archive no longer.
func (d *archiveDesk) drain(room int) {
	for ; room > 0 && len(d.held) > 0 && d.holdUntil.IsZero(); room-- {
		d.pass(d.takeHeld(0))
	}
}

// takeHeld takes the i-th of those that are held.
func (d *archiveDesk) takeHeld(i int) passing {
	a := d.held[i]
	d.unpark(&a)
	if d.held = slices.Delete(d.held, i, i+1); len(d.held) == 0 {
		d.held = nil
	}
	return a
}

// pass passes on what arrived by itself, and notes where in the archive it is.
// One that the archive has given already is passed on as well: whoever gets it
// recognises it by its id.
func (d *archiveDesk) pass(a passing) {
	row := &d.mark.row
	if !row.IDs && d.state != archiveExploring { // too many came before it could say so
		a.id = ""
	}
	name := nameOf(a.id, a.stanza)
	_, again := d.had[name]
	if !row.At.IsZero() && (a.id != "" && !again || a.id == "" && !row.IDs && isForUs(a.stanza, d.own)) {
		d.ahead.own, d.ahead.id = 0, ""
		e := d.mark.arrived(name, sentAt(a.stanza, a.at))
		a.number = e.number
		if row.Open && a.id != "" && len(d.had) < maxArchiveHad {
			d.had[name] = e
		}
	}
	d.out.pass = append(d.out.pass, a)
}

// result takes a message from our own account with a result in it. What was
// not asked for, nobody gets: only our own account answers, and only the open
// question (XEP-0313, Security Considerations).
func (d *archiveDesk) result(now time.Time, el *stanza.Element) {
	a := parseArchived(el, d.own)
	if d.state != archiveAsking && d.state != archiveLooking || a.query != d.asked || a.id == "" || len(a.id) > maxArchiveID || d.results >= d.query.max {
		d.out.strays++
		return
	}
	d.results++
	d.last, d.until = a.id, now.Add(archiveWait)
	if d.state == archiveLooking {
		return
	}
	d.looked++
	d.heard(now)
	name := nameOf(a.id, a.message)
	entry, again := d.had[name]
	if i := slices.IndexFunc(d.held, func(h passing) bool { return h.id == a.id && nameOf(h.id, h.stanza) == name }); i >= 0 && !again {
		d.pass(d.takeHeld(i)) // its turn has come
		entry, again = d.had[name]
	}
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
		e := d.mark.fetch(name, sentAt(a.message, now))
		d.had[name] = e
		d.news++
		d.out.fetched++
		d.out.pass = append(d.out.pass, passing{stanza: a.message, at: now, id: a.id, missed: true, number: e.number})
	}
}

func (d *archiveDesk) leaveOut(a archived) {
	d.had[nameOf(a.id, a.message)] = nil
	d.mark.pass(a.id, a.stamp)
}

// abandon ends a session. It returns how many of those that are held come again.
// The rest is passed on. The mark stays open, if it is.
func (d *archiveDesk) abandon() (coming int) {
	for len(d.held) > 0 {
		again := d.comesAgain(&d.held[0])
		if a := d.takeHeld(0); again {
			coming++
		} else {
			d.pass(a)
		}
	}
	d.holdUntil = time.Time{}
	if d.state == archiveAsking {
		d.page = max(1, d.page/4)
	}
	d.lookAway()
	d.tell()
	return coming
}
