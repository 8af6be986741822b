package xmppc2s

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait before trying again. Zero fields mean the
// defaults.
type Backoff struct {
	First time.Duration // after the second failure in a row; default 100 ms, doubled from then on
	Max   time.Duration // default 30 s
	Fatal time.Duration // where a person has to mend something first; default 10 min
}

func (b Backoff) withDefaults() Backoff {
	orDefault(&b.First, 100*time.Millisecond)
	orDefault(&b.Max, 30*time.Second)
	orDefault(&b.Fatal, 10*time.Minute)
	return b
}

// goodUptime is how long a connection must have lived for its loss to be
// followed by an attempt at once, if nothing else speaks for it.
const goodUptime = 10 * time.Second

// A pacer decides when to try next. The first attempt after a loss is made at
// once; then the waits grow. Each wait is multiplied by 0.5 to 1.5 so that
// clients that were thrown out together do not come back together.
type pacer struct {
	cfg    Backoff
	failed int
	rand   func() float64 // 0 to 1
}

func newPacer(cfg Backoff) *pacer { return &pacer{cfg: cfg, rand: rand.Float64} }

// good notes that a connection was worth having.
func (p *pacer) good() { p.failed = 0 }

// next is how long to wait after err.
func (p *pacer) next(err error) time.Duration {
	if Fatal(err) {
		p.failed = 0
		return p.jitter(p.cfg.Fatal)
	}
	p.failed++
	if p.failed == 1 {
		return 0
	}
	wait := p.cfg.First
	for i := 2; i < p.failed && wait < p.cfg.Max; i++ {
		wait *= 2
	}
	return p.jitter(min(wait, p.cfg.Max))
}

func (p *pacer) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + p.rand()))
}
