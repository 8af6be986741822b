package rmulticast

import (
	"slices"
	"time"
)

const (
	paceWait    = 10 * time.Millisecond  // between bursts at most
	activeAhead = 3072                   // packets that a node which acknowledges often may not have yet
	stuckLimit  = 3 * time.Second        // after which we do not wait for one that does not
	lonelyAfter = 5 * time.Second        // of hearing nobody; SESSIONs come more often
	brakeTime   = 850 * time.Millisecond // after a request for repair by one of gibber's: if it was in vain there is another by then
	gibberRate  = 700                    // packets a second while there is one: so many fit its window until it asks for a lost one
	slowTime    = 2 * time.Second
	slowRate    = 400       // packets a second for so long after such a request
	againMost   = 256 << 10 // bytes of a message that are said again for somebody who has joined
)

// An outbox holds own messages until they are sent.
type outbox struct {
	list  []outgoing
	bytes int
	pace  pacer
	tempo tempo
	dry   bool  // the pace says that it is enough for now …
	timer timer // … and when more may be sent

	asked   PacketID // the first packet that gibber's nodes asked for lately …
	askedAt time.Time
}

type outgoing struct {
	stream StreamID
	data   []byte
	sent   int
}

// rewind starts the message again that was being sent.
func (o *outbox) rewind() {
	if len(o.list) > 0 {
		o.bytes += o.list[0].sent
		o.list[0].sent = 0
	}
}

// beginAgain is rewind for those who have joined in the middle of the message: they are
// told only of what begins after our JOIN, and all others would be told of it when they
// are members already. gibber, too, takes a message from its last beginning on. A long
// one goes on: while somebody comes again and again it would never end.
func (o *outbox) beginAgain() {
	if len(o.list) > 0 && o.list[0].sent <= againMost {
		o.rewind()
	}
}

func (o *outbox) clear() { o.list, o.bytes = nil, 0 }

// Send queues a message for all members on one of our streams, 0 for documents.
// It is sent as the pace and the slowest member allow, and not before others that
// are there are members, or it shows that nobody is. Nobody changes data afterwards.
func (e *Engine) Send(now time.Time, stream StreamID, data []byte) error {
	switch {
	case e.phase == idle || e.phase == closed || e.phase == leaving && !e.bye.again:
		return ErrState
	case len(data) == 0 || len(data) > e.lim.Message:
		return ErrSize
	case e.outbox.bytes+len(data) > e.lim.Queue && len(e.outbox.list) > 0:
		return ErrFull
	}
	e.outbox.list = append(e.outbox.list, outgoing{stream: stream, data: data})
	e.outbox.bytes += len(data)
	e.settle(now)
	return nil
}

// pump sends what waits, as far as it may.
func (e *Engine) pump(now time.Time) {
	o := &e.outbox
	if len(o.list) == 0 || e.phase != connected || e.table.state == joining {
		e.timers.stop(&o.timer)
		return
	}
	if o.dry && o.timer.isSet() { // packets that leave together cost less
		return
	}
	o.dry = false
	o.pace.fill(now)
	o.pace.setRate(min(e.bearable(now), e.lim.Rate))
	for len(o.list) > 0 && !o.dry && e.mayGoOn(now) {
		if o.dry = !o.pace.take(now); !o.dry {
			e.sendFragment(now)
		}
	}
	switch {
	case len(o.list) == 0:
		e.timers.stop(&o.timer)
	case o.dry:
		e.timers.set(&o.timer, now.Add(o.pace.rest()))
	case o.timer.isSet():
	case e.expects(now):
		e.timers.set(&o.timer, now.Add(time.Second)) // a join phase that ends comes here, too
	default:
		e.timers.set(&o.timer, now.Add(paceWait))
	}
}

// expects reports whether we have no members yet, but may have some soon: they would
// not be told of what we say before.
func (e *Engine) expects(now time.Time) bool {
	if e.table.state == normal && now.Sub(e.since) >= lonelyAfter {
		return false
	}
	return !slices.ContainsFunc(e.table.order, func(r *record) bool { return r.state == member })
}

// bearable is how many packets a second the others bear.
func (e *Engine) bearable(now time.Time) int {
	switch {
	case now.Sub(e.outbox.askedAt) < slowTime:
		return slowRate
	case slices.ContainsFunc(e.order, func(s *sender) bool { return s != e.me && s.state.listed() && !s.active }):
		return gibberRate
	}
	return int(e.outbox.tempo.rate)
}

// mayGoOn reports whether the next packet is not too far ahead of what the others
// have. What gibber's nodes have is only known from what they ask for.
func (e *Engine) mayGoOn(now time.Time) bool {
	o, ok := &e.outbox, true
	if e.behind(now) || e.expects(now) || now.Sub(o.askedAt) < brakeTime && e.next.diff(o.asked) >= gibberWindow {
		return false
	}
	for _, s := range e.order {
		if s == e.me || !s.active || !s.state.listed() || e.next.diff(s.acks[e.self].next) < activeAhead {
			continue
		}
		switch {
		case s.stuckFrom.IsZero():
			s.stuckFrom = now
			ok = false
		case now.Sub(s.stuckFrom) < stuckLimit:
			ok = false
		default:
			s.active = false
		}
	}
	return ok
}

// brake notes that somebody misses a packet of ours.
func (e *Engine) brake(now time.Time, p *Packet) {
	e.sessionSoon(now)
	if s := e.senders[p.Sender]; s == nil || s.active {
		return
	}
	if o := &e.outbox; now.Sub(o.askedAt) >= brakeTime || !o.asked.before(p.ID) {
		o.asked, o.askedAt = p.ID, now
	}
}

func (e *Engine) sendFragment(now time.Time) {
	m := &e.outbox.list[0]
	p := &Packet{Type: Data, Stream: m.stream, Total: uint32(len(m.data))}
	if m.sent == 0 {
		p.Flags = Start
		p.Entries = e.depends()
	}
	size := min(len(m.data)-m.sent, MaxDatagram-dataSize-entrySize*len(p.Entries))
	p.Payload = m.data[m.sent : m.sent+size]
	m.sent += size
	e.outbox.bytes -= size
	if m.sent == len(m.data) {
		p.Flags |= End
		e.stats.Sent++
		e.outbox.list = unshift(e.outbox.list)
	}
	e.transmit(now, p)
	e.outbox.tempo.send(now, e.kin())
	if len(e.outbox.list) == 0 {
		e.sessionSoon(now)
	}
}

// depends is what we have of everybody else.
func (e *Engine) depends() []Entry {
	list := make([]Entry, 0, len(e.order))
	for _, s := range e.order {
		if s != e.me && s.state.listed() {
			list = append(list, Entry{s.id, s.claim()})
		}
	}
	return list
}

// transmit sends a reliable packet, and keeps it. Those but later fragments
// acknowledge what we have.
func (e *Engine) transmit(now time.Time, p *Packet) *slot {
	p.Sender, p.ID = e.self, e.next
	e.next++
	raw := e.emit(p)
	p.Payload = raw[len(raw)-len(p.Payload):]
	e.put(e.me, p, raw)
	e.me.nextIn, e.me.nextOut = e.next, e.next
	e.noteAcks(now, e.me, p)
	e.unfreed = append(e.unfreed, e.me)
	e.changed = true
	if len(p.Entries) > 0 {
		e.unacked = 0
		e.timers.stop(&e.ack)
		e.timers.set(&e.keepalive, now.Add(keepaliveEvery))
	}
	return e.me.cache.get(p.ID)
}

// sendNoData acknowledges what we have, and shows that we are alive.
func (e *Engine) sendNoData(now time.Time) {
	e.timers.stop(&e.keepalive) // alone we say it once
	e.transmit(now, &Packet{Type: NoData, Entries: e.depends()})
}

// owe notes that a packet of data was taken which we have not acknowledged.
func (e *Engine) owe(now time.Time) {
	e.unacked++
	if !e.ack.isSet() {
		e.arm(&e.ack, now, ackDelay)
	}
}

// acknowledge says what we have, if it is much that we have not said yet.
func (e *Engine) acknowledge(now time.Time) {
	if e.unacked >= ackEvery {
		e.sendNoData(now)
	}
}
