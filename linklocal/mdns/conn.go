package mdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	linkPoll     = 2 * time.Second // how often the interface and its addresses are looked at
	goodbyeLimit = 2 * time.Second // how long Run takes at most to say goodbye
	maxCalls     = 16384           // waiting for the loop
)

// ErrNotFound is returned by Resolve and FetchNull if no answer came in time.
var ErrNotFound = errors.New("mdns: no answer")

// ConnConfig configures a Conn.
type ConnConfig struct {
	Interfaces []string // names; none: the first that is up, multicasts, is not loopback and has an address
	IPv6       bool     // beside IPv4
	Host       string   // preferred host label, US-ASCII
	Browse     []string // service types to monitor
	Limits     Limits   // zero fields: defaults
	Log        *slog.Logger
}

// A Handler is told what happens on the link, in order, from Run's goroutine.
// It must not block; it may call the Conn's methods but Resolve and FetchNull.
type Handler interface{ HandleMDNS(Event) }

// A Conn is an mDNS stack on one interface: an Engine with a socket. An
// interface that is not there yet, or goes, is waited for.
// All methods but Run are safe to call from any goroutine, before Run too.
type Conn struct {
	cfg  ConnConfig
	log  *slog.Logger
	sys  network
	wake chan struct{} // something is in calls
	done chan struct{} // Run is over

	mu     sync.Mutex // guards what follows
	calls  []call
	ids    map[ServiceID]bool
	closed bool
	link   link
	stats  Stats
}

// A call is something to do on the loop.
type call func(now time.Time, l *loop)

// A Link is an interface in use.
type Link struct {
	Name     string
	Index    int
	Prefixes []netip.Prefix // our addresses on it, each with the length of its network
}

// Addrs returns our addresses on the link; the link-local IPv6 ones with its zone.
func (l *Link) Addrs() []netip.Addr {
	out := make([]netip.Addr, 0, len(l.Prefixes))
	for _, p := range l.Prefixes {
		a := p.Addr()
		if a.Is6() && a.IsLinkLocalUnicast() {
			a = a.WithZone(l.Name)
		}
		out = append(out, a)
	}
	return out
}

// A link is the interface in use.
type link struct {
	ifi      net.Interface
	prefixes []netip.Prefix // of the interface, IPv4 and IPv6
	addrs    []netip.Addr   // of prefixes
}

func (l *link) up() bool { return l.ifi.Index != 0 }

// carrier reports whether there is a cable in it, as it were.
func (l *link) carrier() bool { return l.ifi.Flags&net.FlagRunning != 0 }

// same reports whether a socket opened on l serves on o.
func (l *link) same(o *link) bool {
	return l.ifi.Index == o.ifi.Index && slices.Equal(ipv4Of(l.addrs), ipv4Of(o.addrs))
}

func ipv4Of(addrs []netip.Addr) (out []netip.Addr) {
	for _, a := range addrs {
		if a.Is4() {
			out = append(out, a)
		}
	}
	return out
}

// A network is what a Conn needs of the operating system.
type network interface {
	find() (link, bool) // the interface to use now
	open(link) (packetConn, error)
}

// A packetConn is a multicast socket on one interface.
type packetConn interface {
	ReadPacket(b []byte) (n int, src netip.AddrPort, unicast bool, err error)
	WritePacket(b []byte, to netip.AddrPort) error // zero to: the group
	OffLink() uint64                               // packets refused so far
	Close() error
}

// New returns a Conn that does nothing before Run.
func New(cfg ConnConfig) *Conn { return newConn(cfg, osNetwork{names: cfg.Interfaces}) }

func newConn(cfg ConnConfig, sys network) *Conn {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Conn{
		cfg: cfg, log: cfg.Log, sys: sys,
		wake: make(chan struct{}, 1), done: make(chan struct{}), ids: map[ServiceID]bool{},
	}
}

// Register publishes a service. What becomes of its name comes as events.
func (c *Conn) Register(s Service) error {
	if err := s.check(&c.cfg.Limits); err != nil {
		return err
	}
	s.Text, s.Null, s.Addrs = slices.Clone(s.Text), slices.Clone(s.Null), slices.Clone(s.Addrs)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ids[s.ID]:
		return fmt.Errorf("%w: %q", ErrDuplicateID, s.ID)
	case len(c.ids) >= c.cfg.Limits.Services:
		return ErrTooMany
	}
	err := c.enqueue(func(now time.Time, l *loop) {
		if err := l.engine.Register(now, s); err != nil {
			c.log.Error("service not published", "id", string(s.ID), "err", err)
		}
	})
	if err == nil {
		c.ids[s.ID] = true
	}
	return err
}

// Unregister takes a service back; it says goodbye.
func (c *Conn) Unregister(id ServiceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.enqueue(func(now time.Time, l *loop) { l.engine.Unregister(now, id) }) == nil {
		delete(c.ids, id)
	}
}

// SetText changes a service's TXT record. See [Engine.SetText].
func (c *Conn) SetText(id ServiceID, text []string) {
	text = slices.Clone(text)
	c.do(func(now time.Time, l *loop) { l.engine.SetText(now, id, text) })
}

// SetNull changes a service's NULL record. See [Engine.SetNull].
func (c *Conn) SetNull(id ServiceID, data []byte) {
	data = slices.Clone(data)
	c.do(func(now time.Time, l *loop) { l.engine.SetNull(now, id, data) })
}

// Learn hints at an instance another discovery client has seen.
func (c *Conn) Learn(instance, typ string) {
	c.do(func(now time.Time, l *loop) { l.engine.Learn(now, instance, typ) })
}

// Resolve asks the link for the current records of an instance. It takes at
// most about three seconds while Run runs, and fails with ErrNotFound.
func (c *Conn) Resolve(ctx context.Context, instance, typ string) (Entry, error) {
	ev, err := c.query(ctx, func(now time.Time, e *Engine) uint64 { return e.Resolve(now, instance, typ) })
	if r, ok := ev.(Resolved); ok && r.OK {
		return r.Entry, nil
	}
	return Entry{}, err
}

// FetchNull asks the link for the NULL record of an instance, as Resolve does.
func (c *Conn) FetchNull(ctx context.Context, instance, typ string) ([]byte, error) {
	ev, err := c.query(ctx, func(now time.Time, e *Engine) uint64 { return e.ResolveNull(now, instance, typ) })
	if r, ok := ev.(NullResolved); ok && r.OK {
		return r.Data, nil
	}
	return nil, err
}

// query returns the answer to a query; an error goes with every answer that is
// not OK.
func (c *Conn) query(ctx context.Context, ask func(time.Time, *Engine) uint64) (Event, error) {
	answer := make(chan Event, 1)
	if err := c.do(func(now time.Time, l *loop) { l.waiters[ask(now, l.engine)] = answer }); err != nil {
		return nil, err
	}
	select {
	case ev := <-answer:
		return ev, ErrNotFound
	case <-c.done:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Conn) do(f call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.enqueue(f)
}

// enqueue hands a call to the loop; c.mu is held.
func (c *Conn) enqueue(f call) error {
	switch {
	case c.closed:
		return ErrClosed
	case len(c.calls) >= maxCalls:
		return ErrTooMany
	}
	c.calls = append(c.calls, f)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

func (c *Conn) takeCalls() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

// Links returns the interfaces in use now.
func (c *Conn) Links() []Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.link.up() {
		return nil
	}
	return []Link{{Name: c.link.ifi.Name, Index: c.link.ifi.Index, Prefixes: slices.Clone(c.link.prefixes)}}
}

// Stats returns the counters.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}
