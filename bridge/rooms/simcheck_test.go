package rooms

import (
	"fmt"
	"slices"
	"strings"

	"meshgate/internal/stanza"
)

// wrong is what is not as it has to be in the end; "": nothing.
func (w *world) wrong() string {
	var bad []string
	add := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	var archived []string
	for _, s := range w.muc.archive {
		archived = append(archived, wordsOf(s.st.Child(stanza.NSClient, "body").Text()))
	}
	inMUC := count(archived)
	if !w.cuts {
		w.checkOrder("the MUC", archived, lineNumber, add)
	}
	for _, l := range w.sortedLines() {
		if n := inMUC[l.words]; n > 1 || n == 0 && (l.site == "" || l.received) {
			add("%s is %d times in the MUC", l.words, n)
		}
	}
	for _, h := range w.humans {
		w.checkHuman(h, archived, add)
	}
	for _, g := range w.gates {
		if g.e == nil {
			continue
		}
		for _, l := range g.e.due.lines {
			add("%s still has %s, %v", g.name, l.Text, g.e.gates.duty)
		}
		for _, l := range g.e.held.lines {
			add("%s still has %s, %v", g.name, l.Text, g.e.gates.duty)
		}
		if len(g.inbox) > 0 {
			add("%s has not done %d messages", g.name, len(g.inbox))
		}
	}
	return strings.Join(bad, "\n")
}

// wordsOf is what a person has said, without the names that gateways put before it.
func wordsOf(body string) string {
	if i := strings.LastIndex(body, "] "); i >= 0 {
		return body[i+len("] "):]
	}
	return body
}

func count(words []string) map[string]int {
	n := make(map[string]int)
	for _, s := range words {
		n[s]++
	}
	return n
}

// lineNumber is the number of a line among all that were said.
func lineNumber(words string) (n int) {
	fmt.Sscanf(words[4:], "%d", &n)
	return n
}

// checkHuman sees that somebody on a LAN has what was said in the MUC, and what of the
// other LAN is there, once and in its order, and nothing of their own LAN.
func (w *world) checkHuman(h *simHuman, archived []string, add func(string, ...any)) {
	var seen []string
	for _, body := range h.seen {
		if strings.HasPrefix(body, "[") && w.said[wordsOf(body)] != nil {
			seen = append(seen, wordsOf(body))
		}
	}
	w.checkOrder(h.name, seen, func(words string) int { return slices.Index(archived, words) }, add)
	times, inMUC := count(seen), count(archived)
	for _, l := range w.sortedLines() {
		n := times[l.words]
		switch {
		case l.site == h.site && n > 0:
			add("%s is on its LAN again", l.words)
		case l.site != h.site && n != inMUC[l.words]:
			add("%s has %d times %s", h.name, n, l.words)
		}
	}
}

// checkOrder sees that each speaker's lines are in order.
func (w *world) checkOrder(where string, words []string, place func(string) int, add func(string, ...any)) {
	last := make(map[string]int)
	for _, s := range words {
		l := w.said[s]
		if l == nil || l.handed {
			continue
		}
		n := place(s)
		if n < last[l.speaker] {
			add("%s: %s comes behind %d", where, s, last[l.speaker])
		}
		last[l.speaker] = n
	}
}

func (w *world) sortedLines() []*simLine {
	var lines []*simLine
	for _, l := range w.said {
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b *simLine) int { return strings.Compare(a.words, b.words) })
	return lines
}
