package xmppc2s

import (
	"errors"
	"time"
)

// kickPause is the least time between attempts that changes of the network
// bring forward: links come and go many times before they stay.
const kickPause = 2 * time.Second

// NetworkChanged says that the machine may be somewhere else on the net, or has
// slept. Without connection the client tries again at once; with one it asks at
// once whether that is still alive. It may be called from any goroutine and does
// not block.
func (c *Client) NetworkChanged() {
	select {
	case c.moved <- struct{}{}:
	default:
	}
}

// networkChanged takes what NetworkChanged has said.
func (l *loop) networkChanged(now time.Time) {
	l.c.log.Debug("the network may be another", "online", l.online)
	switch {
	case l.tr != nil:
		l.engine.Probe(now)
	case l.dialing:
		l.again = true
		if now.Sub(l.triedAt) >= kickPause {
			l.hangUp() // the packets of that attempt may go nowhere
			l.hungUp = true
		}
	default:
		l.hasten(now)
	}
}

// ConflictOver says that the session for which the server has ended ours with
// conflict was another of our own, and is no more: if the client is offline
// because of that, it tries again at once. It may be called from any goroutine and
// does not block.
func (c *Client) ConflictOver() {
	select {
	case c.alone <- struct{}{}:
	default:
	}
}

func (l *loop) conflictOver(now time.Time) {
	e, ok := errors.AsType[*Error](l.offErr)
	if ok && e.Problem == Conflict && l.tr == nil && !l.dialing {
		l.retryAt = now
	}
}

// hasten brings the next attempt forward, unless it waits for another reason
// than the network.
func (l *loop) hasten(now time.Time) {
	at := now
	if soonest := l.triedAt.Add(kickPause); soonest.After(at) {
		at = soonest
	}
	if l.retryAt.After(at) && passesWithNetwork(l.offErr) {
		l.retryAt = at
	}
}

// passesWithNetwork reports whether another network may be all that is needed
// after err. A certificate may be that of a hotel's door.
func passesWithNetwork(err error) bool {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return true
	case e.Problem.fatal():
		return e.Problem == Untrusted || e.Problem == NoEncryption
	}
	return paceOf(err) == usual
}

var errMoved = &Error{Problem: Unreachable, Text: "the network has changed in the midst of an attempt"}
