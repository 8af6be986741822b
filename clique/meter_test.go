package clique

import (
	"net/netip"
	"testing"
	"time"
)

// Whoever floods is heard as far as its rate goes, and nobody else suffers.
func TestMeterLimitsEachSource(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := newMeter(100)
	loud, calm := origin{1, netip.MustParseAddr("10.0.0.1")}, origin{1, netip.MustParseAddr("10.0.0.2")}
	heard, told := 0, 0
	for i := range 10000 { // in a second
		at := now.Add(time.Duration(i) * 100 * time.Microsecond)
		ok, tell := m.take(at, loud, 1)
		if ok {
			heard++
		}
		if tell > 0 {
			told++
		}
		if i%200 == 0 {
			if ok, _ := m.take(at, calm, 1); !ok {
				t.Fatalf("after %d packets of another the calm one is not heard", i)
			}
		}
	}
	if heard < 295 || heard > 305 || told != 1 {
		t.Errorf("%d packets heard, want twice 100 at once and 100 more; told %d times", heard, told)
	}
	if ok, _ := m.take(now.Add(time.Second), origin{2, loud.addr}, 1); !ok {
		t.Error("not heard on another link")
	}
	if ok, _ := m.take(now.Add(time.Minute), loud, 1); !ok {
		t.Error("not heard after a minute of silence")
	}
}

func TestMeterHasRoomForAllSourcesTogether(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := newMeter(100)
	heard := 0
	for i := range 100_000 { // each from somewhere else
		if ok, _ := m.take(now, origin{1, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}, 1); ok {
			heard++
		}
	}
	if len(m.sources) != maxSources || heard != maxSources+200 {
		t.Errorf("%d sources, %d packets heard", len(m.sources), heard)
	}
	if ok, _ := m.take(now.Add(2*idleSource), origin{1, netip.MustParseAddr("10.99.0.1")}, 1); !ok || len(m.sources) != 1 {
		t.Errorf("%d sources long after", len(m.sources))
	}
}

func TestMeterWeighs(t *testing.T) {
	m, from, now := newMeter(100), origin{1, netip.MustParseAddr("10.0.0.1")}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	heard := 0
	for range 100 {
		if ok, _ := m.take(now, from, 8); ok {
			heard++
		}
	}
	if heard != 25 {
		t.Errorf("%d packets of weight 8 heard, want as many as are twice 100", heard)
	}
}
