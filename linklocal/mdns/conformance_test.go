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

const ms = time.Millisecond

// One test per duty of RFC 6762 and RFC 6763, by section; LL ids where a duty
// of XEP-0174 rests on it.

func TestRFC6762_5_2_BrowseIntervalsGrow(t *testing.T) {
	r := newRig(t, Config{Browse: []string{testType}})
	r.advance(12 * time.Hour)
	got := r.times(false, dns.TypePTR)
	if got[0] < 20*ms || got[0] > 120*ms {
		t.Errorf("first query after %v, want 20–120 ms", got[0])
	}
	r.wantTimes("browse", got[:6], 0, time.Second, 4*time.Second, 13*time.Second, 40*time.Second, 121*time.Second)
	if n := len(got); got[n-1]-got[n-2] != time.Hour {
		t.Errorf("the interval grew to %v, want an hour", got[n-1]-got[n-2])
	}
}

func TestRFC6762_5_2_RefreshAt80To95Percent(t *testing.T) {
	r := publishing(t)
	r.receive(answerWith(foreign("bob@h", "h", 1)...))
	start := r.now.Sub(epoch)
	r.advance(119 * time.Second)
	got := r.times(false, dns.TypeSRV)
	if len(got) != 4 {
		t.Fatalf("refreshed %d times at %v, want 4", len(got), got)
	}
	for i, at := range got {
		lo := 120 * time.Second * time.Duration(80+5*i) / 100
		if d := at - start; d < lo || d > lo+2400*ms {
			t.Errorf("refresh %d at %v, want %v and up to 2 %% more", i, d, lo)
		}
	}
}

func TestRFC6762_5_4_UnicastAnswerOnlyIfMulticastLately(t *testing.T) {
	r := publishing(t, service("a"))
	q := ask(dns.TypeSRV, testName("a"))
	q.questions[0].unicast = true
	r.receive(q)
	if len(r.sent) != 1 || r.sent[0].to != peerAddr {
		t.Fatalf("a QU question got %v, want one packet to %v", r.sent, peerAddr)
	}
	r.advance(31 * time.Second) // a quarter of 120 s is over
	r.clear()
	r.receive(q)
	if len(r.sent) != 1 || r.sent[0].to.IsValid() {
		t.Fatalf("a QU question long after the last multicast got %v, want a multicast", r.sent)
	}
}

func TestRFC6762_6_SharedAnswersWaitUniqueOnesDoNot(t *testing.T) {
	r := publishing(t, service("a"))
	start := r.now.Sub(epoch)
	r.receive(ask(dns.TypeSRV, testName("a")))
	if got := r.times(true, dns.TypeSRV); len(got) != 1 || got[0] != start {
		t.Errorf("unique answer at %v, want at once (%v)", got, start)
	}
	r.receive(ask(dns.TypePTR, mustType(testType)))
	r.advance(time.Second)
	if got := r.times(true, dns.TypePTR); len(got) != 1 || got[0]-start < 20*ms || got[0]-start > 120*ms {
		t.Errorf("shared answer at %v, want once 20–120 ms after %v", got, start)
	}
}

func TestRFC6762_6_RecordMulticastOnceASecond(t *testing.T) {
	r := publishing(t, service("a"))
	for range 50 {
		r.receive(ask(dns.TypeTXT, testName("a")))
		r.advance(50 * ms)
	}
	if got := r.times(true, dns.TypeTXT); len(got) != 3 || got[1]-got[0] < time.Second || got[2]-got[1] < time.Second {
		t.Errorf("asked for 2.5 s, answered at %v", got)
	}
}

func TestRFC6762_6_ProbesAnsweredWithin250ms(t *testing.T) {
	r := publishing(t, service("a"))
	for range 3 {
		r.receive(probeBy(testName("a"), srvRecord(testName("a"), 9, hostName("other"))))
		r.advance(250 * ms)
	}
	if got := r.times(true, dns.TypeSRV); len(got) != 3 {
		t.Errorf("three probes defended at %v", got)
	}
	r.wantNoEvents("an established name is not lost to a probe")
}

func TestRFC6762_6_6_LetsNobodyExpireOurRecords(t *testing.T) {
	r := publishing(t, service("a"))
	// COMPAT zeroconf Server: says goodbye to the host's address, too
	r.receive(answerWith(addrRecord("gw.local.", netip.MustParseAddr("10.0.0.1")).withTTL(0)))
	r.advance(time.Second)
	if len(r.answers(dns.TypeA)) == 0 {
		t.Error("our address was not announced again after somebody's goodbye to it")
	}
}

// A goodbye of somebody who had the same name, or the same type, must not
// take ours from the caches. LL-03
func TestRFC6762_6_6_LetsNobodyExpireOurPointers(t *testing.T) {
	r := publishing(t, service("a"))
	for _, ptr := range []record{ptrRecord(mustType(testType), testName("a")), ptrRecord(enumName, mustType(testType))} {
		r.clear()
		r.receive(answerWith(ptr.withTTL(0)))
		r.advance(900 * ms) // caches keep it a second
		got := r.answers(dns.TypePTR)
		if len(got) != 1 || got[0].(*dns.PTR).Ptr != string(ptr.target) || got[0].Header().Ttl != 4500 {
			t.Errorf("after a goodbye to %s: %v", ptr.target, got)
		}
	}
	r.clear()
	r.receive(answerWith(ptrRecord(mustType(testType), testName("other")).withTTL(0)))
	r.advance(time.Second)
	if len(r.sent) > 0 {
		t.Errorf("somebody else's goodbye made us send %v", r.sent)
	}
}

func TestRFC6762_6_7_LegacyAnswer(t *testing.T) {
	r := publishing(t, service("a", "k=v"))
	src := netip.MustParseAddrPort("10.0.0.9:40000")
	q := ask(dns.TypeSRV, testName("a"))
	q.id = 4711
	r.receiveFrom(src, q)
	if len(r.sent) != 1 || r.sent[0].to != src {
		t.Fatalf("got %v, want one packet to %v", r.sent, src)
	}
	m := r.sent[0]
	if m.Id != 4711 || len(m.Question) != 1 || !m.Response {
		t.Errorf("id %d, %d questions: not those of the query", m.Id, len(m.Question))
	}
	for _, rr := range append(m.Answer, m.Extra...) {
		if h := rr.Header(); h.Ttl > 10 || h.Class != dns.ClassINET {
			t.Errorf("%v: TTL over 10 or cache-flush bit", rr)
		}
	}
}

func TestRFC6762_7_1_KnownAnswersAreLeftOut(t *testing.T) {
	for _, c := range []struct {
		ttl  uint32
		want int
	}{{4500, 0}, {2250, 0}, {2249, 1}} {
		r := publishing(t, service("a"))
		q := ask(dns.TypePTR, mustType(testType))
		q.answers = []record{ptrRecord(mustType(testType), testName("A")).withTTL(c.ttl)} // case differs
		r.receive(q)
		r.advance(time.Second)
		if got := len(r.answers(dns.TypePTR)); got != c.want {
			t.Errorf("known with TTL %d: %d answers, want %d", c.ttl, got, c.want)
		}
	}
}

func TestRFC6762_7_2_TruncatedQueryWaitsForItsRest(t *testing.T) {
	r := publishing(t, service("a"), service("b"))
	start := r.now.Sub(epoch)
	q := ask(dns.TypePTR, mustType(testType))
	q.truncated = true
	r.receive(q)
	r.advance(100 * ms)
	r.receive(message{answers: []record{ptrRecord(mustType(testType), testName("a"))}})
	r.advance(2 * time.Second)
	got := r.answers(dns.TypePTR)
	if len(got) != 1 || got[0].(*dns.PTR).Ptr != string(testName("b")) {
		t.Fatalf("answered %v, want b only", got)
	}
	if at := r.times(true, dns.TypePTR)[0] - start; at < 400*ms || at > 620*ms {
		t.Errorf("answered after %v, want 400–500 ms and 20–120 ms", at)
	}
}

// TestRFC6762_8_1_Probing: LL-05.
func TestRFC6762_8_1_Probing(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 300 {
		r.e.Register(r.now, service(fmt.Sprintf("user%d", i), "k=v"))
	}
	r.advance(1100 * ms)
	var at []time.Duration
	for _, p := range r.sent {
		if len(p.raw) > packetSize {
			t.Errorf("packet of %d bytes", len(p.raw))
		}
		if !p.Response && len(p.Ns) > 0 && (len(at) == 0 || at[len(at)-1] != p.at) {
			at = append(at, p.at)
		}
	}
	r.wantTimes("probes", at, 0, 250*ms, 500*ms)
	if at[0] > 250*ms {
		t.Errorf("first probe after %v, want at most 250 ms", at[0])
	}
	established, announced := 0, map[string]bool{}
	for _, ev := range r.events {
		if _, ok := ev.(Established); ok {
			established++
		}
	}
	for _, rr := range r.answers(dns.TypePTR) {
		announced[rr.(*dns.PTR).Ptr] = true
	}
	if established != 300 || len(announced) != 301 { // and the type
		t.Errorf("after 1.1 s %d established, %d announced", established, len(announced))
	}
}

func TestRFC6762_8_1_ManyConflictsSlowProbingDown(t *testing.T) {
	r := newRig(t, Config{})
	r.e.Register(r.now, service("a"))
	var at []time.Duration
	end := r.now.Add(time.Minute)
	for r.now.Before(end) {
		r.advance(10 * ms)
		sent := r.sent
		r.clear()
		for _, p := range sent {
			for _, q := range p.Question {
				if q.Name != "gw.local." && q.Qtype == dns.TypeANY {
					at = append(at, p.at)
					r.receive(answerWith(srvRecord(name(q.Name), 1, hostName("evil"))))
				}
			}
		}
	}
	if len(at) < 20 {
		t.Fatalf("only %d attempts", len(at))
	}
	for i := 16; i < len(at); i++ {
		if at[i]-at[i-1] < 5*time.Second {
			t.Errorf("attempt %d at %v only %v after the one before", i, at[i], at[i]-at[i-1])
		}
	}
}

func TestRFC6762_8_2_TieBreak(t *testing.T) {
	probe := func(port uint16) *rig {
		r := newRig(t, Config{})
		r.e.Register(r.now, Service{ID: "a", Instance: "a", Type: testType, Port: 5298})
		r.advance(300 * ms)
		n := testName("a")
		r.receive(probeBy(n, srvRecord(n, port, "gw.local."), txtRecord(n, "\x00")))
		r.advance(3 * time.Second)
		return r
	}
	for _, c := range []struct {
		what   string
		port   uint16
		probes int // before it is ours
	}{{"lower data lose", 5297, 3}, {"equal data do not matter", 5298, 3}} {
		r := probe(c.port)
		if ev := wantEvent[Established](r, c.what); ev.Instance != "a" || r.events[0] != ev {
			t.Errorf("%s: %v", c.what, r.events)
		}
		if n := len(r.probesFor(testName("a"))); n != c.probes {
			t.Errorf("%s: %d probes, want %d", c.what, n, c.probes)
		}
	}
	r := probe(5299)
	at := r.probesFor(testName("a"))
	gap := time.Duration(0)
	for i := 1; i < len(at); i++ {
		gap = max(gap, at[i]-at[i-1])
	}
	if gap < time.Second || wantEvent[Established](r, "nobody came").Instance != "a" {
		t.Errorf("the loser's probes at %v, want a pause of a second, then the same name", at)
	}
}

func (r *rig) probesFor(n name) (at []time.Duration) {
	for _, p := range r.sent {
		if slices.ContainsFunc(p.Question, func(q dns.Question) bool { return q.Name == string(n) && q.Qtype == dns.TypeANY }) {
			at = append(at, p.at)
		}
	}
	return at
}

func TestRFC6762_8_2_1_OrderOfRecordSets(t *testing.T) {
	a := func(ip string) record { return addrRecord("MyPrinter.local.", netip.MustParseAddr(ip)) }
	txt := txtRecord("MyPrinter.local.", "\x01x")
	for _, c := range []struct {
		what         string
		lower, later []record
	}{
		{"data compare as unsigned bytes", []record{a("169.254.99.200")}, []record{a("169.254.200.50")}},
		{"the longer set is later", []record{a("1.2.3.4")}, []record{txt, a("1.2.3.4")}},
		{"sorted first", []record{a("9.9.9.9"), a("1.1.1.1")}, []record{a("9.9.9.9"), a("2.2.2.2")}},
		{"type before data", []record{a("200.1.1.1")}, []record{txt}},
	} {
		if compareRecords(c.lower, c.later) >= 0 || compareRecords(c.later, c.lower) <= 0 {
			t.Errorf("%s: wrong order", c.what)
		}
	}
}

// TestRFC6762_8_3_Announcing: LL-01, LL-02, LL-03.
func TestRFC6762_8_3_Announcing(t *testing.T) {
	r := newRig(t, Config{})
	r.e.Register(r.now, service("a@gw", "k=v"))
	r.advance(time.Minute)
	for _, typ := range []uint16{dns.TypePTR, dns.TypeSRV, dns.TypeTXT, dns.TypeA, dns.TypeAAAA} {
		if got := r.times(true, typ); len(got) < 2 || got[1]-got[0] < time.Second {
			t.Errorf("%s announced at %v", dns.TypeToString[typ], got)
		}
		for _, rr := range r.answers(typ) {
			if flush := rr.Header().Class&topBit != 0; flush == (typ == dns.TypePTR) {
				t.Errorf("%v: cache-flush is %v", rr, flush)
			}
		}
	}
	srv := r.answers(dns.TypeSRV)[0].(*dns.SRV)
	if srv.Port != 5298 || srv.Target != "gw.local." || srv.Hdr.Ttl != 120 {
		t.Errorf("SRV is %v", srv)
	}
	if a := r.answers(dns.TypeAAAA)[0].(*dns.AAAA); a.AAAA.String() != "fe80::1" || a.Hdr.Name != "gw.local." {
		t.Errorf("AAAA is %v", a)
	}
}

// TestHostAddressAlwaysAnswered: LL-01. An answer is due at any time, not only
// in the first minutes.
func TestHostAddressAlwaysAnswered(t *testing.T) {
	r := publishing(t, service("a"))
	for range 10 {
		r.advance(95 * time.Second)
		r.clear()
		r.receive(ask(dns.TypeA, "GW.local."))
		if len(r.answers(dns.TypeA)) != 1 {
			t.Fatalf("no address after %v", r.now.Sub(epoch))
		}
	}
}

// TestRFC6762_9_TakenName: LL-05.
func TestRFC6762_9_TakenName(t *testing.T) {
	rename := func(preferred string, n int) string {
		user, machine, _ := strings.Cut(preferred, "@")
		return fmt.Sprintf("%s%d@%s", user, n, machine)
	}
	r := newRig(t, Config{})
	s := service("romeo@x")
	s.Rename = rename
	r.e.Register(r.now, s)
	taken := []name{testName("romeo@x"), testName("romeo1@x")}
	for range 40 {
		r.advance(50 * ms)
		for _, n := range taken {
			if len(r.probesFor(n)) > 0 {
				r.receive(answerWith(srvRecord(n, 77, hostName("other"))))
			}
		}
	}
	if ev := wantEvent[Established](r, "third choice"); ev.Instance != "romeo2@x" {
		t.Errorf("established as %q, want romeo2@x", ev.Instance)
	}
}

// TestRFC6762_9_ConflictLater: LL-05.
func TestRFC6762_9_ConflictLater(t *testing.T) {
	r := publishing(t, service("a"))
	theirs := srvRecord(testName("a"), 77, hostName("other"))
	r.receive(answerWith(theirs))
	if len(r.answers(dns.TypeSRV)) != 1 {
		t.Error("the other was not told of the conflict")
	}
	r.wantNoEvents("first back to probing")
	r.advance(300 * ms)
	if len(r.probesFor(testName("a"))) == 0 {
		t.Fatal("not probed again")
	}
	r.receive(answerWith(theirs))
	if ev := wantEvent[Renaming](r, "the other insists"); ev.New != "a-1" {
		t.Errorf("renamed to %q", ev.New)
	}
	r.advance(2 * time.Second)
	if ev := wantEvent[Established](r, "new name"); ev.Instance != "a-1" {
		t.Errorf("established as %q", ev.Instance)
	}
}

func TestRFC6762_9_SameDataIsNoConflict(t *testing.T) {
	r := publishing(t, service("a", "k=v"))
	r.receive(answerWith(srvRecord("A._TEST._tcp.local.", 5298, "GW.local."), txtRecord(testName("a"), textBlob([]string{"k=v"}))))
	r.receive(answerWith(nullRecord(testName("a"), "somebody's picture")))
	r.advance(5 * time.Second)
	r.wantNoEvents("identical records from another host")
	if r.e.Stats().Conflicts != 0 {
		t.Error("counted as a conflict")
	}
}

// TestRFC6762_10_1_GoodbyeOfOneAmongMany: LL-11.
func TestRFC6762_10_1_GoodbyeOfOneAmongMany(t *testing.T) {
	r := publishing(t, service("a"), service("b"))
	r.e.Unregister(r.now, "a")
	r.advance(time.Second)
	for _, p := range r.sent {
		for _, rr := range append(p.Answer, p.Extra...) {
			h := rr.Header()
			if h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA || h.Name == string(testName("b")) || h.Ttl != 0 {
				t.Errorf("sent %v", rr)
			}
		}
	}
	for _, typ := range []uint16{dns.TypePTR, dns.TypeSRV, dns.TypeTXT} {
		if n := len(r.answers(typ)); n < 2 {
			t.Errorf("%d goodbyes to %s, want some", n, dns.TypeToString[typ])
		}
	}
	r.clear()
	r.receive(ask(dns.TypeSRV, testName("a"), testName("b")))
	r.advance(time.Second)
	if got := r.answers(dns.TypeSRV); len(got) != 1 || got[0].Header().Name != string(testName("b")) {
		t.Errorf("afterwards answered %v, want b only", got)
	}
}

// TestRFC6762_10_1_PeerVanishesOneSecondAfterGoodbye: LL-11.
func TestRFC6762_10_1_PeerVanishesOneSecondAfterGoodbye(t *testing.T) {
	r := publishing(t)
	rr := foreign("bob@h", "h", 1)
	r.receive(answerWith(rr...))
	wantEvent[Appeared](r, "complete")
	r.clear()
	r.receive(answerWith(rr[0].withTTL(0)))
	r.advance(600 * ms)
	r.receive(answerWith(rr[0].withTTL(0))) // a repeat does not prolong it
	r.advance(399 * ms)
	r.wantNoEvents("within the second")
	r.advance(2 * ms)
	if ev := wantEvent[Vanished](r, "after a second"); ev.Instance != "bob@h" || ev.Type != testType {
		t.Errorf("vanished %v", ev)
	}
	r.clear()
	r.advance(10 * time.Hour)
	for _, typ := range []uint16{dns.TypeSRV, dns.TypeTXT, dns.TypeA} {
		if got := r.times(false, typ); len(got) > 0 {
			t.Errorf("still asked for %s of one that is gone at %v", dns.TypeToString[typ], got)
		}
	}
}

// TestRecordsRunOut: LL-11.
func TestRecordsRunOut(t *testing.T) {
	r := publishing(t)
	r.receive(answerWith(foreign("bob@h", "h", 1)...))
	r.clear()
	r.advance(119 * time.Second)
	r.wantNoEvents("before the SRV and A records end")
	r.advance(2 * time.Second)
	wantEvent[Vanished](r, "SRV and A ended")
	r.advance(3 * time.Minute)
	if s := r.e.Stats(); s.Instances != 0 || s.Records != 0 {
		t.Errorf("a dead peer is still kept: %+v", s)
	}
}

func TestRFC6762_10_2_CacheFlush(t *testing.T) {
	r := publishing(t)
	rr := foreign("bob@h", "h", 1, "status=avail")
	r.receive(answerWith(rr...))
	r.advance(2 * time.Second)
	r.clear()
	r.receive(answerWith(txtRecord(testName("bob@h"), textBlob([]string{"status=dnd"})), addrRecord("h.local.", netip.MustParseAddr("10.0.0.77"))))
	ev := wantEvent[Changed](r, "new text and address")
	if fmt.Sprint(ev.Text, ev.Addrs) != "[status=dnd] [10.0.0.77]" {
		t.Errorf("changed to %v", ev)
	}
	r.advance(1001 * ms)
	if n := len(r.e.monitor.cache.set(testName("bob@h"), dns.TypeTXT)); n != 1 {
		t.Errorf("%d TXT records kept a second after the flush", n)
	}
	r.clear()
	r.receive(answerWith(addrRecord("h.local.", netip.MustParseAddr("fe80::9")))) // other type: adds
	if ev := wantEvent[Changed](r, "second address"); len(ev.Addrs) != 2 {
		t.Errorf("addresses %v", ev.Addrs)
	}
}

func TestRFC6762_11_ResponsesFromOtherPortsIgnored(t *testing.T) {
	r := publishing(t, service("a"))
	r.receiveFrom(netip.MustParseAddrPort("10.0.0.9:5354"), answerWith(append(foreign("bob@h", "h", 1), srvRecord(testName("a"), 9, "x.local."))...))
	r.advance(time.Second)
	r.wantNoEvents("a response from port 5354")
}

func TestRFC6762_18_OtherOpcodesAndRcodesIgnored(t *testing.T) {
	for _, flags := range []byte{0x28, 0x80 | 0x08} {
		r := publishing(t, service("a"))
		m := ask(dns.TypeSRV, testName("a"))
		b, _ := m.pack(false)
		b[2] |= flags
		r.e.HandlePacket(r.now, Packet{Data: b, Src: peerAddr})
		r.advance(time.Second)
		if len(r.sent) > 0 {
			t.Errorf("flags %#x answered", flags)
		}
	}
}

func TestRFC6763_9_TypeEnumeration(t *testing.T) {
	r := publishing(t, service("a"), service("b"))
	r.receive(ask(dns.TypePTR, enumName))
	r.advance(time.Second)
	if got := r.answers(dns.TypePTR); len(got) != 1 || got[0].(*dns.PTR).Ptr != "_test._tcp.local." {
		t.Errorf("types %v", got)
	}
}

func TestRFC6763_12_AdditionalRecords(t *testing.T) {
	r := publishing(t, service("a"))
	r.receive(ask(dns.TypePTR, mustType(testType)))
	r.advance(time.Second)
	var got []string
	for _, rr := range r.sent[0].Extra {
		got = append(got, dns.TypeToString[rr.Header().Rrtype])
	}
	slices.Sort(got)
	if fmt.Sprint(got) != "[A AAAA SRV TXT]" {
		t.Errorf("additional records %v", got)
	}
}
