package rooms

import (
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
)

const (
	leastGap = 500 * time.Millisecond // between two lines, after the MUC has put one off, and twice as much each time …
	mostGap  = time.Minute            // … up to that
)

// A pace is how slowly lines go to a MUC that puts them off, with an error of type
// "wait": one at a time, in order, and with a gap between them that grows with each
// refusal, and shrinks by a quarter with each line that the MUC takes. How long it has to
// be the error does not say.
//
// "wait -- retry after waiting (the error is temporary)": RFC 6120 §8.3.2
//
// COMPAT ejabberd (min_message_interval, user_message_shaper): keeps one line of an
// occupant until it is due, and refuses more with resource-constraint. Prosody's
// mod_muc_limits, and rooms with XEP-0500, refuse what comes too soon with
// policy-violation.
type pace struct {
	gap     time.Duration               // 0: lines go as they come
	widened time.Time                   // the gap was: a refusal of what was sent before says nothing new
	since   time.Time                   // of all that was sent since then the MUC has put off a line, and taken none; zero: it takes lines
	told    map[linklocal.Instance]bool // that lines of theirs wait
}

// refused notes that the MUC has put off a line that was sent then.
func (p *pace) refused(now, sent time.Time) {
	if p.since.IsZero() {
		p.since = now
	}
	if !sent.After(p.widened) {
		return
	}
	p.gap = min(max(2*p.gap, leastGap), mostGap)
	p.widened = now
}

// taken notes that the MUC has taken a line that was sent then.
func (p *pace) taken(sent time.Time) {
	p.since = time.Time{}
	if !sent.After(p.widened) {
		return
	}
	if p.gap -= p.gap / 4; p.gap < leastGap/5 {
		*p = pace{widened: p.widened}
	}
}

// isOverdue reports whether the MUC has put off a line for too long. In that time it
// has taken no other one either: where it takes some, if slowly, a line waits for its turn.
func (p *pace) isOverdue(now time.Time, line *lanLine, limit time.Duration) bool {
	if !line.putOff || !line.sent.IsZero() || p.since.IsZero() {
		return false
	}
	return now.Sub(line.came) >= limit && now.Sub(p.since) >= limit
}

// tellPutOff tells the LAN whose lines wait because the MUC puts lines off: of each
// speaker once, until it does not any more.
func (e *engine) tellPutOff(now time.Time) {
	p := &e.due.pace
	if p.gap == 0 || !e.mayCarry(now) {
		return
	}
	for _, line := range e.due.lines {
		switch {
		case now.Sub(line.came) < e.cfg.Timing.LostTold:
			return // those behind it are younger
		case !p.told[line.From]:
			if p.told == nil {
				p.told = make(map[linklocal.Instance]bool)
			}
			p.told[line.From] = true
			e.told.complain(rewrite.DisplayName(line.From), wordsPutOff)
		}
	}
}
