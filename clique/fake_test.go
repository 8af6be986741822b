package clique

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"meshgate/internal/multicast"
	"meshgate/internal/stanza"
	"meshgate/linklocal/mdns"
)

// A fakeLAN is a network in memory, with a responder that all agree with. It works
// in a bubble of synctest, where a room is joined in no time.
type fakeLAN struct {
	t     testing.TB
	mu    sync.Mutex
	socks map[*fakeSocket]bool
	hosts []*fakeHost
	lose  func(from, to *fakeHost, b []byte) bool
	busy  func(port uint16) bool
}

func newFakeLAN(t testing.TB) *fakeLAN { return &fakeLAN{t: t, socks: map[*fakeSocket]bool{}} }

// loses says which packets are lost from now on.
func (l *fakeLAN) loses(f func(from, to *fakeHost, b []byte) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = f
}

// A fakeHost is a machine with a Service, and what that was told.
type fakeHost struct {
	*Service
	lan    *fakeLAN
	addr   netip.Addr
	name   string
	links  []mdns.Link
	own    map[mdns.ServiceID]mdns.Service
	lost   map[mdns.ServiceID]bool
	cancel func()
	ended  chan error

	got     []Event
	resume  []byte
	blocked string // what the handler is told of this room waits
	freed   chan struct{}
	disk    time.Duration // how long the handler takes to keep a snapshot
}

var theLink = mdns.Link{Name: "lan0", Index: 1, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fe80::1/64")}}

// host starts a Service.
func (l *fakeLAN) host(name string, cfg Config) *fakeHost {
	l.t.Helper()
	h := l.idle(name, cfg)
	h.run()
	return h
}

// idle makes one that does not run yet.
func (l *fakeLAN) idle(name string, cfg Config) *fakeHost {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.hosts) + 1
	cfg.Name = name
	cfg.Rand = rand.New(rand.NewPCG(uint64(n), 7))
	h := &fakeHost{
		lan: l, name: name, addr: netip.AddrFrom4([4]byte{10, 9, 0, byte(n)}), links: []mdns.Link{theLink},
		own: map[mdns.ServiceID]mdns.Service{}, lost: map[mdns.ServiceID]bool{}, ended: make(chan error, 1),
	}
	h.Service = New(cfg, h)
	h.Service.listen = h.open
	for _, o := range l.hosts {
		for id, s := range o.own {
			if !o.lost[id] {
				h.HandleMDNS(mdns.Appeared{Entry: entryOf(s)})
			}
		}
	}
	l.hosts = append(l.hosts, h)
	return h
}

func (h *fakeHost) run() {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() { h.ended <- h.Service.Run(ctx, h) }()
}

// kill ends it without a word, and returns what it would have gone on with.
func (h *fakeHost) kill() (resume []byte) {
	h.lan.loses(func(from, _ *fakeHost, _ []byte) bool { return from == h })
	h.lan.mu.Lock()
	resume = h.resume
	h.lan.mu.Unlock()
	h.stop()
	return resume
}

func (h *fakeHost) running() bool { return h.cancel != nil }

// stop ends it in order.
func (h *fakeHost) stop() {
	h.lan.t.Helper()
	h.cancel()
	h.cancel = nil
	if err := <-h.ended; err != nil {
		h.lan.t.Error(err)
	}
}

func (h *fakeHost) HandleClique(ctx context.Context, ev Event) {
	h.lan.mu.Lock()
	freed, disk := h.freed, h.disk
	if _, ok := ev.(Snapshot); ok && disk > 0 {
		h.lan.mu.Unlock()
		time.Sleep(disk)
		h.lan.mu.Lock()
	}
	if got, ok := ev.(Received); ok && got.Room == h.blocked {
		h.lan.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
		}
		h.lan.mu.Lock()
	}
	h.got = append(h.got, ev)
	if s, ok := ev.(Snapshot); ok {
		h.resume = s.Data
	}
	h.lan.mu.Unlock()
}

// blocks lets the handler wait when it is told of this room; "": no more.
func (h *fakeHost) blocks(room string) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	if h.blocked != "" {
		close(h.freed)
	}
	h.blocked, h.freed = room, make(chan struct{})
}

// log is what was told, as text, without what was told before the last log.
func (h *fakeHost) log() string {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	var lines []string
	for _, ev := range h.got {
		switch ev := ev.(type) {
		case Received:
			lines = append(lines, fmt.Sprintf("%s in %s: %s", ev.From, ev.Room, bodyOf(ev.Stanza)))
		case Data:
			lines = append(lines, fmt.Sprintf("%s in %s on %d: %s", ev.From, ev.Room, ev.Stream, ev.Data))
		case Entered:
			lines = append(lines, "entered "+ev.Room+map[bool]string{true: " again"}[ev.Resumed])
		case Joined:
			lines = append(lines, fmt.Sprintf("joined %s: %s", ev.Room, strings.Join(ev.Members, ", ")))
		case Left:
			lines = append(lines, fmt.Sprintf("left %s: %s", ev.Room, ev.Member))
		case Tubes:
			lines = append(lines, fmt.Sprintf("%s has %d tubes", ev.From, len(ev.Tubes)))
		case Said:
			lines = append(lines, fmt.Sprintf("said in %s: %s", ev.Room, bodyOf(ev.Stanza)))
		case Frozen, Snapshot, Found, Gone:
		default:
			lines = append(lines, fmt.Sprintf("%T", ev))
		}
	}
	h.got = nil
	return strings.Join(lines, "\n")
}

// adverts is what is advertised, as text.
func (h *fakeHost) advertised() string {
	var lines []string
	for _, r := range h.Rooms() {
		if r.Advertised {
			lines = append(lines, r.Name+" "+r.Group.String())
		}
	}
	return strings.Join(lines, "\n")
}

func (h *fakeHost) want(why, want string) {
	h.lan.t.Helper()
	if got := h.log(); got != want {
		h.lan.t.Errorf("%s: %s was told\n%s\nwant\n%s", why, h.name, got, want)
	}
}

// info is how a room stands.
func (h *fakeHost) info(room string) RoomInfo {
	for _, r := range h.Rooms() {
		if r.Name == room {
			return r
		}
	}
	return RoomInfo{}
}

func (h *fakeHost) join(r Room) {
	h.lan.t.Helper()
	if err := h.Join(r); err != nil {
		h.lan.t.Fatal(err)
	}
}

// say says a text and waits until it is handed out.
func (h *fakeHost) say(room, text string) {
	h.lan.t.Helper()
	done := make(chan error, 1)
	h.Send(room, textMessage(text), func(err error) { done <- err })
	if err := <-done; err != nil {
		h.lan.t.Errorf("%s says %q: %v", h.name, text, err)
	}
}

func textMessage(text string) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "groupchat"},
		stanza.New(stanza.NSClient, "body", stanza.Text(text)))
}

func bodyOf(st *stanza.Element) string { return st.Child(stanza.NSClient, "body").Text() }

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// The responder.

func entryOf(s mdns.Service) mdns.Entry {
	return mdns.Entry{Instance: s.Instance, Type: s.Type, Port: s.Port, Addrs: s.Addrs, Text: s.Text, Links: []string{"lan0"}}
}

func (h *fakeHost) Links() []mdns.Link {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	return h.links
}

func (h *fakeHost) plug(links ...mdns.Link) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.links = links
}

func (h *fakeHost) Learn(string, string) {}

// Register publishes at once, unless somebody says something else by that name.
func (h *fakeHost) Register(s mdns.Service) error {
	l := h.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	h.own[s.ID] = s
	for _, o := range l.hosts {
		for id, other := range o.own {
			if o != h && !o.lost[id] && foldName(other.Instance) == foldName(s.Instance) && (other.Port != s.Port || !slices.Equal(other.Addrs, s.Addrs)) {
				h.lost[s.ID] = true
				h.HandleMDNS(mdns.Renaming{ID: s.ID, Old: s.Instance, New: s.Instance + "-1"})
				return nil
			}
		}
	}
	h.HandleMDNS(mdns.Vanished{Instance: s.Instance, Type: s.Type}) // it is ours now
	h.HandleMDNS(mdns.Established{ID: s.ID, Instance: s.Instance})
	for _, o := range l.hosts {
		if o != h {
			o.HandleMDNS(mdns.Appeared{Entry: entryOf(s)})
		}
	}
	return nil
}

func (h *fakeHost) Unregister(id mdns.ServiceID) {
	l := h.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	s := h.own[id]
	delete(h.own, id)
	if h.lost[id] {
		delete(h.lost, id)
	}
	for _, o := range l.hosts {
		l.tellWhatIsLeft(o, s)
	}
}

// tellWhatIsLeft tells a host who still says the name of a service.
func (l *fakeLAN) tellWhatIsLeft(h *fakeHost, s mdns.Service) {
	for _, o := range l.hosts {
		for id, other := range o.own {
			if o != h && !o.lost[id] && other.Instance == s.Instance {
				h.HandleMDNS(mdns.Changed{Entry: entryOf(other)})
				return
			}
		}
	}
	h.HandleMDNS(mdns.Vanished{Instance: s.Instance, Type: s.Type})
}

// The sockets.

// A fakeSocket is one host's on a group.
type fakeSocket struct {
	h      *fakeHost
	group  netip.AddrPort
	joined map[int]bool
	in     chan fakePacket
	gone   chan struct{}
	once   sync.Once
}

type fakePacket struct {
	data []byte
	from multicast.Arrival
	err  error
}

func (h *fakeHost) open(cfg multicast.Config) (packetConn, error) {
	l := h.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy != nil && l.busy(cfg.Group.Port()) {
		return nil, fmt.Errorf("address already in use")
	}
	s := &fakeSocket{h: h, group: cfg.Group, joined: map[int]bool{}, in: make(chan fakePacket, 1<<14), gone: make(chan struct{})}
	l.socks[s] = true
	return s, nil
}

// ReadPackets gives, as the real one, several packets at once.
func (s *fakeSocket) ReadPackets(take func([]byte, multicast.Arrival)) error {
	select {
	case p := <-s.in:
		for more := min(len(s.in), 15); p.err == nil; more-- {
			take(p.data, p.from)
			if more == 0 {
				break
			}
			p = <-s.in
		}
		return p.err
	case <-s.gone:
		return net.ErrClosed
	}
}

func (s *fakeSocket) WritePackets(packets [][]byte, link int) (int, error) {
	for _, b := range packets {
		s.h.lan.send(s.h, s.group, link, b)
	}
	return 0, nil
}

// send gives a packet to all sockets that have the port, also of other groups.
func (l *fakeLAN) send(from *fakeHost, group netip.AddrPort, link int, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.socks {
		if s.group.Port() != group.Port() || !s.joined[link] || l.lose != nil && l.lose(from, s.h, b) {
			continue
		}
		select {
		case s.in <- fakePacket{data: slices.Clone(b), from: multicast.Arrival{Link: link, Src: netip.AddrPortFrom(from.addr, group.Port()), Dst: group.Addr()}}:
		default:
		}
	}
}

func (s *fakeSocket) Join(link *net.Interface) error {
	s.h.lan.mu.Lock()
	defer s.h.lan.mu.Unlock()
	s.joined[link.Index] = true
	return nil
}

func (s *fakeSocket) Leave(link *net.Interface) {
	s.h.lan.mu.Lock()
	defer s.h.lan.mu.Unlock()
	delete(s.joined, link.Index)
}

func (s *fakeSocket) Close() error {
	s.h.lan.mu.Lock()
	defer s.h.lan.mu.Unlock()
	delete(s.h.lan.socks, s)
	s.once.Do(func() { close(s.gone) })
	return nil
}
