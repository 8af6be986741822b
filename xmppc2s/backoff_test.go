package xmppc2s_test

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"meshgate/xmppc2s"
)

var errAny = errors.New("x")

func TestWaitsGrow(t *testing.T) {
	p := xmppc2s.NewPacer(xmppc2s.Backoff{}, 0.5)
	for i, want := range []time.Duration{100, 100, 150, 225} {
		if got := p.Failed(errAny); got != want*time.Millisecond {
			t.Errorf("wait %d of those who never were there is %v, want %v", i, got, want*time.Millisecond)
		}
	}
	if got := p.Ended(time.Minute, true, errAny); got != 0 {
		t.Errorf("after a good connection %v", got)
	}
	for i, want := range []time.Duration{100, 150, 225} {
		if got := p.Ended(0, false, errAny); got != want*time.Millisecond {
			t.Errorf("after bad connection %d: %v, want %v", i, got, want*time.Millisecond)
		}
	}
	for range 3 {
		if got := p.Eased(0, errAny); got != 100*time.Millisecond {
			t.Errorf("after a short connection with messages %v", got)
		}
	}
	for _, r := range []float64{0, 0.999} {
		p := xmppc2s.NewPacer(xmppc2s.Backoff{}, r)
		if got, want := p.Failed(errAny), time.Duration((0.5+r)*float64(100*time.Millisecond)); got != want {
			t.Errorf("with chance %v: %v, want %v", r, got, want)
		}
		for range 50 {
			if got := p.Failed(errAny); got > 30*time.Second {
				t.Errorf("with chance %v: %v, while the server may be back", r, got)
			}
		}
	}
}

// What a person has to mend is asked for ever more seldom; a connection that
// has lasted for an hour was mended, one that another client took after some
// minutes was not.
func TestWhatAPersonHasToMendIsNotRushed(t *testing.T) {
	p := xmppc2s.NewPacer(xmppc2s.Backoff{}, 0.5)
	conflict := xmppc2s.StreamError("conflict")
	for i, want := range []time.Duration{120, 180, 270, 400, 400} {
		if got := p.Ended(20*time.Minute, true, conflict); got != want*time.Second {
			t.Errorf("wait %d is %v, want %v", i, got, want*time.Second)
		}
	}
	if got := p.Ended(2*time.Hour, true, conflict); got != 2*time.Minute {
		t.Errorf("after an hour of peace %v", got)
	}
	if got := p.Failed(errAny); got > time.Second {
		t.Errorf("an ordinary failure behind it is followed by %v", got)
	}
}

// A gateway in the simulation tries again at its time.
type gateway struct {
	at    time.Duration
	pacer *xmppc2s.Pacer
}

type gateways []*gateway

func (g gateways) Len() int           { return len(g) }
func (g gateways) Less(i, j int) bool { return g[i].at < g[j].at }
func (g gateways) Swap(i, j int)      { g[i], g[j] = g[j], g[i] }
func (g *gateways) Push(x any)        { *g = append(*g, x.(*gateway)) }
func (g *gateways) Pop() any {
	old := *g
	x := old[len(old)-1]
	*g = old[:len(old)-1]
	return x
}

// outage has many gateways lose their server at 0, in that way, and find it
// again from away on. A login takes it cost, one after the other, and it refuses
// those for which it would need longer than limit.
func outage(n int, how error, away, cost, limit time.Duration) (back time.Duration, tries, refused int, busiest int) {
	rnd := rand.New(rand.NewPCG(1, uint64(away)))
	var all gateways
	for range n {
		p := xmppc2s.NewPacerWith(rnd.Float64)
		all = append(all, &gateway{at: p.Ended(time.Hour/2, true, how), pacer: p})
	}
	heap.Init(&all)
	free := away // when the server has done what it has taken on
	perSecond := map[time.Duration]int{}
	for all.Len() > 0 {
		g := heap.Pop(&all).(*gateway)
		tries++
		if perSecond[g.at/time.Second]++; g.at >= away {
			busiest = max(busiest, perSecond[g.at/time.Second])
		}
		switch {
		case g.at < away:
			g.at += g.pacer.Failed(errAny)
		case free > g.at+limit:
			refused++
			g.at += g.pacer.Failed(xmppc2s.StreamError("resource-constraint"))
		default:
			free = max(free, g.at) + cost
			back = max(back, free-away)
			continue
		}
		heap.Push(&all, g)
	}
	return back, tries, refused, busiest
}

// 300 gateways lose a server that restarts. They must not keep it from coming
// up, nor stay away when it has.
func TestManyGatewaysNeitherStormAServerNorSleepThroughItsReturn(t *testing.T) {
	const many = 300
	shutdown := xmppc2s.StreamError("system-shutdown")
	for name, tc := range map[string]struct {
		how     error
		away    time.Duration
		cost    time.Duration // of one login
		back    time.Duration // all of them, at the latest
		busiest int           // tries in the worst second of a server that is back
		tries   int           // for each gateway, at most
	}{
		"a restart of 2 s":           {shutdown, 2 * time.Second, 5 * time.Millisecond, 4 * time.Second, 170, 4},
		"a restart of 10 s":          {shutdown, 10 * time.Second, 5 * time.Millisecond, 10 * time.Second, 110, 12},
		"a crash of 10 s":            {errAny, 10 * time.Second, 5 * time.Millisecond, 10 * time.Second, 90, 12},
		"a minute away":              {errAny, time.Minute, 5 * time.Millisecond, 31 * time.Second, 40, 17},
		"an hour away":               {errAny, time.Hour, 5 * time.Millisecond, 31 * time.Second, 40, 200},
		"a weak server, 10 s away":   {errAny, 10 * time.Second, 100 * time.Millisecond, 60 * time.Second, 100, 15},
		"a weak server, an hour off": {errAny, time.Hour, 100 * time.Millisecond, 60 * time.Second, 40, 200},
	} {
		t.Run(name, func(t *testing.T) {
			back, tries, refused, busiest := outage(many, tc.how, tc.away, tc.cost, 5*time.Second)
			t.Logf("all are back after %v, %d tries in all, %d refused, %d in the worst second", back, tries, refused, busiest)
			if back > tc.back {
				t.Errorf("all are back only after %v, want %v", back, tc.back)
			}
			if busiest > tc.busiest {
				t.Errorf("%d tries in a second, want no more than %d", busiest, tc.busiest)
			}
			if tries > many*tc.tries {
				t.Errorf("%d tries, want no more than %d each", tries, tc.tries)
			}
		})
	}
}
