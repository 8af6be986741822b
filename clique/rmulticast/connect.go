package rmulticast

import "time"

// probing is the search for an id that nobody has.
type probing struct {
	timer    timer
	sent     int // requests for our own id …
	heard    int // … and those that came back, or from somebody with the same idea
	mistakes int // restarts because of the latter
}

// becomeConnecting picks an id and listens.
func (e *Engine) becomeConnecting(now time.Time) {
	e.phase = connecting
	e.changed = true
	e.forget()
	for e.self = 0; e.self == 0; {
		e.self = SenderID(e.cfg.Rand.Uint32())
	}
	// Ids of gibber's that come near 2^32 make others of it abort: start low.
	e.next = PacketID(1 + e.cfg.Rand.Uint32N(1<<31-1))
	e.probe.sent, e.probe.heard = 0, 0
	e.timers.set(&e.probe.timer, now.Add(probeListen))
}

func (e *Engine) continueProbing(now time.Time) {
	if e.probe.sent == probes {
		e.becomeConnected(now)
		return
	}
	e.probe.sent++
	e.emit(&Packet{Type: WhoisRequest, Target: e.self})
	e.timers.set(&e.probe.timer, now.Add(probeInterval))
}

// hearProbing looks for signs that our id is somebody's.
func (e *Engine) hearProbing(now time.Time, p *Packet) {
	switch {
	case p.Sender == e.self, p.Type == WhoisRequest && p.Target == e.self && p.Sender != 0:
	case p.Type == WhoisRequest && p.Target == e.self:
		// Our own come back to us. A network that doubles them would make us look
		// for ever: with each restart we bear with more.
		if e.probe.heard++; e.probe.heard <= e.probe.sent*(1+e.probe.mistakes) {
			return
		}
		e.probe.mistakes++
	default:
		return
	}
	e.stats.Collisions++
	e.becomeConnecting(now)
}

// becomeConnected makes us a node that others can see.
func (e *Engine) becomeConnected(now time.Time) {
	e.phase, e.since = connected, now
	e.probe.mistakes = 0
	e.addSelf(e.next)
	e.emit(&Packet{Type: WhoisReply, Sender: e.self, Name: e.cfg.Name})
	e.arm(&e.session, now, sessionEvery)
	e.timers.set(&e.keepalive, now.Add(keepaliveEvery))
	e.event(Connected{ID: e.self})
}

// addSelf makes us one of the senders, who starts here.
func (e *Engine) addSelf(start PacketID) {
	e.me = e.newSender(e.self)
	e.me.named, e.me.name = true, e.cfg.Name
	e.me.startAt(start)
	e.me.state = running
	e.insert(e.me)
}
