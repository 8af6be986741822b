package xmppc2s

import (
	"time"

	"meshgate/xmppc2s/sm"
)

// leave sends what waits, as far as StopTimeout allows, and ends the
// connection: for good, or so that the session could be resumed.
func (l *loop) leave() {
	deadline := time.NewTimer(l.cfg.StopTimeout)
	defer deadline.Stop()
	for l.tr != nil && !l.settled() {
		now := time.Now()
		l.collect(now)
		l.write(now)
		l.alarm.Set(l.nextAlarm(time.Now()))
		if !l.leaveStep(deadline.C) {
			break
		}
	}
	if l.tr == nil {
		return
	}
	l.farewell()
	if l.tr != nil {
		l.tr.close()
		l.tr = nil
	}
	l.engine.Lost(sm.Broken)
	l.c.counts.online.Store(false)
}

// settled reports whether everything is sent and acknowledged.
func (l *loop) settled() bool {
	l.gauge()
	return l.c.queued.Load() == 0 && !l.tr.busy
}

// leaveStep is step for a loop that takes nothing new. It reports false when
// time is up.
func (l *loop) leaveStep(deadline <-chan time.Time) bool {
	select {
	case <-deadline:
		return false
	case <-l.c.inbox.C():
	case <-l.c.dones.C():
	case a := <-l.arrivals():
		l.arrived(time.Now(), a)
	case err := <-l.written():
		l.wrote(time.Now(), err)
	case err := <-l.keeper.results:
		l.keptRecords(time.Now(), err)
	case <-l.alarm.C():
		l.timeout(time.Now())
	}
	return true
}

// farewell writes the last h and, if the stream is to be closed, waits for the
// server to close its side.
func (l *loop) farewell() {
	limit := time.NewTimer(lastWords)
	defer limit.Stop()
	if l.tr.busy {
		select {
		case <-l.tr.wrote:
			l.tr.busy = false
		case <-limit.C:
			return
		}
	}
	l.collect(time.Now())
	l.buf = l.engine.AppendFarewell(nil)
	if l.c.closing.Load() {
		l.buf = append(l.buf, "</stream:stream>"...)
	}
	if len(l.buf) == 0 || !l.settleJournal(limit.C) {
		return
	}
	l.tr.send(l.buf)
	select {
	case err := <-l.tr.wrote:
		if err != nil || !l.c.closing.Load() {
			return
		}
	case <-limit.C:
		return
	}
	l.awaitClose(limit.C)
}

// awaitClose reads until the server has closed its side: its last
// acknowledgement comes before that.
func (l *loop) awaitClose(limit <-chan time.Time) {
	for {
		select {
		case a := <-l.tr.arrived:
			for _, f := range a.frames {
				if l.frame(time.Now(), f) != nil {
					return
				}
			}
			if a.err != nil {
				return
			}
		case <-limit:
			return
		}
	}
}

// discardVerdict closes a connection that came too late.
func (l *loop) discardVerdict() {
	select {
	case v := <-l.verdicts:
		if v.link != nil {
			v.link.raw.Close()
		}
	default:
	}
}

// reportLeft reports every message that will not be sent any more, after what
// was still to be said. What the journal has is for the next start.
func (l *loop) reportLeft() {
	l.collect(time.Now())
	if l.c.closing.Load() {
		l.engine.Forget()
	}
	limit := time.NewTimer(lastWords)
	defer limit.Stop()
	l.settleJournal(limit.C)
	l.tellSure()
	l.abandonQueue()
	l.gauge()
	for _, ev := range l.pending {
		l.teller.events <- ev // it is still there and does not stop before this
	}
}
