package rooms

import (
	"maps"
	"slices"
	"time"
)

const (
	idleAfter = 30 * time.Second // in which somebody who is to carry has sent something of what is due
	idleFor   = time.Hour        // for as long who has not counts as not ready
)

// watchRival has us take over from a gateway that is to carry, and under which
// nothing of what is due gets into the MUC: anybody on the LAN can say of himself that
// he is one, and a session can be dead without knowing it.
func (e *engine) watchRival(now time.Time) {
	g := &e.gates
	rival := e.rival(now)
	if rival != g.watched || g.duty != standing || e.lan.frozen {
		g.watched, g.watchedAt = rival, now
	}
	at := e.idleAt(now)
	if at.IsZero() || now.Before(at) {
		return
	}
	g.others[rival].idle = now.Add(idleFor)
	g.sayNow = true
	e.emit(note{"a gateway says that it carries, and does not", []any{"member", rival}})
}

// idleAt is when who is watched counts as idle; zero: not at all, for nothing is due.
func (e *engine) idleAt(now time.Time) time.Time {
	if e.gates.watched == "" {
		return time.Time{}
	}
	for _, line := range e.due.lines {
		if line.granted || !line.sent.IsZero() || e.isClaimed(now, line) {
			continue
		}
		at := line.came
		if e.gates.watchedAt.After(at) {
			at = e.gates.watchedAt
		}
		return at.Add(idleAfter)
	}
	return time.Time{}
}

// isAccused reports whether another gateway takes us for idle. Then any other is to
// carry, and hears that we are not ready.
func (e *engine) isAccused(now time.Time) bool {
	for _, o := range e.gates.others {
		if o.instead == e.gates.self.id && e.isFit(now, o) {
			return true
		}
	}
	return false
}

// forgive takes nobody for idle any more, since the MUC does not take what we send
// either.
func (e *engine) forgive() {
	for _, o := range e.gates.others {
		if !o.idle.IsZero() {
			o.idle, e.gates.sayNow = time.Time{}, true
		}
	}
}

// idleRival is the id of a gateway in whose place we carry; "": there is none.
func (e *engine) idleRival(now time.Time) string {
	for _, member := range slices.Sorted(maps.Keys(e.gates.others)) {
		if o := e.gates.others[member]; now.Before(o.idle) {
			return o.id
		}
	}
	return ""
}
