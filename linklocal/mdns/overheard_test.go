package mdns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// COMPAT avahi 0.8: announces a service without the address of its host if it
// has announced that a moment before, and then does not answer questions for it
// either. Whoever comes is seen at once all the same.
func TestAnAddressThatWasSaidBeforeItsServiceCounts(t *testing.T) {
	for name, tt := range map[string]struct {
		before time.Duration
		seen   bool
	}{
		"a moment before": {200 * time.Millisecond, true},
		"long before":     {overheardFor + time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := publishing(t)
			rr := foreign("bob@h", "h", 1, "k=v")
			r.receive(answerWith(rr[3]))
			r.advance(tt.before)
			r.clear()
			r.receive(answerWith(rr[:3]...))
			if !tt.seen {
				r.wantNoEvents("its address may be another by now")
				r.advance(missingDelay)
				if len(r.times(false, dns.TypeA)) != 1 {
					t.Errorf("the address was not asked for: %v", r.sent)
				}
				return
			}
			if got := wantEvent[Appeared](r, "its address was said").Entry.Addrs; len(got) != 1 || got[0] != peerAddr.Addr() {
				t.Errorf("at %v", got)
			}
			r.advance(5 * time.Second)
			if got := r.times(false, dns.TypeA); len(got) > 0 {
				t.Errorf("asked for the address at %v", got)
			}
		})
	}
}

// What is overheard is bounded, and the last word counts.
func TestWhatIsOverheardIsBounded(t *testing.T) {
	r := publishing(t)
	for i := range 2 * maxOverheard {
		r.receive(answerWith(addrRecord(hostName(fmt.Sprint("h", i)), peerAddr.Addr())))
	}
	if n := len(r.e.monitor.overheard); n != maxOverheard {
		t.Errorf("%d records are kept, want %d", n, maxOverheard)
	}
	rr := foreign("bob@h", "h", 1)
	r.receive(answerWith(rr[3]))
	r.receive(answerWith(rr[3].withTTL(0), addrRecord(hostName("h"), netip.MustParseAddr("10.0.0.77"))))
	r.receive(answerWith(rr[:3]...))
	r.advance(goodbyeGrace + time.Millisecond)
	if got := r.e.Entries(); len(got) != 1 || len(got[0].Addrs) != 1 || got[0].Addrs[0].String() != "10.0.0.77" {
		t.Errorf("entries %v", got)
	}
}

// An address that becomes of interest late is asked for as often as what was
// asked for from the beginning: whoever has said it within the last second may
// not say it again.
func TestAnAddressIsAskedForAnewWhenTheHostIsKnown(t *testing.T) {
	r := publishing(t)
	rr := foreign("bob@h", "h", 1)
	r.e.Resolve(r.now, "bob@h", testType)
	r.advance(900 * time.Millisecond)
	r.clear()
	r.receive(answerWith(rr[1:3]...))
	start := r.now.Sub(epoch)
	r.advance(1200 * time.Millisecond)
	r.wantTimes("questions for the address", r.times(false, dns.TypeA), start, start+250*time.Millisecond, start+time.Second)
	r.receive(answerWith(rr[3]))
	if ev := wantEvent[Resolved](r, "the address came"); !ev.OK {
		t.Errorf("got %+v", ev)
	}
}
