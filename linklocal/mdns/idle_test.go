package mdns

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// On a link where nothing happens nearly nothing is said.
func TestIdleIsQuiet(t *testing.T) {
	var services []Service
	for i := range 300 {
		services = append(services, service(fmt.Sprint("user", i), "status=avail"))
	}
	r := publishing(t, services...)
	r.advance(time.Hour)
	if len(r.sent) > 6 { // the browse question, each time after three times as long
		t.Errorf("sent %d packets in an hour", len(r.sent))
	}
}

// 300 peers are kept fresh with few packets: those of one time together, and
// what one host asks the others need not.
func TestRefreshingManyTakesFewPackets(t *testing.T) {
	l := newLAN(t, 1)
	a := l.host("a", Config{})
	for i := range 300 {
		a.register(service(fmt.Sprint("user", i), "status=avail"))
	}
	b, c := l.host("b", Config{}), l.host("c", Config{})
	l.run(10 * time.Second)
	l.sent = nil
	l.run(10 * time.Minute)
	questions, answers := 0, 0
	for _, d := range l.sent {
		if d.Data[2]&0x80 == 0 {
			questions++
		} else {
			answers++
		}
	}
	rounds := 7 // 96 s each
	if most := rounds * 40; questions > most {
		t.Errorf("%d packets of questions in 10 minutes, want at most %d", questions, most)
	}
	if most := rounds * 60; answers > most {
		t.Errorf("%d packets of answers in 10 minutes, want at most %d", answers, most)
	}
	if len(b.seen) != 300 || len(c.seen) != 300 {
		t.Errorf("%d and %d of 300 seen", len(b.seen), len(c.seen))
	}
}

// LL-10: whoever has missed the announcements of a new text has it with the next
// answer about the port. Where nothing is new, nothing is said: three hundred
// texts would be most of what an idle gateway sends.
func TestChangedTextGoesWithThePort(t *testing.T) {
	r := publishing(t, service("a"))
	for _, step := range []struct {
		why    string
		change bool
		after  time.Duration
		want   bool
	}{
		{"as it was announced", false, 5 * time.Second, false},
		{"changed, and lost", true, 5 * time.Second, true},
		{"every cache has asked since", false, healText, false},
	} {
		if step.change {
			r.e.SetText(r.now, "a", []string{"msg=new"})
		}
		r.advance(step.after)
		r.clear()
		r.receive(ask(dns.TypeSRV, testName("a")))
		r.advance(time.Second)
		got := false
		for _, p := range r.sent {
			got = got || slices.ContainsFunc(p.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeTXT })
		}
		if got != step.want || len(r.answers(dns.TypeSRV)) != 1 {
			t.Errorf("%s: text said %v, SRV %d times", step.why, got, len(r.answers(dns.TypeSRV)))
		}
	}
}
