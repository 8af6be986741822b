package mdns

import "time"

// A naming says which alternative of a preferred name is taken.
type naming struct {
	label   string
	renames int // alternatives tried to get there
}

// takeName gives a claim the name that it has on another link: the one that it
// has here is taken there. It is taken back here, and the new one probed for.
func (e *Engine) takeName(now time.Time, c *claim, n naming) {
	if c.label == n.label {
		c.renames = n.renames
		return
	}
	if c.state == established {
		e.releaseName(now, c)
	}
	e.pass(now, c)
	old := c.label
	delete(e.claims, c.key)
	c.label, c.renames = n.label, n.renames
	e.enter(c)
	e.becomeIdle(c)
	if len(e.addrs) > 0 {
		e.becomeProbing(c, e.startAt(now))
	}
	if c.svc == nil {
		e.hostRenamed(now)
	} else {
		e.monitor.learn(now, instanceName(old, c.typ.name)) // whoever has it is not us
	}
}

// releaseName says goodbye to a name that is no longer ours, though what it
// stood for stays.
func (e *Engine) releaseName(now time.Time, c *claim) {
	if c.svc != nil {
		e.sayGoodbye(now, c)
		return
	}
	e.addGoodbye(now, c.key, e.uniqueRecords(c))
}

// startOver treats the link as new, because we may have missed what happened
// on it: all names are probed for and announced, and what others publish has
// to be heard again.
func (e *Engine) startOver(now time.Time) {
	addrs, published := e.addrs, e.host.addrs
	e.SetAddrs(now, nil)
	e.setAddrs(now, addrs, published)
	e.monitor.doubtAll(now)
}

// doubtAll lets everything expire soon that is not heard again, and asks for it.
//
// "a host may choose to adjust the remaining TTL on all those records to a few
// seconds … Likewise, when a host reboots, wakes from sleep …", RFC 6762 §10.3.
func (m *monitor) doubtAll(now time.Time) {
	for _, r := range m.cache.recs {
		m.doubt(now, r)
	}
}
