package mdns

import "time"

// What [Config.Yield] is about. Two parts of a network that were cut off from
// each other become one, and somebody there has had one of our names for as
// long as we have. RFC 6762 §9 lets chance decide. But libpurple never takes
// another name: if it loses its own it is gone for good, while we lose nothing
// but a digit. So we go; unless the other does, too.
//
// Such a one is told from a newcomer by what was heard of it. A newcomer probes
// before it claims anything. Who claims a name and has not probed for it has
// had it; so has, perhaps, who begins to probe when it hears that the name is
// ours. Where that was a newcomer after all, it has the name: it may have been
// libpurple.
const (
	probedFor  = 10 * time.Second        // after its last probe a claim is a newcomer's
	probeQuiet = 2 * time.Second         // between two rounds of probes
	provoked   = 2 * time.Second         // from our words to the first probe; avahi's comes within half a second
	yieldWait  = 1500 * time.Millisecond // until the other's probes are over
	yieldRest  = time.Minute             // until we yield again: two such as we must come to an end
)

// probed notes that somebody else probes for a name of ours.
func (e *Engine) probed(now time.Time, c *claim) {
	first := now.Sub(c.probedAt) > probeQuiet
	c.probedAt = now
	if first && e.mayYield(now, c) && now.Sub(c.saidAt()) < provoked {
		e.yield(now, c)
	}
}

// saidAt is when we last said that the name is ours.
func (c *claim) saidAt() (at time.Time) {
	for _, k := range c.kinds() {
		at = later(at, c.sched[k].sent)
	}
	return at
}

// newcomer reports whether whoever claims our name now has probed for it.
func (c *claim) newcomer(now time.Time) bool { return now.Sub(c.probedAt) < probedFor }

// isGuest reports whether a name may be left to another at all: a host's is no
// person's, and needs no such care.
func (e *Engine) isGuest(c *claim) bool { return e.yields && c.svc != nil }

func (e *Engine) mayYield(now time.Time, c *claim) bool {
	return e.isGuest(c) && now.Sub(c.yieldedAt) >= yieldRest
}

// yield leaves a name to somebody who seems to have had it for long. We are
// silent until the other can be sure of it, and then ask like a newcomer.
func (e *Engine) yield(now time.Time, c *claim) {
	e.stats.Conflicts++
	e.becomeProbing(c, now.Add(yieldWait+e.conflictDelay(now)+e.jitter(0, probeDelayMax)))
	c.yielding, c.yieldedAt = true, now
	e.log.Debug("name left to another holder", "name", c.label)
}
