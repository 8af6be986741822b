package rooms

import (
	"slices"
	"time"

	"meshgate/bridge/rewrite"
)

// How far another gateway has come in the MUC settles lines of which we have not
// heard its copy. Lines have their places in the order in which the MUC has told them
// to this run; those of a run before that are not told again are before all others,
// and until the room is caught up nobody knows which these are.

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
	for len(h.ending) > 0 && h.ending[0].ended {
		h.last, h.ending = h.ending[0].Key, h.ending[1:]
	}
}

// toldHeld notes that a line that waits was told: one of a run before now has its place.
func (e *engine) toldHeld(now time.Time, line *mucLine) {
	h := &e.held
	if !line.told {
		line.told = true
		if i := slices.Index(h.ending, line); i >= 0 {
			h.ending = append(slices.Delete(h.ending, i, i+1), line)
			h.advance()
		}
	}
	e.settleTold(now, line.Key)
}

// toldPassed notes that a line was told that is on the LAN already, by another
// gateway or a run before.
func (e *engine) toldPassed(now time.Time, key mucKey) {
	if e.isTold(now, key) {
		return
	}
	e.passed.Put(now, e.heldMark(key), false)
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
	case i >= 0 && e.net.caught:
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
