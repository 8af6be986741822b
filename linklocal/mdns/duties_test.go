package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What XEP-0174 and the link ask for beyond the sections of the RFCs.

// TestDuties: those of XEP-0174 that one engine answers for, as another sees
// them. More about each is in the tests that name it.
func TestDuties(t *testing.T) {
	type world struct {
		*simLAN
		a, b *simNode
	}
	duty := func(what string, f func(t *testing.T, w world)) {
		t.Run(what, func(t *testing.T) {
			l := newLAN(t, 1)
			w := world{l, l.host("a", Config{}), l.host("b", Config{})}
			w.a.register(Service{
				ID: "romeo", Instance: "romeo@forza", Port: 5299, Text: []string{"status=avail", "msg=hello"},
				Rename: func(p string, n int) string { return fmt.Sprintf("romeo%d@forza", n) },
			})
			l.run(5 * time.Second)
			f(t, w)
		})
	}
	same := func(t *testing.T, what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	duty("LL-01 address of the machine", func(t *testing.T, w world) {
		same(t, "addresses", w.b.seen["romeo@forza"].Addrs, []netip.Addr{w.a.addr})
		w.run(10 * time.Minute) // it is asked for again and again
		same(t, "addresses later", w.b.seen["romeo@forza"].Addrs, []netip.Addr{w.a.addr})
	})
	duty("LL-02 port and machine", func(t *testing.T, w world) {
		same(t, "SRV", fmt.Sprint(w.b.seen["romeo@forza"].Port, w.b.seen["romeo@forza"].Host), "5299a.local")
	})
	duty("LL-03 pointer", func(t *testing.T, w world) {
		same(t, "instance", w.b.seen["romeo@forza"].Instance, "romeo@forza")
	})
	duty("LL-04 text, and none at all", func(t *testing.T, w world) {
		same(t, "text", w.b.seen["romeo@forza"].Text, "[status=avail msg=hello]")
		w.a.register(Service{ID: "mute", Instance: "mute@forza"})
		w.run(2 * time.Second)
		e, ok := w.b.seen["mute@forza"]
		same(t, "no keys", fmt.Sprint(ok, len(e.Text)), "true 0")
	})
	duty("LL-05 the name is taken", func(t *testing.T, w world) {
		w.b.register(Service{ID: "romeo", Instance: "Romeo@Forza", Rename: func(_ string, n int) string { return fmt.Sprintf("Romeo%d@Forza", n) }})
		w.run(5 * time.Second)
		w.a.wantSeen("the holder", "Romeo1@Forza")
		w.b.wantSeen("the other", "romeo@forza")
	})
	duty("LL-06 any characters", func(t *testing.T, w world) {
		w.a.register(Service{ID: "x", Instance: `Dr. Jürgen\ "J" @日本`, Text: []string{`msg=ünï\`}})
		w.run(2 * time.Second)
		same(t, "text", w.b.seen[`Dr. Jürgen\ "J" @日本`].Text, `[msg=ünï\]`)
	})
	duty("LL-07 not ourselves, nobody twice", func(t *testing.T, w world) {
		w.a.wantSeen("oneself")
		appeared := 0
		w.dup = 0.5
		w.run(3 * time.Minute)
		for _, ev := range w.b.events {
			if _, ok := ev.(Appeared); ok {
				appeared++
			}
		}
		same(t, "appeared", appeared, 1)
	})
	duty("LL-08 resolved late", func(t *testing.T, w world) {
		w.run(time.Minute)
		w.a.addr = netip.MustParseAddr("10.0.0.99")
		w.b.up = false // misses the announcement
		w.a.link(true)
		w.run(10 * time.Second)
		w.b.up = true
		w.b.e.Resolve(w.now, "romeo@forza", testType)
		w.b.flush()
		w.run(time.Second)
		found := slices.ContainsFunc(w.b.events, func(ev Event) bool {
			r, ok := ev.(Resolved)
			return ok && r.OK && slices.Equal(r.Entry.Addrs, []netip.Addr{w.a.addr})
		})
		same(t, "resolved to the new address", found, true)
	})
	duty("LL-10 presence", func(t *testing.T, w world) {
		w.a.setText("romeo", "status=dnd")
		w.run(50 * ms)
		same(t, "text", w.b.seen["romeo@forza"].Text, "[status=dnd]")
	})
	duty("LL-11 offline", func(t *testing.T, w world) {
		w.a.unregister("romeo")
		w.run(1500 * ms)
		w.b.wantSeen("after the goodbye")
	})
	duty("LL-18 the link goes and comes", func(t *testing.T, w world) {
		w.a.link(false)
		w.run(3 * time.Minute)
		w.b.wantSeen("no link")
		w.a.link(true)
		w.run(2 * time.Second)
		w.b.wantSeen("link", "romeo@forza")
	})
}

// TestHostAddressIsAnsweredAlways: LL-01. However it is asked for, and not only
// in the first minutes.
func TestHostAddressIsAnsweredAlways(t *testing.T) {
	legacy := netip.MustParseAddrPort("10.0.0.9:40000")
	for what, q := range map[string]struct {
		typ     uint16
		unicast bool
		src     netip.AddrPort
	}{
		"by multicast": {typ: dns.TypeA}, "AAAA": {typ: dns.TypeAAAA}, "by unicast": {typ: dns.TypeA, unicast: true},
		"a one-shot resolver": {typ: dns.TypeA, src: legacy}, "ANY": {typ: dns.TypeANY}, "ANY, one-shot": {typ: dns.TypeANY, src: legacy},
	} {
		r := publishing(t, service("a"))
		for range 10 {
			r.advance(95 * time.Second)
			r.clear()
			m := ask(q.typ, "GW.local.")
			m.questions[0].unicast = q.unicast
			src := peerAddr
			if q.src.IsValid() {
				src = q.src
			}
			r.receiveFrom(src, m)
			if len(r.answers(dns.TypeA))+len(r.answers(dns.TypeAAAA)) == 0 {
				t.Fatalf("%s: no address after %v", what, r.now.Sub(epoch))
			}
		}
	}
}

// TestNamesOnTheWire: LL-06.
func TestNamesOnTheWire(t *testing.T) {
	for _, label := range []string{`Dr. J@box`, `a\b@c`, `jürgen@büro`, `"q" (x); y'`, `.`, "日本語@h", "tab\there", `\065`} {
		l := newLAN(t, 3)
		a, b := l.host("a", Config{}), l.host("b", Config{})
		a.register(Service{ID: "x", Instance: label, Text: []string{`msg=C:\new "ü" 日本`}})
		l.run(2 * time.Second)
		b.wantSeen("escaping", label)
		if e := b.seen[label]; fmt.Sprint(e.Text) != `[msg=C:\new "ü" 日本]` {
			t.Errorf("text of %q is %q", label, e.Text)
		}
	}
}

// TestOwnServicesAreNotReported: LL-07. Other hosts behind our address are.
func TestOwnServicesAreNotReported(t *testing.T) {
	r := publishing(t, service("a"))
	own := netip.MustParseAddrPort("10.0.0.1:5353") // another stack on our host
	typ := mustType(testType)
	r.receiveFrom(own, answerWith(append(foreign("other", "otherstack", 5), ptrRecord(typ, testName("a")))...))
	if ev := wantEvent[Appeared](r, "another stack's"); ev.Instance != "other" || len(r.events) != 1 {
		t.Errorf("events %v", r.events)
	}
}

// TestResolveAsksTheWire: LL-08.
func TestResolveAsksTheWire(t *testing.T) {
	r := publishing(t)
	rr := foreign("bob@h", "h", 1, "k=v")
	r.receive(answerWith(rr...))
	r.advance(30 * time.Second)
	r.clear()
	id := r.e.Resolve(r.now, "bob@h", testType)
	r.advance(10 * ms)
	if len(r.times(false, dns.TypeSRV)) != 1 || len(r.times(false, dns.TypeA)) != 1 {
		t.Fatalf("SRV and A not asked for: %v", r.sent)
	}
	r.wantNoEvents("what was kept from discovery is no answer")
	moved := []record{srvRecord(testName("bob@h"), 99, "h2.local."), addrRecord("h2.local.", netip.MustParseAddr("10.0.0.55")), rr[2]}
	r.receive(answerWith(moved...))
	ev := wantEvent[Resolved](r, "fresh records came")
	if ev.Query != id || !ev.OK || ev.Entry.Port != 99 || ev.Entry.Addrs[0].String() != "10.0.0.55" {
		t.Errorf("resolved %+v", ev)
	}
	r.clear()
	r.advance(5 * time.Second)
	if got := r.times(false, dns.TypeSRV); len(got) > 0 {
		t.Errorf("asked again at %v after the answer", got)
	}
}

func TestResolveGivesUpAfterThreeSeconds(t *testing.T) {
	r := publishing(t)
	r.receive(answerWith(foreign("bob@h", "h", 1)...))
	r.advance(5 * time.Second)
	r.clear()
	r.e.Resolve(r.now, "bob@h", testType)
	r.e.Resolve(r.now, "nobody", testType)
	start := r.now.Sub(epoch)
	r.advance(2999 * ms)
	r.wantTimes("questions", r.times(false, dns.TypeSRV), start, start+250*ms, start+time.Second)
	r.wantNoEvents("before the deadline")
	r.advance(2 * ms)
	for _, ev := range r.events {
		if x, ok := ev.(Resolved); !ok || x.OK || x.Entry.Host != "" {
			t.Errorf("got %+v", ev)
		}
	}
	if len(r.events) != 2 || r.e.Stats().Pending != 0 {
		t.Errorf("%d answers, %d pending", len(r.events), r.e.Stats().Pending)
	}
}

func TestResolveNull(t *testing.T) {
	l := newLAN(t, 5)
	a, b := l.host("a", Config{}), l.host("b", Config{})
	picture := []byte(strings.Repeat("picture\x00\\\"", 3000))
	a.register(Service{ID: "x", Instance: "x", Null: picture})
	l.run(2 * time.Second)
	b.e.ResolveNull(l.now, "x", testType)
	l.run(time.Second)
	for _, ev := range b.events {
		if n, ok := ev.(NullResolved); ok {
			if !n.OK || string(n.Data) != string(picture) {
				t.Errorf("got %d bytes, %v", len(n.Data), n.OK)
			}
			return
		}
	}
	t.Error("no answer")
}

// TestTextChangesAtMostOnceASecond: LL-10.
func TestTextChangesAtMostOnceASecond(t *testing.T) {
	r := publishing(t, service("a"))
	start := r.now.Sub(epoch)
	for i := range 35 {
		r.e.SetText(r.now, "a", []string{fmt.Sprintf("n=%d", i)})
		r.advance(100 * ms)
	}
	r.advance(10 * time.Second)
	got := r.times(true, dns.TypeTXT)
	if got[0] != start {
		t.Errorf("first change announced after %v", got[0]-start)
	}
	for i := 1; i < len(got); i++ {
		if got[i]-got[i-1] < time.Second {
			t.Errorf("announced at %v", got)
		}
	}
	last := r.answers(dns.TypeTXT)
	if n := len(last); last[n-1].(*dns.TXT).Txt[0] != "n=34" || last[n-3].(*dns.TXT).Txt[0] != "n=34" {
		t.Errorf("the last change was not announced three times: %v", last)
	}
}

// TestSameHostName: two stacks want one host name; LL-01 holds for both.
func TestSameHostName(t *testing.T) {
	l := newLAN(t, 9)
	a, b := l.host("gw", Config{}), l.host("gw", Config{})
	a.register(service("x"))
	b.register(service("y"))
	l.run(5 * time.Second)
	if a.seen["y"].Host == b.seen["x"].Host || a.seen["y"].Host == "" || b.seen["x"].Host == "" {
		t.Errorf("hosts %q and %q", a.seen["y"].Host, b.seen["x"].Host)
	}
	if b.seen["x"].Addrs[0] != a.addr || a.seen["y"].Addrs[0] != b.addr {
		t.Error("addresses mixed up")
	}
}

// TestLinkGoesAndComesBack: LL-18 on one link.
func TestLinkGoesAndComesBack(t *testing.T) {
	l := newLAN(t, 11)
	a, b := l.host("a", Config{}), l.host("b", Config{})
	a.register(service("x"))
	l.run(5 * time.Second)
	a.link(false)
	l.run(3 * time.Minute)
	b.wantSeen("the cable is out")
	a.addr = netip.MustParseAddr("10.0.0.200")
	a.link(true)
	l.run(3 * time.Second)
	b.wantSeen("the cable is in", "x")
	if got := b.seen["x"].Addrs[0]; got != a.addr {
		t.Errorf("address %v, want the new one", got)
	}
	a.addr = netip.MustParseAddr("10.0.0.201")
	a.link(true) // only the address changes
	l.run(2 * time.Second)
	if got := b.seen["x"].Addrs; len(got) != 1 || got[0] != a.addr {
		t.Errorf("addresses %v, want the newest", got)
	}
}

func TestEarlierHolderKeepsItsNameAfterNewcomersProbes(t *testing.T) {
	l := newLAN(t, 13)
	a := l.host("a", Config{})
	a.register(service("conf@x"))
	l.run(10 * time.Second)
	b := l.host("b", Config{})
	b.register(service("conf@x"))
	l.run(10 * time.Second)
	a.wantName("earlier", "conf@x", "conf@x")
	b.wantName("later", "conf@x", "conf@x-1")
	a.wantSeen("a", "conf@x-1")
	b.wantSeen("b", "conf@x")
}

// TestSharedDataOfSeveralAnnouncers: instances whose SRV points at themselves,
// announced alike by several hosts; one leaves, the others keep it alive.
func TestSharedDataOfSeveralAnnouncers(t *testing.T) {
	l := newLAN(t, 15)
	a, b, c := l.host("a", Config{}), l.host("b", Config{}), l.host("c", Config{})
	room := Service{ID: "room", Instance: "room", Addrs: []netip.Addr{netip.MustParseAddr("239.255.71.9")}, Text: []string{"txtvers=0"}}
	a.register(room)
	b.register(room)
	l.run(3 * time.Second)
	a.wantName("same data", "room", "room")
	b.wantName("same data", "room", "room")
	if got := fmt.Sprint(c.seen["room"].Addrs, c.seen["room"].Host); got != "[239.255.71.9]room._test._tcp.local" {
		t.Errorf("seen as %s", got)
	}
	a.unregister("room")
	l.run(5 * time.Second)
	c.wantSeen("one of two has left", "room")
	b.unregister("room")
	l.run(5 * time.Second)
	c.wantSeen("both have left")
}

// TestNothingIsDueAfterAShutdown: a deadline left over would make the loop spin.
func TestNothingIsDueAfterAShutdown(t *testing.T) {
	r := publishing(t, service("a"))
	r.receive(answerWith(foreign("bob@h", "h", 1)...))
	r.e.Resolve(r.now, "bob@h", testType)
	r.e.Shutdown(r.now)
	for range 100 {
		at := r.e.NextTimeout()
		if at.IsZero() {
			break
		}
		r.now = later(r.now, at)
		r.e.HandleTimeout(r.now)
		r.take()
	}
	if at := r.e.NextTimeout(); !at.IsZero() || !r.e.Done() {
		t.Errorf("still something due at %v, done is %v", at.Sub(r.now), r.e.Done())
	}
}

// TestLearnedNameThatNeverComesIsTakenBack: LL-11. Who gave the hint may hold
// the name for present, from a resolve say, and must hear that it is not.
func TestLearnedNameThatNeverComesIsTakenBack(t *testing.T) {
	r := publishing(t)
	r.e.Resolve(r.now, "bob@h", testType)
	r.advance(10 * ms)
	r.receive(answerWith(foreign("bob@h", "h", 1)[1:]...)) // all but the PTR record
	if ev := wantEvent[Resolved](r, "SRV, TXT and A are there"); !ev.OK {
		t.Fatal("not resolved")
	}
	r.e.Learn(r.now, "bob@h", testType)
	r.advance(2 * time.Minute)
	if n := r.e.Stats().Instances; n != 1 {
		t.Errorf("%d instances, want one that is still looked for", n)
	}
	r.clear()
	r.advance(time.Minute)
	if ev := wantEvent[Vanished](r, "no PTR record came"); ev.Instance != "bob@h" {
		t.Errorf("vanished: %v", ev)
	}
}

// TestLearnedNameWithoutRoomIsTakenBack: the same where it is not looked for at all.
func TestLearnedNameWithoutRoomIsTakenBack(t *testing.T) {
	r := newRig(t, Config{Browse: []string{testType}, Limits: Limits{Instances: 1}})
	r.receive(answerWith(foreign("alice@h", "h", 1)...))
	r.e.Learn(r.now, "bob@h", testType)
	r.take()
	if ev := wantEvent[Vanished](r, "no room"); ev.Instance != "bob@h" {
		t.Errorf("vanished: %v", ev)
	}
}
