package xmppc2s

import (
	"time"

	"meshgate/internal/stanza"
)

const (
	// mucIdle is how long a room may be silent before it is asked whether we are
	// still in it (XEP-0410).
	mucIdle = 10 * time.Minute
	// mucUnsure is when it is asked again if the answer did not say, and
	// maxMUCUnsure how often.
	mucUnsure    = time.Minute
	maxMUCUnsure = 3
)

// A mucCheck finds out whether we are in a room: it can forget us without a
// word (XEP-0410: MUC Self-Ping).
type mucCheck struct {
	at     time.Time // of the next question
	sure   bool      // not what is heard, but only an answer puts it off
	asked  *mucQuestion
	unsure int // answers in a row that did not say
}

// doubt: there is reason to ask at once.
func (c *mucCheck) doubt(now time.Time) { c.at, c.sure = now, true }

// next is when to ask, or that no answer came; zero: never.
func (c *mucCheck) next(pace time.Time) time.Time {
	if c.asked != nil {
		return c.asked.until
	}
	return later(c.at, pace)
}

// heard: the room has sent something.
func (r *mucRoom) heard(now time.Time) {
	if r.state == mucIn && !r.check.sure {
		r.check.at = now.Add(mucIdle)
	}
}

// look asks when it is due, and does without an answer when that is.
func (r *mucRoom) look(now time.Time) {
	c := &r.check
	switch {
	case c.asked != nil && !now.Before(c.asked.until):
		r.drop(&c.asked)
		r.notSure(now)
	case c.asked == nil && !now.Before(c.at) && r.desk.turn(now):
		c.asked = r.desk.ask(now, "get", r.address(r.nicks.now), func(string) *stanza.Element { return stanza.New(stanza.NSPing, "ping") }, r.checked)
	}
}

// checked takes the answer. XEP-0410 §3.3
func (r *mucRoom) checked(now time.Time, iq *stanza.Element) {
	r.check.asked = nil
	if iq.Attr("type") == "result" {
		r.check = mucCheck{at: now.Add(mucIdle)}
		return
	}
	switch err := stanza.ParseError(iq); {
	case err.Condition == stanza.ServiceUnavailable, err.Condition == "feature-not-implemented": // says another client of ours
		r.check = mucCheck{at: now.Add(mucIdle)}
	case isRemote(err):
		r.notSure(now)
	default:
		r.lose(now, loss{why: RoomGone})
	}
}

// notSure: the room, or its server, could not be asked.
func (r *mucRoom) notSure(now time.Time) {
	r.check.at = now.Add(mucUnsure)
	if r.check.unsure++; r.check.unsure >= maxMUCUnsure {
		r.lose(now, loss{why: RoomUnreachable, text: "the room does not answer"})
	}
}
