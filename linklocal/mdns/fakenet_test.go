package mdns

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// A fakeLAN is a LAN in memory for Conns: every interface on it hears every
// packet of its family.
type fakeLAN struct{ _ byte } // so that two are two

// A fakeHost is the operating system of one Conn.
type fakeHost struct {
	world *fakeWorld

	nics    []*fakeNIC
	openErr error
	listErr error
	sendErr error
	asleep  time.Duration // slept so far
	changed func()
}

type fakeNIC struct {
	name  string
	index int
	addrs []netip.Prefix
	lan   *fakeLAN
	cut   bool // no carrier
}

// A fakeWorld has all hosts; one lock guards them.
type fakeWorld struct {
	mu      sync.Mutex
	sockets []*fakeSocket
	lan     fakeLAN // where a host is if nothing else is said
}

func (h *fakeHost) candidates() (out []candidate, err error) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	for _, n := range h.nics {
		out = append(out, candidate{Link: Link{n.name, n.index, slices.Clone(n.addrs)}, running: !n.cut})
	}
	if h.listErr != nil {
		return nil, h.listErr
	}
	return out, nil
}

// nic changes an interface, or adds one.
func (h *fakeHost) nic(name string, change func(*fakeNIC)) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	i := slices.IndexFunc(h.nics, func(n *fakeNIC) bool { return n.name == name })
	if i < 0 {
		i = len(h.nics)
		h.nics = append(h.nics, &fakeNIC{name: name, index: i + 2, lan: &h.world.lan})
	}
	change(h.nics[i])
}

// set gives eth0 a number and addresses; number 0 takes it out.
func (h *fakeHost) set(index int, addrs ...string) { h.setOn("eth0", index, addrs...) }

func (h *fakeHost) setOn(name string, index int, addrs ...string) {
	h.nic(name, func(n *fakeNIC) {
		n.index, n.addrs = index, nil
		for _, a := range addrs {
			n.addrs = append(n.addrs, fakePrefix(a))
		}
	})
	if index == 0 {
		h.world.mu.Lock()
		defer h.world.mu.Unlock()
		h.nics = slices.DeleteFunc(h.nics, func(n *fakeNIC) bool { return n.name == name })
	}
}

func fakePrefix(a string) netip.Prefix {
	addr := netip.MustParseAddr(a)
	if addr.Is4() {
		return netip.PrefixFrom(addr, 24)
	}
	return netip.PrefixFrom(addr, 64)
}

// cable takes the cable of eth0 out and puts it in; the interface stays.
func (h *fakeHost) cable(in bool) { h.nic("eth0", func(n *fakeNIC) { n.cut = !in }) }

func (h *fakeHost) fail(open, send error) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	h.openErr, h.sendErr = open, send
}

// sleep lets time pass that the process does not notice.
func (h *fakeHost) sleep(d time.Duration) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	h.asleep += d
}

func (h *fakeHost) uptime() time.Duration {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	return time.Duration(time.Now().UnixNano()) + h.asleep
}

func (h *fakeHost) watch(ctx context.Context, changed func()) {
	h.world.mu.Lock()
	h.changed = changed
	h.world.mu.Unlock()
	<-ctx.Done()
}

// notify is the kernel saying that something has changed.
func (h *fakeHost) notify() {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	h.changed()
}

func (h *fakeHost) open(f family) (packetConn, error) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	if h.openErr != nil {
		return nil, h.openErr
	}
	s := &fakeSocket{host: h, f: f, joined: map[int]bool{}, in: make(chan received, 1000), closed: make(chan struct{}), broken: make(chan error, 1)}
	h.world.sockets = append(h.world.sockets, s)
	return s, nil
}

// opened are the sockets, in the order in which they were opened.
func (w *fakeWorld) opened() []*fakeSocket {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sockets)
}

type fakeSocket struct {
	host   *fakeHost
	f      family
	joined map[int]bool // by index
	in     chan received
	closed chan struct{}
	broken chan error
}

func (s *fakeSocket) ReadPacket(b []byte) (int, arrival, error) {
	select {
	case p := <-s.in:
		return copy(b, p.data), p.arrival, nil
	case err := <-s.broken:
		return 0, arrival{}, err
	case <-s.closed:
		return 0, arrival{}, net.ErrClosed
	}
}

// addr is where a family's packets on a link come from.
func (n *fakeNIC) addr(f family) netip.Addr {
	if of := f.of(n.addrs); len(of) > 0 {
		return of[0].Addr()
	}
	return netip.Addr{}
}

func (s *fakeSocket) WritePacket(b []byte, link int, to netip.AddrPort) error {
	s.host.world.mu.Lock()
	defer s.host.world.mu.Unlock()
	if s.host.sendErr != nil {
		return s.host.sendErr
	}
	for _, from := range s.host.nics {
		if from.index == link && !from.cut {
			s.spread(b, from, to)
		}
	}
	return nil
}

// spread puts a packet on a LAN: everybody on it hears it, the sender too.
func (s *fakeSocket) spread(b []byte, from *fakeNIC, to netip.AddrPort) {
	src := netip.AddrPortFrom(from.addr(s.f), mdnsPort)
	for _, o := range s.host.world.sockets {
		for _, n := range o.host.nics {
			if o.f != s.f || n.lan != from.lan || n.cut || !o.joined[n.index] || to.IsValid() && to.Addr().WithZone("") != n.addr(s.f) {
				continue
			}
			o.in <- received{arrival{n.index, src, to.IsValid()}, slices.Clone(b)}
		}
	}
}

func (s *fakeSocket) Join(l *Link) error { return s.member(l, true) }
func (s *fakeSocket) Leave(l *Link)      { s.member(l, false) }

func (s *fakeSocket) member(l *Link, in bool) error {
	s.host.world.mu.Lock()
	defer s.host.world.mu.Unlock()
	s.joined[l.Index] = in
	return nil
}

func (s *fakeSocket) Close() error {
	close(s.closed)
	s.host.world.mu.Lock()
	defer s.host.world.mu.Unlock()
	s.host.world.sockets = remove(s.host.world.sockets, s)
	return nil
}

// A running is a Conn with its Run and what it reported.
type running struct {
	*Conn
	host   *fakeHost
	cancel context.CancelFunc
	done   chan error

	mu   sync.Mutex
	seen map[string]Entry
	ours map[ServiceID]string
	told []Event
}

func (r *running) HandleMDNS(ev Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, ev)
	switch ev := ev.(type) {
	case Appeared:
		r.seen[ev.Instance] = ev.Entry
	case Changed:
		r.seen[ev.Instance] = ev.Entry
	case Vanished:
		delete(r.seen, ev.Instance)
	case Established:
		r.ours[ev.ID] = ev.Instance
	}
}

func (r *running) entry(instance string) (Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.seen[instance]
	return e, ok
}

// conn makes a host with eth0 on the world's LAN, and a Conn on it.
func (w *fakeWorld) conn(host string, addrs ...string) *running {
	return w.connOn(ConnConfig{Host: host}, addrs...)
}

func (w *fakeWorld) connOn(cfg ConnConfig, addrs ...string) *running {
	h := &fakeHost{world: w}
	if len(addrs) > 0 {
		h.set(2, addrs...)
	}
	cfg.Browse, cfg.IPv6 = []string{testType}, true
	return &running{
		Conn: newConn(cfg, h), host: h,
		done: make(chan error, 1), seen: map[string]Entry{}, ours: map[ServiceID]string{},
	}
}

func (r *running) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.Run(ctx, r) }()
}

func (r *running) stop(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	return time.Since(start)
}
