package sm

import (
	"strconv"
	"strings"
)

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

// surelyWritten is, without stream management, the number of stanzas that need
// not be kept: those that have been written, but one that is suspected only
// when the server has answered behind it.
func (e *Engine) surelyWritten() int {
	if n := e.out.next; n != 1 || e.out.q[0].Strikes == 0 || e.conn.passed {
		return n
	}
	return 0
}

// pong notes an answer to a ping behind the last stanza. It may be an error: it
// is the order that matters.
func (e *Engine) pong(b []byte) {
	tag := startTag(b)
	id, _ := attribute(tag[min(len("iq"), len(tag)):], "id")
	s, isOurs := strings.CutPrefix(id, pingID)
	n, err := strconv.ParseUint(s, 10, 64)
	if isOurs && err == nil && KindOf(b) == IQ && n > e.conn.pings && n <= e.stats.Requests {
		e.conn.passed = true
	}
}
