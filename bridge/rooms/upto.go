package rooms

import (
	"slices"
	"time"

	"meshgate/bridge/rewrite"
)

// How far another gateway has come in the MUC settles lines of which we have not
// heard its copy. Lines have their places in the order in which the MUC tells them;
// when it is entered again it tells some again, in order, and those that it does not
// are before all others. So nobody knows their order until the room is caught up.

// endingPart bounds the lines that have ended behind one that has not, as a
// multiple of those that have not.
const endingPart = 4

// enqueue puts a line behind all that have not ended.
func (e *engine) enqueue(line *mucLine) {
	h := &e.held
	if h.ending = append(h.ending, line); len(h.ending) > endingPart*e.cfg.Limits.Held {
		h.ending = h.ending[1:]
	}
}

// advance finds the newest of the lines before which all have ended.
func (h *held) advance() {
	for !h.placing && len(h.ending) > 0 && h.ending[0].ended {
		h.last, h.ending = h.ending[0].Key, h.ending[1:]
	}
}

// unplace notes that the MUC begins to tell what was missed.
func (h *held) unplace() {
	h.placing = true
	for _, l := range h.ending {
		l.told = false
	}
}

// allPlaced notes that all that was missed has been told.
func (e *engine) allPlaced(now time.Time) {
	h := &e.held
	h.placing = false
	h.advance()
	e.settleUpTo(now, h.upTo)
}

// toldAgain gives a line its place that waits, or is behind one that does. It reports
// false if there is no such line.
func (e *engine) toldAgain(now time.Time, key mucKey) bool {
	h := &e.held
	i := slices.IndexFunc(h.ending, func(l *mucLine) bool { return l.Key == key })
	if i < 0 {
		return false
	}
	if l := h.ending[i]; h.placing && !l.told {
		l.told = true
		h.ending = append(slices.Delete(h.ending, i, i+1), l)
	}
	e.settleTold(now, key)
	return true
}

// toldPassed notes that a line was told that is on the LAN already, by another
// gateway or a run before.
func (e *engine) toldPassed(now time.Time, key mucKey) {
	known := e.isTold(now, key)
	e.passed.Put(now, e.heldMark(key), false)
	if e.toldAgain(now, key) || known {
		return
	}
	e.enqueue(&mucLine{Key: key, ended: true, told: true})
	e.held.advance()
	e.settleTold(now, key)
}

// isTold reports whether a line that has passed was told to this run.
func (e *engine) isTold(now time.Time, key mucKey) bool {
	early, passed := e.passed.Get(now, e.heldMark(key))
	return passed && !early
}

// settleTold settles what is before a line that was told, if another gateway is
// known to have got that far.
func (e *engine) settleTold(now time.Time, key mucKey) {
	if e.held.upTo == key {
		e.settleUpTo(now, key)
	}
}

// heardCarried settles a line that another gateway has given to the LAN.
func (e *engine) heardCarried(now time.Time, via rewrite.Via) {
	key := mucKey(via.ID)
	if via.Room != e.muc || key == "" || len(key) > maxKey {
		return
	}
	if line := e.held.byKey[key]; line != nil {
		e.settleElsewhere(now, line)
		return
	}
	e.pass(now, e.heldMark(key), true)
}

// settleElsewhere ends a line that another gateway has carried. One that is on
// its way from us, too, ends by that.
func (e *engine) settleElsewhere(now time.Time, line *mucLine) {
	if line.token == 0 {
		e.said.add(time.UnixMilli(line.At), e.nickOf(line.Nick), line.Text)
		e.endHeld(now, line, &e.fromMUC.Elsewhere)
	}
}

// settleUpTo settles all lines up to one, since another gateway says that they are
// on the LAN. What is not told yet is kept in mind.
func (e *engine) settleUpTo(now time.Time, key mucKey) {
	h := &e.held
	i := slices.IndexFunc(h.ending, func(l *mucLine) bool { return l.Key == key })
	switch {
	case i >= 0 && !h.placing:
		if h.upTo == key {
			h.upTo = ""
		}
		for _, l := range slices.Clone(h.ending[:i+1]) {
			if !l.ended {
				e.settleElsewhere(now, l)
			}
		}
	case i >= 0, key != h.last && !e.isTold(now, key):
		h.upTo = key
	case h.upTo == key:
		h.upTo = ""
	}
}
