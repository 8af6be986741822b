package rmulticast

import (
	"container/heap"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var trace = flag.Bool("trace", false, "log every packet and event of the simulated networks")

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A lan is a simulated network in virtual time. Same seed, same run.
type lan struct {
	t       testing.TB
	rng     *rand.Rand
	now     time.Time
	nodes   []*node
	flights flights
	order   uint64

	loss, double float64
	latency      time.Duration // at most
	drop         func(from, to *node, p *Packet) bool
	trace        bool
	packets      int
	puppets      []*puppet
}

// A node is an engine and what its application was told.
type node struct {
	*Engine
	lan    *lan
	name   string
	limits Limits
	side   int // only those of one side hear each other
	dead   bool
	until  time.Time // frozen until then
	off    time.Time // cut off until then
	inbox  [][]byte
	crash  crash

	log      []string // events as text
	got      []heard
	members  map[SenderID]string
	frozen   bool
	sent     int
	changes  int // of its membership
	restarts int
	life     int
	cuts     []cut      // what it had been told when that was
	givenUp  []SenderID // members whom it had given up, and not been told that they left, when it went itself
}

// A cut is where a node stood when somebody came or went.
type cut struct {
	what string
	id   SenderID
	self SenderID         // the node's own
	had  map[SenderID]int // the last message of each other that it had been told
	told int              // how many it had been told in all
	sent int              // and had said itself
	view []SenderID       // who was a member then, itself among them, by id
	turn int              // the same for all who came at once
	life int
}

func (n *node) cut(what string, id SenderID) {
	if n.crash.lag > 0 && slices.ContainsFunc(n.cuts, func(c cut) bool { return c.what == what && c.id == id && c.life == n.life }) {
		return // told again after we were killed
	}
	had := map[SenderID]int{}
	for _, h := range n.got {
		if h.life == n.life {
			had[h.from.ID] = indexOf(h.data)
		}
	}
	view := append(slices.Collect(maps.Keys(n.members)), n.Self())
	slices.Sort(view)
	n.cuts = append(n.cuts, cut{what, id, n.Self(), had, len(n.got), n.sent, view, n.changes, n.life})
}

// indexOf reads the number of a message "name/number …"; 0: it has none.
func indexOf(text string) (i int) {
	_, rest, _ := strings.Cut(text, "/")
	fmt.Sscanf(rest, "%d ", &i)
	return i
}

// A heard is one message that was told.
type heard struct {
	from   Member
	number PacketID
	data   string
	life   int // how often the node had restarted
	stream StreamID
}

type flight struct {
	at    time.Time
	order uint64
	to    *node
	data  []byte
}

type flights []flight

func (f flights) Len() int      { return len(f) }
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f flights) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].order < f[j].order
	}
	return f[i].at.Before(f[j].at)
}
func (f *flights) Push(x any) { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

func newLAN(t testing.TB, seed uint64) *lan {
	return &lan{t: t, trace: *trace, rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, latency: time.Millisecond}
}

// start adds a node that enters the room now.
func (l *lan) start(name string) *node {
	n := l.add(name, Limits{})
	n.enter()
	return n
}

func (l *lan) add(name string, lim Limits) *node {
	l.t.Helper()
	rng := rand.New(rand.NewPCG(l.rng.Uint64(), 2))
	n := &node{Engine: New(Config{Name: name, Rand: rng, Limits: lim}), lan: l, name: name, limits: lim, members: map[SenderID]string{}}
	l.nodes = append(l.nodes, n)
	return n
}

func (n *node) enter() {
	n.lan.t.Helper()
	if err := n.Join(n.lan.now); err != nil {
		n.lan.t.Fatal(err)
	}
	n.flush()
}

func (n *node) say(text string) { n.sayOn(0, text) }

func (n *node) sayOn(stream StreamID, text string) {
	n.lan.t.Helper()
	if err := n.Send(n.lan.now, stream, []byte(text)); err != nil {
		n.lan.t.Fatalf("%s: %v", n.name, err)
	}
	n.flush()
}

// tell is sayOn of somebody who says it again when he has been killed before it was sent.
func (n *node) tell(stream StreamID, text string) {
	n.crash.owed = append(n.crash.owed, owed{stream, text})
	if !n.crash.away {
		n.sayOn(stream, text)
	}
}

func (n *node) quit() {
	n.givenUp = n.failing()
	n.Leave(n.lan.now)
	n.flush()
}

func (n *node) kill() { n.dead, n.givenUp = true, n.failing() }

// failing are the members whom the node has given up, and not everybody else has.
func (n *node) failing() (list []SenderID) {
	for _, r := range n.table.order {
		if r.state == memberFailing {
			list = append(list, r.id)
		}
	}
	return list
}

// flush carries out what the engine wants.
func (n *node) flush() {
	out := n.TakeOutput()
	for _, ev := range out.Events {
		n.take(ev)
	}
	if out.Changed {
		n.store(n.Snapshot())
	}
	if n.crash.soon && len(out.Datagrams) > 0 {
		n.die()
		return
	}
	for _, b := range out.Datagrams {
		n.lan.multicast(n, b)
	}
	if !n.sayAgain() {
		n.settleOwed()
	}
}

func (n *node) take(ev Event) {
	switch ev := ev.(type) {
	case Connected:
		n.returned(ev)
	case Sent:
		n.remember(ev)
	case Joined:
		n.changes++
		var joined []SenderID
		for _, m := range ev.Members {
			if n.crash.known[m.ID] != "" { // told before we were killed
				n.members[m.ID] = m.Name
				continue
			}
			if n.members[m.ID] != "" {
				n.lan.t.Errorf("%s: %s %v joined twice", n.name, m.Name, m.ID)
			}
			n.members[m.ID] = m.Name
			joined = append(joined, m.ID)
		}
		for _, id := range joined {
			n.cut("joined", id)
		}
		n.crash.known = nil
		n.note("joined %s", names(ev.Members))
	case Left:
		n.changes++
		if n.members[ev.ID] == "" {
			n.lan.t.Errorf("%s: %s %v left and was no member", n.name, ev.Name, ev.ID)
		}
		delete(n.members, ev.ID)
		n.cut("left", ev.ID)
		n.note("left %s", ev.Name)
	case Message:
		if n.members[ev.From.ID] != ev.From.Name {
			n.lan.t.Errorf("%s: message of %s, who is no member", n.name, ev.From.Name)
		}
		if n.toldBefore(ev) {
			return
		}
		n.got = append(n.got, heard{ev.From, ev.Number, string(ev.Data), n.life, ev.Stream})
	case Frozen:
		if n.frozen == ev.Frozen {
			n.lan.t.Errorf("%s: told twice that frozen is %v", n.name, ev.Frozen)
		}
		n.frozen = ev.Frozen
	case Restarted:
		n.changes++
		n.restarts++
		n.life++
		clear(n.members)
		n.note("restarted")
	case Closed:
		n.note("closed")
	}
}

func (n *node) note(format string, args ...any) {
	n.log = append(n.log, fmt.Sprintf(format, args...))
	if n.lan.trace {
		n.lan.t.Logf("%8.3f %s *** %s", n.lan.now.Sub(epoch).Seconds(), n.name, n.log[len(n.log)-1])
	}
}

func names(list []Member) (s string) {
	var all []string
	for _, m := range list {
		all = append(all, m.Name)
	}
	slices.Sort(all)
	for i, name := range all {
		if i > 0 {
			s += " "
		}
		s += name
	}
	return s
}

// texts are the messages told, those of one sender or, with "", of all.
func (n *node) texts(from string) (list []string) {
	for _, h := range n.got {
		if from == "" || h.from.Name == from {
			list = append(list, h.data)
		}
	}
	return list
}

// multicast takes a datagram to everybody on the side, also back.
func (l *lan) multicast(from *node, b []byte) {
	l.packets++
	if len(b) > MaxDatagram {
		l.t.Errorf("%s sends %d bytes", from.name, len(b))
	}
	p, err := ParsePacket(b)
	if err != nil {
		l.t.Errorf("%s sends %x: %v", from.name, b, err)
	}
	if l.trace {
		l.t.Logf("%8.3f %s: %v", l.now.Sub(epoch).Seconds(), from.name, &p)
	}
	for _, pup := range l.puppets {
		pup.hear(p)
	}
	for _, to := range l.nodes {
		if to.dead || to.side != from.side || to != from && (l.isOff(to) || l.isOff(from)) || l.drop != nil && l.drop(from, to, &p) {
			continue
		}
		for copies := 1; copies > 0; copies-- {
			if l.rng.Float64() < l.double {
				copies++
			}
			if to != from && l.rng.Float64() < l.loss {
				continue
			}
			l.order++
			at := l.now.Add(10*time.Microsecond + time.Duration(l.rng.Int64N(int64(l.latency))))
			heap.Push(&l.flights, flight{at, l.order, to, b})
		}
	}
}

func (l *lan) isOff(n *node) bool { return n.off.After(l.now) }

// run lets time pass.
func (l *lan) run(d time.Duration) {
	for end := l.now.Add(d); ; {
		n, at := l.soonest()
		if len(l.flights) > 0 && (n == nil || !l.flights[0].at.After(at)) {
			n, at = nil, l.flights[0].at
		} else if n == nil {
			l.now = end
			return
		}
		if at.After(end) {
			l.now = end
			return
		}
		if at.After(l.now) {
			l.now = at
		}
		if n == nil {
			f := heap.Pop(&l.flights).(flight)
			f.to.receive(f.data)
			continue
		}
		n.wake()
	}
}

// soonest is who wants to be called next, and when.
func (l *lan) soonest() (first *node, at time.Time) {
	for _, n := range l.nodes {
		next := n.NextTimeout()
		switch {
		case n.dead:
			next = n.crash.back
		case n.until.After(l.now):
			next = n.until
		}
		if !next.IsZero() && (first == nil || next.Before(at)) {
			first, at = n, next
		}
	}
	return first, at
}

func (n *node) receive(b []byte) {
	switch {
	case n.dead:
	case n.until.After(n.lan.now):
		if len(n.inbox) < 150 { // as a socket's buffer
			n.inbox = append(n.inbox, b)
		}
	default:
		n.HandlePacket(n.lan.now, b)
		n.flush()
	}
}

func (n *node) wake() {
	if n.dead {
		n.revive()
		return
	}
	inbox := n.inbox
	n.inbox = nil
	for _, b := range inbox {
		n.HandlePacket(n.lan.now, b)
		n.flush()
		if n.dead { // what follows in the inbox is gone with it
			return
		}
	}
	n.HandleTimeout(n.lan.now)
	n.flush()
}

// freeze stops a node as SIGSTOP does.
func (n *node) freeze(d time.Duration) { n.until = n.lan.now.Add(d) }

// until runs until the condition holds, at most for d.
func (l *lan) until(d time.Duration, what string, ok func() bool) time.Duration {
	l.t.Helper()
	begin := l.now
	for end := l.now.Add(d); l.now.Before(end); {
		if ok() {
			return l.now.Sub(begin)
		}
		l.run(50 * time.Millisecond)
	}
	if !ok() {
		for _, n := range l.nodes {
			l.t.Logf("%s %v %v: %v, %q", n.name, n.phase, n.table.state, n.members, n.log)
		}
		l.t.Fatalf("not after %v: %s", d, what)
	}
	return l.now.Sub(begin)
}

// together reports whether the nodes are members of each other, and have no others.
func together(nodes ...*node) bool {
	for _, n := range nodes {
		if len(n.members) != len(nodes)-1 {
			return false
		}
		for _, o := range nodes {
			if o != n && n.members[o.Self()] != o.name {
				return false
			}
		}
	}
	return true
}

// meet runs until the nodes are members of each other.
func (l *lan) meet(d time.Duration, nodes ...*node) time.Duration {
	l.t.Helper()
	return l.until(d, "together", func() bool { return together(nodes...) })
}
