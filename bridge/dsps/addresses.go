package dsps

import (
	"math/rand/v2"
	"time"
)

// Addresses decides which address of ours stands for which stream. "A peer may
// be registered to multiple streams from the same full JID, hence all DSPS
// full JIDs linked to a given peer must be unique." XEP-0037, Accepting an invite
//
// Clients may be on several networks, the sides, from each of which other addresses
// of ours are reached.
//
// It is called by the engine, in its goroutine, and must not wait.
type Addresses interface {
	// IsService reports whether streams are created, and public ones listed, at addr.
	IsService(addr JID) bool
	// Canonical is an address of ours as it was assigned, if others may say it in
	// another way; or else addr.
	Canonical(addr JID) JID
	// Side is that of a client, from 0 up to below Config.Sides.
	Side(client JID) int
	// Assign gives the address that client, who is on that side, uses for one
	// stream more: one that is not taken. It is taken until Release. A client of
	// "" is whoever joins a public stream.
	Assign(side int, client JID, taken func(JID) bool) (JID, Grant)
	// Release says that client does not use addr any more.
	Release(client, addr JID)
	// Lost reports whether nobody can reach us at addr any more.
	Lost(addr JID) bool
}

// A Grant is what has come of asking for an address.
type Grant uint8

// The grants.
const (
	None  Grant = iota // there is no address now
	Given              // here it is
	Later              // perhaps, when HandleAddresses is called: it will be
)

const (
	// maxHeld is how many requests wait for an address, and maxHeldEach how many
	// of one client.
	maxHeld     = 64
	maxHeldEach = 4
)

// A heldRequest waits for an address.
type heldRequest struct {
	iq      IQ
	invited *peerState // whose answer it is; nil: nobody's
}

// hold keeps a request until HandleAddresses, or reports false.
func (e *Engine) hold(iq IQ, invited *peerState) bool {
	n := 0
	for _, h := range e.held {
		if h.iq.From.fold() == iq.From.fold() {
			n++
		}
	}
	if len(e.held) >= maxHeld || n >= maxHeldEach {
		return false
	}
	e.held = append(e.held, heldRequest{iq, invited})
	return true
}

// HandleAddresses takes that Assign may give others than before, or that addresses
// are lost. Requests that wait are made again, and public streams can be joined
// from where they could not.
func (e *Engine) HandleAddresses(now time.Time) {
	held := e.held
	e.held = nil
	for _, h := range held {
		if h.invited == nil {
			e.dispatch(now, e.pairs[pair{h.iq.From, h.iq.To}.fold()], h.iq)
		} else if !h.invited.registered() && h.invited.on() {
			e.accept(now, h.invited, h.iq)
		}
	}
	for _, s := range e.byAge() {
		e.openDoors(s)
	}
}

// assign gives an address for one stream more of client.
func (e *Engine) assign(client JID) (JID, Grant) {
	a := e.cfg.Addresses
	return a.Assign(a.Side(client), client, func(a JID) bool { return e.pairs[pair{client, a}.fold()] != nil })
}

// openDoor lets a public stream be joined from a side, if it cannot be already.
func (e *Engine) openDoor(s *streamState, side int) Grant {
	if at := s.doors[side]; at != "" {
		if !e.cfg.Addresses.Lost(at) {
			return Given
		}
		e.closeDoor(s, side)
	}
	at, g := e.cfg.Addresses.Assign(side, "", func(a JID) bool { return e.publics[a.fold()] != nil })
	if g == Given {
		s.doors[side] = at
		e.publics[at.fold()] = s
	}
	return g
}

// openDoors does so from all sides, as far as there are addresses.
func (e *Engine) openDoors(s *streamState) {
	if s.maxPublic > 0 && s.phase == open {
		for side := range s.doors {
			e.openDoor(s, side)
		}
	}
}

func (e *Engine) closeDoor(s *streamState, side int) {
	if at := s.doors[side]; at != "" {
		s.doors[side] = ""
		delete(e.publics, at.fold())
		e.cfg.Addresses.Release("", at)
	}
}

// everywhere is what Addresses of one network have in common, whose names do not change.
type everywhere struct{}

func (everywhere) Canonical(addr JID) JID { return addr }
func (everywhere) Side(JID) int           { return 0 }
func (everywhere) Release(JID, JID)       {}
func (everywhere) Lost(JID) bool          { return false }

// Resources is Addresses with as many as are wanted: those of a component, or
// of a name on a mesh, told apart by resources nobody can guess.
type Resources struct {
	everywhere
	Bare JID
	Rand *rand.Rand
}

// IsService is true of the bare address.
func (r Resources) IsService(addr JID) bool { return addr.fold() == r.Bare.fold() }

// Assign makes an address.
func (r Resources) Assign(int, JID, func(JID) bool) (JID, Grant) {
	return r.Bare + "/" + JID(secret(r.Rand)), Given
}

// OneJID is Addresses with one, which is the service's too: each client has one
// stream at a time, and one stream is public.
func OneJID(addr JID) Addresses { return oneJID{addr: addr} }

type oneJID struct {
	everywhere
	addr JID
}

func (o oneJID) IsService(addr JID) bool { return addr.fold() == o.addr.fold() }

func (o oneJID) Assign(_ int, _ JID, taken func(JID) bool) (JID, Grant) {
	if taken(o.addr) {
		return "", None
	}
	return o.addr, Given
}
