package mdns

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const testType = "_test._tcp"

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A simLAN is a link with engines on it in virtual time. Loss, duplication and
// delay of packets come from a seed. A sender always hears itself, at once.
type simLAN struct {
	t         *testing.T
	rng       *rand.Rand
	now       time.Time
	nodes     []*simNode
	flight    flight
	seq       int
	loss, dup float64
	maxDelay  time.Duration
	reflect   time.Duration // a reflector sends everything once more, within so long; zero: there is none
	sent      []Datagram    // everything, in order
	tap       func(from *simNode, d Datagram)
	mangle    func(b []byte) []byte // packets on their way
}

type simNode struct {
	lan    *simLAN
	e      *Engine
	addr   netip.Addr
	up     bool
	side   int // of a link that has fallen in two
	events []Event
	names  map[ServiceID]string // by Established
	seen   map[string]Entry     // by Appeared, Changed, Vanished
	lost   []string             // names lost after Established
}

type delivery struct {
	at  time.Time
	seq int
	to  *simNode
	p   Packet
}

type flight []delivery

func (f flight) Len() int { return len(f) }
func (f flight) Less(i, j int) bool {
	return cmp.Or(f[i].at.Compare(f[j].at), cmp.Compare(f[i].seq, f[j].seq)) < 0
}
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)   { *f = append(*f, x.(delivery)) }
func (f *flight) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

func newLAN(t *testing.T, seed uint64) *simLAN {
	return &simLAN{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, maxDelay: 5 * time.Millisecond}
}

// host adds a node and brings its link up.
func (l *simLAN) host(label string, cfg Config) *simNode {
	cfg.Host = label
	cfg.Rand = rand.New(rand.NewPCG(l.rng.Uint64(), 2))
	if cfg.Browse == nil {
		cfg.Browse = []string{testType}
	}
	n := &simNode{
		lan: l, e: NewEngine(l.now, cfg), addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(len(l.nodes) + 1)}),
		names: map[ServiceID]string{}, seen: map[string]Entry{},
	}
	l.nodes = append(l.nodes, n)
	n.link(true)
	return n
}

func (n *simNode) link(up bool) {
	n.up = up
	if up {
		n.e.SetAddrs(n.lan.now, []netip.Addr{n.addr})
	} else {
		n.e.SetAddrs(n.lan.now, nil)
	}
	n.flush()
}

// crash takes the node off the link without a word.
func (n *simNode) crash() { n.up = false; n.lan.nodes = remove(n.lan.nodes, n) }

func (n *simNode) register(s Service) {
	n.lan.t.Helper()
	if s.Type == "" {
		s.Type = testType
	}
	if s.Port == 0 {
		s.Port = 5298
	}
	if err := n.e.Register(n.lan.now, s); err != nil {
		n.lan.t.Fatal(err)
	}
	n.flush()
}

func (n *simNode) setText(id ServiceID, text ...string) {
	n.e.SetText(n.lan.now, id, text)
	n.flush()
}

func (n *simNode) unregister(id ServiceID) {
	n.e.Unregister(n.lan.now, id)
	delete(n.names, id)
	n.flush()
}

func (n *simNode) flush() {
	out := n.e.TakeOutput()
	for _, ev := range out.Events {
		n.note(ev)
	}
	for _, d := range out.Datagrams {
		n.lan.send(n, d)
	}
}

func (n *simNode) note(ev Event) {
	n.events = append(n.events, ev)
	switch ev := ev.(type) {
	case Established:
		if old := n.names[ev.ID]; old != "" && old != ev.Instance {
			n.lost = append(n.lost, old)
		}
		n.names[ev.ID] = ev.Instance
	case Appeared:
		n.seen[ev.Instance] = ev.Entry
	case Changed:
		n.seen[ev.Instance] = ev.Entry
	case Vanished:
		delete(n.seen, ev.Instance)
	}
}

func (l *simLAN) send(from *simNode, d Datagram) {
	l.sent = append(l.sent, d)
	if l.tap != nil {
		l.tap(from, d)
	}
	if !from.up {
		return
	}
	if l.mangle != nil {
		d.Data = l.mangle(d.Data)
	}
	p := Packet{Data: d.Data, Src: netip.AddrPortFrom(from.addr, mdnsPort), Unicast: d.To.IsValid()}
	if l.reflect > 0 && !p.Unicast {
		echo := Packet{Data: reflected(l.t, d.Data), Src: reflector}
		after := time.Duration(l.rng.Int64N(int64(l.reflect)))
		for _, to := range l.nodes {
			if to.side == from.side {
				l.deliver(to, echo, after)
			}
		}
	}
	for _, to := range l.nodes {
		switch {
		case p.Unicast && d.To.Addr() != to.addr, !to.up, to.side != from.side:
		case to == from:
			l.deliver(to, p, 0)
		default:
			l.maybe(to, p)
		}
	}
}

func (l *simLAN) maybe(to *simNode, p Packet) {
	for {
		if l.rng.Float64() >= l.loss {
			l.deliver(to, p, time.Millisecond+time.Duration(l.rng.Int64N(int64(l.maxDelay))))
		}
		if l.rng.Float64() >= l.dup {
			return
		}
	}
}

func (l *simLAN) deliver(to *simNode, p Packet, after time.Duration) {
	l.seq++
	heap.Push(&l.flight, delivery{l.now.Add(after), l.seq, to, p})
}

// run lets time pass.
func (l *simLAN) run(d time.Duration) {
	l.t.Helper()
	end := l.now.Add(d)
	for spins := 0; ; {
		at, node := l.next()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(l.now) {
			l.now, spins = at, 0
		}
		if spins++; spins > 100_000 {
			l.t.Fatalf("time stands still at %v", l.now.Sub(epoch))
		}
		if node != nil {
			node.e.HandleTimeout(l.now)
			node.flush()
			continue
		}
		x := heap.Pop(&l.flight).(delivery)
		if x.to.up {
			x.to.e.HandlePacket(l.now, x.p)
			x.to.flush()
		}
	}
	l.now = end
}

// next is the earliest thing to happen: a time-out of a node, or the first
// packet in flight.
func (l *simLAN) next() (at time.Time, node *simNode) {
	if len(l.flight) > 0 {
		at = l.flight[0].at
	}
	for _, n := range l.nodes {
		if t := n.e.NextTimeout(); !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at, node = t, n
		}
	}
	return at, node
}

func (n *simNode) wantName(reason string, id ServiceID, want string) {
	n.lan.t.Helper()
	if got := n.names[id]; got != want {
		n.lan.t.Errorf("%s: service %s is named %q, want %q", reason, id, got, want)
	}
}

func (n *simNode) wantSeen(reason string, want ...string) {
	n.lan.t.Helper()
	var got []string
	for k := range n.seen {
		got = append(got, k)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		n.lan.t.Errorf("%s: sees %q, want %q", reason, got, want)
	}
}

// wire decodes a packet with another codec than ours.
func wire(t testing.TB, b []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatalf("packet does not decode: %v", err)
	}
	return m
}

func service(id string, text ...string) Service {
	return Service{ID: ServiceID(id), Instance: id, Type: testType, Port: 5298, Text: text}
}

func TestTwoHostsSeeEachOther(t *testing.T) {
	l := newLAN(t, 1)
	a, b := l.host("a", Config{}), l.host("b", Config{})
	a.register(service("alice@a", "k=v"))
	b.register(service("bob@b"))
	l.run(2 * time.Second)
	a.wantSeen("a", "bob@b")
	b.wantSeen("b", "alice@a")
	e := b.seen["alice@a"]
	if got := fmt.Sprint(e.Host, e.Port, e.Addrs, e.Text); got != "a.local5298 [10.0.0.1] [k=v]" {
		t.Errorf("entry is %s", got)
	}
	a.unregister("alice@a")
	l.run(1500 * time.Millisecond)
	b.wantSeen("after the goodbye")
}
