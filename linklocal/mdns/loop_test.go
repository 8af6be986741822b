package mdns

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A mirrorHost carries what it hears on either of two LANs to the other, as
// avahi's reflector does: what it said on a LAN within half a second it does not
// say again there, unless the contrary, a goodbye or none, was said last; and it
// answers from its caches, for a second after a goodbye too.
type mirrorHost struct {
	net   *simNet
	nics  [2]*simNIC
	said  [2]map[ident]mirrorWord
	known [2]map[ident]mirrorWord
}

type mirrorWord struct {
	r  record
	at time.Time // of a goodbye, or when it was said
}

func (n *simNet) mirrorHost(lans ...string) *mirrorHost {
	h := n.host("mirror")
	x := &mirrorHost{net: n}
	for i, lan := range lans {
		nic := &simNIC{host: h, lan: lan, addr: netip.AddrFrom4([4]byte{10, 0, byte(i), byte(h.number)})}
		nic.hear = func(p Packet) { x.hear(i, p) }
		h.nics = append(h.nics, nic)
		x.nics[i], x.said[i], x.known[i] = nic, map[ident]mirrorWord{}, map[ident]mirrorWord{}
	}
	return x
}

func (x *mirrorHost) hear(lan int, p Packet) {
	if p.Src.Addr() == x.nics[lan].addr {
		return
	}
	lim := Limits{}.withDefaults()
	m, err := parseMessage(p.Data, &lim)
	if err != nil {
		x.net.t.Fatal(err)
	}
	for _, q := range m.questions {
		for _, w := range x.sorted(1 - lan) {
			if w.r.key == q.key && (w.r.typ == q.typ || q.typ == dns.TypeANY) && (w.r.ttl > 0 || x.net.now.Sub(w.at) < time.Second) {
				x.say(lan, w.r.withTTL(ttlHost))
			}
		}
	}
	for _, r := range append(m.answers, m.extras...) {
		x.known[lan][r.ident] = mirrorWord{r, x.net.now}
		x.say(1-lan, r)
	}
}

func (x *mirrorHost) sorted(lan int) (out []mirrorWord) {
	for _, w := range x.known[lan] {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b mirrorWord) int { return compareRecords([]record{a.r}, []record{b.r}) })
	return out
}

func (x *mirrorHost) say(lan int, r record) {
	last, ok := x.said[lan][r.ident]
	if ok && (last.r.ttl == 0) == (r.ttl == 0) && x.net.now.Sub(last.at) < 500*time.Millisecond {
		return
	}
	x.said[lan][r.ident] = mirrorWord{r, x.net.now}
	m := answerWith(r)
	b, _ := m.pack(false)
	nic := x.nics[lan]
	after := time.Millisecond + time.Duration(x.net.rng.Int64N(int64(x.net.lag)))
	for _, h := range x.net.hosts {
		for _, to := range h.nics {
			if to.lan == nic.lan && to != nic {
				x.net.deliver(to, Packet{Data: b, Src: netip.AddrPortFrom(nic.addr, mdnsPort)}, after)
			}
		}
	}
}

// LL-05, LL-11: two such machines make a loop, in which what was said may live
// long if they are slow. Whoever leaves while others ask is gone soon all the
// same, and nobody has conflicts with himself.
func TestLoopOfMirrors(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		n := newNet(t, seed)
		n.lag = time.Duration(1+seed%5*100) * time.Millisecond
		n.mirrorHost("A", "B")
		n.mirrorHost("A", "B")
		gw, p, q := n.host("gw", "A"), n.host("p", "A"), n.host("q", "B")
		gw.register("x", "y")
		n.run(20 * time.Second)
		p.wantSeen("on the same LAN", "x eth0", "y eth0")
		q.wantSeen("on the other", "x eth0", "y eth0")
		gw.s.Unregister(n.now, "x")
		gw.flush()
		n.run(time.Duration(n.rng.Int64N(int64(time.Second))))
		for _, h := range []*simHost{p, q} {
			h.s.StartOver(n.now) // asks anew
			h.flush()
		}
		n.run(30 * time.Second)
		p.wantSeen("after the goodbye", "y eth0")
		q.wantSeen("after the goodbye, on the other LAN", "y eth0")
		if s := gw.s.Stats(); s.Conflicts > 0 {
			t.Errorf("%d conflicts", s.Conflicts)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
