package rmulticast

import (
	"errors"
	"slices"
	"time"
)

// Errors of Join and Send.
var (
	ErrName   = errors.New("rmulticast: a name has 1 to 254 bytes")
	ErrState  = errors.New("rmulticast: not in the room")
	ErrJoined = errors.New("rmulticast: joined already")
	ErrFull   = errors.New("rmulticast: too much waits to be sent")
	ErrSize   = errors.New("rmulticast: a message has at least one byte, and at most what the limit says")
)

// A phase is where an engine stands in its life, see the package comment.
type phase uint8

const (
	idle phase = iota
	connecting
	resuming
	connected
	leaving
	closed
)

func (p phase) String() string {
	return [...]string{"idle", "connecting", "resuming", "connected", "leaving", "closed"}[p]
}

// An Engine is one node of one room.
//
// It does no I/O, starts no goroutine and never reads the clock: every input
// carries the time, and every effect is in TakeOutput. It belongs to one
// goroutine. It must be given all datagrams of the room's group, its own too.
type Engine struct {
	cfg    Config
	lim    Limits
	out    Output
	timers timers
	stats  Stats

	phase phase
	self  SenderID
	next  PacketID // of our next reliable packet
	probe probing
	bye   farewell

	at      time.Time // of the last input
	since   time.Time // that we are connected
	heard   time.Time // somebody else, last …
	hearing time.Time // … and since when without a silence
	changed bool      // since TakeOutput: what Snapshot returns
	resume  resumption

	senders map[SenderID]*sender // those of the causal graph and candidates, and us
	order   []*sender            // the same, by id
	graves  []*sender            // gone, oldest first, for repairs
	shunned map[SenderID]shun
	me      *sender

	broken  []*sender // found by delivering, to be failed
	unfreed []*sender // whose packets somebody acknowledged
	cached  int       // bytes in all caches
	held    int       // bytes of messages not delivered

	outbox    outbox
	session   timer // our next SESSION …
	soon      timer // … and one beside the order, for those who miss the end of a burst
	keepalive timer
	ack       timer
	unacked   int // packets of data since we last acknowledged
	asking    pacer
	repairing pacer
	patience  patience

	table membership
}

// New makes an engine that is not in the room yet: Join starts it.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, lim: cfg.Limits.withDefaults()}
	e.asking = pacer{rate: askRate, burst: askBurst}
	e.patience = 1
	e.repairing = pacer{rate: repairRate, burst: repairBurst}
	e.outbox.pace = pacer{rate: e.lim.Rate, burst: burst}
	e.outbox.tempo = newTempo(e.lim.Rate)
	e.probe.timer.fire = e.continueProbing
	e.resume.timer.fire = e.skipKnown
	e.resume.lacks.fire = e.stillLacks
	e.bye.timer.fire = e.continueLeaving
	e.session.fire = e.sendSession
	e.soon.fire = e.sendSession
	e.keepalive.fire = e.sendNoData
	e.ack.fire = e.sendNoData
	e.outbox.timer.fire = func(time.Time) {} // what follows every input
	e.table.attempt.fire = e.sendAttempt
	e.table.quiet.fire = e.quietOver
	e.table.limit.fire = e.joinLate
	e.forget()
	return e
}

// forget drops what we know of others.
func (e *Engine) forget() {
	for _, s := range e.order {
		e.stopTimers(s)
	}
	for _, s := range e.graves {
		e.stopTimers(s)
	}
	e.senders, e.shunned = map[SenderID]*sender{}, map[SenderID]shun{}
	e.order, e.graves, e.broken, e.unfreed, e.me = nil, nil, nil, nil, nil
	e.cached, e.held, e.unacked = 0, 0, 0
	e.resume.said = nil
	for _, t := range []*timer{&e.session, &e.soon, &e.keepalive, &e.ack, &e.probe.timer, &e.bye.timer, &e.outbox.timer, &e.resume.timer, &e.resume.lacks} {
		e.timers.stop(t)
	}
	e.outbox.rewind()
	e.outbox.askedAt = time.Time{}
	e.clearTable()
}

// Join enters the room, or goes on in it where [Config.Resume] says.
func (e *Engine) Join(now time.Time) error {
	switch {
	case len(e.cfg.Name) < 1 || len(e.cfg.Name) > MaxName:
		return ErrName
	case e.phase != idle && e.phase != closed:
		return ErrJoined
	}
	e.at = now
	if len(e.cfg.Resume) > 0 && e.restore(now) {
		e.becomeResuming(now)
		return nil
	}
	e.becomeConnecting(now)
	return nil
}

// HandlePacket takes one received datagram, which nobody changes afterwards: it may
// be kept. Malformed ones are counted.
func (e *Engine) HandlePacket(now time.Time, b []byte) {
	e.stats.PacketsIn++
	p, err := ParsePacket(b)
	if err != nil {
		e.stats.Malformed++
		return
	}
	if p.Sender != e.self && p.Sender != 0 {
		e.stats.Others++
		e.hear(now, p.Type)
	}
	switch e.phase {
	case connecting:
		e.hearProbing(now, &p)
	case resuming:
		e.hearResuming(now, &p, b)
	case connected:
		e.dispatch(now, &p, b)
	case leaving:
		e.hearLeaving(now, &p)
	}
	e.settle(now)
}

// HandleTimeout lets time pass. Calling it early or late is harmless.
func (e *Engine) HandleTimeout(now time.Time) {
	for t := e.timers.take(now); t != nil; t = e.timers.take(now) {
		t.fire(now)
	}
	e.settle(now)
}

// NextTimeout is when to call HandleTimeout; it may be past; zero: never.
func (e *Engine) NextTimeout() time.Time { return e.timers.next() }

// TakeOutput returns what is to be done, and forgets it.
func (e *Engine) TakeOutput() Output {
	out := e.out
	out.Changed = e.changed
	e.out, e.changed = Output{}, false
	return out
}

// Self is our id; 0 while we have none.
func (e *Engine) Self() SenderID {
	if e.me == nil {
		return 0
	}
	return e.self
}

// Members are the other members, by id.
func (e *Engine) Members() (list []Member) {
	for _, s := range e.order {
		if m := e.table.members[s.id]; m != nil && m.state == member {
			list = append(list, s.member())
		}
	}
	return list
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Members, s.Senders, s.Timers = len(e.Members()), len(e.senders)+len(e.graves), len(e.timers.heap)
	s.Cached, s.Held, s.Queued = e.cached, e.held, e.outbox.bytes
	return s
}

// settle does what an input has made possible.
func (e *Engine) settle(now time.Time) {
	e.at = now
	if e.phase == resuming {
		e.judge(now)
	}
	for progress := true; progress && e.phase == connected; {
		progress = false
		for i := 0; i < len(e.order); i++ { // it may change meanwhile: then we come again
			for s := e.order[i]; e.step(now, s); progress = true {
			}
			if e.phase != connected {
				return
			}
		}
		for len(e.broken) > 0 && e.phase == connected {
			s := e.broken[0]
			e.broken = e.broken[1:]
			e.failSender(now, s, Broken)
			progress = true
		}
	}
	if e.phase != connected {
		return
	}
	e.pump(now)
	e.acknowledge(now)
	e.collect()
}

func (e *Engine) event(ev Event) {
	e.out.Events = append(e.out.Events, ev)
	switch ev.(type) {
	case Connected, Joined, Left:
		e.changed = true
	}
}

// emit sends a packet. What does not fit is our own mistake.
func (e *Engine) emit(p *Packet) []byte {
	b, err := AppendPacket(nil, p)
	if err != nil {
		panic(err)
	}
	e.resend(b)
	return b
}

func (e *Engine) resend(b []byte) {
	e.stats.PacketsOut++
	e.out.Datagrams = append(e.out.Datagrams, b)
}

// jitter is a time of the span.
func (e *Engine) jitter(s span) time.Duration {
	return s.lo + time.Duration(e.cfg.Rand.Int64N(int64(s.hi-s.lo)))
}

// arm sets a timer to a time of the span from now.
func (e *Engine) arm(t *timer, now time.Time, s span) { e.timers.set(t, now.Add(e.jitter(s))) }

// sender returns who has the id among the living and the dead.
func (e *Engine) anySender(id SenderID) *sender {
	if s := e.senders[id]; s != nil {
		return s
	}
	if i := slices.IndexFunc(e.graves, func(s *sender) bool { return s.id == id }); i >= 0 {
		return e.graves[i]
	}
	return nil
}
