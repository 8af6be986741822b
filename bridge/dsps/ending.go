package dsps

import (
	"slices"
	"time"
)

// endWithoutMasters: "Stream exists from its "create"ion time to the time when
// there are no more "master" peers registered with the stream." XEP-0037, Stream shutdown
func (e *Engine) endWithoutMasters(now time.Time, s *streamState) {
	switch {
	case s.phase > ending || s.masters() > 0:
	case s.finishing > 0:
		e.becomeEnding(now, s)
	default:
		e.becomeEnding(now, s)
		e.becomeDraining(s)
	}
}

// becomeEnding lets nobody in any more.
func (e *Engine) becomeEnding(now time.Time, s *streamState) {
	if s.phase != ending {
		s.phase = ending
		s.timer = timer{number: uint64(s.id), due: func(now time.Time) { e.hurry(now, s) }}
		e.timers.set(&s.timer, now, e.cfg.Drain)
	}
	for _, p := range slices.Clone(s.peers) {
		if !p.registered() {
			e.notifyDropped(p, nil)
			e.remove(p)
		}
	}
}

func (e *Engine) becomeDraining(s *streamState) {
	s.phase = draining
	e.do(Action{Do: Drain, Stream: s.id})
}

// hurry has those cut off who hold up the end of a stream: "DSPS will make sure that
// all the data sent by all the "master" peers was actually copied to all the "slave"
// peers still present" (XEP-0037, Stream shutdown) says not for how long, and one
// who takes a byte now and then would hold up everybody for ever.
func (e *Engine) hurry(now time.Time, s *streamState) {
	e.do(Action{Do: Hurry, Stream: s.id})
	e.timers.set(&s.timer, now, e.cfg.Drain)
}

// HandleDrained takes the answer to Drain: whoever is left is dropped.
func (e *Engine) HandleDrained(id StreamID) {
	s := e.streams[id]
	if s == nil || s.phase != draining {
		return
	}
	s.phase = gone
	e.timers.stop(&s.timer)
	for _, p := range slices.Clone(s.peers) {
		if c := p.conn; c != nil {
			p.conn = nil
			c.peer, c.state = nil, flushing
			e.do(Action{Do: Flush, Conn: c.id})
		}
		e.notifyDropped(p, nil)
		e.remove(p)
	}
	for side := range s.doors {
		e.closeDoor(s, side)
	}
	e.forgetRelay(s)
	delete(e.streams, id)
	e.do(Action{Do: Forget, Stream: id})
}
