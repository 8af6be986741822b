package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const ms = time.Millisecond

// One test per duty of RFC 6762 and RFC 6763, by section; LL ids where a duty
// of XEP-0174 rests on it. §8 and §9 are in conformance_names_test.go, §10 in
// conformance_lifetime_test.go.

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
	if at := r.times(true, dns.TypePTR)[0] - start; at < 400*ms || at > 500*ms {
		t.Errorf("answered after %v, want 400–500 ms", at)
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
