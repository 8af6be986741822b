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

// The duties about answers: RFC 6762 §6 and §7, beside those in
// conformance_test.go.

// denied lists the types that a NSEC record for a name says there are.
func (r *rig) denied(n name) (out []string) {
	for _, rr := range r.answers(dns.TypeNSEC) {
		if nsec := rr.(*dns.NSEC); nsec.Hdr.Name == string(n) && nsec.NextDomain == string(n) && nsec.Hdr.Class&topBit != 0 {
			var types []string
			for _, t := range nsec.TypeBitMap {
				types = append(types, dns.TypeToString[t])
			}
			out = append(out, fmt.Sprint(types))
		}
	}
	return out
}

func TestRFC6762_6_1_WhatThereIsNot(t *testing.T) {
	icon := service("icon")
	icon.Null = []byte("picture")
	room := service("room")
	room.Addrs = []netip.Addr{netip.MustParseAddr("239.255.71.1")}
	for _, c := range []struct {
		what string
		name name
		typ  uint16
		want string
	}{
		{"LL-15: no picture", testName("plain"), dns.TypeNULL, "[[TXT SRV]]"},
		{"address at an instance", testName("plain"), dns.TypeAAAA, "[[TXT SRV]]"},
		{"a type nobody has", testName("icon"), 65, "[[NULL TXT SRV]]"},
		{"family that a room has not", testName("room"), dns.TypeAAAA, "[[A TXT SRV]]"},
		{"SRV at the host", "GW.local.", dns.TypeSRV, "[[A AAAA]]"},
		{"there is one", testName("plain"), dns.TypeSRV, "[]"},
		{"not our name", testName("nobody"), dns.TypeSRV, "[]"},
		{"a shared name", mustType(testType), dns.TypeSRV, "[]"},
	} {
		r := publishing(t, service("plain"), icon, room)
		start := r.now.Sub(epoch)
		r.receive(ask(c.typ, c.name))
		for _, at := range r.times(true, dns.TypeNSEC) {
			if at != start {
				t.Errorf("%s: answered after %v", c.what, at-start)
			}
		}
		key := c.name.fold()
		if got := fmt.Sprint(r.denied(key)); got != c.want {
			t.Errorf("%s: there is %v, want %v", c.what, got, c.want)
		}
	}
}

// A denial that has become wrong must not wait in caches for its end. LL-15
func TestRFC6762_6_1_DenialIsTakenBack(t *testing.T) {
	r := publishing(t, service("a"))
	r.receive(ask(dns.TypeNULL, testName("a")))
	r.advance(2 * time.Second)
	r.clear()
	r.e.SetNull(r.now, "a", make([]byte, 5000)) // too large to be pushed
	r.advance(5 * time.Second)
	if got := fmt.Sprint(r.denied(testName("a"))); got != "[[NULL TXT SRV]]" {
		t.Errorf("after the picture has come: %v", got)
	}
}

func TestRFC6762_6_1_DeniedNullEndsItsFetch(t *testing.T) {
	r := publishing(t)
	r.receive(answerWith(foreign("bob@h", "h", 1)...))
	r.clear()
	id := r.e.ResolveNull(r.now, "bob@h", testType)
	r.advance(10 * ms)
	r.receive(answerWith(nsecRecord(testName("bob@h"), dns.TypeSRV, dns.TypeTXT, dns.TypeNULL)))
	r.wantNoEvents("there is a NULL record")
	r.receive(answerWith(nsecRecord(testName("bob@h"), dns.TypeSRV, dns.TypeTXT)))
	if ev := wantEvent[NullResolved](r, "there is none"); ev.Query != id || ev.OK {
		t.Errorf("got %+v", ev)
	}
}

// Where there is one family of addresses, the other's absence goes along.
func TestRFC6762_6_2_MissingFamily(t *testing.T) {
	l := newLAN(t, 2) // its hosts have IPv4 alone
	a := l.host("a", Config{})
	a.register(service("x"))
	l.run(5 * time.Second)
	for _, c := range []struct {
		typ  uint16
		name name
	}{{dns.TypeA, "a.local."}, {dns.TypeSRV, testName("x")}, {dns.TypePTR, mustType(testType)}} {
		l.sent = nil
		b, _ := func() ([]byte, bool) { m := ask(c.typ, c.name); return m.pack(false) }()
		a.e.HandlePacket(l.now, Packet{Data: b, Src: peerAddr})
		a.flush()
		l.run(2 * time.Second)
		m := wire(t, l.sent[0].Data)
		if !slices.ContainsFunc(m.Extra, func(rr dns.RR) bool {
			n, ok := rr.(*dns.NSEC)
			return ok && n.Hdr.Name == "a.local." && slices.Equal(n.TypeBitMap, []uint16{dns.TypeA})
		}) {
			t.Errorf("%s answered with %v: nothing says that there is no IPv6 address", dns.TypeToString[c.typ], m.Extra)
		}
	}
}

func TestRFC6762_6_3_SeveralQuestionsWait(t *testing.T) {
	r := publishing(t, service("a"), service("b"))
	start := r.now.Sub(epoch)
	r.receive(ask(dns.TypeSRV, testName("a"), testName("b"), testName("nobody")))
	r.advance(time.Second)
	got := r.times(true, dns.TypeSRV)
	if len(got) != 1 || got[0]-start < 20*ms || got[0]-start > 120*ms || len(r.answers(dns.TypeSRV)) != 2 {
		t.Errorf("two of three questions answered at %v, want together 20–120 ms after %v", got, start)
	}
	r = publishing(t, service("a"), service("b"))
	r.receive(ask(dns.TypeSRV, testName("a"), testName("b")))
	if got := r.times(true, dns.TypeSRV); len(got) != 1 || got[0] != start {
		t.Errorf("questions for our names alone answered at %v, want at once (%v)", got, start)
	}
}

func TestRFC6762_6_4_AnswersAreBroughtTogether(t *testing.T) {
	r := publishing(t, service("a"))
	r.receive(ask(dns.TypePTR, mustType(testType)))
	r.advance(5 * ms)
	r.receive(ask(dns.TypePTR, enumName))
	r.advance(10 * ms)
	r.receive(ask(dns.TypeTXT, testName("a"), "gw.local."))
	r.advance(time.Second)
	if len(r.sent) > 2 {
		t.Errorf("three questions within 15 ms answered in %d packets", len(r.sent))
	}
}

func TestRFC6762_6_5_QuestionsForEverything(t *testing.T) {
	s := service("a", "k=v")
	s.Null = []byte("picture")
	types := func(r *rig) (out []string) {
		for _, p := range r.sent {
			for _, rr := range p.Answer {
				out = append(out, dns.TypeToString[rr.Header().Rrtype])
			}
		}
		slices.Sort(out)
		return out
	}
	r := publishing(t, s)
	r.receive(ask(dns.TypeANY, testName("a")))
	r.advance(time.Second)
	if got := fmt.Sprint(types(r)); got != "[NULL SRV TXT]" {
		t.Errorf("asked for all: %v", got)
	}
	r = publishing(t, s)
	m := ask(dns.TypeSRV, testName("a"))
	b, _ := m.pack(false)
	b[len(b)-1] = 255 // class ANY
	r.e.HandlePacket(r.now, Packet{Data: b, Src: peerAddr})
	r.advance(time.Second)
	if got := fmt.Sprint(types(r)); got != "[SRV]" {
		t.Errorf("asked in class ANY: %v", got)
	}
	r = publishing(t, s)
	r.receive(probeBy(testName("a"), srvRecord(testName("a"), 9, "x.local.")))
	r.advance(time.Second)
	if got := fmt.Sprint(types(r)); got != "[SRV TXT]" {
		t.Errorf("a probe was met with %v, want what it claims and no picture", got)
	}
}

func TestRFC6762_7_4_AnswerThatAnotherGave(t *testing.T) {
	typ := ptrRecord(enumName, mustType(testType))
	for _, c := range []struct {
		what    string
		ttl     uint32
		unicast bool
		want    int
	}{{"the same", 4500, false, 0}, {"ends earlier", 4000, false, 1}, {"heard by us alone", 4500, true, 1}} {
		r := publishing(t, service("a"))
		r.receive(ask(dns.TypePTR, enumName))
		r.advance(10 * ms)
		m := answerWith(typ.withTTL(c.ttl))
		b, _ := m.pack(false)
		r.e.HandlePacket(r.now, Packet{Data: b, Src: peerAddr, Unicast: c.unicast})
		r.advance(time.Second)
		if got := len(r.answers(dns.TypePTR)); got != c.want {
			t.Errorf("%s: answered %d times, want %d", c.what, got, c.want)
		}
	}
}

// What was to be answered when the link went must not be in the way later.
func TestAnswersAfterTheLinkIsBack(t *testing.T) {
	r := publishing(t, service("a"))
	for range 2 {
		r.receive(ask(dns.TypePTR, mustType(testType)))
		r.receive(ask(dns.TypePTR, enumName))
		r.e.SetAddrs(r.now, nil)
		r.advance(time.Second)
		r.e.SetAddrs(r.now, []netip.Addr{netip.MustParseAddr("10.0.0.1")})
		r.advance(10 * time.Second)
		r.clear()
		r.receive(ask(dns.TypePTR, mustType(testType), enumName))
		r.advance(time.Second)
		if got := r.answers(dns.TypePTR); len(got) != 2 {
			t.Errorf("answered %v", got)
		}
	}
}

// An answer that waits is not given for what has been taken back meanwhile.
func TestNoAnswerForWhatIsGone(t *testing.T) {
	r := publishing(t, service("a"))
	r.receive(ask(dns.TypePTR, mustType(testType), enumName))
	r.e.Unregister(r.now, "a")
	r.advance(3 * time.Second)
	for _, rr := range r.answers(dns.TypePTR) {
		if rr.Header().Ttl > 0 {
			t.Errorf("answered %v", rr)
		}
	}
}

// A long text has no room beside the pointer to it: then it is there for whoever
// asks next, and not put off as if it had been said. RFC 6762 §6
func TestTextThatDidNotFitIsAnsweredAtOnce(t *testing.T) {
	long := make([]string, 6)
	for i := range long {
		long[i] = strings.Repeat("x", 250)
	}
	r := publishing(t, service("a", long...))
	r.advance(time.Minute)
	r.clear()
	r.receive(ask(dns.TypePTR, mustType(testType)))
	r.advance(sharedDelayMax)
	r.receive(ask(dns.TypeTXT, testName("a")))
	if len(r.answers(dns.TypePTR)) != 1 || len(r.answers(dns.TypeTXT)) != 1 {
		t.Errorf("%d pointers and %d texts", len(r.answers(dns.TypePTR)), len(r.answers(dns.TypeTXT)))
	}
}

// TestRFC6762_7_2_TwoQueriesAtOnce: avahi asks for what expires in several
// queries, and the known answers of the second come while the first is held.
func TestRFC6762_7_2_TwoQueriesAtOnce(t *testing.T) {
	r := publishing(t, service("a", "k=a"), service("b", "k=b"))
	r.advance(time.Minute)
	r.clear()
	known := func(id string) record { return txtRecord(testName(id), textBlob([]string{"k=" + id})) }
	first, second := ask(dns.TypeTXT, testName("a")), ask(dns.TypeTXT, testName("b"))
	first.truncated, second.truncated = true, true
	second.answers = []record{known("a")}
	for _, m := range []message{first, second, {answers: []record{known("b")}}} {
		r.receive(m)
	}
	r.advance(2 * time.Second)
	if got := r.answers(dns.TypeTXT); len(got) > 0 {
		t.Errorf("said what is known: %v", got)
	}
}
