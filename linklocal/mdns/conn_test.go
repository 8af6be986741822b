package mdns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeLink is a LAN in memory for Conns: every socket hears every packet.
type fakeLink struct {
	mu      sync.Mutex
	sockets []*fakeSocket
}

// A fakeHost is the network of one Conn on a fakeLink.
type fakeHost struct {
	lan *fakeLink

	mu      sync.Mutex
	link    link
	cut     bool // no carrier
	openErr error
	sendErr error
}

func (h *fakeHost) find() (link, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.link
	if l.up() && !h.cut {
		l.ifi.Flags |= net.FlagRunning
	}
	return l, l.up()
}

func (h *fakeHost) set(index int, addrs ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.link = link{}
	if index > 0 {
		h.link.ifi = net.Interface{Index: index, Name: "eth0"}
	}
	for _, a := range addrs {
		h.link.addrs = append(h.link.addrs, netip.MustParseAddr(a))
		h.link.prefixes = append(h.link.prefixes, netip.PrefixFrom(netip.MustParseAddr(a), 24))
	}
}

// cable takes the cable out and puts it in; the interface stays.
func (h *fakeHost) cable(in bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = !in
}

func (h *fakeHost) isCut() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut
}

func (h *fakeHost) fail(open, send error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.openErr, h.sendErr = open, send
}

func (h *fakeHost) errors() (open, send error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.openErr, h.sendErr
}

func (h *fakeHost) open(l link) (packetConn, error) {
	if err, _ := h.errors(); err != nil {
		return nil, err
	}
	s := &fakeSocket{host: h, addr: ipv4Of(l.addrs)[0], in: make(chan Packet, 1000), closed: make(chan struct{}), broken: make(chan error, 1)}
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.sockets = append(h.lan.sockets, s)
	return s, nil
}

type fakeSocket struct {
	host   *fakeHost
	addr   netip.Addr
	in     chan Packet
	closed chan struct{}
	broken chan error
}

func (s *fakeSocket) ReadPacket(b []byte) (int, netip.AddrPort, bool, error) {
	select {
	case p := <-s.in:
		return copy(b, p.Data), p.Src, p.Unicast, nil
	case err := <-s.broken:
		return 0, netip.AddrPort{}, false, err
	case <-s.closed:
		return 0, netip.AddrPort{}, false, net.ErrClosed
	}
}

func (s *fakeSocket) WritePacket(b []byte, to netip.AddrPort) error {
	if _, err := s.host.errors(); err != nil {
		return err
	}
	s.host.lan.mu.Lock()
	defer s.host.lan.mu.Unlock()
	for _, o := range s.host.lan.sockets {
		if cut := o != s && (s.host.isCut() || o.host.isCut()); !cut && (!to.IsValid() || to.Addr() == o.addr) {
			o.in <- Packet{Data: slices.Clone(b), Src: netip.AddrPortFrom(s.addr, mdnsPort), Unicast: to.IsValid()}
		}
	}
	return nil
}

func (s *fakeSocket) OffLink() uint64 { return 0 }

func (s *fakeSocket) Close() error {
	close(s.closed)
	s.host.lan.mu.Lock()
	defer s.host.lan.mu.Unlock()
	s.host.lan.sockets = remove(s.host.lan.sockets, s)
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
}

func (r *running) HandleMDNS(ev Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
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

func (f *fakeLink) conn(host string, addrs ...string) *running {
	h := &fakeHost{lan: f}
	if len(addrs) > 0 {
		h.set(2, addrs...)
	}
	return &running{
		Conn: newConn(ConnConfig{Host: host, Browse: []string{testType}}, h), host: h,
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

func TestConnsFindEachOtherAndSayGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeLink
		a, b := lan.conn("a", "10.0.0.1"), lan.conn("b", "10.0.0.2")
		if err := a.Register(service("x", "k=v")); err != nil { // before Run
			t.Fatal(err)
		}
		a.start()
		b.start()
		time.Sleep(2 * time.Second) // virtual
		if e, ok := b.entry("x"); !ok || e.Addrs[0].String() != "10.0.0.1" {
			t.Fatalf("b sees %v, %v", e, ok)
		}
		a.SetText("x", []string{"k=w"})
		time.Sleep(100 * ms)
		if e, _ := b.entry("x"); e.Text[0] != "k=w" {
			t.Errorf("text is %q", e.Text)
		}
		e, err := b.Resolve(t.Context(), "x", testType)
		if err != nil || e.Port != 5298 {
			t.Errorf("resolved %v, %v", e, err)
		}
		if _, err := b.Resolve(t.Context(), "nobody", testType); !errors.Is(err, ErrNotFound) {
			t.Errorf("resolved nobody: %v", err)
		}
		// LL-11: on every orderly stop a goodbye.
		if d := a.stop(t); d > time.Second {
			t.Errorf("the goodbye took %v", d)
		}
		time.Sleep(1100 * ms)
		if _, ok := b.entry("x"); ok {
			t.Error("b still sees x")
		}
		if err := a.Register(service("y")); !errors.Is(err, ErrClosed) {
			t.Errorf("Register after the end: %v", err)
		}
		if _, err := a.Resolve(t.Context(), "x", testType); !errors.Is(err, ErrClosed) {
			t.Errorf("Resolve after the end: %v", err)
		}
		if s := b.Stats(); s.PacketsIn == 0 || s.PacketsOut == 0 || s.OwnEchoes == 0 {
			t.Errorf("stats %+v", s)
		}
		b.stop(t)
	})
}

// TestConnFollowsItsInterface: LL-18 for one interface.
func TestConnFollowsItsInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeLink
		a, b := lan.conn("a"), lan.conn("b", "10.0.0.2") // a has no interface yet
		a.Register(service("x"))
		a.start()
		b.start()
		time.Sleep(10 * time.Second)
		if links := a.Links(); len(links) > 0 {
			t.Errorf("links from nowhere: %v", links)
		}
		a.host.fail(syscall.EADDRINUSE, nil)
		a.host.set(2, "10.0.0.1")
		time.Sleep(10 * time.Second)
		a.host.fail(nil, nil)
		time.Sleep(5 * time.Second)
		if _, ok := b.entry("x"); !ok {
			t.Fatal("not published once the interface came")
		}
		a.host.set(2, "10.0.0.7", "fe80::7")
		time.Sleep(5 * time.Second)
		if e, _ := b.entry("x"); len(e.Addrs) != 2 || e.Addrs[0].String() != "10.0.0.7" || e.Addrs[1].String() != "fe80::7%eth0" {
			t.Errorf("addresses %v after a change", e.Addrs)
		}
		if got := a.Links(); len(got) != 1 || len(got[0].Addrs()) != 2 {
			t.Errorf("links %v", got)
		}
		a.host.set(0)
		time.Sleep(3 * time.Minute)
		if _, ok := b.entry("x"); ok {
			t.Error("still seen without a link")
		}
		a.host.set(3, "10.0.0.8") // back, as another interface
		time.Sleep(6 * time.Second)
		if e, _ := b.entry("x"); len(e.Addrs) != 1 || e.Addrs[0].String() != "10.0.0.8" {
			t.Errorf("addresses %v after the return", e.Addrs)
		}
		a.stop(t)
		b.stop(t)
	})
}

// The cable was out while the interface and its address stayed: what was said
// meanwhile was lost, ours and theirs. LL-18
func TestConnStartsAfreshWhenTheCableIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeLink
		a, b := lan.conn("a", "10.0.0.1"), lan.conn("b", "10.0.0.2")
		a.Register(service("x"))
		b.Register(service("y"))
		a.start()
		time.Sleep(30 * time.Second) // the next browse question is far away
		a.host.cable(false)
		b.start()
		time.Sleep(30 * time.Second)
		a.host.cable(true)
		time.Sleep(5 * time.Second)
		if _, ok := a.entry("y"); !ok {
			t.Error("a has not asked who came meanwhile")
		}
		if _, ok := b.entry("x"); !ok {
			t.Error("a has not said that it is there")
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestConnSurvivesSocketTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeLink
		a, b := lan.conn("a", "10.0.0.1"), lan.conn("b", "10.0.0.2")
		a.start()
		b.start()
		time.Sleep(5 * time.Second)
		a.host.fail(nil, syscall.ENETUNREACH)
		a.Register(service("x"))
		time.Sleep(1500 * ms)
		if a.Stats().SendErrors == 0 {
			t.Error("lost packets not counted")
		}
		a.host.fail(nil, nil)
		lan.mu.Lock()
		lan.sockets[0].broken <- syscall.ENETDOWN // reading fails: another socket
		lan.mu.Unlock()
		time.Sleep(10 * time.Second)
		if _, ok := b.entry("x"); !ok {
			t.Error("a does not work again")
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestCallsFromManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeLink
		a, b := lan.conn("a", "10.0.0.1"), lan.conn("b", "10.0.0.2")
		a.start()
		b.start()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				id := ServiceID(rune('A' + i))
				a.Register(Service{ID: id, Instance: "same", Type: testType, Port: 1})
				a.SetText(id, []string{"x=y"})
				a.SetNull(id, []byte("z"))
				a.Learn("nobody", testType)
				a.Stats()
				if i%2 == 0 {
					a.Unregister(id)
				}
			})
		}
		wg.Wait()
		time.Sleep(5 * time.Second)
		b.mu.Lock()
		if len(b.seen) != 25 {
			t.Errorf("b sees %d of 25", len(b.seen))
		}
		b.mu.Unlock()
		a.stop(t)
		b.stop(t)
	})
}

func TestRegisterErrorsComeAtOnce(t *testing.T) {
	c := New(ConnConfig{Limits: Limits{Services: 1}})
	if err := c.Register(Service{ID: "x", Instance: "x", Type: "nonsense"}); err == nil {
		t.Error("bad type taken")
	}
	if err := c.Register(service("x")); err != nil {
		t.Error(err)
	}
	if err := c.Register(service("x")); !errors.Is(err, ErrDuplicateID) {
		t.Errorf("duplicate: %v", err)
	}
	if err := c.Register(service("y")); !errors.Is(err, ErrTooMany) {
		t.Errorf("too many: %v", err)
	}
}

func TestSendErrorsAreClassified(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENETUNREACH: "unreachable", syscall.EPERM: "filtered", syscall.EMSGSIZE: "too large",
		syscall.ENETDOWN: "link down", net.ErrClosed: "closed", errors.ErrUnsupported: "other",
	} {
		if got := sendError(&net.OpError{Op: "write", Err: err}); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}
