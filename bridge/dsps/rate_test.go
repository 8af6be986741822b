package dsps

import (
	"slices"
	"testing"
)

func TestRates(t *testing.T) {
	for _, tt := range []struct {
		s     string
		rate  Rate
		again string
	}{
		{"1.5KB", 1536, "1.5KB"}, {"0B", 0, "0B"}, {"", 0, ""}, {"1000", 1000, "1000B"}, {"1024", 1024, "1KB"},
		{"4.875KB", 4992, "4.875KB"}, {"10MB", 10 << 20, "10MB"}, {"-3KB", 0, "0B"}, {"1.3KB", 1331, "1331B"},
		{"1EB", 1 << 60, "1EB"}, {"900EB", 1 << 62, ""}, {"100KB", 100 << 10, "100KB"},
		{"KB", 0, ""}, {"1kb", 0, ""}, {"1 KB", 0, ""}, {"1e9B", 0, ""}, {"NaN", 0, ""}, {"InfB", 0, ""}, {"1BB", 0, ""}, {"0x1B", 0, ""},
	} {
		got, ok := ParseRate(tt.s)
		if got != tt.rate && ok {
			t.Errorf("ParseRate(%q) = %d, want %d", tt.s, got, tt.rate)
		}
		if ok && tt.again != "" && got.String() != tt.again || !ok && tt.again != "" {
			t.Errorf("%q: %v written %q, want %q", tt.s, ok, got, tt.again)
		}
	}
	for _, tt := range []struct{ rate, about Rate }{{1000, 1000}, {1025, 1024}, {5000, 4992}, {1 << 62, 1 << 62}} {
		if got := tt.rate.about(); got != tt.about {
			t.Errorf("about %d = %d, want %d", tt.rate, got, tt.about)
		}
	}
}

// DS-12: averages are at the places of their powers of two.
func TestThroughputsKeepTheirPlaces(t *testing.T) {
	const s = "1KB////4.875KB//3KB"
	got := ParseThroughput(s)
	if want := (Throughput{1024, -1, -1, -1, 4992, -1, 3072}); !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
	if got.String() != s || got.Over(4) != 4992 || got.Over(1) != 0 || got.Over(9) != 0 {
		t.Errorf("%v, 16 s %v", got, got.Over(4))
	}
}
