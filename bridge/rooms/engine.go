package rooms

import (
	"encoding/binary"
	"net/netip"
	"time"

	"meshgate/bridge/internal/bounds"
	"meshgate/bridge/rewrite"
	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/xmppc2s"
)

// An engine is the state of one joined room. It does no I/O, starts no goroutine
// and never reads the clock. It belongs to one goroutine.
type engine struct {
	cfg  *Config
	room Room
	muc  string // its address
	site string
	may  bounds.Names // be heard in the MUC

	lan    lanSide
	net    mucSide
	gates  gateways
	due    due
	held   held
	people people
	told   notices
	said   history

	handover handover

	passed   *bounds.Memory[mark, bool]        // true: it was seen on the other side before it came
	before   map[mark]bool                     // what has passed in runs before
	members  *bounds.Limiter                   // lines of each
	refusal  *bounds.Memory[string, struct{}]  // whom the LAN was told of that they may not be heard
	answers  *bounds.Limiter                   // of questions
	nameless *bounds.Memory[mucKey, time.Time] // live lines without an id, and when they came

	fromLAN, fromMUC Ledger // without Pending
	takenOver        uint64
	noticed          uint64
	tokens           uint64
	settled          time.Time // the last call of settle
	out              []action
}

// A lanSide is how things stand with the Clique room.
type lanSide struct {
	entered   bool
	enteredAt time.Time // or others were met again
	frozen    bool
	frozenAt  time.Time
	others    uint64 // packets that were heard …
	asked     bool   // … when we wanted to know
	cut       bool   // nobody is there, and they have not said good-bye: it may be us who are gone
	group     netip.AddrPort
	heard     time.Time // anybody, last
	pause     time.Time // nothing is sent before that
}

// A mucSide is how things stand with the MUC.
type mucSide struct {
	online      bool // the session is up
	inside      bool
	caught      bool // up with what was missed
	archive     bool // it has one
	membersOnly bool
	earliest    time.Time // line of those that were missed; zero: none was told
	overlaps    bool      // one of those was told before: none in between is missing
	since       time.Time // inside and online without a break
	lost        time.Time // the session was
	nick        string
	refused     string // why we are not inside, in words
}

func (s *mucSide) ready() bool { return s.online && s.inside && s.caught }

const (
	maxPassed   = 8192
	maxNameless = 256
	passedKept  = 30 * 24 * time.Hour
)

// refusalKept is how often the LAN is told at most that a member is not heard.
const refusalKept = time.Hour

// cutFor is how long a room counts as cut off from us, when all its members are
// lost at once: what is said for it meanwhile waits until they are there again.
const cutFor = 10 * time.Minute

// answerRate is how often a question is answered on each side.
var answerRate = bounds.Rate{PerMinute: 6, Burst: 3}

// newEngine makes the engine of a room. before are the marks of former runs.
func newEngine(now time.Time, cfg *Config, room Room, site string, before map[mark]bool) *engine {
	e := &engine{
		cfg: cfg, room: room, muc: room.MUC.String(), site: site, before: before,
		passed:   bounds.NewMemory[mark, bool](maxPassed, passedKept),
		may:      bounds.NewNames(room.Peers, cfg.Contacts),
		refusal:  bounds.NewMemory[string, struct{}](maxMembers, refusalKept),
		members:  bounds.NewLimiter(cfg.Limits.MemberRate, maxMembers),
		answers:  bounds.NewLimiter(answerRate, 2),
		nameless: bounds.NewMemory[mucKey, time.Time](maxNameless, passedKept),
		due:      due{byID: make(map[lineID]*lanLine)},
		held:     held{placing: true, byKey: make(map[mucKey]*mucLine), byToken: make(map[uint64]*mucLine)},
		people:   newPeople(),
		told:     newNotices(),
		handover: newHandover(),
		said:     history{cfg: room.History},
	}
	e.net.since = now
	e.told.lostAt = now
	e.gates = gateways{self: gateway{id: e.newID(), since: now.UnixMilli()}, others: make(map[string]*otherGateway)}
	return e
}

func (e *engine) emit(a action) { e.out = append(e.out, a) }

// takeActions returns what is to be done, in order, and forgets it.
func (e *engine) takeActions() []action {
	out := e.out
	e.out = nil
	return out
}

func (e *engine) token() uint64 {
	e.tokens++
	return e.tokens
}

// newID makes an id that nobody can guess or has used before.
func (e *engine) newID() string {
	b := binary.BigEndian.AppendUint64(nil, e.cfg.Rand.Uint64())
	return encoding.EncodeToString(binary.BigEndian.AppendUint64(b, e.cfg.Rand.Uint64()))
}

// hasPassed reports whether a line has passed, and whether it was seen on the
// other side before it came here.
func (e *engine) hasPassed(now time.Time, m mark) (early, ok bool) {
	if early, ok = e.passed.Get(now, m); ok {
		return early, true
	}
	return false, e.before[m]
}

// pass remembers that a line has passed.
func (e *engine) pass(now time.Time, m mark, early bool) {
	if _, ok := e.hasPassed(now, m); ok {
		return
	}
	e.passed.Put(now, m, early)
	e.emit(remember{m})
}

// handleClique takes an event of the Clique room.
func (e *engine) handleClique(now time.Time, ev clique.Event) {
	switch ev := ev.(type) {
	case clique.Entered:
		e.entered(now, ev)
	case clique.Joined:
		e.joined(now, ev.Members)
	case clique.Left:
		e.left(now, ev)
	case clique.Received:
		e.received(now, ev)
	case clique.Said: // by a run before
		if via, ok := rewrite.ReadVia(ev.Stanza); ok {
			e.heardCarried(now, via)
		}
	case clique.Frozen:
		e.freeze(now, ev.Frozen)
	case clique.Restarted:
		if len(e.people.members) > 0 {
			e.cutOff(now)
		}
		e.lanLost()
	case clique.Closed:
		e.lanLost()
		if ev.Err != nil {
			e.emit(note{"the Clique room is closed", []any{"err", ev.Err}})
		}
	}
	e.settle(now)
}

// freeze notes that nobody can be heard, or can be again.
func (e *engine) freeze(now time.Time, frozen bool) {
	if frozen && !e.lan.frozen {
		e.lan.frozenAt = now
	}
	e.lan.frozen, e.lan.heard = frozen, now
	e.gates.pause(e.lan.frozenAt, now)
	if !frozen {
		e.gates.thawed(now)
	}
}

func (e *engine) entered(now time.Time, ev clique.Entered) {
	e.lan.entered, e.lan.frozen, e.lan.group = true, false, ev.Group
	e.lan.heard, e.lan.enteredAt = now, now
	e.gates.listenTill = now.Add(e.cfg.Timing.Alone)
	if e.lan.cut {
		e.gates.listenTill = now.Add(cutFor)
	}
}

// cutOff notes that all members were lost at once. What was given to the LAN since
// somebody was heard may not be there: others shall not take our word for it.
func (e *engine) cutOff(now time.Time) {
	e.lan.cut = true
	e.holdAgain(now)
}

// lanLost notes that nobody is a member any more, as far as we know.
func (e *engine) lanLost() {
	e.lan.entered, e.lan.frozen = false, false
	e.people.members = make(map[string]bool)
	e.gates.others = make(map[string]*otherGateway)
}

func (e *engine) joined(now time.Time, names []string) {
	if !e.lan.entered {
		e.gates.listenTill = now.Add(listenFor)
	}
	if !e.lan.entered || e.lan.cut {
		e.lan.entered, e.lan.enteredAt = true, now
	}
	listening := now.Before(e.gates.listenTill)
	e.lan.cut = false
	for _, name := range names {
		delete(e.gates.others, name) // who comes again was lost meanwhile
		if len(e.people.members) < maxMembers || e.people.members[name] {
			e.people.members[name] = true
		}
		if !listening {
			e.said.await(now, name)
		}
	}
	e.lan.heard = now
	if listening && now.Before(e.lan.enteredAt.Add(aloneFor)) { // or who comes and goes keeps us listening for ever
		e.gates.listenTill = now.Add(listenFor)
	}
	e.gates.hold(now.Add(joinHold))
	e.gates.sayNow = true
}

func (e *engine) left(now time.Time, ev clique.Left) {
	e.lan.heard = now
	delete(e.people.members, ev.Member)
	e.said.forget(ev.Member)
	if e.gates.others[ev.Member] != nil {
		delete(e.gates.others, ev.Member)
		e.gates.company = now
	}
	if len(e.people.members) == 0 && ev.Why != rmulticast.Said {
		e.cutOff(now)
		e.gates.listenTill = now.Add(cutFor)
	}
}

// handleServer takes an event of the network that is about the session or about
// this MUC.
func (e *engine) handleServer(now time.Time, ev xmppc2s.Event) {
	switch ev := ev.(type) {
	case xmppc2s.Online:
		e.online(now, ev.Resumed)
	case xmppc2s.Offline:
		e.offline(now, ev)
	case xmppc2s.Acknowledged:
		e.acknowledged(ev.Messages)
	case xmppc2s.Undelivered:
		e.undelivered(now, ev)
	case xmppc2s.RoomEntered:
		e.enteredMUC(now, ev)
	case xmppc2s.RoomLost:
		e.lostMUC(now, ev)
	case xmppc2s.RoomOccupant:
		e.occupant(ev)
	case xmppc2s.RoomMessage:
		e.roomMessage(now, ev)
	case xmppc2s.RoomSubject:
		e.subject(ev)
	case xmppc2s.RoomCaughtUp:
		e.caughtUp(now, ev.Start)
	case xmppc2s.RoomRefused:
		e.refused(now, ev)
	}
	e.settle(now)
}

// handleTimeout notes that time has passed. Early or late is harmless.
func (e *engine) handleTimeout(now time.Time) { e.settle(now) }

// settle does what is to be done by now.
func (e *engine) settle(now time.Time) {
	if now.Sub(e.settled) > lease {
		e.due.awake = now
	}
	e.decide(now)
	e.expire(now)
	e.expireHeld(now)
	e.writeAgain(now)
	e.sendDue(now)
	e.sendHeld(now)
	e.spill(now)
	e.tellPutOff(now)
	e.flushNotices(now)
	e.tellHistory(now)
	e.showMembers()
	e.announce(now)
	e.settled = now
}

// nextTimeout is when handleTimeout is wanted; zero: never. What was to be done up
// to the last call has been.
func (e *engine) nextTimeout() (next time.Time) {
	times := e.gates.appendTimes(nil)
	times = e.due.appendTimes(times, e.cfg.Timing.LineKept, e.net.since, e.settled)
	times = e.held.appendTimes(times, e.cfg.Timing, e.lan.pause, e.settled)
	times = e.told.appendTimes(times, e.cfg.Timing.LostTold)
	times = e.said.appendTimes(times)
	times = append(times, e.idleAt(e.settled))
	for _, at := range times {
		if at.After(e.settled) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

func (e *engine) via(id string) rewrite.Via { return rewrite.Via{Site: e.site, Room: e.muc, ID: id} }

func (e *engine) stats() (fromLAN, fromMUC Ledger) {
	fromLAN, fromMUC = e.fromLAN, e.fromMUC
	fromLAN.Pending, fromMUC.Pending = len(e.due.lines), len(e.held.lines)
	return fromLAN, fromMUC
}
