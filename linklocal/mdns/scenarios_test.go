package mdns

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Conflicts as they have been seen between real stacks. LL-05

// A thief has a name and never gives it up: grandcat/zeroconf's Server, which
// announces without having probed and does not listen.
type thief struct {
	r    *rig
	rr   []record
	deaf bool // does not answer either
}

// meet lets time pass; the thief answers what concerns its name.
func (x *thief) meet(d time.Duration) {
	end := x.r.now.Add(d)
	for x.r.now.Before(end) {
		seen := len(x.r.sent)
		x.r.advance(10 * ms)
		if x.deaf {
			continue
		}
		for _, p := range x.r.sent[seen:] {
			if slices.ContainsFunc(p.Question, func(q dns.Question) bool { return name(q.Name).fold() == x.rr[1].key }) {
				x.r.receive(answerWith(x.rr...))
			}
		}
	}
}

// We come to a name that is taken. The answer to our first probe comes at once
// or late, with the last one.
func TestScenarioNameIsTakenWhenWeCome(t *testing.T) {
	for _, late := range []time.Duration{0, 700 * ms} {
		r := newRig(t, Config{})
		r.e.Register(r.now, service("conf@x"))
		x := thief{r: r, rr: foreign("conf@x", "avahi", 7000), deaf: true}
		x.meet(late)
		x.deaf = false
		x.meet(5 * time.Second)
		if ev := wantEvent[Established](r, "another name"); ev.Instance != "conf@x-1" {
			t.Errorf("established as %q", ev.Instance)
		}
		for _, rr := range r.answers(dns.TypeSRV) {
			if rr.Header().Name == string(testName("conf@x")) {
				t.Errorf("claimed the other's name: %v", rr)
			}
		}
	}
}

// A newcomer takes our name without asking and stays: we defend it, and move
// when that is in vain. We do not fight for ever.
func TestScenarioThiefThatStays(t *testing.T) {
	r := publishing(t, service("conf@x"), service("other@x"))
	r.advance(time.Minute)
	r.clear()
	x := thief{r: r, rr: foreign("conf@x", "zeroconf", 7000)}
	for range 3 {
		r.receive(answerWith(x.rr...))
		x.meet(time.Second)
	}
	x.meet(time.Minute)
	if len(r.answers(dns.TypeSRV)) == 0 {
		t.Error("the name was not defended")
	}
	if ev := wantEvent[Renaming](r, "it stays"); ev.Old != "conf@x" || ev.New != "conf@x-1" {
		t.Errorf("renaming %v", ev)
	}
	if ev := wantEvent[Established](r, "our new name"); ev.Instance != "conf@x-1" {
		t.Errorf("established %v", ev)
	}
	if ev := wantEvent[Appeared](r, "the thief is a peer like others"); ev.Instance != "conf@x" || ev.Port != 7000 {
		t.Errorf("appeared %v", ev)
	}
	r.clear()
	r.receive(ask(dns.TypeSRV, testName("other@x")))
	if len(r.answers(dns.TypeSRV)) != 1 {
		t.Error("the other name has suffered")
	}
}

// A newcomer announces our name once and hears our defence, or crashes: the name
// stays ours, and caches that it has spoilt are told so.
func TestScenarioThiefThatGoes(t *testing.T) {
	r := publishing(t, service("conf@x"))
	r.advance(time.Minute)
	r.clear()
	r.receive(answerWith(foreign("conf@x", "zeroconf", 7000)...))
	r.advance(10 * time.Second)
	for _, ev := range r.events {
		if _, ok := ev.(Renaming); ok {
			t.Fatalf("gave the name up: %v", ev)
		}
	}
	said := r.answers(dns.TypeSRV)
	if len(said) < 3 || said[len(said)-1].(*dns.SRV).Port != 5298 {
		t.Errorf("said %v", said)
	}
}

// The cable of one of two that have the same name is out and in again: one
// keeps the name, the other changes, and both see that.
func TestScenarioCablePutBack(t *testing.T) {
	for seed := range uint64(30) {
		l := newLAN(t, seed)
		a, b := l.host("a", Config{}), l.host("b", Config{})
		b.link(false)
		a.register(service("conf@x"))
		b.register(service("conf@x"))
		l.run(5 * time.Second)
		if a.names["conf@x"] != "conf@x" || b.names["conf@x"] != "" {
			t.Fatal("established without a link, or not with one")
		}
		l.run(20 * time.Second)
		b.link(true)
		l.run(10 * time.Second)
		a.wantName("the holder", "conf@x", "conf@x")
		b.wantName("who came back", "conf@x", "conf@x-1")
		a.wantSeen("a", "conf@x-1")
		b.wantSeen("b", "conf@x")
	}
}

// TestScenarioNewcomerOnALossyLink: with 30 % loss each way no newcomer takes a
// name from somebody who has it; who does not rename, as libpurple, would
// be gone for good.
func TestScenarioNewcomerOnALossyLink(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		l := newLAN(t, seed)
		old := l.host("old", Config{})
		for i := range 10 {
			old.register(service(fmt.Sprint("user", i)))
		}
		l.run(15 * time.Second)
		l.loss = 0.3
		niu := l.host("new", Config{})
		for i := range 10 {
			niu.register(service(fmt.Sprint("user", i)))
		}
		l.run(15 * time.Second)
		if len(old.lost) > 0 {
			t.Errorf("seed %d: lost %q", seed, old.lost)
		}
	}
}
