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
