package mdns

import (
	"net/netip"
	"testing"
	"time"
)

func TestQuietEngineHearsAndPublishesNothing(t *testing.T) {
	r := newRig(t, Config{Browse: []string{testType}, Quiet: true})
	r.advance(5 * time.Second)
	r.e.SetAddrs(r.now, nil) // sleeps and wakes
	r.e.SetAddrs(r.now, []netip.Addr{netip.MustParseAddr("10.0.0.1")})
	r.advance(5 * time.Second)
	r.e.Shutdown(r.now)
	r.advance(5 * time.Second)
	if len(r.sent) == 0 {
		t.Error("it does not ask either")
	}
	for _, p := range r.sent {
		if p.Response || len(p.Answer)+len(p.Ns)+len(p.Extra) > 0 {
			t.Errorf("at %v it says: %v", p.at, p.Msg)
		}
	}
}
