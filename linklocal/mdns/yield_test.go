package mdns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// otherAddr is where the holder of the same name lives.
var otherAddr = netip.MustParseAddrPort("10.0.0.8:5353")

// guest is a rig whose one name has been its own for long, and may be left.
func guest(t *testing.T) *rig { return guestFor(t, time.Minute) }

// guestFor is one that came that long ago.
func guestFor(t *testing.T, age time.Duration) *rig {
	r := newRig(t, Config{Browse: []string{testType}, Yield: true})
	r.e.Register(r.now, service("a"))
	r.advance(age)
	r.clear()
	return r
}

// LL-05: whoever claims our name without having probed for it has had it, on
// the other side of a cut. We are silent, ask again later, and go.
func TestYieldToOneThatHasHadTheName(t *testing.T) {
	r := guest(t)
	theirs := srvRecord(testName("a"), 77, hostName("other"))
	r.receive(answerWith(theirs))
	r.receive(answerWith(theirs)) // the same, by IPv6
	r.receive(probeBy(testName("a"), theirs))
	r.receive(ask(dns.TypeSRV, testName("a")))
	r.advance(yieldWait - ms)
	if len(r.sent) > 0 {
		t.Errorf("said %v", r.sent)
	}
	r.wantNoEvents("nothing is decided yet")
	r.advance(probeDelayMax)
	if len(r.probesFor(testName("a"))) == 0 {
		t.Fatal("never asked again")
	}
	r.receive(answerWith(theirs))
	if ev := wantEvent[Renaming](r, "the other is there"); ev.New != "a-1" {
		t.Errorf("renamed to %q", ev.New)
	}
}

// LL-05: the other has heard us first, and does what RFC 6762 §9 says. avahi's
// probes are not answered, or libpurple would give up for good.
func TestYieldToOneThatProbesWhenItHearsUs(t *testing.T) {
	r := guest(t)
	theirs := srvRecord(testName("a"), 77, hostName("other"))
	r.receive(ask(dns.TypePTR, mustType(testType))) // of a third
	r.advance(150 * ms)
	if len(r.answers(dns.TypeSRV))+len(r.answers(dns.TypePTR)) == 0 {
		t.Fatal("not answered")
	}
	r.clear()
	for range 3 {
		r.advance(250 * ms)
		r.receiveFrom(otherAddr, probeBy(testName("a"), theirs))
	}
	r.advance(250 * ms)
	if len(r.sent) > 0 {
		t.Errorf("said %v", r.sent)
	}
	for range 8 {
		r.advance(250 * ms)
		if len(r.probesFor(testName("a"))) > 0 {
			r.receiveFrom(otherAddr, answerWith(theirs))
		}
	}
	if ev := wantEvent[Established](r, "another name"); ev.Instance != "a-1" {
		t.Errorf("established as %q", ev.Instance)
	}
}

// LL-05: names do not jump for a newcomer, which probes when we have said
// nothing for long, and does not hear our answer.
func TestYieldNotToNewcomers(t *testing.T) {
	r := guest(t)
	theirs := srvRecord(testName("a"), 77, hostName("other"))
	for range 3 {
		r.clear()
		r.receive(probeBy(testName("a"), theirs))
		if len(r.answers(dns.TypeSRV)) != 1 {
			t.Error("not defended")
		}
		r.advance(probeSpacing)
	}
	r.receive(answerWith(theirs))
	r.advance(5 * time.Second)
	if c := r.e.byID["a"]; c.state != established || c.label != "a" {
		t.Errorf("%s is %s", c.label, c.state)
	}
}

// A resident is libpurple on an avahi, as far as its name is concerned. It has
// the name. Told that somebody else has it, too, it probes, as avahi does; and
// if it is told so then, it is off line and will not be back.
type resident struct {
	rr     []record
	probes int // sent in this round
	at     time.Time
	state  string // "there", "probing" or "gone"
}

// meets lets a resident and us hear each other from now on, after a third has
// asked who is there. Each answers when it likes.
func (x *resident) meets(r *rig, rng *rand.Rand) {
	soon := func(lo, hi int) time.Time { return r.now.Add(time.Duration(lo+rng.IntN(hi-lo)) * ms) }
	answer := soon(20, 120) // to the third's question
	r.clear()
	r.receiveFrom(otherAddr, ask(dns.TypePTR, mustType(testType)))
	for range 1000 {
		r.advance(10 * ms)
		for _, p := range r.sent {
			about := func(rr dns.RR) bool { return name(rr.Header().Name).fold() == x.rr[1].key }
			switch {
			case p.Response && slices.ContainsFunc(slices.Concat(p.Answer, p.Extra), about):
				x.state, x.at = map[string]string{"there": "probing", "probing": "gone", "gone": "gone"}[x.state], soon(0, 250)
				answer = time.Time{}
			case !p.Response && slices.ContainsFunc(p.Ns, about) && x.state == "there":
				r.receiveFrom(otherAddr, answerWith(x.rr...))
			}
		}
		r.sent = nil
		switch {
		case x.state == "there" && !answer.IsZero() && !r.now.Before(answer):
			answer = time.Time{}
			r.receiveFrom(otherAddr, answerWith(x.rr...))
		case x.state == "probing" && !r.now.Before(x.at) && x.probes == probeCount:
			x.state = "there"
			r.receiveFrom(otherAddr, answerWith(x.rr...))
		case x.state == "probing" && !r.now.Before(x.at):
			x.probes++
			x.at = r.now.Add(probeInterval)
			r.receiveFrom(otherAddr, probeBy(x.rr[1].name, x.rr[1:]...))
		}
	}
}

// LL-05: an established peer that never renames does not lose its name to us
// when two networks become one, whoever hears the other first, and however new
// we are.
func TestResidentsKeepTheirNames(t *testing.T) {
	heard := map[string]int{}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 0))
		age := time.Minute
		if seed%2 == 1 { // the last announcement is about to be due
			age = probeCount*probeInterval + 3*announceGap + time.Duration(rng.IntN(300)-50)*ms
		}
		r := guestFor(t, age)
		x := &resident{rr: foreign("a", "h2", 5298), state: "there"}
		x.meets(r, rng)
		if x.state != "there" {
			t.Fatalf("seed %d: the resident is %s", seed, x.state)
		}
		if ev := wantEvent[Established](r, "our other name"); ev.Instance != "a-1" {
			t.Errorf("seed %d: established as %q", seed, ev.Instance)
		}
		heard[fmt.Sprint(x.probes > 0)]++
	}
	if len(heard) != 2 {
		t.Errorf("who was heard first: %v", heard)
	}
}

// LL-05: of gateways that leave the name to each other one keeps it.
func TestYieldComesToAnEnd(t *testing.T) {
	for seed := range uint64(100) {
		l := newLAN(t, seed)
		l.loss = 0.1
		for i := range 4 {
			n := l.host("box", Config{Browse: []string{testType}, Yield: true})
			n.side = i % 2
			n.register(Service{ID: "x", Instance: "conf@x", Type: testType, Port: uint16(7000 + i)})
		}
		l.run(30 * time.Second)
		for _, n := range l.nodes {
			n.side = 0
		}
		l.loss = 0
		l.nodes[seed%4].e.Resolve(l.now, "conf@x", testType) // somebody asks
		l.nodes[seed%4].flush()
		l.run(3 * time.Minute)
		l.checkUnique(fmt.Sprintf("seed %d", seed))
		l.checkViews()
	}
}
