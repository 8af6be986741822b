package sm

// maxStrikes is how much may speak against a stanza before it is given up: it
// was in flight once, alone or among others, and then ended the stream alone.
const maxStrikes = 3

// suspect marks what was in flight when the server refused to go on: one of
// these stanzas may be what it refuses. Each is sent alone from now on, so that
// an innocent one is acknowledged, and one that ends the stream again is found.
func (e *Engine) suspect() {
	alone := e.out.next == 1
	for i := range e.out.q[:e.out.next] {
		it := &e.out.q[i]
		switch {
		case alone:
			it.Strikes = max(it.Strikes, 1) + 1
		case it.Strikes == 0:
			it.Strikes = 1
		default:
			continue
		}
		e.record(Enqueued, it.Stanza)
	}
}

// suspected reports whether the next stanza must not be written while others
// are in flight: because of itself or because of the one that is.
func (e *Engine) suspected() bool {
	return e.out.q[e.out.next].Strikes > 0 || e.out.next > 0 && e.out.q[0].Strikes > 0
}
