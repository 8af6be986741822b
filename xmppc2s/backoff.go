package xmppc2s

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait before trying again. Zero fields mean the
// defaults.
type Backoff struct {
	First time.Duration // after the second failure in a row; default 100 ms, each time half as long again
	Max   time.Duration // default 30 s
	Fatal time.Duration // where a person has to mend something first; default 10 min, at first a fifth of that
}

func (b Backoff) withDefaults() Backoff {
	orDefault(&b.First, 100*time.Millisecond)
	orDefault(&b.Max, 30*time.Second)
	orDefault(&b.Fatal, 10*time.Minute)
	return b
}

// A pace is what an error has to do with the time of the next attempt.
type pace uint8

const (
	usual pace = iota // at once after a loss, then ever later
	soon              // the server will be back: neither at once, nor held against it
	slow              // it has too much to do, or has had enough of us: not at once
	held              // a person has to mend something first
)

const (
	// goodUptime is how long a connection must have lived for its loss to be
	// followed by an attempt at once, if nothing else speaks for it.
	goodUptime = 10 * time.Second
	// peace is how long a connection must have lived for what a person had to
	// mend to count as mended. Another client that wants the same address may
	// leave it to us for some minutes.
	peace = time.Hour
	// slowSteps is how many failures an error of pace slow counts for at least.
	slowSteps = 8
	// soonFactor times First is the wait of pace soon.
	soonFactor = 30
)

// A pacer decides when to try next. The first attempt after a loss is made at
// once; then the waits grow. Each is drawn between a half and one and a half of
// what it should be, so that clients that were thrown out together do not come
// back together.
type pacer struct {
	cfg      Backoff
	lost     bool           // a connection, and nothing has been tried since
	failed   int            // attempts in a row, and connections that were not worth having
	troubles int            // for a person to mend, since the last peace
	rand     func() float64 // 0 to 1
}

func newPacer(cfg Backoff) *pacer { return &pacer{cfg: cfg, rand: rand.Float64} }

// ended notes the end of a connection, after which next is asked. good: it was
// worth having.
func (p *pacer) ended(uptime time.Duration, good bool) {
	p.lost = true
	if good {
		p.failed = 0
	}
	if uptime >= peace {
		p.troubles = 0
	}
}

// eased notes, behind ended, that the connection was of use, if not for long:
// the next one is not made at once, and the one behind it not much later.
func (p *pacer) eased() { p.failed = min(p.failed, 1) }

// next is how long to wait after an error of that pace.
func (p *pacer) next(how pace) time.Duration {
	lost := p.lost
	p.lost = false
	switch how {
	case held:
		p.failed = 0
		p.troubles++
		return p.grown(p.cfg.Fatal/5, p.cfg.Fatal, p.troubles)
	case soon:
		return p.grown(soonFactor*p.cfg.First, p.cfg.Max, 1)
	case slow:
		p.failed = max(p.failed+1, slowSteps)
	default:
		p.failed++
	}
	if p.failed == 1 && lost {
		return 0
	}
	return p.grown(p.cfg.First, p.cfg.Max, p.failed-1)
}

// grown is the nth wait of a row of which each is half as long again as the one
// before, so that the last is no more than half of all before it together; none is
// above limit.
func (p *pacer) grown(first, limit time.Duration, n int) time.Duration {
	wait := first
	for ; n > 1 && wait < limit; n-- {
		wait += wait / 2
	}
	return time.Duration(float64(min(wait, limit*2/3)) * (0.5 + p.rand()))
}
