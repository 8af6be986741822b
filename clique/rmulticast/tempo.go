package rmulticast

import "time"

// A tempo is how many packets of data a second we send to nodes of our kind: more
// and more, up to the limit, as long as they miss few of them, and less when they
// miss many. A link, or a machine, that takes less is found so; what is lost by
// chance, as on the radio, does not slow us.
//
// gibber sends as fast as it can, which is 12,000 a second where that was measured.
type tempo struct {
	rate   float64
	limit  float64
	since  time.Time // when we began to count …
	sent   int       // … what we send
	missed int       // … and what of it somebody asks for
	slowed bool      // it was too fast once
}

const (
	firstTempo   = 10_000
	leastTempo   = 1_000
	tempoTime    = 20 * time.Millisecond // between two changes at least: requests take some of it
	tempoCount   = 256                   // packets, too
	tempoFaster  = 1.25
	tempoAtFirst = 2 // faster, until it was too fast once
	tempoSlower  = 0.6
	byChance     = 0.1 // share of the packets that each of the others may miss
)

func newTempo(limit int) tempo {
	return tempo{rate: min(firstTempo, float64(limit)), limit: float64(limit)}
}

// send counts a packet. It is for so many others.
func (t *tempo) send(now time.Time, others int) {
	t.sent++
	switch {
	case t.sent < tempoCount || now.Sub(t.since) < tempoTime:
		return
	case float64(t.missed) > byChanceMissed(others)*float64(t.sent):
		t.rate = max(t.rate*tempoSlower, min(leastTempo, t.limit))
		t.slowed = true
	case !t.slowed:
		t.rate = min(t.rate*tempoAtFirst, t.limit)
	default:
		t.rate = min(t.rate*tempoFaster, t.limit)
	}
	t.since, t.sent, t.missed = now, 0, 0
}

// byChanceMissed is the share of the packets that one or more of the others miss, if
// each misses byChance of them.
func byChanceMissed(others int) float64 {
	all := 1.0
	for range others {
		all *= 1 - byChance
	}
	return 1 - all
}
