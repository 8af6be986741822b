package rmulticast

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// pour sends packets for a while at the tempo that there is, of which others miss
// what lost says, and returns what the tempo was in the end on average.
func (t *tempo) pour(d time.Duration, others int, lost func(rate float64) int) (average float64) {
	now, n := epoch, 0
	for end := epoch.Add(d); now.Before(end); now = now.Add(time.Duration(float64(time.Second) / t.rate)) {
		t.send(now, others)
		t.missed += lost(t.rate)
		if end.Sub(now) < d/2 {
			average += t.rate
			n++
		}
	}
	return average / float64(n)
}

// CQ-02: we are as fast as we may where nothing is lost, or some by chance; and else
// not much faster than the others bear.
func TestTempo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	byChance := func(share float64, others int) func(float64) int {
		return func(float64) int {
			for range others {
				if rng.Float64() < share {
					return 1
				}
			}
			return 0
		}
	}
	overrun := func(most float64) func(float64) int {
		return func(rate float64) int {
			if rng.Float64() < 1-most/rate {
				return 1
			}
			return 0
		}
	}
	for _, c := range []struct {
		why      string
		others   int
		lost     func(float64) int
		from, to float64
	}{
		{"nothing is lost", 1, byChance(0, 1), 50_000, 50_000},
		{"5 % are lost to one", 1, byChance(0.05, 1), 40_000, 50_000},
		{"5 % are lost to each of seven", 7, byChance(0.05, 7), 45_000, 50_000},
		{"one bears 8,000", 1, overrun(8000), 5_000, 10_000},
		{"a link of three bears 15,000", 3, overrun(15_000), 10_000, 25_000},
		{"nobody bears anything", 3, overrun(0), leastTempo, leastTempo * tempoFaster},
	} {
		tempo := newTempo(50_000)
		if got := tempo.pour(5*time.Second, c.others, c.lost); got < c.from || got > c.to {
			t.Errorf("%s: %.0f a second, want %.0f to %.0f", c.why, got, c.from, c.to)
		}
	}
	first := newTempo(50_000)
	if got := first.pour(140*time.Millisecond, 1, byChance(0, 1)); got < 50_000 {
		t.Errorf("after 70 ms in which nothing was lost we send %.0f a second", got)
	}
	for _, limit := range []int{1, 300, 12_000} {
		tempo := newTempo(limit)
		for _, lost := range []func(float64) int{byChance(0, 1), byChance(1, 1)} {
			if got := tempo.pour(5*time.Second, 1, lost); got > float64(limit) || got < min(leastTempo, float64(limit)) {
				t.Errorf("with a limit of %d: %.0f a second", limit, got)
			}
		}
	}
}

// CQ-02: what others ask for slows us down where it is much of what we send, counted
// once however often they ask.
func TestTempoCountsWhatIsAskedFor(t *testing.T) {
	l, room := members(t, 2)
	flood := func() {
		for range 3000 {
			room[0].say(strings.Repeat("z", 1000))
		}
		want := len(room[1].got) + 3000
		l.until(20*time.Second, "all told", func() bool { return len(room[1].got) == want })
	}
	flood()
	fast := room[0].bearable(l.now)
	if fast <= firstTempo {
		t.Errorf("%d a second where nothing is lost", fast)
	}
	l.loss = 0.3
	flood()
	if slow := room[0].bearable(l.now); slow > fast/2 {
		t.Errorf("%d a second where much is lost, and %d before", slow, fast)
	}
}
