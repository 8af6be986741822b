package mdns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"meshgate/internal/mailbox"
)

const (
	goodbyeLimit = 2 * time.Second // how long Run takes at most to say goodbye
	maxCalls     = 16384           // waiting for the loop
)

// ErrNotFound is returned by Resolve and FetchNull if no answer came in time.
var ErrNotFound = errors.New("mdns: no answer")

// ConnConfig configures a Conn.
type ConnConfig struct {
	Interfaces []string // names; none: one that is up, multicasts, has an address and is no loopback: of the default route, with IPv4, the first
	IPv6       bool     // beside IPv4
	Host       string   // preferred host label, US-ASCII
	Yield      bool     // see [Config.Yield]
	Quiet      bool     // only ask and listen: nothing is published, Register is of no use
	Browse     []string // service types to monitor
	Limits     Limits   // zero fields: defaults
	Log        *slog.Logger
}

// A Handler is told what happens on the links, in order, from Run's goroutine.
// It must not block; it may call the Conn's methods but Resolve and FetchNull.
type Handler interface{ HandleMDNS(Event) }

// A Conn is an mDNS stack: a Stack with sockets. Interfaces that are not there
// yet, or go, are waited for; addresses that change are followed.
// All methods but Run are safe to call from any goroutine, before Run too.
type Conn struct {
	cfg   ConnConfig
	log   *slog.Logger
	sys   network
	calls *mailbox.Mailbox[call]
	done  chan struct{} // Run is over

	mu    sync.Mutex // guards what follows
	ids   map[ServiceID]bool
	links []Link
	stats Stats
}

// A call is something to do on the loop.
type call func(now time.Time, l *loop)

// A network is what a Conn needs of the operating system.
type network interface {
	// candidates are the interfaces that are up and multicast, in the system's
	// order. An error says nothing about them.
	candidates() ([]candidate, error)
	open(family) (packetConn, error)
	// watch calls changed when the interfaces may be others, until ctx ends.
	// It may return early: then nobody tells, and one has to look.
	watch(ctx context.Context, changed func())
	uptime() time.Duration // since some moment, with the time that the machine sleeps
}

// A packetConn is a multicast socket of one family for all links.
type packetConn interface {
	ReadPacket(b []byte) (n int, from arrival, err error)
	WritePacket(b []byte, link int, to netip.AddrPort) error // zero to: the group
	Join(l *Link) error                                      // again, if it has joined before
	Leave(l *Link)
	Close() error
}

// An arrival says where a packet came from.
type arrival struct {
	link    int // index of the interface
	src     netip.AddrPort
	unicast bool // sent to our address, not to the group
}

// New returns a Conn that does nothing before Run.
func New(cfg ConnConfig) *Conn {
	return newConn(cfg, osNetwork{names: cfg.Interfaces, log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))})
}

func newConn(cfg ConnConfig, sys network) *Conn {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Conn{
		cfg: cfg, log: cfg.Log, sys: sys,
		calls: mailbox.New[call](maxCalls), done: make(chan struct{}), ids: map[ServiceID]bool{},
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
	err := c.do(func(now time.Time, l *loop) {
		if err := l.stack.Register(now, s); err != nil {
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
	if c.do(func(now time.Time, l *loop) { l.stack.Unregister(now, id) }) == nil {
		delete(c.ids, id)
	}
}

// SetText changes a service's TXT record. See [Engine.SetText].
func (c *Conn) SetText(id ServiceID, text []string) {
	text = slices.Clone(text)
	c.do(func(now time.Time, l *loop) { l.stack.SetText(now, id, text) })
}

// SetNull changes a service's NULL record. See [Engine.SetNull].
func (c *Conn) SetNull(id ServiceID, data []byte) {
	data = slices.Clone(data)
	c.do(func(now time.Time, l *loop) { l.stack.SetNull(now, id, data) })
}

// Learn hints at an instance another discovery client has seen.
func (c *Conn) Learn(instance, typ string) {
	c.do(func(now time.Time, l *loop) { l.stack.Learn(now, instance, typ) })
}

// Resolve asks the links for the current records of an instance. It takes at
// most about three seconds while Run runs, and fails with ErrNotFound.
func (c *Conn) Resolve(ctx context.Context, instance, typ string) (Entry, error) {
	ev, err := c.query(ctx, func(now time.Time, s *Stack) uint64 { return s.Resolve(now, instance, typ) })
	if r, ok := ev.(Resolved); ok && r.OK {
		return r.Entry, nil
	}
	return Entry{}, err
}

// FetchNull asks the links for the NULL record of an instance, as Resolve does.
func (c *Conn) FetchNull(ctx context.Context, instance, typ string) ([]byte, error) {
	ev, err := c.query(ctx, func(now time.Time, s *Stack) uint64 { return s.ResolveNull(now, instance, typ) })
	if r, ok := ev.(NullResolved); ok && r.OK {
		return r.Data, nil
	}
	return nil, err
}

// query returns the answer to a query; an error goes with every answer that is
// not OK.
func (c *Conn) query(ctx context.Context, ask func(time.Time, *Stack) uint64) (Event, error) {
	answer := make(chan Event, 1)
	if err := c.do(func(now time.Time, l *loop) { l.waiters[ask(now, l.stack)] = answer }); err != nil {
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

// do hands a call to the loop.
func (c *Conn) do(f call) error {
	switch {
	case c.calls.Put(f):
		return nil
	case c.calls.Closed():
		return ErrClosed
	}
	return ErrTooMany
}

// Links returns the interfaces in use now. They must not be changed.
func (c *Conn) Links() []Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.links
}

// Stats returns the counters.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}
