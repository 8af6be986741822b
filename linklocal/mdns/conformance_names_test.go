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

// The duties about names of ours: RFC 6762 §8 and §9.

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
	r.advance(time.Minute)
	theirs := srvRecord(testName("a"), 77, hostName("other"))
	for range maxContests {
		r.clear()
		r.receive(answerWith(theirs))
		if len(r.answers(dns.TypeSRV)) != 1 {
			t.Error("the other was not told of the conflict")
		}
		r.receive(answerWith(theirs)) // the same, twice
		r.wantNoEvents("first back to probing")
		r.advance(300 * ms)
		if len(r.probesFor(testName("a"))) == 0 {
			t.Fatal("not probed again")
		}
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
