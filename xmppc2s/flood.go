package xmppc2s

import "time"

// A floodgate does without stream management for a while where it ends each
// session as soon as it has begun.
//
// COMPAT ejabberd with a short max_ack_queue: at a login presences, stored
// messages and the archive come faster than anybody can acknowledge them. What
// was not acknowledged comes again in the next session, all at once, and ends
// that too. A server that counts nothing has no such limit; what is lost with
// the connection then is in the archive.
type floodgate struct {
	row   int       // sessions that ended so, one soon after the other
	shut  int       // how often it was shut, since all went well for long
	plain bool      // it is shut: no stream management …
	until time.Time // … for so long
}

const (
	// floodSoon is how long a session lasts that what comes at its beginning
	// ends.
	floodSoon = 10 * time.Second
	// floodRow is how many of them in a row are no chance.
	floodRow = 2
	// floodCalm is how long it is done without stream management, each time
	// twice as long, up to floodMost.
	floodCalm = time.Minute
	floodMost = time.Hour
)

// ended notes how a session under stream management ended. flood: the server
// has ended it over what it had sent itself.
func (g *floodgate) ended(now time.Time, uptime time.Duration, flood bool) {
	if uptime >= floodSoon {
		g.row = 0
	}
	if uptime >= floodMost {
		g.shut = 0
	}
	if !flood {
		return
	}
	if g.row++; g.row < floodRow && g.shut == 0 {
		return
	}
	g.plain, g.until = true, now.Add(min(floodCalm<<g.shut, floodMost))
	g.shut = min(g.shut+1, 6) // floodMost is less than that
}

// open reports whether a session that begins now may have stream management.
func (g *floodgate) open(now time.Time) bool {
	if g.plain && !now.Before(g.until) {
		g.plain = false
	}
	return !g.plain
}

// enableAt is when a stream that has none since then may have it; zero: never.
func (g *floodgate) enableAt(since time.Time) time.Time {
	if !g.plain {
		return time.Time{}
	}
	if at := since.Add(floodSoon); at.After(g.until) {
		return at
	}
	return g.until
}
