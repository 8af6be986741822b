package sm

import "time"

// Probe says that there is reason to doubt the connection, as when the network
// is another. An acknowledgement is asked for at once, and unless something
// arrives within ProbeTimeout the connection is dead.
func (e *Engine) Probe(now time.Time) {
	if e.state != Offline && e.conn.probed.IsZero() {
		e.conn.probed = now
	}
}

// heard notes that something has arrived.
func (e *Engine) heard(now time.Time) {
	e.conn.received, e.conn.probed = now, time.Time{}
}

// ProbeEnds is when a probe has failed; zero: there is none. The answer may wait
// behind what a slow server has still to read.
func (e *Engine) ProbeEnds() time.Time {
	if e.conn.probed.IsZero() {
		return time.Time{}
	}
	return e.conn.probed.Add(e.pace.patience(e.conn.inFlight, e.pol.ProbeTimeout))
}
