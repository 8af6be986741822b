package rooms

import (
	"slices"
	"strings"
	"time"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

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
	} else {
		g.w.after(time.Second, 3*time.Second, g.whileConnected(func() {
			if !g.occupant { // what says so was still on its way
				g.join()
			}
		}))
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
		g.fromServer(&simInbound{ev: xmppc2s.RoomEntered{Room: theMUC, Nick: g.name, Archive: !g.w.muc.forgets}})
		from := g.seen
		if g.w.muc.forgets {
			from -= 1 + g.w.IntN(3) // a history begins at a second, and what was in it comes again
		}
		for i, s := range g.w.muc.archive {
			if i >= from {
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
	g.w.after(time.Second, 20*time.Second, g.whileConnected(g.rejoin))
}

// rejoin enters the MUC if the client knows by now that it is not in it: what it has
// said before was sent before.
func (g *simGate) rejoin() {
	switch {
	case g.stalled:
		g.w.after(time.Second, 2*time.Second, g.whileConnected(g.rejoin))
	case !g.e.net.inside:
		g.join()
	}
}

// event is a stored line as the client tells it.
func (s simStored) event(g *simGate, number int, stamp time.Time) *simInbound {
	in := &simInbound{number: number}
	if g.w.muc.forgets {
		s.id = ""
	}
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
		switch {
		case !g.occupant:
			g.refuse(s, "modify", stanza.NotAcceptable)
		case g.w.now.Before(g.w.muc.busy) && g.w.IntN(2) == 0:
			g.refuse(s, "wait", stanza.ResourceConstraint)
		default:
			g.w.muc.post(g.name, s.st)
		}
		g.w.after(5*ms, 100*ms, g.whileConnected(func() {
			g.unacked = slices.DeleteFunc(g.unacked, func(u *simSent) bool { return u == s })
			g.server(xmppc2s.Acknowledged{Messages: []xmppc2s.Sent{{ID: s.st.Attr("id")}}})
		}))
	}))
}

// refuse has the MUC not take a line.
func (g *simGate) refuse(s *simSent, kind string, condition stanza.Condition) {
	g.w.logf("the MUC refuses %s: %s", s, condition)
	g.fromServer(&simInbound{ev: xmppc2s.RoomRefused{Room: theMUC, ID: s.st.Attr("id"), Err: &stanza.Error{Type: kind, Condition: condition}}})
}
