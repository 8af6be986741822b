package clique

import (
	"net/netip"
	"time"
)

const (
	maxSources = 256         // of which the meter keeps an account of their own
	idleSource = time.Minute // after which it is closed
	tellFlood  = time.Minute // how often one source is complained of
)

// A meter weighs what each address sends to a room on a link, and says what is too much.
// One that floods is heard as far as its rate goes, and takes the place of no
// other; the members ask for what they have not heard.
type meter struct {
	rate    float64 // weight a second; twice as much at once
	sources map[origin]*source
	others  source // all for whom there is no room
	swept   time.Time
}

// An origin is an address on a link: who is on two is heard on both, and so are we.
type origin struct {
	link int
	addr netip.Addr
}

// A source is the account of one origin.
type source struct {
	level float64 // weight that it may send now; nothing below 1
	last  time.Time
	over  uint64    // packets too many, since told
	told  time.Time // when it was complained of
}

func newMeter(rate int) *meter {
	return &meter{rate: float64(rate), sources: map[origin]*source{}}
}

// take counts a packet of a weight of at least 1. It may not be heard unless ok; if tell
// is not 0 there is something to complain of, and tell is how many packets were lost since
// the last time.
func (m *meter) take(now time.Time, from origin, weight int) (ok bool, tell uint64) {
	s := m.source(now, from)
	if s.last.IsZero() {
		s.level = 2 * m.rate
	}
	s.level = min(2*m.rate, s.level+m.rate*now.Sub(s.last).Seconds())
	s.last = now
	if s.level >= 1 {
		s.level -= float64(weight)
		return true, 0
	}
	s.over++
	if now.Sub(s.told) < tellFlood {
		return false, 0
	}
	tell = s.over
	s.told, s.over = now, 0
	return false, tell
}

func (m *meter) source(now time.Time, from origin) *source {
	if s := m.sources[from]; s != nil {
		return s
	}
	if len(m.sources) >= maxSources && now.Sub(m.swept) >= time.Second {
		m.swept = now
		for a, s := range m.sources {
			if now.Sub(s.last) >= idleSource {
				delete(m.sources, a)
			}
		}
	}
	if len(m.sources) >= maxSources {
		return &m.others
	}
	s := &source{}
	m.sources[from] = s
	return s
}
