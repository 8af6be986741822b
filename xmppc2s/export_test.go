package xmppc2s

import (
	"context"
	"time"

	"meshgate/xmppc2s/sm"
)

// SetResolver makes a client look up servers in a test's own DNS.
func SetResolver(c *Client, r resolver) { c.dns = r }

// PassFlood lets the time pass for which a client that is online does without
// stream management.
func PassFlood(c *Client) {
	c.calls <- func(l *loop) {
		l.gate.until = time.Now()
		l.tr.since = l.gate.until.Add(-floodSoon)
	}
}

// Features of the client's internals that tests look at.
var (
	Order       = order
	ParseLimits = parseLimits
)

type SRVRecord = srvRecord

func Addr(t target) string { return t.addr }

// NewPacer is a pacer in which chance always says r.
func NewPacer(cfg Backoff, r float64) *Pacer {
	p := newPacer(cfg.withDefaults())
	p.rand = func() float64 { return r }
	return &Pacer{p}
}

// NewPacerWith is a pacer with the defaults and somebody's chance.
func NewPacerWith(chance func() float64) *Pacer {
	p := newPacer(Backoff{}.withDefaults())
	p.rand = chance
	return &Pacer{p}
}

// A Pacer paces a client that a test plays.
type Pacer struct{ p *pacer }

// Failed is the wait after an attempt that failed, Ended after the end of a
// connection, and Eased after that of a short one with messages.
func (p *Pacer) Failed(err error) time.Duration { return p.p.next(paceOf(err)) }
func (p *Pacer) Ended(uptime time.Duration, good bool, err error) time.Duration {
	p.p.ended(uptime, good)
	return p.Failed(err)
}

func (p *Pacer) Eased(uptime time.Duration, err error) time.Duration {
	p.p.ended(uptime, false)
	p.p.eased()
	return p.Failed(err)
}

// StreamError is the error of a condition.
func StreamError(condition string) *Error {
	return streamError{condition: condition}.problem(&Config{})
}

// Told is what is left to say of events that nobody has taken yet.
func Told(events ...Event) []Event {
	var l loop
	for _, ev := range events {
		l.tell(ev)
	}
	return l.pending
}

// Speaks reports whether a stream error speaks of what we have sent.
func Speaks(e *Error) bool { return e.rule.loss == sm.Refusal }

// ParsePlace is where see-other-host sends us, as host and port.
var ParsePlace = parsePlace

// Target is a place where a server is.
func Target(addr string) target { return target{addr: addr} }

// Hinted is where a server at from may have its session resumed.
func Hinted(cfg *Config, from target, location string) (addrs []string) {
	for _, t := range hinted(cfg, location, []target{from}) {
		addrs = append(addrs, t.addr)
	}
	return addrs
}

// Follow is where a server at from may send us with see-other-host.
func Follow(cfg *Config, dns resolver, from target, place string) (addrs []string, err error) {
	c := connector{cfg: cfg, dns: dns}
	list, err := c.follow(context.Background(), from, place)
	for _, t := range list {
		addrs = append(addrs, t.addr)
	}
	return addrs, err
}

// PassesWithNetwork reports whether another network may mend an error.
var PassesWithNetwork = passesWithNetwork
