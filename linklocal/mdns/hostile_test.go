package mdns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// checkCaps fails if anything that others can fill is over its limit.
func checkCaps(t testing.TB, e *Engine) {
	t.Helper()
	m := e.monitor
	sources := map[netip.Addr]int{}
	for _, r := range m.cache.recs {
		sources[r.src]++
	}
	sets := 0
	for k, set := range m.cache.sets {
		sets += len(set)
		if k.typ != dns.TypePTR && len(set) > maxSet {
			t.Errorf("%d records in one set", len(set))
		}
	}
	switch {
	case len(m.cache.recs) > e.lim.Records, sets != len(m.cache.recs):
		t.Errorf("%d records cached, %d in sets, limit %d", len(m.cache.recs), sets, e.lim.Records)
	case len(m.instances) > e.lim.Instances*(len(m.browses)+1)+e.lim.Resolves:
		t.Errorf("%d instances", len(m.instances))
	case len(m.hosts) > len(m.instances), len(m.cache.sources) != len(sources):
		t.Errorf("%d hosts, %d sources: index out of step", len(m.hosts), len(m.cache.sources))
	case len(e.held) > e.lim.HeldQueries, len(m.resolves) > e.lim.Resolves:
		t.Errorf("%d held queries, %d resolves", len(e.held), len(m.resolves))
	case len(e.echoes.ring) > maxEchoes, len(e.conflicts) > conflictCount:
		t.Errorf("%d echoes, %d conflicts", len(e.echoes.ring), len(e.conflicts))
	}
	for src, n := range sources {
		if n != m.cache.sources[src] || n > e.lim.RecordsPerSource {
			t.Errorf("%d records of %v, counted %d", n, src, m.cache.sources[src])
		}
	}
}

// FuzzPacket feeds an engine with services and a populated cache with
// arbitrary packets from two addresses. The seeds are packets of real stacks.
func FuzzPacket(f *testing.F) {
	for _, b := range captured(f) {
		f.Add(b, b, uint16(mdnsPort), uint16(100))
	}
	for _, packets := range traces(f) {
		for i := 20; i < len(packets); i += 20 {
			f.Add(packets[i], packets[i-10], uint16(mdnsPort), uint16(300))
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte, port, wait uint16) {
		r := newRig(t, Config{Host: "h1", Browse: []string{testType, "_presence._tcp"}, Limits: Limits{Records: 20, RecordsPerSource: 12, Instances: 6, InstancesPerSource: 4, HeldQueries: 2}})
		r.e.Register(r.now, Service{ID: "a", Instance: "alice@h1", Type: "_presence._tcp", Port: 5298, Null: []byte("x")})
		r.e.Register(r.now, service("b"))
		r.advance(2 * time.Second)
		r.e.Resolve(r.now, "bob@h2", "_presence._tcp")
		for i, data := range [][]byte{a, b, a} {
			src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}), port)
			r.e.HandlePacket(r.now, Packet{Data: data, Src: src, Unicast: wait&1 != 0})
			r.take()
			checkCaps(t, r.e)
			r.advance(time.Duration(wait) * ms)
		}
		if d := r.e.NextTimeout(); !d.IsZero() && d.Before(r.now.Add(-time.Second)) {
			t.Error("the engine asks to be called in the past")
		}
		if len(r.sent) > 2000 {
			t.Errorf("three packets made us send %d", len(r.sent))
		}
		r.advance(time.Minute)
		checkCaps(t, r.e)
	})
}

// FuzzMessage: what parses packs, and parses again to the same.
func FuzzMessage(f *testing.F) {
	for _, b := range captured(f) {
		f.Add(b)
	}
	lim := Limits{}.withDefaults()
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b, &lim)
		if err != nil {
			return
		}
		checkRoundTrip(t, &lim, m)
	})
}

func TestTruncatedCapturesDoNoHarm(t *testing.T) {
	lim := Limits{}.withDefaults()
	for file, b := range captured(t) {
		if m, err := parseMessage(b, &lim); err != nil || m.skipped > 0 {
			t.Errorf("%s: %v", file, err)
		}
		for n := range b {
			if m, err := parseMessage(b[:n], &lim); err == nil && m.skipped == 0 && len(m.answers)+len(m.authority)+len(m.extras) > 0 {
				t.Errorf("%s cut at %d of %d parses", file, n, len(b))
			}
		}
	}
}

// TestFloodOfNames: 1,000,000 hostile records, which make 250,000 instances with
// addresses and texts of their own, half from one address, half from many. Memory and caps hold; a peer
// known before stays and is still followed; from one address the flood does
// not even keep newcomers out.
func TestFloodOfNames(t *testing.T) {
	for _, c := range []struct {
		what    string
		sources int
	}{{"one address", 1}, {"200 addresses", 200}} {
		t.Run(c.what, func(t *testing.T) {
			r := publishing(t, service("ours"))
			r.receive(answerWith(foreign("honest", "h", 1, "n=0")...))
			wantEvent[Appeared](r, "before the flood")
			before := heapInUse()
			packets := 0
			typ := mustType(testType)
			for i := range 10_000 { // packets, in 4 s
				src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i % c.sources)}), mdnsPort)
				var rr []record
				for j := range 5 {
					label := fmt.Sprintf("evil%d-%d", i, j)
					n, host := instanceName(label, typ), hostName(label)
					rr = append(rr, ptrRecord(typ, n), srvRecord(n, 1, host), txtRecord(n, textBlob([]string{label})), addrRecord(host, src.Addr()))
				}
				r.receiveFrom(src, answerWith(rr...))
				if i%20 == 0 {
					r.advance(8 * ms)
					packets += len(r.sent)
					r.clear()
				}
			}
			checkCaps(t, r.e)
			if grown := heapInUse() - before; grown > 32<<20 {
				t.Errorf("memory grew by %d MiB", grown>>20)
			}
			if packets > 4*600 {
				t.Errorf("sent %d packets in 4 s", packets)
			}
			if r.e.Stats().CacheDropped == 0 {
				t.Error("nothing dropped, or not counted")
			}
			r.receive(answerWith(txtRecord(testName("honest"), textBlob([]string{"n=1"}))))
			if ev := wantEvent[Changed](r, "honest peer changes"); ev.Text[0] != "n=1" {
				t.Errorf("changed to %v", ev)
			}
			r.clear()
			r.receive(ask(dns.TypeSRV, testName("ours")))
			if len(r.answers(dns.TypeSRV)) != 1 {
				t.Error("our own service is not answered for any more")
			}
			if c.sources > 1 {
				return
			}
			r.receive(answerWith(foreign("newcomer", "n", 2)...))
			if ev := wantEvent[Appeared](r, "newcomer"); ev.Instance != "newcomer" {
				t.Errorf("appeared %v", ev)
			}
		})
	}
}

func heapInUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestFloodOfPointers: names that are never completed are asked for within
// AskRate and forgotten.
func TestFloodOfPointers(t *testing.T) {
	r := publishing(t)
	for i := range 20_000 {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 2, byte(i)}), mdnsPort)
		r.receiveFrom(src, answerWith(ptrRecord(mustType(testType), testName(fmt.Sprint("ghost", i)))))
	}
	r.advance(10 * time.Second)
	asked := 0
	for _, p := range r.sent {
		asked += len(p.Question)
	}
	if most := 2 * (600 + 10*100); asked > most {
		t.Errorf("asked %d questions in 10 s, at most %d allowed", asked, most)
	}
	r.advance(30 * time.Minute)
	if s := r.e.Stats(); s.Instances != 0 || s.Records != 0 {
		t.Errorf("ghosts are kept: %+v", s)
	}
}

// TestFloodOfQuestions: questions make us send no more than ResponseRate.
func TestFloodOfQuestions(t *testing.T) {
	var services []Service
	for i := range 300 {
		services = append(services, service(fmt.Sprint("user", i), "k=v"))
	}
	r := publishing(t, services...)
	rng := rand.New(rand.NewPCG(1, 1))
	const seconds = 3
	for range 2000 * seconds {
		q := ask([]uint16{dns.TypePTR, dns.TypeANY, dns.TypeSRV}[rng.IntN(3)], mustType(testType), testName(fmt.Sprint("user", rng.IntN(300))))
		q.questions[0].unicast = rng.IntN(2) == 0
		q.truncated = rng.IntN(4) == 0
		port := uint16(mdnsPort)
		if rng.IntN(3) == 0 {
			port = 4000
		}
		r.receiveFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 3, byte(rng.Uint32())}), port), q)
		r.advance(500 * time.Microsecond)
		checkHeld(t, r.e)
	}
	lim := r.e.lim
	if most := 2*(lim.ResponseBurst+seconds*lim.ResponseRate) + 200; len(r.sent) > most {
		t.Errorf("sent %d packets in %d s, want at most %d", len(r.sent), seconds, most)
	}
	if r.e.Stats().RateLimited == 0 {
		t.Error("nothing was limited, or not counted")
	}
}

// A packet that asks the same again and again costs what one question costs.
func TestRepeatedQuestionsAreLookedUpOnce(t *testing.T) {
	var services []Service
	for i := range 100 {
		services = append(services, service(fmt.Sprint("user", i)))
	}
	r := publishing(t, services...)
	typ := mustType(testType)
	cost := func(rest name) float64 {
		names := append(slices.Repeat([]name{rest}, 499), typ)
		m := ask(dns.TypePTR, names...)
		b, _ := m.pack(false)
		return testing.AllocsPerRun(10, func() { r.e.HandlePacket(r.now, Packet{Data: b, Src: peerAddr}) })
	}
	// Names that are not ours are parsed and nothing else.
	if foreign, repeated := cost(mustType("_nope._tcp")), cost(typ); repeated > foreign+100 {
		t.Errorf("one question among foreign ones takes %v allocations, the same 500 times %v", foreign, repeated)
	}
}

func checkHeld(t *testing.T, e *Engine) {
	t.Helper()
	if len(e.held) > e.lim.HeldQueries {
		t.Fatalf("%d queries held", len(e.held))
	}
}

func TestRegisterChecksItsInput(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{Services: 2, TextSize: 100}})
	for _, c := range []struct {
		what string
		s    Service
		ok   bool
	}{
		{"good", service("a"), true},
		{"same id", service("a"), false},
		{"no name", Service{ID: "x", Type: testType}, false},
		{"bad type", Service{ID: "x", Instance: "x", Type: "presence"}, false},
		{"long text", service("x", string(make([]byte, 101))), false},
		{"large NULL", Service{ID: "x", Instance: "x", Type: testType, Null: make([]byte, 65536)}, false},
		{"same name, other id", Service{ID: "b", Instance: "A", Type: testType}, true},
		{"too many", service("c"), false},
	} {
		if err := r.e.Register(r.now, c.s); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	r.advance(2 * time.Second)
	if ev := wantEvent[Renaming](r, "two of ours want one name"); ev.ID != "b" || ev.New != "A-1" {
		t.Errorf("renamed %v", ev)
	}
}

func TestLongestNames(t *testing.T) {
	long := "ünïcödé-" + string(make([]byte, 0))
	for len(long) < 80 {
		long += "ü"
	}
	l := newLAN(t, 21)
	a, b, c := l.host("a", Config{}), l.host("b", Config{}), l.host("c", Config{})
	a.register(Service{ID: "x", Instance: long})
	l.run(5 * time.Second)
	b.register(Service{ID: "x", Instance: long, Rename: func(p string, n int) string { return p + fmt.Sprint(n) }})
	l.run(5 * time.Second)
	if got := a.names["x"]; len(got) > 63 || len(got) < 62 || b.names["x"] == got || b.names["x"] == "" {
		t.Errorf("names %q and %q", got, b.names["x"])
	}
	c.wantSeen("c", a.names["x"], b.names["x"])
}

// BenchmarkForeignPacket is the cost of a packet of another host that does not
// concern our 300 services.
func BenchmarkForeignPacket(b *testing.B) {
	for _, file := range []string{"avahi-known-answers", "libpurple-announce", "zeroconf-browse", "libpurple-probe"} {
		b.Run(file, func(b *testing.B) {
			data := captured(b)[file]
			r := benchRig(b)
			b.ReportAllocs()
			for b.Loop() {
				r.now = r.now.Add(ms)
				r.e.HandlePacket(r.now, Packet{Data: data, Src: peerAddr})
				r.e.TakeOutput()
			}
		})
	}
}

// BenchmarkForeignBrowse is the cost of the question who is there, of one who
// knows our 300 and 300 others, in several packets.
func BenchmarkForeignBrowse(b *testing.B) {
	r := benchRig(b)
	for i := range 300 {
		r.receive(answerWith(foreign(fmt.Sprint("peer", i), "h", 1)...))
	}
	out := newSplitter(message{})
	out.add(group{questions: ask(dns.TypePTR, mustType(testType)).questions})
	for _, c := range r.e.order[1:] {
		out.add(group{answers: r.e.records(ref{c: c, k: kindPTR})})
	}
	for i := range 300 {
		out.add(group{answers: []record{ptrTo(fmt.Sprint("peer", i))}})
	}
	var packets [][]byte
	for i := range out.out {
		out.out[i].truncated = i < len(out.out)-1
		data, _ := out.out[i].pack(false)
		packets = append(packets, data)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.now = r.now.Add(2 * time.Second)
		for _, data := range packets {
			r.e.HandlePacket(r.now, Packet{Data: data, Src: peerAddr})
		}
		r.now = r.now.Add(600 * ms)
		r.e.HandleTimeout(r.now)
		r.e.TakeOutput()
	}
	b.ReportMetric(float64(len(packets)), "packets/op")
}

// BenchmarkAnswerOne is the cost of one question that we answer among 300.
func BenchmarkAnswerOne(b *testing.B) {
	r := benchRig(b)
	q := ask(dns.TypeSRV, testName("user7"))
	data, _ := q.pack(false)
	b.ReportAllocs()
	for b.Loop() {
		r.now = r.now.Add(2 * time.Second)
		r.e.HandlePacket(r.now, Packet{Data: data, Src: peerAddr})
		r.e.TakeOutput()
	}
}

// BenchmarkBrowse300 is the cost of one browse query answered in full.
func BenchmarkBrowse300(b *testing.B) {
	r := benchRig(b)
	q := ask(dns.TypePTR, mustType(testType))
	data, _ := q.pack(false)
	b.ReportAllocs()
	for b.Loop() {
		r.now = r.now.Add(2 * time.Second)
		r.e.HandlePacket(r.now, Packet{Data: data, Src: peerAddr})
		r.now = r.now.Add(200 * ms)
		r.e.HandleTimeout(r.now)
		r.e.TakeOutput()
	}
}

func benchRig(b *testing.B) *rig {
	var services []Service
	for i := range 300 {
		services = append(services, service(fmt.Sprint("user", i), "txtvers=1", "status=avail", "msg=hello there"))
	}
	return publishing(b, services...)
}

// One source cannot have more than its share by way of the other discovery
// client, which sees its names, too.
func TestLearnedNamesCountForTheirSource(t *testing.T) {
	const share = 5
	r := newRig(t, Config{Browse: []string{testType}, Limits: Limits{Instances: 2 * share, InstancesPerSource: share}})
	mallory := netip.MustParseAddrPort("10.0.0.66:5353")
	for i := range 4 * share {
		label := fmt.Sprint("mallory", i)
		for range 2 {
			r.receiveFrom(mallory, answerWith(foreign(label, "m", 1)...))
			r.e.Learn(r.now, label, testType)
			r.take()
		}
	}
	r.advance(time.Second)
	if n := len(r.e.Entries()); n != share {
		t.Errorf("%d instances of one source, want %d", n, share)
	}
	r.receive(answerWith(foreign("honest@h", "h", 1)...))
	honest := func(e Entry) bool { return e.Instance == "honest@h" }
	if !slices.ContainsFunc(r.e.Entries(), honest) {
		t.Error("the honest peer found no room")
	}
}

// BenchmarkHostileTies is a packet full of probes for names that we probe for.
func BenchmarkHostileTies(b *testing.B) {
	r := newRig(b, Config{})
	var m message
	for i := range 500 {
		s := service(fmt.Sprint("user", i))
		r.e.Register(r.now, s)
		n := testName(s.Instance)
		m.questions = append(m.questions, question{name: n, typ: dns.TypeANY})
		m.authority = append(m.authority, srvRecord(n, 1, "x.local."), txtRecord(n, "\x00"))
	}
	packet, _ := m.pack(false)
	for b.Loop() {
		r.e.HandlePacket(r.now, Packet{Data: packet, Src: peerAddr})
	}
}
