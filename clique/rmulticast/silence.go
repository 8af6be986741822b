package rmulticast

import "time"

// hear notes that somebody else is heard. What others may repeat does not count: we may
// have sent it ourselves.
func (e *Engine) hear(now time.Time, t Type) {
	if t.reliable() || t == WhoisReply {
		return
	}
	if e.silent(now) {
		e.hearing = now
	}
	e.heard = now
}

// silent reports whether nobody is heard: one of the others says SESSION within that time.
func (e *Engine) silent(now time.Time) bool { return now.Sub(e.heard) >= sessionEvery.hi }

// listened is for how long we have heard others, since we came back.
func (e *Engine) listened(now time.Time) time.Duration {
	switch {
	case e.silent(now):
		return 0
	case e.hearing.After(e.resume.since):
		return now.Sub(e.hearing)
	}
	return now.Sub(e.resume.since)
}
