package xmppc2s

import (
	"testing"
	"time"
)

// wantGate fails unless a session that begins in so long may have stream
// management or not.
func wantGate(t *testing.T, why string, g *floodgate, at time.Time, open bool) {
	t.Helper()
	if peek := *g; peek.open(at) != open {
		t.Errorf("%s: open is %v", why, !open)
	}
}

func TestTheGateShutsWhenSessionsEndInARow(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	g := new(floodgate)
	g.ended(now, time.Hour/2, true)
	wantGate(t, "one flood", g, now, true)
	g.ended(now, time.Second, false)
	wantGate(t, "a cut behind it", g, now, true)
	g.ended(now, floodSoon, true)
	wantGate(t, "the next flood, after a good session", g, now, true)
	g.ended(now, time.Second, true)
	wantGate(t, "two in a row", g, now, false)
	wantGate(t, "almost a minute later", g, now.Add(time.Minute-1), false)
	wantGate(t, "a minute later", g, now.Add(time.Minute), true)
	if at := g.enableAt(now.Add(55 * time.Second)); at != now.Add(65*time.Second) {
		t.Errorf("a stream of 55 s may have it at %v: its own flood has to pass", at)
	}
}

func TestTheGateStaysShutForLongerEachTime(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	g := new(floodgate)
	g.ended(now, time.Second, true)
	for _, want := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		g.ended(now, time.Minute, true)
		if got := g.until.Sub(now); got != time.Duration(want)*time.Minute && g.plain {
			t.Errorf("shut for %v, want %d minutes", got, want)
		}
		if now = now.Add(time.Duration(want) * time.Minute); !g.open(now) {
			t.Errorf("still shut after %d minutes", want)
		}
		if !g.enableAt(now).IsZero() {
			t.Error("stream management is to be enabled though nothing is in the way of it")
		}
	}
	g.ended(now, time.Hour, true)
	wantGate(t, "a flood after an hour of peace", g, now, true)
}
