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
	site     string
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
			g.w.broadcast(g.site, g.name, g.id, g.number, a.stanza)
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
		Site: g.site, Rooms: []Room{{Name: "Witchcraft", MUC: theMUC, Peers: []string{"*"}}},
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
	for _, other := range g.others() {
		if other.lives() && other.informed {
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
	g.in = line{}
	stay := g.stay
	var hear func()
	hear = func() { // somebody's packets, as long as we are here
		if g.stay == stay && g.e != nil {
			if g.entered && !g.isolated && !g.stalled {
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
	if stay := g.stay; slices.ContainsFunc(g.others(), func(o *simGate) bool {
		return o.lives() && (o.e.lan.frozen || o.in.last.After(g.w.now.Add(time.Second)))
	}) {
		// Nobody joins before those who are there have agreed, which sets all of them free:
		// it takes a JOIN of each. One may learn that later than another by the time in
		// which a lost packet is repaired, and not by seconds.
		g.w.after(100*ms, time.Second, func() {
			if g.stay == stay {
				g.joinLAN()
			}
		})
		return
	}
	var names []string
	for _, h := range g.humans() {
		names = append(names, h.name)
	}
	stay := g.stay
	for _, other := range g.others() {
		if other.member && !other.isolated {
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
	for _, other := range g.others() {
		if !other.member {
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
			if other.stay != theirs {
				return
			}
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
		for _, h := range g.humans() {
			g.clique(clique.Left{Member: h.name, Why: rmulticast.Silent})
		}
		for _, other := range g.others() {
			g.clique(clique.Left{Member: other.name, Why: rmulticast.Silent})
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
