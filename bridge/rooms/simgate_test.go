package rooms

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"meshgate/bridge/internal/bounds"
	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// A simGate is a gateway: an engine, what drives it, and what it is connected with.
type simGate struct {
	w        *world
	name     string
	run      int     // of the process; odd: it lives
	e        *engine // nil: it is dead
	wakes    int
	stalled  bool
	informed bool     // it knows what has passed, from what it did or from another
	waiting  []func() // for the stall to end

	// The disk: changes become durable in order, after a moment; marks at once.
	rows map[string][]byte
	ring map[mark]bool
	disk line

	// The Clique room.
	id       rmulticast.SenderID
	number   rmulticast.PacketID
	in, out  line
	entered  bool
	member   bool // others hear us
	isolated bool
	stay     int // in the room

	simSession
}

// A simSession is a gateway's session with the server. Lines that are not
// acknowledged when the connection breaks are given back, if it is known that the
// server has not got them, or there is another session (volatile); else the
// session sends them again.
type simSession struct {
	again    bool // it is not volatile
	conn     int  // odd: there is a connection
	toServer line
	toClient line
	unacked  []*simSent
	inbox    []*simInbound // for the client, and not counted as handled
	occupant bool
	alive    bool // the server knows the session
	seen     int  // archive lines up to which the client has told all and all are done
	undone   []*simInbound
}

type simSent struct {
	st                *stanza.Element
	durable, received bool
}

func (s *simSent) String() string { return s.st.Child(stanza.NSClient, "body").Text() }

type simInbound struct {
	ev         xmppc2s.Event
	number     int // in the archive
	told, done bool
}

func (g *simGate) lives() bool { return g.e != nil }

// input calls the engine, and does what it wants.
func (g *simGate) input(f func(e *engine, now time.Time)) {
	if g.stalled {
		run := g.run
		g.waiting = append(g.waiting, func() {
			if g.run == run {
				g.input(f)
			}
		})
		return
	}
	if g.e == nil {
		return
	}
	f(g.e, g.w.now)
	g.carryOut()
}

func (g *simGate) clique(ev clique.Event) {
	g.w.logf("%s: clique %T", g.name, ev)
	g.input(func(e *engine, now time.Time) { e.handleClique(now, ev) })
}

func (g *simGate) server(ev xmppc2s.Event) {
	g.input(func(e *engine, now time.Time) { e.handleServer(now, ev) })
}

func (g *simGate) carryOut() {
	for actions := g.e.takeActions(); len(actions) > 0; actions = g.e.takeActions() {
		for _, a := range actions {
			g.do(a)
		}
	}
	checkLedger(g)
	g.wakes++
	wake := g.wakes
	if at := g.e.nextTimeout(); !at.IsZero() {
		if !at.After(g.w.now) {
			panic("the engine wants to be called at once")
		}
		g.w.at(at, func() {
			if g.wakes == wake {
				g.input(func(e *engine, now time.Time) { e.handleTimeout(now) })
			}
		})
	}
}

func checkLedger(g *simGate) {
	lan, muc := g.e.stats()
	for _, l := range []Ledger{lan, muc} {
		if l.Entered != l.Ended()+uint64(l.Pending) {
			panic(fmt.Sprintf("%s: the ledger does not balance: %+v", g.name, l))
		}
	}
}

func (g *simGate) do(a action) {
	switch a := a.(type) {
	case sendLAN:
		g.sendLAN(a)
	case sendMUC:
		g.send(a.stanza)
	case write:
		g.onDisk(func() {
			g.change(a.changes)
			if a.token != 0 {
				g.input(func(e *engine, now time.Time) { e.handleWritten(now, a.token, nil) })
			}
		})
	case later:
		g.onDisk(func() { g.change(a) })
	case remember:
		g.ring[a.mark] = true
	case finish:
		for _, f := range a {
			f()
		}
	case note:
		g.w.logf("%s: %s %v", g.name, a.text, a.args)
	}
}

// onDisk calls f when what was written before, and this, is durable, if the
// process lives to see it.
func (g *simGate) onDisk(f func()) {
	run := g.run
	g.disk.carry(g.w, ms, 20*ms, func() {
		if g.run == run {
			f()
		}
	})
}

func (g *simGate) change(changes []Change) {
	for _, c := range changes {
		if c.Value == nil {
			delete(g.rows, string(c.Key))
		} else {
			g.rows[string(c.Key)] = slices.Clone(c.Value)
		}
	}
}

func (g *simGate) sendLAN(a sendLAN) {
	run, stay := g.run, g.stay
	g.out.carry(g.w, 0, 3*ms, func() {
		if g.run != run {
			return
		}
		var err error
		if !g.entered || g.stay != stay {
			err = clique.ErrNoRoom
		} else {
			g.number++
			if a.token != 0 {
				g.w.logf("%s tells the LAN %s", g.name, a.stanza.Child(stanza.NSClient, "body").Text())
			}
			if el := a.stanza.Child(nsGateway, "gateway"); el != nil {
				g.w.logf("%s announces %v", g.name, el)
			}
			g.w.broadcast(g.name, g.id, g.number, a.stanza)
			if a.token != 0 {
				g.ring[a.mark] = true
			}
		}
		if a.token != 0 {
			g.w.after(0, 2*ms, func() {
				if g.run == run {
					g.input(func(e *engine, now time.Time) { e.handleSent(now, a.token, err) })
				}
			})
		}
	})
}

// Life and death of the process.

func (g *simGate) start() {
	g.w.logf("%s starts", g.name)
	g.run++
	cfg := Config{
		Site: "office", Rooms: []Room{{Name: "Witchcraft", MUC: theMUC, Peers: []string{"*"}}},
		Limits: Limits{MemberRate: bounds.Rate{PerMinute: 1e6, Burst: 1e6}, Undone: 3, Window: 4},
		Rand:   rand.New(rand.NewPCG(g.w.Uint64(), 2)), Location: time.UTC,
	}.withDefaults()
	before := make(map[mark]bool)
	for m := range g.ring {
		before[m] = true
	}
	g.e = newEngine(g.w.now, &cfg, cfg.Rooms[0], cfg.Site, before)
	var s saved
	prefix := string(rowKey("Witchcraft", 0, 0)[:len("Witchcraft")+1])
	for key, value := range g.rows {
		s.add([]byte(strings.TrimPrefix(key, prefix)), value)
	}
	g.e.restore(g.w.now, s)
	room := g.e.mucRoom()
	g.seen = len(g.w.muc.archive)
	for i, stored := range g.w.muc.archive {
		if room.After == "" && (room.Since.IsZero() || stored.at.Before(room.Since)) {
			continue
		}
		if room.After == "" || stored.id == room.After {
			g.seen = i
			if room.After != "" {
				g.seen++
			}
			break
		}
	}
	g.carryOut()
	g.enterLAN()
	g.w.after(100*ms, 3*time.Second, g.whileRunning(g.connect))
}

func (g *simGate) whileRunning(f func()) func() {
	run := g.run
	return func() {
		if g.run == run {
			f()
		}
	}
}

// kill ends the process, and what was not durable is gone.
func (g *simGate) kill() {
	g.w.logf("%s is killed", g.name)
	for _, other := range g.w.gates {
		if other != g && other.lives() && other.informed {
			g.informed = false
		}
	}
	g.run++
	g.e, g.stalled, g.waiting = nil, false, nil
	g.isolated = false
	g.cut()
	g.leaveLAN(rmulticast.Silent)
	g.unacked = slices.DeleteFunc(g.unacked, func(s *simSent) bool { return !s.durable })
	for _, in := range g.inbox {
		in.told = false
	}
	g.undone = nil
}

func (g *simGate) stall(d time.Duration) {
	g.w.logf("%s is stopped for %v", g.name, d)
	g.stalled = true
	g.w.at(g.w.now.Add(d), g.whileRunning(func() {
		g.stalled = false
		waiting := g.waiting
		g.waiting = nil
		g.w.logf("%s goes on", g.name)
		for _, f := range waiting {
			f()
		}
	}))
}

// The Clique room.

func (g *simGate) enterLAN() {
	g.stay++
	stay := g.stay
	var hear func()
	hear = func() { // somebody's packets, as long as we are here
		if g.stay == stay && g.e != nil {
			if g.entered && g.member && !g.isolated && !g.stalled {
				g.e.heardLAN(g.w.now)
			}
			g.w.after(time.Second, 2*time.Second, hear)
		}
	}
	hear()
	still := func(f func()) func() {
		return func() {
			if g.stay == stay {
				f()
			}
		}
	}
	g.id = rmulticast.SenderID(g.w.Uint32())
	g.in.carry(g.w, time.Second, 2*time.Second, still(func() {
		g.entered = true
		g.clique(clique.Entered{Room: "Witchcraft"})
		g.w.after(time.Second, 6*time.Second, still(g.joinLAN))
	}))
}

func (g *simGate) joinLAN() {
	if stay := g.stay; slices.ContainsFunc(g.w.gates, func(o *simGate) bool { return o != g && o.lives() && o.e.lan.frozen }) {
		g.w.after(100*ms, time.Second, func() { // nobody joins before those who are there have agreed
			if g.stay == stay {
				g.joinLAN()
			}
		})
		return
	}
	var names []string
	for _, h := range g.w.humans {
		names = append(names, h.name)
	}
	stay := g.stay
	for _, other := range g.w.gates {
		if other != g && other.member && !other.isolated {
			names = append(names, other.name)
			theirs := other.stay
			other.in.carry(g.w, 0, 20*ms, func() {
				if other.stay == theirs && g.stay == stay {
					other.clique(clique.Joined{Room: "Witchcraft", Members: []string{g.name}})
				}
			})
		}
	}
	g.member = true
	g.w.at(g.w.now.Add(4*time.Second), func() {
		g.informed = g.informed || g.stay == stay && !g.isolated
	})
	g.in.carry(g.w, 0, 20*ms, func() {
		if g.stay == stay {
			g.clique(clique.Joined{Room: "Witchcraft", Members: names})
		}
	})
}

// leaveLAN takes the gateway out of the room; the others find out.
func (g *simGate) leaveLAN(why rmulticast.Reason) {
	wasMember := g.member
	g.stay++
	g.member, g.entered = false, false
	if !wasMember {
		return
	}
	for _, other := range g.w.gates {
		if other == g || !other.member {
			continue
		}
		theirs := other.stay
		event := func(ev clique.Event) func() {
			return func() {
				if other.stay == theirs && !other.isolated {
					other.clique(ev)
				}
			}
		}
		g.w.after(3*time.Second, 11*time.Second, func() {
			event(clique.Frozen{Frozen: true})()
			other.in.carry(g.w, 0, 5*time.Second, func() {
				if !g.member {
					event(clique.Left{Member: g.name, Why: why})()
				}
				event(clique.Frozen{Frozen: false})()
			})
		})
	}
}

// isolate cuts the gateway off from the LAN until it has been given up, and more.
func (g *simGate) isolate() {
	w := g.w
	w.logf("%s is cut off from the LAN", g.name)
	g.isolated, g.informed = true, false
	stay := g.stay
	found := time.Duration(8+w.IntN(10)) * time.Second
	w.at(w.now.Add(found), func() {
		if g.stay != stay {
			return
		}
		g.leaveLAN(rmulticast.Silent)
		g.entered = true
		for _, h := range w.humans {
			g.clique(clique.Left{Member: h.name, Why: rmulticast.Silent})
		}
		for _, other := range w.gates {
			if other != g {
				g.clique(clique.Left{Member: other.name, Why: rmulticast.Silent})
			}
		}
		stay := g.stay
		w.after(time.Second, 40*time.Second, func() {
			if g.stay == stay {
				w.logf("%s is on the LAN again", g.name)
				g.isolated, g.entered = false, false
				g.clique(clique.Restarted{})
				g.enterLAN()
			}
		})
	})
}

// The session.

func (g *simGate) connected() bool { return g.conn%2 == 1 }

// connect makes a new session, or resumes the last one.
func (g *simGate) connect() {
	if g.connected() || g.e == nil {
		return
	}
	g.conn++
	resumed := g.alive && g.w.IntN(3) > 0
	g.w.logf("%s is online, resumed %v", g.name, resumed)
	if !resumed {
		g.alive, g.occupant, g.inbox, g.undone = true, false, nil, nil
	}
	unacked := g.unacked
	g.unacked = nil
	g.server(xmppc2s.Online{Resumed: resumed})
	g.clientRoomLost(resumed)
	for _, s := range unacked {
		switch {
		case resumed && s.received:
		case g.again:
			s.received = false
			g.unacked = append(g.unacked, s)
			g.transmit(s)
		default:
			g.w.logf("%s: undelivered %s", g.name, s)
			g.server(xmppc2s.Undelivered{Stanza: s.st, Err: xmppc2s.ErrExpired})
		}
	}
	for _, in := range g.inbox {
		if !in.told {
			g.deliver(in)
		}
	}
	if !resumed || !g.e.net.inside {
		g.w.after(0, 500*ms, g.whileConnected(g.join))
	}
}

func (g *simGate) clientRoomLost(resumed bool) {
	if !resumed {
		g.server(xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomSessionLost})
	}
}

func (g *simGate) whileConnected(f func()) func() {
	conn := g.conn
	return func() {
		if g.conn == conn {
			f()
		}
	}
}

// cut breaks the connection.
func (g *simGate) cut() {
	if g.connected() {
		g.w.logf("%s is offline", g.name)
		g.conn++
		g.server(xmppc2s.Offline{})
	}
}

// join enters the MUC: what was missed, and then what is live.
func (g *simGate) join() {
	g.toServer.carry(g.w, 5*ms, 100*ms, g.whileConnected(func() {
		g.occupant = true
		g.fromServer(&simInbound{ev: xmppc2s.RoomEntered{Room: theMUC, Nick: g.name, Archive: true}})
		for i, s := range g.w.muc.archive {
			if i >= g.seen {
				g.fromServer(s.event(g, i+1, s.at))
			}
		}
		g.fromServer(&simInbound{ev: xmppc2s.RoomCaughtUp{Room: theMUC}})
	}))
}

// kick puts the gateway out of the MUC; it comes again.
func (g *simGate) kick() {
	g.w.logf("%s is kicked", g.name)
	g.occupant = false
	g.fromServer(&simInbound{ev: xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomKicked}})
	g.w.after(time.Second, 20*time.Second, g.whileConnected(g.join))
}

// event is a stored line as the client tells it.
func (s simStored) event(g *simGate, number int, stamp time.Time) *simInbound {
	in := &simInbound{number: number}
	in.ev = xmppc2s.RoomMessage{
		Room: theMUC, Nick: s.nick, Stanza: s.st, ID: s.id, Stamp: stamp, Own: s.nick == g.name,
		OriginID: s.st.Child(stanza.NSSID, "origin-id").Attr("id"),
		Done: func() {
			if in.done {
				panic("a message is done twice")
			}
			in.done = true
			g.handled()
			for len(g.undone) > 0 && g.undone[0].done {
				g.seen = max(g.seen, g.undone[0].number)
				g.undone = g.undone[1:]
			}
		},
	}
	return in
}

// handled counts what is done in the session.
func (g *simGate) handled() {
	for len(g.inbox) > 0 && g.inbox[0].done {
		g.inbox = g.inbox[1:]
	}
}

func (g *simGate) fromServer(in *simInbound) {
	g.inbox = append(g.inbox, in)
	g.deliver(in)
}

func (g *simGate) deliver(in *simInbound) {
	if !g.connected() {
		return
	}
	g.toClient.carry(g.w, 5*ms, 100*ms, g.whileConnected(func() {
		if in.told {
			return
		}
		in.told = true
		if m, ok := in.ev.(xmppc2s.RoomMessage); ok {
			if in.done { // of a process before
				in.done = false
			}
			g.undone = append(g.undone, in)
			g.w.logf("%s: %s", g.name, m.Stanza.Child(stanza.NSClient, "body").Text())
		} else {
			in.done = true
			g.handled()
		}
		g.server(in.ev)
	}))
}

func (g *simGate) send(st *stanza.Element) {
	s := &simSent{st: st}
	g.w.logf("%s sends %s", g.name, s)
	g.unacked = append(g.unacked, s)
	if _, words, _ := strings.Cut(s.String(), "] "); g.e.gates.duty != carrying {
		g.w.said[words].handed = true
	}
	g.onDisk(func() {
		s.durable = true
		if g.connected() {
			g.transmit(s)
		}
	})
}

// transmit brings a line to the server, which acknowledges it.
func (g *simGate) transmit(s *simSent) {
	g.toServer.carry(g.w, 5*ms, 100*ms, g.whileConnected(func() {
		if s.received {
			return
		}
		s.received = true
		g.w.logf("the server has %s", s)
		if g.occupant {
			g.w.muc.post(g.name, s.st)
		} else {
			g.fromServer(&simInbound{ev: xmppc2s.RoomRefused{Room: theMUC, ID: s.st.Attr("id"), Err: &stanza.Error{Type: "modify", Condition: stanza.NotAcceptable}}})
		}
		g.w.after(5*ms, 100*ms, g.whileConnected(func() {
			g.unacked = slices.DeleteFunc(g.unacked, func(u *simSent) bool { return u == s })
			g.server(xmppc2s.Acknowledged{Messages: []xmppc2s.Sent{{ID: s.st.Attr("id")}}})
		}))
	}))
}
