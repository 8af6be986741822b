package xmppc2s

import "time"

// A lookAhead moves the mark over what we have sent ourselves. The archive has that,
// too, but nobody tells us its ids there: a gateway to which nobody writes for long
// would have to go through all that it has sent, and give up before it comes to what
// it has missed.
//
// So the archive is asked for its last id when we have sent some messages behind the
// newest one that came, and again a while later. If nothing has come in between, nothing
// came before that id that is not here: with the second answer all has arrived that the
// server had to send with the first one, and had perhaps archived before it sent it.
type lookAhead struct {
	own    int       // messages that the server has of us, behind the newest one that came
	id     string    // where the archive ended; "": unknown, or more has come since
	at     time.Time // when it was asked for that
	second bool      // the question that is open is the second one
}

// sent notes that the server has so many more messages of ours.
func (d *archiveDesk) sent(n int) { d.ahead.own += n }

// wantsLook reports whether the archive is to be asked for its end.
func (d *archiveDesk) wantsLook(now time.Time) bool {
	row := d.mark.row
	if d.state != archiveResting || !d.online || d.age <= 0 || row.At.IsZero() || row.Open {
		return false
	}
	if d.ahead.id == "" {
		return d.ahead.own >= d.every
	}
	return !now.Before(d.ahead.at.Add(archiveSettle))
}

// look asks the archive for its end: a page of one message, backwards.
func (d *archiveDesk) look(now time.Time) {
	a := &d.ahead
	if a.second = a.id != ""; !a.second {
		a.own, a.at = 0, now
	}
	d.query, d.last, d.results = archiveQuery{back: true, max: 1}, "", 0
	d.askPage(now, archiveLooking)
}

// sawEnd takes the answer.
func (d *archiveDesk) sawEnd() {
	a := &d.ahead
	switch {
	case !a.second:
		a.id = d.last
	case a.id != "":
		d.mark.pass(a.id, a.at)
		a.id = ""
	}
	d.become(archiveResting)
}

// lookAway gives up looking for now.
func (d *archiveDesk) lookAway() {
	d.ahead = lookAhead{}
	d.become(archiveResting)
}
