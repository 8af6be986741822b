package dsps

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// DS-12: the averages are those of a list of all milliseconds of transfer.
func TestMeterAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m meter
		var list []float64 // bytes in each millisecond
		for range rapid.IntRange(1, 40).Draw(t, "samples") {
			ms := rapid.IntRange(1, 6000).Draw(t, "ms")
			bytes := rapid.Int64Range(0, 1<<30).Draw(t, "bytes")
			m.add(bytes, time.Duration(ms)*time.Millisecond)
			for range ms {
				list = append(list, float64(bytes)/float64(ms))
			}
		}
		for n := range meterSpans {
			whole := len(list) / 1000
			if span := min(1<<n, whole); span > 0 {
				sum := 0.0
				for _, b := range list[(whole-span)*1000 : whole*1000] {
					sum += b
				}
				want, got := sum/float64(span), float64(m.over(n))
				if got < want*0.999-1 || got > want*1.001+1 {
					t.Fatalf("over 2^%d s: %v, want %v", n, got, want)
				}
			}
		}
		if m.judged() != (len(list) >= 16000) {
			t.Errorf("judged after %d ms: %v", len(list), m.judged())
		}
	})
}

func TestMeterOfLittle(t *testing.T) {
	var m meter
	if got := m.throughput().String(); got != "0B////0B" {
		t.Errorf("at first %q", got)
	}
	m.add(2048, 500*time.Millisecond)
	if got := m.throughput().String(); got != "4KB////4KB" {
		t.Errorf("after half a second %q", got)
	}
	m.add(1<<40, 1000*time.Hour) // nobody counts so long
	if got := m.throughput(); len(got) != meterSpans || !m.judged() {
		t.Errorf("%q", got)
	}
}
