package rooms

import (
	"errors"
	"slices"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/clique"
	"meshgate/xmppc2s"
)

// A mucLine is a line of the MUC that was not on the LAN yet. It is its own row.
type mucLine struct {
	Key     mucKey `json:"key"`
	Archive string `json:"archive,omitempty"`
	Nick    string `json:"nick"`
	Text    string `json:"text"`
	At      int64  `json:"at"` // when it was said, in milliseconds of unix time
	// How often it was given to the LAN for nothing: the mark of that does not count.
	Again int `json:"again,omitempty"`
	seq   uint64

	came    time.Time
	token   uint64 // of its way to the LAN; 0: it is not on it
	written bool   // it has a row …
	writing bool   // … or soon will
	ended   bool
	told    bool     // by the MUC, since it was entered
	dones   []func() // of the message, and of those that were the same
}

// held are the MUC lines that are, the oldest first.
//
// What is told of a line is kept in memory for Timing.Spill, undone. If the LAN has
// it not by then, or too much comes, it gets a row, and is done.
type held struct {
	lines   []*mucLine
	byKey   map[mucKey]*mucLine
	byToken map[uint64]*mucLine // on their way to the LAN
	writes  map[uint64][]*mucLine
	seq     uint64
	undone  int        // lines without a row
	order   []*mucLine // all that are not safe yet, or behind one that is not
	sure    mucKey     // last, when somebody on the LAN was heard last: up to here the LAN has all …
	unsure  []*mucLine // … and these were given to it since then
	last    mucKey     // the newest of the lines before which all have ended
	ending  []*mucLine // all that have not ended, or are behind one that has not
	upTo    mucKey     // another gateway has got that far, and this line was not told to us yet
	placing bool       // what was missed is being told: the order of ending is not known yet
	mark    markRow
	noSpill time.Time // the disk takes nothing
}

// maxUnsure bounds the lines that the LAN may not have.
const maxUnsure = 64

func (e *engine) addHeld(now time.Time, line *mucLine) {
	h := &e.held
	if len(h.lines) >= e.cfg.Limits.Held {
		e.dropHeld(now)
	}
	e.hold(line)
	h.order = append(h.order, line)
	h.undone++
	e.settleTold(now, line.Key)
}

// hold puts a line behind the others.
func (e *engine) hold(line *mucLine) {
	h := &e.held
	h.seq++
	line.seq = h.seq
	h.lines = append(h.lines, line)
	e.enqueue(line)
	h.byKey[line.Key] = line
}

// dropHeld gives up the oldest line that is not on its way.
func (e *engine) dropHeld(now time.Time) {
	for _, line := range e.held.lines {
		if line.token == 0 {
			e.told.overflow++
			e.endHeld(now, line, &e.fromMUC.Overflowed)
			return
		}
	}
}

// endHeld is how each line ends.
func (e *engine) endHeld(now time.Time, line *mucLine, end *uint64) {
	h := &e.held
	*end++
	line.ended = true
	if !line.written {
		h.undone--
	}
	delete(h.byKey, line.Key)
	delete(h.byToken, line.token)
	i := slices.Index(h.lines, line)
	h.lines = slices.Delete(h.lines, i, i+1)
	e.pass(now, e.heldMark(line.Key), false)
	if line.Again > 0 {
		e.emit(remember{e.givenMark(line)})
	}
	if line.written || line.writing {
		e.emit(later{Change{Key: e.heldRow(line).Key}})
	}
	h.advance()
	e.finish(line)
}

// passOver notes a line that has nothing to wait for: it is done, and so is what is
// before it, if nothing else is. Of several behind one that waits the last will do.
func (e *engine) passOver(now time.Time, ev xmppc2s.RoomMessage) {
	h := &e.held
	line := &mucLine{Archive: ev.ID, At: said(now, ev).UnixMilli(), ended: true, dones: []func(){ev.Done}}
	if n := len(h.order); n > 0 && h.order[n-1].ended {
		h.order[n-1] = line
	} else {
		h.order = append(h.order, line)
	}
	e.finish(line)
}

// expireHeld gives up what has waited for too long.
func (e *engine) expireHeld(now time.Time) {
	before := now.Add(-e.cfg.Timing.HeldKept).UnixMilli()
	for len(e.held.lines) > 0 {
		oldest := e.held.lines[0]
		if oldest.token != 0 || oldest.At > before {
			return
		}
		e.told.overflow++
		e.endHeld(now, oldest, &e.fromMUC.Expired)
	}
}

// finish says that a line is done: it has ended, or is on the disk. What is done
// up to some line is noted, for whoever enters the room next.
func (e *engine) finish(line *mucLine) {
	h := &e.held
	e.emit(finish(line.dones))
	line.dones = nil
	was := h.mark
	for len(h.order) > 0 && (h.order[0].ended || h.order[0].written) {
		first := h.order[0]
		h.order = h.order[1:]
		if first.Archive != "" {
			h.mark.After = first.Archive
		}
		h.mark.Since = max(h.mark.Since, first.At)
	}
	if h.mark.Last = h.last; h.mark != was {
		e.emit(later{e.markChange()})
	}
}

// sendHeld gives what waits to the LAN, in order, as far as we carry.
func (e *engine) sendHeld(now time.Time) {
	h := &e.held
	if !e.mayCarry(now) || e.lan.frozen || now.Before(e.lan.pause) {
		return
	}
	local := now.In(e.cfg.Location)
	for _, line := range h.lines {
		if len(h.byToken) >= e.cfg.Limits.Window {
			return
		}
		if line.token != 0 {
			continue
		}
		line.token = e.token()
		h.byToken[line.token] = line
		at := time.UnixMilli(line.At)
		if rewrite.IsFresh(at, now) {
			at = time.Time{}
		}
		st := rewrite.OccupantToClique(e.nickOf(line.Nick), line.Text, e.via(string(line.Key)), at, local)
		e.emit(sendLAN{stanza: st, token: line.token, mark: e.givenMark(line)})
	}
}

// handleSent takes what became of a line on its way to the LAN.
func (e *engine) handleSent(now time.Time, token uint64, err error) {
	line := e.held.byToken[token]
	switch {
	case line == nil, errors.Is(err, clique.ErrStopped):
		return // in the end nothing more is done: the server, or the disk, keeps it
	case err == nil:
		e.said.add(time.UnixMilli(line.At), e.nickOf(line.Nick), line.Text)
		e.endHeld(now, line, &e.fromMUC.Delivered)
		if h := &e.held; len(h.unsure) < maxUnsure {
			h.unsure = append(h.unsure, line)
		}
	case errors.Is(err, clique.ErrTooLarge):
		e.endHeld(now, line, &e.fromMUC.Bounced)
	default:
		delete(e.held.byToken, token)
		line.token = 0
		e.lan.pause = now.Add(sendRetry)
	}
	e.settle(now)
}

// spill puts on the disk what waits for too long, or is too much.
func (e *engine) spill(now time.Time) {
	h := &e.held
	if h.undone == 0 || now.Before(h.noSpill) {
		return
	}
	var lines []*mucLine
	var rows []Change
	for _, line := range h.lines {
		if line.written || line.writing || h.undone <= e.cfg.Limits.Undone && now.Sub(line.came) < e.cfg.Timing.Spill {
			continue
		}
		line.writing = true
		lines, rows = append(lines, line), append(rows, e.heldRow(line))
	}
	if len(lines) == 0 {
		return
	}
	token := e.token()
	if h.writes == nil {
		h.writes = make(map[uint64][]*mucLine)
	}
	h.writes[token] = lines
	e.emit(write{changes: rows, token: token})
}

// handleWritten takes what became of a write.
func (e *engine) handleWritten(now time.Time, token uint64, err error) {
	h := &e.held
	lines := h.writes[token]
	delete(h.writes, token)
	if err != nil {
		h.noSpill = now.Add(sendRetry)
	}
	for _, line := range lines {
		line.writing = false
		if line.ended || err != nil {
			continue
		}
		line.written = true
		h.undone--
		e.finish(line)
	}
	e.settle(now)
}

// appendTimes appends when spill, expireHeld or sendHeld are wanted, or the LAN is to
// be listened to.
func (h *held) appendTimes(times []time.Time, t Timing, pause, settled time.Time) []time.Time {
	if len(h.unsure) > 0 {
		times = append(times, settled.Add(time.Second))
	}
	if len(h.lines) == 0 {
		return times
	}
	if oldest := h.lines[0]; oldest.token == 0 {
		times = append(times, time.UnixMilli(oldest.At).Add(t.HeldKept))
	}
	for _, line := range h.lines {
		if !line.written && !line.writing {
			times = append(times, line.came.Add(t.Spill))
			break
		}
	}
	return append(times, h.noSpill, pause)
}
