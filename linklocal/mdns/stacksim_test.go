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

// A simNet is several LANs with stacks on them in virtual time: simLAN for
// hosts with many interfaces.
type simNet struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Time
	hosts  []*simHost
	flight netFlight
	seq    int
	loss   float64
	mirror []string      // LANs between which a reflector carries all that is said
	lag    time.Duration // of it
}

// A simHost is a host with a Stack.
type simHost struct {
	net    *simNet
	number int
	s      *Stack
	nics   []*simNIC
	events []Event
	names  map[ServiceID]string
	seen   map[string]Entry
}

type simNIC struct {
	host *simHost
	name string
	lan  string // "": no cable
	addr netip.Addr
	hear func(Packet) // instead of the host's stack
}

type netDelivery struct {
	at  time.Time
	seq int
	to  *simNIC
	lan string
	p   Packet
}

type netFlight []netDelivery

func (f netFlight) Len() int { return len(f) }
func (f netFlight) Less(i, j int) bool {
	return cmp.Or(f[i].at.Compare(f[j].at), cmp.Compare(f[i].seq, f[j].seq)) < 0
}
func (f netFlight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *netFlight) Push(x any)   { *f = append(*f, x.(netDelivery)) }
func (f *netFlight) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

func newNet(t *testing.T, seed uint64) *simNet {
	return &simNet{t: t, rng: rand.New(rand.NewPCG(seed, 3)), now: epoch}
}

// host adds a host with an interface on each of the LANs: eth0, eth1 …
func (n *simNet) host(label string, lans ...string) *simHost {
	h := &simHost{net: n, number: len(n.hosts) + 1, names: map[ServiceID]string{}, seen: map[string]Entry{}}
	h.s = NewStack(n.now, Config{Host: label, Rand: rand.New(rand.NewPCG(n.rng.Uint64(), 4)), Browse: []string{testType}})
	n.hosts = append(n.hosts, h)
	for i, lan := range lans {
		nic := &simNIC{host: h, name: fmt.Sprint("eth", i), addr: netip.AddrFrom4([4]byte{10, 0, byte(i), byte(h.number)})}
		h.nics = append(h.nics, nic)
		h.plug(nic.name, lan)
	}
	return h
}

// plug puts the cable of an interface into a LAN; "": pulls it out.
func (h *simHost) plug(nic, lan string) {
	n := h.nics[slices.IndexFunc(h.nics, func(n *simNIC) bool { return n.name == nic })]
	if lan != n.lan {
		h.s.RemoveLink(h.net.now, nic)
	}
	if n.lan = lan; lan != "" {
		h.s.SetLink(h.net.now, nic, []netip.Addr{n.addr}, []netip.Addr{n.addr}, 1)
	}
	h.flush()
}

func (h *simHost) register(labels ...string) {
	h.net.t.Helper()
	for _, label := range labels {
		if err := h.s.Register(h.net.now, service(label)); err != nil {
			h.net.t.Fatal(err)
		}
	}
	h.flush()
}

func (h *simHost) flush() {
	out := h.s.TakeOutput()
	for _, ev := range out.Events {
		h.note(ev)
	}
	for _, d := range out.Datagrams {
		h.net.send(h, d)
	}
}

func (h *simHost) note(ev Event) {
	h.events = append(h.events, ev)
	switch ev := ev.(type) {
	case Established:
		h.names[ev.ID] = ev.Instance
	case Renaming:
		delete(h.names, ev.ID)
	case Appeared:
		if _, again := h.seen[ev.Instance]; again {
			h.net.t.Errorf("%q has appeared twice", ev.Instance)
		}
		h.seen[ev.Instance] = ev.Entry
	case Changed:
		h.seen[ev.Instance] = ev.Entry
	case Vanished:
		delete(h.seen, ev.Instance)
	}
}

func (n *simNet) send(from *simHost, d Datagram) {
	for _, nic := range from.nics {
		if nic.name != d.Link || nic.lan == "" {
			continue
		}
		p := Packet{Data: d.Data, Src: netip.AddrPortFrom(nic.addr, mdnsPort), Unicast: d.To.IsValid()}
		n.spread(nic.lan, nic, p, d.To.Addr())
		if slices.Contains(n.mirror, nic.lan) && !p.Unicast {
			n.reflect(nic.lan, p)
		}
	}
}

func (n *simNet) spread(lan string, from *simNIC, p Packet, to netip.Addr) {
	for _, h := range n.hosts {
		for _, nic := range h.nics {
			switch {
			case nic.lan != lan, p.Unicast && nic.addr != to:
			case nic == from:
				n.deliver(nic, p, 0)
			case n.rng.Float64() >= n.loss:
				n.deliver(nic, p, time.Millisecond+time.Duration(n.rng.Int64N(int64(5*time.Millisecond))))
			}
		}
	}
}

// reflect is what avahi's reflector does: it packs what it has heard anew and
// says it on the other LANs as if it were its own.
func (n *simNet) reflect(lan string, p Packet) {
	m := wire(n.t, p.Data)
	slices.Reverse(m.Answer)
	m.Compress = false
	b, err := m.Pack()
	if err != nil {
		n.t.Fatal(err)
	}
	for i, other := range n.mirror {
		if other != lan {
			src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i), 1}), mdnsPort)
			for _, h := range n.hosts {
				for _, nic := range h.nics {
					if nic.lan == other {
						n.deliver(nic, Packet{Data: b, Src: src}, n.lag)
					}
				}
			}
		}
	}
}

func (n *simNet) deliver(to *simNIC, p Packet, after time.Duration) {
	n.seq++
	heap.Push(&n.flight, netDelivery{n.now.Add(after), n.seq, to, to.lan, p})
}

// run lets time pass.
func (n *simNet) run(d time.Duration) {
	n.t.Helper()
	end := n.now.Add(d)
	for spins := 0; ; {
		at, host := n.next()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(n.now) {
			n.now, spins = at, 0
		}
		if spins++; spins > 100_000 {
			n.t.Fatalf("time stands still at %v", n.now.Sub(epoch))
		}
		if host != nil {
			host.s.HandleTimeout(n.now)
			host.flush()
			continue
		}
		x := heap.Pop(&n.flight).(netDelivery)
		switch {
		case x.to.lan != x.lan: // pulled out meanwhile
		case x.to.hear != nil:
			x.to.hear(x.p)
		default:
			x.to.host.s.HandlePacket(n.now, x.to.name, x.p)
			x.to.host.flush()
		}
	}
	n.now = end
}

func (n *simNet) next() (at time.Time, host *simHost) {
	if len(n.flight) > 0 {
		at = n.flight[0].at
	}
	for _, h := range n.hosts {
		if t := h.s.NextTimeout(); !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at, host = t, h
		}
	}
	return at, host
}

// events of one type.
func eventsOf[T Event](h *simHost) (out []T) {
	for _, ev := range h.events {
		if ev, ok := ev.(T); ok {
			out = append(out, ev)
		}
	}
	return out
}

func (h *simHost) wantName(reason string, id ServiceID, want string) {
	h.net.t.Helper()
	if got := h.names[id]; got != want {
		h.net.t.Errorf("%s: %s is named %q, want %q", reason, id, got, want)
	}
}

// wantSeen compares what is seen, as "instance eth0 eth1".
func (h *simHost) wantSeen(reason string, want ...string) {
	h.net.t.Helper()
	var got []string
	for label, e := range h.seen {
		s := label
		for _, l := range e.Links {
			s += " " + l
		}
		got = append(got, s)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		h.net.t.Errorf("%s: host %d sees %q, want %q", reason, h.number, got, want)
	}
}

// checkUnique: nobody on a LAN has a name twice, and every host has one name
// for a thing on all of its links.
func (n *simNet) checkUnique(when string) {
	n.t.Helper()
	holders := map[string]*simHost{}
	for _, h := range n.hosts {
		for _, nic := range h.nics {
			l := h.s.link(nic.name)
			if nic.lan == "" || l == nil {
				continue
			}
			for _, c := range l.e.order {
				key := nic.lan + " " + string(c.key)
				if c.state != established {
					n.t.Errorf("%s: %s of host %d is %v on %s", when, c.label, h.number, c.state, nic.lan)
				}
				if o := holders[key]; o != nil && o != h {
					n.t.Errorf("%s: hosts %d and %d both have %q on %s", when, o.number, h.number, c.label, nic.lan)
				}
				holders[key] = h
				if c.svc != nil && h.s.services[c.svc.ID].label != c.label {
					n.t.Errorf("%s: host %d is %q on %s, but %q", when, h.number, c.label, nic.lan, h.s.services[c.svc.ID].label)
				}
				if c.svc == nil && c.label != h.s.host.label {
					n.t.Errorf("%s: host %d is %q on %s, but %q", when, h.number, c.label, nic.lan, h.s.host.label)
				}
			}
		}
	}
}

// question asks for something from an address of a LAN.
func (h *simHost) question(link string, typ uint16, n name) []dns.RR {
	before := len(h.s.out.Datagrams)
	m := ask(typ, n)
	b, _ := m.pack(false)
	h.s.HandlePacket(h.net.now, link, Packet{Data: b, Src: netip.MustParseAddrPort("10.0.0.200:40000")})
	var rr []dns.RR
	for _, d := range h.s.out.Datagrams[before:] {
		rr = append(rr, wire(h.net.t, d.Data).Answer...)
	}
	h.flush()
	return rr
}
