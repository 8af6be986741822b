package rmulticast

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A crash is what a node needs to be killed, to come back, and to go on.
type crash struct {
	snapshot []byte              // as stored
	told     int                 // how many messages it had been told by then
	repeats  []heard             // those that it was told after it before it was killed …
	repeated []heard             // … and has been told again …
	sure     int                 // … so many of them before the snapshot
	late     []stored            // snapshots that are not yet: this long a store takes …
	lag      time.Duration       // … which should be no time
	soon     bool                // to die before the next datagrams leave
	after    time.Duration       // and come back after that
	back     time.Time           // when it does; zero: never
	known    map[SenderID]string // whom it was told of before
	owed     []owed              // own messages of which it does not know that they are sent
	heard    func(Sent)
	away     bool // it is dead, or on its way back
	says     bool // now it can say them again
	again    int  // messages told twice
	killed   int
	resumed  int
	lost     int // times that it could not go on …
	needless int // … though all held it for a member, and its snapshot had all
	was      SenderID
	whole    bool     // its snapshot has all that it needs
	sent     []string // what it was told that it had sent
}

type stored struct {
	at   time.Time
	data []byte

	told, repeated int
}

type owed struct {
	stream StreamID
	text   string
}

// killFor kills a node and starts it anew after that.
func (n *node) killFor(d time.Duration) {
	n.crash.after = d
	n.die()
}

func (n *node) die() {
	n.dead, n.until, n.inbox = true, time.Time{}, nil
	n.flushDisk()
	n.crash.late = nil
	n.crash.repeats = slices.Concat(n.crash.repeats, n.crash.repeated[n.crash.sure:], n.got[n.crash.told:])
	n.crash.soon, n.crash.says, n.crash.away = false, false, true
	n.crash.killed++
	n.crash.was, n.crash.whole = n.Self(), len(n.crash.snapshot) > 0 && n.cached < keptOwn-MaxDatagram
	n.crash.back = n.lan.now.Add(n.crash.after)
	n.note("killed")
}

// store keeps a snapshot, as fast as the node's disk does.
func (n *node) store(snapshot []byte) {
	n.crash.late = append(n.crash.late, stored{n.lan.now.Add(n.crash.lag), snapshot, len(n.got), len(n.crash.repeated)})
	n.flushDisk()
}

// flushDisk notes what has come to be kept by now.
func (n *node) flushDisk() {
	c := &n.crash
	for len(c.late) > 0 && !c.late[0].at.After(n.lan.now) {
		c.snapshot, c.told, c.sure, c.late = c.late[0].data, c.late[0].told, c.late[0].repeated, c.late[1:]
	}
}

// revive starts a node that was killed, with what it has stored.
func (n *node) revive() {
	n.dead, n.crash.back = false, time.Time{}
	rng := rand.New(rand.NewPCG(n.lan.rng.Uint64(), 3))
	n.Engine = New(Config{Name: n.name, Rand: rng, Limits: n.limits, Resume: n.crash.snapshot})
	n.enter()
}

// returned takes up what a node knew before it was killed, or drops it.
func (n *node) returned(ev Connected) {
	c := &n.crash
	switch {
	case ev.Resumed:
		c.resumed++
		c.known = n.members
		n.note("resumed")
	case c.away:
		c.lost++
		if c.whole && n.isHeld() {
			c.needless++
		}
		n.life++
		n.note("started anew")
	default:
		return
	}
	c.away, c.says = false, true
	n.members, n.frozen = map[SenderID]string{}, false
}

// isHeld reports whether all others who are there, and have members, hold who the node was
// before it was killed for one.
func (n *node) isHeld() bool {
	holders := 0
	for _, o := range n.lan.nodes {
		if o == n || o.dead || o.phase != connected || len(o.members) == 0 {
			continue
		}
		if r := o.table.members[n.crash.was]; r == nil || r.state != member {
			return false
		}
		holders++
	}
	return holders > 0
}

// remember strikes off what had been sent.
func (n *node) remember(ev Sent) {
	c := &n.crash
	c.sent = append(c.sent, string(ev.Data))
	if c.heard != nil {
		c.heard(ev)
	}
	if i := slices.Index(c.owed, owed{ev.Stream, string(ev.Data)}); i >= 0 {
		c.owed = slices.Delete(c.owed, i, i+1)
	}
}

// sayAgain says what was not sent, after the node has come back.
func (n *node) sayAgain() bool {
	if !n.crash.says {
		return false
	}
	n.crash.says = false
	for _, o := range n.crash.owed {
		if err := n.Send(n.lan.now, o.stream, []byte(o.text)); err != nil {
			n.lan.t.Errorf("%s: %v", n.name, err)
		}
	}
	n.flush()
	return true
}

// settleOwed strikes off what the engine has handed out.
func (n *node) settleOwed() {
	if c := &n.crash; !c.away && len(c.owed) > len(n.outbox.list) {
		c.owed = c.owed[len(c.owed)-len(n.outbox.list):]
	}
}

// toldBefore reports whether the node was told the message before it was killed, and
// after its snapshot. That is once for each kill.
func (n *node) toldBefore(m Message) bool {
	c := &n.crash
	i := slices.IndexFunc(c.repeats, func(h heard) bool {
		return h.from.ID == m.From.ID && h.number == m.Number && h.life == n.life
	})
	if i < 0 {
		return false
	}
	c.repeated = append(c.repeated, c.repeats[i])
	c.repeats = slices.Delete(c.repeats, i, i+1)
	c.again++
	return true
}
