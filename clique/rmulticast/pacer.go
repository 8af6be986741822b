package rmulticast

import "time"

// A pacer lets a number of packets through at once, and then so many a second.
type pacer struct {
	rate, burst int
	left        float64
	at          time.Time // of left
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

func (p *pacer) take(now time.Time) bool {
	p.fill(now)
	if p.left < 1 {
		return false
	}
	p.left--
	return true
}
