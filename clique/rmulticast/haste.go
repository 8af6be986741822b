package rmulticast

import "time"

// Among nodes of our kind alone repairs need not take as long as gibber's: what a
// loss costs is what all wait for. To be wrong about who is of our kind does no harm
// but to the time it takes.

// A quick is a span for that: from lo on, and the wider the more others there are,
// so that as a rule one of all who miss a packet asks, and one of all who have it
// answers. It is never longer than gibber's.
type quick struct {
	lo, each time.Duration
	gibber   span
}

var (
	quickFirst  = quick{2 * time.Millisecond, 3 * time.Millisecond, repairFirst}
	quickAgain  = quick{12 * time.Millisecond, 6 * time.Millisecond, repairAgain}
	quickOwn    = quick{500 * time.Microsecond, 100 * time.Microsecond, repairAnswer} // of whose packet it is …
	quickAnswer = quick{5 * time.Millisecond, 3 * time.Millisecond, repairAnswer}     // … and of others, if it does not
)

// quickSession is how long after the last packet of a burst a SESSION comes.
const quickSession = 30 * time.Millisecond

// A patience grows as packets that we have asked for come more than once: then the
// network takes longer than we think, or changes the order. The times of a quick are
// multiplied by it, which ends at gibber's.
type patience float64

const maxPatience = 30

func (p *patience) grow()   { *p = min(*p*1.1, maxPatience) }
func (p *patience) shrink() { *p = max(*p*0.93, 1) }

// in is how long something takes now: a time of the quick's span, twice as long
// with each time after the second, or of gibber's while somebody may not be of our kind.
func (e *Engine) in(q quick, times int) span {
	kin := e.kin()
	if kin == 0 {
		return q.gibber
	}
	factor := float64(e.patience) * float64(int(1)<<min(max(times-2, 0), 10))
	return span{
		min(time.Duration(factor*float64(q.lo)), q.gibber.lo),
		min(time.Duration(factor*float64(q.lo+time.Duration(kin)*q.each)), q.gibber.hi),
	}
}

// kin is how many others there are, if all are of our kind.
func (e *Engine) kin() (n int) {
	for _, s := range e.order {
		if s == e.me || !s.state.listed() {
			continue
		}
		if !s.active {
			return 0
		}
		n++
	}
	return n
}

// came notes that a packet has come that may have been asked for.
func (e *Engine) came(sl *slot) {
	switch {
	case sl == nil || sl.asked == 0:
	case sl.raw == nil:
		e.patience.shrink()
	default:
		e.patience.grow()
	}
}
