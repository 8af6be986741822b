package xmppc2s

import "time"

// SetResolver makes a client look up servers in a test's own DNS.
func SetResolver(c *Client, r resolver) { c.dns = r }

// Features of the client's internals that tests look at.
var Order = order

type SRVRecord = srvRecord

func Addr(t target) string { return t.addr }

// NewPacer is a pacer in which chance always says r.
func NewPacer(cfg Backoff, r float64) func(error) (wait time.Duration) {
	p := newPacer(cfg.withDefaults())
	p.rand = func() float64 { return r }
	return p.next
}

// Told is what is left to say of events that nobody has taken yet.
func Told(events ...Event) []Event {
	var l loop
	for _, ev := range events {
		l.tell(ev)
	}
	return l.pending
}
