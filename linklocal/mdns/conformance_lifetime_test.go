package mdns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The duties about how long records live: RFC 6762 §10.

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

// One of three goodbyes arrives nearly always. LL-11
func TestRFC6762_10_1_GoodbyeIsSaidThreeTimes(t *testing.T) {
	r := publishing(t, service("a"))
	start := r.now.Sub(epoch)
	r.e.Unregister(r.now, "a")
	r.advance(2 * time.Second)
	r.wantTimes("goodbyes", r.times(true, dns.TypePTR), start, start+120*ms, start+360*ms)
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
