package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// LL-05, LL-18: a name that is taken on one link is given up on all.
func TestConflictOnOneLinkRenamesOnAll(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("established first: ", late), func(t *testing.T) {
			n := newNet(t, 1)
			a, b := n.host("a", "A"), n.host("b", "B")
			b.register("alice@gw")
			n.run(20 * time.Second)
			gw := n.host("gw", "A", "")
			if late {
				gw.register("alice@gw")
				n.run(20 * time.Second)
				gw.wantName("alone", "alice@gw", "alice@gw")
				a.wantSeen("alone", "alice@gw eth0")
				gw.plug("eth1", "B")
			} else {
				gw.plug("eth1", "B")
				gw.register("alice@gw")
			}
			n.run(5 * time.Second)
			gw.wantName("after the conflict", "alice@gw", "alice@gw-1")
			b.wantName("who was there keeps it", "alice@gw", "alice@gw")
			a.wantSeen("on the other link", "alice@gw-1 eth0")
			b.wantSeen("on this one", "alice@gw-1 eth0")
			gw.wantSeen("whoever has it", "alice@gw eth1")
			if got := eventsOf[Renaming](gw); len(got) != 1 {
				t.Errorf("renamings %v, want one", got)
			}
			n.checkUnique("in the end")
		})
	}
}

// Established means on every link that is up.
func TestEstablishedWaitsForAllLinksThatAreUp(t *testing.T) {
	n := newNet(t, 1)
	gw := n.host("gw", "A", "B", "")
	n.run(2 * time.Second)
	gw.register("x")
	gw.s.link("eth1").e.becomeProbing(gw.s.link("eth1").e.byID["x"], n.now.Add(5*time.Second)) // is slow
	n.run(4 * time.Second)
	gw.wantName("one link is not so far", "x", "")
	gw.plug("eth1", "")
	n.run(time.Millisecond)
	gw.wantName("that link is gone", "x", "x")
	gw.plug("eth1", "B")
	n.run(10 * time.Second)
	if got := eventsOf[Established](gw); len(got) != 1 {
		t.Errorf("told %v, want once", got)
	}
}

// LL-01, LL-05: so with the name of the host, which is in all SRV records.
func TestHostNameIsTheSameOnAllLinks(t *testing.T) {
	n := newNet(t, 1)
	n.host("gw", "B")
	n.run(5 * time.Second)
	a := n.host("a", "A")
	gw := n.host("gw", "A", "B", "")
	gw.register("x")
	n.run(5 * time.Second)
	gw.plug("eth2", "C")
	n.run(5 * time.Second)
	n.checkUnique("in the end")
	if got := a.seen["x"].Host; got != "gw-1.local" {
		t.Errorf("host %q", got)
	}
	// "announced per link: only that link's addresses": RFC 6762 §14.
	for link, want := range map[string]string{"eth0": "10.0.0.3", "eth1": "10.0.1.3", "eth2": "10.0.2.3"} {
		rr := gw.question(link, dns.TypeA, "gw-1.local.")
		if len(rr) != 1 || rr[0].(*dns.A).A.String() != want {
			t.Errorf("on %s: %v, want %s", link, rr, want)
		}
	}
}

// LL-07, LL-18: a peer on two links is one entry, until it is gone from both.
func TestPeerOnTwoLinksIsOneEntry(t *testing.T) {
	n := newNet(t, 1)
	peer, gw := n.host("p", "A", "B"), n.host("gw", "A", "B")
	peer.register("x")
	n.run(5 * time.Second)
	gw.wantSeen("on both", "x eth0 eth1")
	if got := gw.seen["x"].Addrs; !slices.Equal(got, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.1.1")}) {
		t.Errorf("addresses %v", got)
	}
	gw.events = nil
	gw.plug("eth0", "")
	n.run(linkGrace + time.Millisecond)
	gw.wantSeen("one cable is out", "x eth1")
	if got := eventsOf[Vanished](gw); got != nil {
		t.Errorf("vanished: %v", got)
	}
	gw.plug("eth0", "A")
	n.run(5 * time.Second)
	gw.wantSeen("it is in again", "x eth0 eth1")
	peer.s.Unregister(n.now, "x")
	peer.flush()
	n.run(2 * time.Second)
	gw.wantSeen("after goodbyes on both")
	peer.register("x")
	n.run(5 * time.Second)
	gw.events = nil
	gw.plug("eth0", "")
	gw.plug("eth1", "")
	n.run(linkGrace + time.Millisecond)
	gw.wantSeen("both cables are out")
	if got := eventsOf[Vanished](gw); len(got) != 1 {
		t.Errorf("vanished: %v, want once", got)
	}
}

// A cable that is out for a moment is no news about people.
func TestShortInterruptionTellsNothing(t *testing.T) {
	n := newNet(t, 1)
	peer, gw := n.host("p", "A"), n.host("gw", "A")
	peer.register("x")
	gw.register("y")
	n.run(20 * time.Second)
	gw.events, peer.events = nil, nil
	gw.plug("eth0", "")
	n.run(linkGrace / 2)
	gw.plug("eth0", "A")
	n.run(time.Minute)
	if len(gw.events)+len(peer.events) > 0 {
		t.Errorf("told: %v, %v", gw.events, peer.events)
	}
	gw.wantSeen("still", "x eth0")
}

// LL-18: by cable and Wi-Fi on one LAN, we hear all that we say ourselves.
func TestTwoInterfacesOnOneLANDoNotConflict(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		n := newNet(t, seed)
		n.loss = 0.1 * float64(seed%3)
		gw, peer := n.host("gw", "A", "A"), n.host("p", "A")
		gw.register("x", "y", "z")
		peer.register("q")
		for i := range 20 {
			n.run(10 * time.Second)
			gw.s.SetText(n.now, "x", []string{fmt.Sprint("n=", i)})
			gw.flush()
		}
		gw.plug("eth1", "")
		n.run(10 * time.Second)
		gw.plug("eth1", "A")
		n.run(time.Minute)
		n.loss = 0
		n.run(5 * time.Minute)
		if s := gw.s.Stats(); s.Conflicts > 0 || len(eventsOf[Renaming](gw)) > 0 {
			t.Fatalf("seed %d: conflicts with ourselves: %+v", seed, s)
		}
		for _, ev := range eventsOf[Appeared](gw) {
			if ev.Instance != "q" {
				t.Fatalf("seed %d: takes itself for %q", seed, ev.Instance)
			}
		}
		if s := gw.s.Stats(); seed%3 == 0 && s.OwnEchoes < 2*s.PacketsOut-20 {
			t.Errorf("seed %d: each interface hears both, but has recognised too few: %+v", seed, s)
		}
		gw.wantSeen("in the end", "q eth0 eth1")
		peer.wantSeen("in the end", "x eth0", "y eth0", "z eth0")
		n.checkUnique("in the end")
	}
}

// LL-18: what a reflector carries from one link to another is ours all the same.
func TestReflectorBetweenOurLinksMakesNoConflict(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		n := newNet(t, seed)
		n.mirror, n.lag = []string{"A", "B"}, time.Millisecond+time.Duration(seed)*200*time.Millisecond
		gw, peer := n.host("gw", "A", "B"), n.host("p", "B")
		gw.register("x", "y")
		peer.register("q")
		for i := range 20 {
			n.run(3 * time.Second)
			gw.s.SetText(n.now, "x", []string{fmt.Sprint("n=", i)})
			gw.flush()
		}
		gw.nics[0].addr = netip.MustParseAddr("10.0.0.77")
		gw.plug("eth0", "A") // another lease
		n.run(5 * time.Second)
		gw.plug("eth0", "")
		n.run(5 * time.Second)
		gw.plug("eth0", "A")
		n.run(5 * time.Minute)
		if s := gw.s.Stats(); s.Conflicts > 0 || len(eventsOf[Renaming](gw)) > 0 {
			t.Fatalf("seed %d: conflicts with ourselves: %+v", seed, s)
		}
		gw.wantSeen("in the end", "q eth0 eth1")
		if got := peer.seen["x"].Text; !slices.Equal(got, []string{"n=19"}) {
			t.Errorf("text %q", got)
		}
	}
}

// LL-05, LL-18: a link that comes later has the names of the others.
func TestLaterLinkTakesTheNamesThatWeHave(t *testing.T) {
	n := newNet(t, 1)
	n.host("h", "A").register("x")
	n.run(3 * time.Second)
	gw, b := n.host("gw", "A", ""), n.host("b", "B")
	gw.register("x", "y")
	n.run(3 * time.Second)
	gw.wantName("taken", "x", "x-1")
	gw.s.SetText(n.now, "x", []string{"k=v"})
	gw.plug("eth1", "B")
	n.run(3 * time.Second)
	b.wantSeen("there", "x-1 eth0", "y eth0")
	if got := b.seen["x-1"].Text; !slices.Equal(got, []string{"k=v"}) {
		t.Errorf("text %q", got)
	}
	if got := eventsOf[Renaming](gw); len(got) != 1 {
		t.Errorf("renamings %v", got)
	}
}

// LL-08: all links are asked; the first answer counts.
func TestResolveAsksAllLinks(t *testing.T) {
	n := newNet(t, 1)
	peer := n.host("p", "B")
	peer.register("x")
	peer.s.SetNull(n.now, "x", []byte("picture"))
	gw := n.host("gw", "A", "B", "")
	n.run(5 * time.Second)
	q := gw.s.Resolve(n.now, "x", testType)
	p := gw.s.ResolveNull(n.now, "x", testType)
	none := gw.s.Resolve(n.now, "nobody", testType)
	n.run(time.Second)
	r := eventsOf[Resolved](gw)
	if len(r) != 1 || r[0].Query != q || !r[0].OK || !slices.Equal(r[0].Entry.Links, []string{"eth1"}) {
		t.Errorf("resolved %+v", r)
	}
	if r := eventsOf[NullResolved](gw); len(r) != 1 || r[0].Query != p || string(r[0].Data) != "picture" {
		t.Errorf("picture %+v", r)
	}
	n.run(resolveWait)
	if r := eventsOf[Resolved](gw); len(r) != 2 || r[1].Query != none || r[1].OK {
		t.Errorf("resolved %+v", r)
	}
	// A link that goes answers no more; one that comes is asked.
	gw.plug("eth0", "")
	gw.plug("eth1", "")
	n.run(time.Minute)
	gw.events = nil
	gw.s.Resolve(n.now, "x", testType)
	n.run(time.Second)
	gw.plug("eth2", "B")
	n.run(time.Second)
	if r := eventsOf[Resolved](gw); len(r) != 1 || !r[0].OK {
		t.Errorf("resolved on a new link: %+v", r)
	}
	gw.plug("eth2", "")
	n.run(time.Minute)
	gw.events = nil
	gw.s.Resolve(n.now, "x", testType)
	n.run(resolveWait + time.Second)
	if r := eventsOf[Resolved](gw); len(r) != 1 || r[0].OK {
		t.Errorf("without links: %+v", r)
	}
}

// A hint is wrong only when no link has found anything.
func TestLearnedInstanceVanishesOnceForAllLinks(t *testing.T) {
	n := newNet(t, 1)
	n.host("p", "B").register("x")
	gw := n.host("gw", "A", "B")
	gw.s.Learn(n.now, "x", testType)
	gw.s.Learn(n.now, "ghost", testType)
	n.run(5 * time.Minute)
	gw.wantSeen("in the end", "x eth1")
	if got := eventsOf[Vanished](gw); len(got) != 1 || got[0].Instance != "ghost" {
		t.Errorf("vanished: %v", got)
	}
}

// LL-11: the goodbyes are said on all links.
func TestShutdownSaysGoodbyeOnAllLinks(t *testing.T) {
	n := newNet(t, 1)
	a, b, gw := n.host("a", "A"), n.host("b", "B"), n.host("gw", "A", "B", "C")
	gw.register("x")
	n.run(5 * time.Second)
	gw.plug("eth2", "") // this one cannot be told
	gw.s.Shutdown(n.now)
	gw.flush()
	n.run(2 * time.Second)
	a.wantSeen("after the goodbye")
	b.wantSeen("after the goodbye")
	if !gw.s.Done() {
		t.Error("not done")
	}
}

// TestSeededNets: hosts with several links that come and go, names that
// collide, loss. LL-05, LL-07, LL-11, LL-18.
func TestSeededNets(t *testing.T) {
	seeds := uint64(100)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			simulateNet(t, seed)
		})
	}
}

func simulateNet(t *testing.T, seed uint64) {
	n := newNet(t, seed)
	if seed%2 == 1 {
		n.loss = 0.2 * n.rng.Float64()
	}
	lans := []string{"A", "B", "C", ""}
	lan := func() string { return lans[n.rng.IntN(len(lans))] }
	for i := range 2 + n.rng.IntN(4) {
		h := n.host("box", lan(), lan(), lan())
		for j := range 3 {
			label := fmt.Sprintf("user%d", n.rng.IntN(6))
			s := service(label)
			s.ID = ServiceID(fmt.Sprint(i, " ", j))
			h.s.Register(n.now, s)
		}
		h.flush()
		n.run(time.Duration(n.rng.Int64N(int64(3 * time.Second))))
	}
	for range 10 {
		h := n.hosts[n.rng.IntN(len(n.hosts))]
		h.plug(h.nics[n.rng.IntN(3)].name, lan())
		n.run(time.Duration(n.rng.Int64N(int64(10 * time.Second))))
	}
	n.loss = 0
	n.run(3 * time.Minute)
	n.checkUnique("in the end")
	for _, viewer := range n.hosts {
		viewer.wantSeen("in the end", n.visibleTo(viewer)...)
	}
}

// visibleTo is what a host should see, as wantSeen has it. Two hosts on two of
// its links may have one name.
func (n *simNet) visibleTo(viewer *simHost) (out []string) {
	found := map[string]string{}
	for _, v := range viewer.nics {
		here := map[string]bool{}
		for _, h := range n.hosts {
			if h == viewer || v.lan == "" || !slices.ContainsFunc(h.nics, func(x *simNIC) bool { return x.lan == v.lan }) {
				continue
			}
			for _, label := range h.names {
				here[label] = true
			}
		}
		for label := range here {
			found[label] += " " + v.name
		}
	}
	for label, links := range found {
		out = append(out, label+links)
	}
	return out
}

// LL-07: "a client MUST filter out" itself, also what comes to a link where the
// name is still being probed for.
func TestOwnNamesAreNoPeersOnANewLink(t *testing.T) {
	for seed := range uint64(20) {
		n := newNet(t, seed)
		n.mirror, n.lag = []string{"A", "B"}, time.Millisecond
		gw := n.host("gw", "A", "")
		gw.register("x")
		n.run(5 * time.Second)
		gw.plug("eth1", "B")
		e := gw.s.link("eth1").e
		e.becomeProbing(e.byID["x"], n.now.Add(20*time.Second)) // is slow
		n.run(15 * time.Second)
		n.host("p", "A") // asks who is there
		n.run(30 * time.Second)
		if len(eventsOf[Appeared](gw)) > 0 || gw.s.Stats().Conflicts > 0 {
			t.Fatalf("seed %d: %v", seed, gw.events)
		}
		gw.wantName("in the end", "x", "x")
	}
}

// A link that is back may be another one: who was on the old one is asked for.
func TestLinkThatIsBackElsewhereForgetsTheOldPeers(t *testing.T) {
	n := newNet(t, 1)
	n.host("p", "A").register("x")
	n.host("q", "B").register("y")
	gw := n.host("gw", "A")
	n.run(20 * time.Second)
	gw.plug("eth0", "B")
	n.run(5 * time.Second)
	gw.wantSeen("at first", "x eth0", "y eth0")
	n.run(answerTime)
	gw.wantSeen("then", "y eth0")
}
