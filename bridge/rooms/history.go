package rooms

import (
	"strings"
	"time"

	"meshgate/bridge/rewrite"
)

const (
	historyAfter = 2 * time.Second // a member has come it is told what was said before
	maxAwaited   = 32              // members who are to be told
	maxTale      = 8 << 10         // bytes of what one is told …
	maxTold      = 1 << 10         // … and of each line in it, so that no long one hides all before it
)

// history is what was said last, for LAN members who come late. Clique has no way
// to tell it to one of them alone: it goes over a XEP-0174 stream (Parts.Tell).
// Nothing of it outlives the process.
type history struct {
	cfg   History
	lines []saidLine
	late  []lateMember
}

type saidLine struct {
	name, text string
	at         time.Time
}

type lateMember struct {
	name  string
	since time.Time
}

func (h *history) add(at time.Time, name, text string) {
	if h.cfg.Lines <= 0 {
		return
	}
	if len(h.lines) >= h.cfg.Lines {
		h.lines = h.lines[1:]
	}
	h.lines = append(h.lines, saidLine{name, rewrite.Clip(text, maxTold), at})
}

// await notes that a member has come.
func (h *history) await(now time.Time, name string) {
	if h.cfg.Lines > 0 && len(h.late) < maxAwaited {
		h.late = append(h.late, lateMember{name, now})
	}
}

func (h *history) forget(name string) {
	var rest []lateMember
	for _, m := range h.late {
		if m.name != name {
			rest = append(rest, m)
		}
	}
	h.late = rest
}

// tellHistory tells members who came a moment ago what was said before.
func (e *engine) tellHistory(now time.Time) {
	h := &e.said
	for len(h.late) > 0 && !now.Before(h.late[0].since.Add(historyAfter)) {
		m := h.late[0]
		h.late = h.late[1:]
		if e.gates.duty != carrying || e.gates.others[m.name] != nil {
			continue
		}
		if tale := h.tale(m.since, now.In(e.cfg.Location)); tale != "" {
			e.emit(tell{m.name, "said in " + e.room.Name + " before you came:\n" + tale})
		}
	}
}

// tale is what was said before somebody came, as far as it is young enough, the
// newest lines that have room.
func (h *history) tale(before, now time.Time) string {
	var lines []string
	size := 0
	for i := len(h.lines) - 1; i >= 0; i-- {
		l := h.lines[i]
		text := rewrite.SaidLine(l.name, l.text, l.at, now)
		if h.cfg.Age > 0 && now.Sub(l.at) > h.cfg.Age || size+len(text) > maxTale {
			break
		}
		if l.at.Before(before) {
			size += len(text) + 1
			lines = append([]string{text}, lines...)
		}
	}
	return strings.Join(lines, "\n")
}

// appendTimes appends when tellHistory is wanted.
func (h *history) appendTimes(times []time.Time) []time.Time {
	if len(h.late) > 0 {
		times = append(times, h.late[0].since.Add(historyAfter))
	}
	return times
}
