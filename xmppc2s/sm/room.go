package sm

import "math"

// Room is how many bytes of stanzas may be given to Enqueue now, so that what
// is in the engine is written or is about to be: all else is better kept where
// it can still be put into another order. While it is above zero one more
// stanza may be given, of any size. It is 0 as long as no stanza is written at
// all, and while stanzas are sent one by one because one of them may be deadly.
func (e *Engine) Room() int {
	if !e.acknowledges() || len(e.out.q) > 0 && e.out.q[0].Strikes > 0 {
		return 0
	}
	unwritten := e.out.bytes - e.conn.inFlight
	return max(0, min(e.pol.MaxBatch-unwritten, e.window()-e.out.bytes))
}

// window is how many bytes of stanzas may be in flight.
func (e *Engine) window() int { return min(e.fixedWindow(), e.learnedWindow()) }

// fixedWindow is kept to the byte. It is there for the sake of resumptions.
func (e *Engine) fixedWindow() int {
	if w := e.conn.limits.Window; w > 0 && e.state == Active {
		return w
	}
	return math.MaxInt
}

// learnedWindow may be exceeded by a part of a stanza, or a slow server would
// often wait for us between two large ones.
func (e *Engine) learnedWindow() int {
	if e.conn.limits.Window < 0 {
		return math.MaxInt
	}
	return e.pace.window()
}
