package rooms

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// holdAgain makes lines wait again that were given to the LAN when it was cut off
// from us already, it seems. They get a row at once, and the next run is told that
// they do not count as given.
func (e *engine) holdAgain(now time.Time) {
	h := &e.held
	h.last = h.sure
	lines := slices.DeleteFunc(h.unsure, func(l *mucLine) bool { return h.byKey[l.Key] != nil })
	h.unsure = nil
	if h.mark.Last = h.last; len(lines) > 0 {
		e.emit(later{e.markChange()})
	}
	if len(h.lines)+len(lines) > e.cfg.Limits.Held {
		return
	}
	bySeq := func(a, b *mucLine) int { return cmp.Compare(a.seq, b.seq) }
	slices.SortFunc(lines, bySeq)
	for _, l := range lines {
		e.fromMUC.Delivered--
		e.passed.Forget(e.heldMark(l.Key))
		l.token, l.ended, l.written, l.writing, l.came, l.dones = 0, false, false, false, now.Add(-e.cfg.Timing.Spill), nil
		l.Again++
		h.byKey[l.Key] = l
		h.undone++
	}
	h.lines, h.ending = slices.Concat(lines, h.lines), slices.Concat(lines, h.ending)
	slices.SortFunc(h.lines, bySeq)
}

// givenMark is how it is remembered that a line is on the LAN.
func (e *engine) givenMark(l *mucLine) mark {
	if l.Again == 0 {
		return e.heldMark(l.Key)
	}
	return e.markOf("held again "+strconv.Itoa(l.Again), string(l.Key))
}
