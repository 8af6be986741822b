package rmulticast

import (
	"slices"
	"time"
)

// A senderState only goes on to later ones.
type senderState uint8

const (
	fresh         senderState = iota // its start is not known
	preparing                        // it is, and nothing was taken
	running                          // a packet was
	dataRunning                      // a message was told
	failed                           // what others had of it is still taken
	unknownFailed                    // failed while fresh
	stopped                          // we are leaving
	buried                           // kept for repairs only
)

func (s senderState) String() string {
	return [...]string{"fresh", "preparing", "running", "data running", "failed", "unknown failed", "stopped", "buried"}[s]
}

// listed reports whether we tell others what we have of the sender.
func (s senderState) listed() bool { return s >= preparing && s <= dataRunning }

// ordered reports whether packets of the sender are put in order.
func (s senderState) ordered() bool { return s >= preparing && s <= failed }

// An ack is what a sender has acknowledged of another.
type ack struct {
	next PacketID // it has everything before …
	in   PacketID // … and first said so in this packet of its own
}

// A mark is an id that may be unset.
type mark struct {
	set bool
	at  PacketID
}

// A sender is what we know of one node.
type sender struct {
	id    SenderID
	name  string
	named bool
	state senderState

	cache   cache
	nextIn  PacketID // after the highest that was received
	nextOut PacketID // next in order
	floor   mark     // before we were killed we had said that we have everything before this
	goal    PacketID // when we came back it was at least here
	acks    map[SenderID]ack

	open  []*message // not complete, in order of their starts
	ready []*message // complete, not told yet
	hold  mark       // messages that end at or after it wait
	data  mark       // messages that start before it are not for us; unset: none is
	end   mark       // of a failed one: nothing from it on is taken

	whois  timer // to ask for its name, or to answer who asks
	unseen timer // until it must have a name
	idle   timer // until something must be in order; of a grave: until it is closed

	active    bool      // it acknowledges often, which gibber does not
	spokeAt   time.Time // that it last acknowledged anything
	stuckFrom time.Time // since when we wait for its acknowledgement; zero: we do not
	removed   time.Time // of a grave
}

func (s *sender) member() Member { return Member{ID: s.id, Name: s.name} }

// nextData is the next id in order of messages: everything before is told.
func (s *sender) nextData() PacketID {
	if len(s.ready) > 0 {
		return s.ready[0].end
	}
	return s.nextOut
}

// claim is what we say that we have: never less than we said before.
func (s *sender) claim() PacketID {
	if s.floor.set && s.nextOut.before(s.floor.at) {
		return s.floor.at
	}
	return s.nextOut
}

// startAt sets from where on packets are taken.
func (s *sender) startAt(id PacketID) {
	s.cache = cache{first: id}
	s.nextIn, s.nextOut = id, id
	if s.state == fresh {
		s.state = preparing
	}
}

func (e *Engine) newSender(id SenderID) *sender {
	s := &sender{id: id, acks: map[SenderID]ack{}}
	s.whois.fire = func(now time.Time) { e.whoisDue(now, s) }
	s.unseen.fire = func(now time.Time) { e.failSender(now, s, Silent) }
	s.idle.fire = func(now time.Time) {
		if s.state == buried {
			e.visitGrave(now, s)
			return
		}
		e.failSender(now, s, Silent)
	}
	return s
}

func (e *Engine) insert(s *sender) {
	e.senders[s.id] = s
	i, _ := slices.BinarySearchFunc(e.order, s.id, func(s *sender, id SenderID) int {
		if s.id < id {
			return -1
		}
		return 1
	})
	e.order = slices.Insert(e.order, i, s)
}

// addSender makes a node known, and asks for its name. It returns nil if there is
// no room for it, or it is gone for good.
func (e *Engine) addSender(now time.Time, id SenderID) *sender {
	if s := e.senders[id]; s != nil {
		return s
	}
	switch {
	case id == 0 || id == e.self || e.isBuried(now, id):
		return nil
	case len(e.order) > e.lim.Members: // we are one of them
		e.stats.Refused++
		return nil
	}
	s := e.newSender(id)
	e.insert(s)
	e.arm(&s.whois, now, whoisFirst)
	e.timers.set(&s.unseen, now.Add(nameLimit))
	return s
}

// giveStart sets or moves the start of a sender that is no member yet: no JOIN
// of it can be before that.
func (e *Engine) giveStart(s *sender, at PacketID) {
	switch {
	case s.state == fresh:
		s.startAt(at)
	case s.state.listed() && s.nextIn.before(at):
		e.clearCache(s)
		s.startAt(at)
		s.open, s.ready = nil, nil
	}
}

// clearCache drops the packets and messages of a sender.
func (e *Engine) clearCache(s *sender) {
	for _, sl := range s.cache.slots {
		if sl != nil {
			e.timers.stop(&sl.timer)
			e.cached -= len(sl.raw)
		}
	}
	s.cache.slots = nil
	e.dropMessages(s)
}

// stopTimers stops all that is due for a sender.
func (e *Engine) stopTimers(s *sender) {
	for _, t := range []*timer{&s.whois, &s.unseen, &s.idle} {
		e.timers.stop(t)
	}
	for _, sl := range s.cache.slots {
		if sl != nil {
			e.timers.stop(&sl.timer)
			sl.repeating = false
		}
	}
}

// becomeFailed lets the sender go on up to what we have taken, or to what others
// turn out to have.
func (s *sender) becomeFailed() {
	switch {
	case s.state.listed():
		s.state = failed
		s.end = mark{true, s.nextOut}
	case s.state == fresh:
		s.state = unknownFailed
	}
}

// failSender is where the causal layer gives a sender up.
func (e *Engine) failSender(now time.Time, s *sender, why Reason) {
	if e.senders[s.id] != s || e.phase != connected {
		return
	}
	e.fail(now, s.id, 0, why)
}
