package mdns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// reflected makes a packet as a reflector sends it on: read and packed anew.
func reflected(t testing.TB, b []byte) []byte {
	t.Helper()
	lim := Limits{}.withDefaults()
	m, err := parseMessage(b, &lim)
	if err != nil {
		t.Fatal(err)
	}
	m.answers, m.extras = append(m.extras, m.answers...), nil // in another order
	out, _ := m.pack(false)
	return out
}

// reflector has an address of its own on the link.
var reflector = netip.MustParseAddrPort("10.0.0.254:5353")

// TestLateEchoesAreNoConflicts: LL-05. A reflector sends again, up to seconds
// later, what we said before a change.
func TestLateEchoesAreNoConflicts(t *testing.T) {
	for what, change := range map[string]func(*rig){
		"nothing changed": func(*rig) {},
		"text":            func(r *rig) { r.e.SetText(r.now, "a", []string{"k=new"}) },
		"picture":         func(r *rig) { r.e.SetNull(r.now, "a", []byte("new")) },
		"addresses":       func(r *rig) { r.e.SetAddrs(r.now, []netip.Addr{netip.MustParseAddr("10.0.0.77")}) },
		"host renamed": func(r *rig) {
			for range maxContests + 1 {
				r.receive(answerWith(addrRecord("gw.local.", peerAddr.Addr())))
				r.advance(300 * ms)
			}
		},
		"gone and back": func(r *rig) {
			r.e.Unregister(r.now, "a")
			r.e.Register(r.now, service("a", "k=new"))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := service("a", "k=old")
			s.Null = []byte("old")
			r := publishing(t, s)
			r.receive(ask(dns.TypeANY, testName("a"), mustType(testType)))
			r.advance(500 * ms)
			said := r.sent
			r.advance(20 * time.Second)
			change(r)
			r.advance(3 * time.Second)
			r.clear()
			before := r.e.Stats().Conflicts
			for _, p := range said {
				if p.Response {
					r.e.HandlePacket(r.now, Packet{Data: reflected(t, p.raw), Src: reflector})
				}
			}
			r.advance(3 * time.Second)
			r.wantNoEvents("an echo")
			if n := r.e.Stats().Conflicts - before; n > 0 {
				t.Errorf("%d conflicts with ourselves", n)
			}
		})
	}
}

// Echoes of our probes neither lose ties nor are answered: also those of an
// earlier round, with other data. LL-05
func TestEchoedProbesLoseNoTies(t *testing.T) {
	r := newRig(t, Config{})
	r.e.Register(r.now, service("a", "n=this text is longer: later in order"))
	r.advance(600 * ms)
	old := r.sent
	n := testName("a")
	r.receive(probeBy(n, srvRecord(n, 65000, "x.local."))) // wins, and is not seen again
	r.e.SetText(r.now, "a", []string{"n=short"})
	r.advance(1300 * ms) // in the second round
	r.clear()
	for _, p := range old {
		r.e.HandlePacket(r.now, Packet{Data: reflected(t, p.raw), Src: reflector})
	}
	r.advance(600 * ms)
	if ev := wantEvent[Established](r, "nobody else is there"); ev.Instance != "a" {
		t.Errorf("established as %q", ev.Instance)
	}
}

// TestEchoOfWhatWeTookBackIsNoPeer: LL-07.
func TestEchoOfWhatWeTookBackIsNoPeer(t *testing.T) {
	r := newRig(t, Config{Browse: []string{testType}})
	r.e.Register(r.now, service("a", "k=v"))
	r.advance(10 * time.Second)
	said := r.sent
	r.e.Unregister(r.now, "a")
	r.advance(2 * time.Second)
	r.clear()
	for _, p := range said {
		if p.Response {
			r.e.HandlePacket(r.now, Packet{Data: reflected(t, p.raw), Src: reflector})
		}
	}
	r.advance(5 * time.Second)
	r.wantNoEvents("an echo of the name we had")
}

// TestEchoOfWhatWeTookBackIsTakenBackAgain: LL-11. Two reflectors make a loop, in
// which an announcement outlives our goodbyes.
func TestEchoOfWhatWeTookBackIsTakenBackAgain(t *testing.T) {
	again := func(r *rig, rr ...record) (goodbyes int) {
		for range 20 {
			r.clear()
			r.receive(answerWith(rr...))
			r.advance(time.Second)
			goodbyes += len(r.times(true, dns.TypePTR))
		}
		return goodbyes
	}
	ours := []record{ptrTo("a"), srvRecord(testName("a"), 5298, "gw.local.")}
	gone := func() *rig {
		r := publishing(t, service("a"))
		r.e.Unregister(r.now, "a")
		r.advance(2 * time.Second)
		return r
	}
	if n := again(gone(), ours...); n < 3 || n > maxRepeats {
		t.Errorf("%d goodbyes, want some and no more than %d", n, maxRepeats)
	}
	if n := again(gone(), ptrTo("a")); n < 3 || n > maxRepeats {
		t.Errorf("%d goodbyes to a pointer alone, want some and no more than %d", n, maxRepeats)
	}
	if n := again(gone(), foreign("a", "other", 9)...); n > 0 {
		t.Errorf("said goodbye %d times to a name that is another's now", n)
	}
	r := gone()
	r.receive(answerWith(foreign("a", "other", 9)...))
	if n := again(r, ours...); n > 0 {
		t.Errorf("said goodbye %d times to what another had taken over", n)
	}
}

// TestFormerSelfIsNoConflict: LL-05, LL-07. We were killed and are back with
// another port; a reflector answers with what we said before. Another stack on
// our machine may have our host's name: then the names are its own.
func TestFormerSelfIsNoConflict(t *testing.T) {
	former := foreign("a", "gw", 7000, "k=old")
	former[3].addr = netip.MustParseAddr("10.0.0.1")
	for _, c := range []struct {
		what string
		src  netip.AddrPort
		when time.Duration
		want string
	}{
		{"while we probe", reflector, 600 * ms, "a"},
		{"soon after", reflector, 3 * time.Second, "a"},
		{"long after", reflector, time.Minute, "a"},
		{"another stack on our machine", netip.MustParseAddrPort("10.0.0.1:5353"), 600 * ms, "a-1"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t, Config{Browse: []string{testType}})
			r.e.Register(r.now, service("a", "k=new"))
			r.advance(c.when)
			r.receiveFrom(c.src, answerWith(former...))
			r.advance(10 * time.Second)
			if ev := wantEvent[Established](r, "in the end"); ev.Instance != c.want {
				t.Errorf("established as %q, want %q", ev.Instance, c.want)
			}
			for _, ev := range r.events {
				if ev, ok := ev.(Appeared); ok && c.want == "a" {
					t.Errorf("takes itself for a peer: %v", ev)
				}
			}
			if n := r.e.Stats().Conflicts; n > 0 && c.want == "a" {
				t.Errorf("%d conflicts with ourselves", n)
			}
		})
	}
}

// TestReflectorOnTheLink: everything that is said is said once more, late, by a
// reflector. Nobody minds, and nobody is there twice. LL-05, LL-07
func TestReflectorOnTheLink(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		l := newLAN(t, seed)
		l.reflect = 3 * time.Second
		nodes := l.hosts("box", 3)
		for i, n := range nodes {
			n.register(service(fmt.Sprint("user", i), "n=0"))
			n.register(service("same", fmt.Sprint("of=", i)))
		}
		l.run(30 * time.Second)
		names := fmt.Sprint(nodes[0].names, nodes[1].names, nodes[2].names)
		for i := range 20 {
			n := nodes[i%3]
			n.setText(ServiceID(fmt.Sprint("user", i%3)), fmt.Sprint("n=", i))
			l.run(700 * ms)
		}
		l.run(10 * time.Second)
		if got := fmt.Sprint(nodes[0].names, nodes[1].names, nodes[2].names); got != names {
			t.Errorf("seed %d: names were %s and are %s", seed, names, got)
		}
		l.checkUnique("beside a reflector")
		l.checkViews()
	}
}

// An early holder is known from what it said to others, even if each answer to
// our probes is lost. LL-05
func TestNameKnownToBeTakenIsNotClaimed(t *testing.T) {
	r := publishing(t)
	r.receive(answerWith(foreign("bob@h", "h", 1)...))
	r.e.Register(r.now, service("bob@h"))
	r.advance(5 * time.Second)
	if ev := wantEvent[Established](r, "nobody objected"); ev.Instance != "bob@h-1" {
		t.Errorf("took %q from somebody who has it", ev.Instance)
	}
}

// What we said on another link, or before, comes back while we probe and is
// kept; then our text changes. LL-05
func TestEchoKeptWhileProbingIsNobodysClaim(t *testing.T) {
	r := newRig(t, Config{Browse: []string{testType}})
	r.e.Register(r.now, service("a", "k=old"))
	r.advance(600 * ms)
	typ, n := mustType(testType), testName("a")
	r.receive(answerWith(ptrRecord(typ, n), srvRecord(n, 5298, "gw.local."), txtRecord(n, textBlob([]string{"k=old"}))))
	r.e.SetText(r.now, "a", []string{"k=new"})
	r.advance(5 * time.Second)
	if ev := wantEvent[Established](r, "nobody else has it"); ev.Instance != "a" {
		t.Errorf("established as %q", ev.Instance)
	}
}

// Whoever came later gives in: it cannot have been heard when it probed. LL-05
func TestNewcomerGivesInAtOnce(t *testing.T) {
	r := newRig(t, Config{})
	r.e.Register(r.now, service("a"))
	r.advance(2 * time.Second)
	wantEvent[Established](r, "nobody objected")
	r.clear()
	r.receive(answerWith(srvRecord(testName("a"), 77, hostName("other"))))
	if ev := wantEvent[Renaming](r, "somebody had it"); ev.New != "a-1" {
		t.Errorf("renamed to %q", ev.New)
	}
	for _, rr := range r.answers(dns.TypeSRV) {
		t.Errorf("insisted with %v", rr)
	}
}
