package rmulticast

import "time"

// A pacer lets a number of packets through at once, and then so many a second.
type pacer struct {
	rate, burst int
	left        float64
	at          time.Time // of left
}

// setRate sets how many packets a second there may be, and with it how many at
// once: at a high rate more come due while we are at something else.
func (p *pacer) setRate(rate int) { p.rate, p.burst = rate, max(burst, rate/200) }

// rest is how long to wait once nothing is left, so that it is worth to go on.
func (p *pacer) rest() time.Duration {
	return min(paceWait, burst*time.Second/time.Duration(p.rate))
}

// fill counts what came since.
func (p *pacer) fill(now time.Time) {
	switch {
	case p.at.IsZero():
		p.left = float64(p.burst)
	case now.After(p.at):
		p.left = min(p.left+now.Sub(p.at).Seconds()*float64(p.rate), float64(p.burst))
	default:
		return
	}
	p.at = now
}

// earn has more come due.
func (p *pacer) earn(packets float64) { p.left = min(p.left+packets, float64(p.burst)) }

func (p *pacer) take(now time.Time) bool {
	p.fill(now)
	if p.left < 1 {
		return false
	}
	p.left--
	return true
}
