package rmulticast

import "time"

// farewell is how we leave: three BYEs of the same id.
type farewell struct {
	timer timer
	raw   []byte
	sent  int
	again bool // to join anew
}

// Leave leaves the room, which takes a second: Closed tells when it is over.
// What is not sent by then is dropped.
func (e *Engine) Leave(now time.Time) {
	switch e.phase {
	case resuming:
		e.next = e.resume.next // what the others have of us is not said again
		e.becomeLeaving(now, false)
	case connected:
		e.becomeLeaving(now, false)
	case leaving:
		e.bye.again = false
	case connecting:
		e.becomeClosed()
	}
}

// restart leaves with our id and joins with another: the others hold us for lost.
func (e *Engine) restart(now time.Time) {
	if e.phase != connected {
		return
	}
	e.stats.Restarts++
	e.event(Restarted{})
	e.becomeLeaving(now, true)
}

// becomeLeaving says BYE. Until it is over we only answer requests for repair.
func (e *Engine) becomeLeaving(now time.Time, again bool) {
	e.phase = leaving
	e.changed = true
	for _, s := range e.order {
		e.stopTimers(s)
		s.state = stopped
	}
	for _, t := range []*timer{&e.session, &e.soon, &e.keepalive, &e.ack, &e.outbox.timer, &e.resume.timer, &e.resume.lacks} {
		e.timers.stop(t)
	}
	e.clearTable()
	p := &Packet{Type: Bye, Sender: e.self, ID: e.next}
	e.bye.raw, e.bye.again, e.bye.sent = e.emit(p), again, 1
	e.put(e.me, p, e.bye.raw) // the others may have missed all three
	e.timers.set(&e.bye.timer, now.Add(byeInterval))
}

func (e *Engine) continueLeaving(now time.Time) {
	switch {
	case e.bye.sent < byes:
		e.bye.sent++
		e.resend(e.bye.raw)
		e.timers.set(&e.bye.timer, now.Add(byeInterval)) // who misses it then is still answered
	case e.bye.again:
		e.becomeConnecting(now)
	default:
		e.becomeClosed()
	}
}

func (e *Engine) hearLeaving(now time.Time, p *Packet) {
	if s := e.anySender(p.Target); p.Type == RepairRequest && p.Sender != e.self && s != nil {
		e.answerRepair(now, s, p.ID)
	}
}

func (e *Engine) becomeClosed() {
	e.phase = closed
	e.changed = true
	e.forget()
	e.outbox.clear()
	e.event(Closed{})
}
