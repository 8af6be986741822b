package linklocal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/internal/iconcache"
	"meshgate/internal/stanza"
	"meshgate/linklocal/mdns"
)

const patience = 10 * time.Second

var (
	_ DNS          = (*mdns.Conn)(nil)
	_ mdns.Handler = (*Service)(nil)
)

// A fakeLAN is a link whose mDNS is perfect: what is registered is known to
// all at once. Its hosts are loopback addresses, the streams real TCP.
type fakeLAN struct {
	mu    sync.Mutex
	hosts []*fakeDNS

	fetched []string // what FetchNull was asked
	hold    bool     // FetchNull waits until it is cancelled
}

// A fakeDNS is the responder of one host.
type fakeDNS struct {
	lan      *fakeLAN
	addrs    []netip.Addr
	services map[mdns.ServiceID]mdns.Entry
	events   func(mdns.Event)
	silent   bool                // others are not told what it publishes, but can resolve it
	learned  []string            // what Learn was told
	resolved int                 // calls of Resolve
	taken    map[string]bool     // names that somebody else holds
	learning chan string         // not nil: learned names go here, too
	ifi      string              // name of the interface; none: the discovery client has nothing to do
	texts    map[string][]string // by instance
	nulls    map[string][]byte   // by instance
	order    []string            // records in the order in which they were changed
	orderAt  []time.Time
}

func (l *fakeLAN) host(addr string) *fakeDNS {
	d := &fakeDNS{lan: l, addrs: []netip.Addr{netip.MustParseAddr(addr)},
		services: map[mdns.ServiceID]mdns.Entry{}, taken: map[string]bool{}, texts: map[string][]string{}, nulls: map[string][]byte{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hosts = append(l.hosts, d)
	return d
}

// attach connects a Service, which hears what is there already.
func (d *fakeDNS) attach(s *Service) {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	d.events = s.HandleMDNS
	for _, h := range d.lan.hosts {
		if h != d && !h.silent {
			for _, e := range h.services {
				d.events(mdns.Appeared{Entry: e})
			}
		}
	}
}

func (d *fakeDNS) tell(ev mdns.Event) {
	for _, h := range d.lan.hosts {
		if h != d && h.events != nil && !d.silent {
			h.events(ev)
		}
	}
}

func (d *fakeDNS) Register(s mdns.Service) error {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	if _, ok := d.services[s.ID]; ok {
		return mdns.ErrDuplicateID
	}
	name := s.Instance
	for n := 1; d.taken[name]; n++ {
		name = s.Rename(s.Instance, n)
	}
	e := mdns.Entry{Instance: name, Type: s.Type, Host: "host.local", Port: s.Port, Addrs: d.addrs, Text: s.Text, Links: []string{""}}
	d.services[s.ID] = e
	d.texts[name] = s.Text
	if s.Null != nil { // else setNull may have come before
		d.nulls[name] = s.Null
	}
	if d.events != nil {
		d.events(mdns.Established{ID: s.ID, Instance: name})
	}
	d.tell(mdns.Appeared{Entry: e})
	return nil
}

func (d *fakeDNS) SetText(id mdns.ServiceID, text []string) {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	e := d.services[id]
	e.Text = text
	d.services[id] = e
	d.texts[e.Instance] = text
	d.order = append(d.order, "TXT "+ParseTXT(text).PHSH)
	d.orderAt = append(d.orderAt, time.Now())
	d.tell(mdns.Changed{Entry: e})
}

func (d *fakeDNS) SetNull(id mdns.ServiceID, data []byte) {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	d.nulls[d.services[id].Instance] = data
	d.order = append(d.order, "NULL "+iconcache.Hash(data))
	d.orderAt = append(d.orderAt, time.Now())
}

func (d *fakeDNS) FetchNull(ctx context.Context, instance, _ string) ([]byte, error) {
	d.lan.mu.Lock()
	d.lan.fetched = append(d.lan.fetched, instance)
	hold := d.lan.hold
	d.lan.mu.Unlock()
	if hold {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	for _, h := range d.lan.hosts {
		if data, ok := h.nulls[instance]; ok {
			return data, nil
		}
	}
	return nil, mdns.ErrNotFound
}

func (d *fakeDNS) Unregister(id mdns.ServiceID) {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	e := d.services[id]
	delete(d.services, id)
	d.tell(mdns.Vanished{Instance: e.Instance, Type: e.Type})
}

func (d *fakeDNS) Learn(instance, _ string) {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	d.learned = append(d.learned, instance)
	if d.learning != nil {
		select {
		case d.learning <- instance:
		default:
		}
	}
}

func (d *fakeDNS) Resolve(_ context.Context, instance, _ string) (mdns.Entry, error) {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	d.resolved++
	for _, h := range d.lan.hosts {
		for _, e := range h.services {
			if strings.EqualFold(e.Instance, instance) {
				return e, nil
			}
		}
	}
	return mdns.Entry{}, errors.New("nobody answers")
}

func (d *fakeDNS) Links() []mdns.Link {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	if len(d.addrs) == 0 {
		return nil
	}
	l := mdns.Link{Name: d.ifi, Index: 1}
	for _, a := range d.addrs {
		l.Prefixes = append(l.Prefixes, netip.PrefixFrom(a, 8))
	}
	return []mdns.Link{l}
}

func (d *fakeDNS) setAddrs(addr ...string) {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	d.addrs = addrs(addr...)
}

// peer publishes somebody by hand.
func (d *fakeDNS) peer(t testing.TB, instance string, port uint16, text ...string) {
	t.Helper()
	err := d.Register(mdns.Service{ID: mdns.ServiceID(instance), Instance: instance, Type: serviceType, Port: port, Text: text})
	if err != nil {
		t.Fatal(err)
	}
}

// A recorder is a Handler that remembers, and whose events can be waited for.
type recorder struct {
	mu     sync.Mutex
	events []Event
	more   chan struct{} // closed and replaced at each event
	block  func(ctx context.Context, ev Event)
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{})} }

func (r *recorder) HandleLAN(ctx context.Context, ev Event) {
	if r.block != nil {
		r.block(ctx, ev)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, ev)
	close(r.more)
	r.more = make(chan struct{})
}

func (r *recorder) all() ([]Event, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events), r.more
}

// wait returns the first event of this kind for which ok holds.
func wait1[E Event](t testing.TB, r *recorder, why string, ok func(E) bool) E {
	t.Helper()
	timeout := time.After(patience)
	for {
		events, more := r.all()
		for _, ev := range events {
			if e, is := ev.(E); is && ok(e) {
				return e
			}
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("%s: never came; got %d events, the last: %v", why, len(events), last(events))
		}
	}
}

func last(evs []Event) Event {
	if len(evs) == 0 {
		return nil
	}
	return evs[len(evs)-1]
}

// bodies are the bodies received, in order.
func (r *recorder) bodies() (got []string) {
	events, _ := r.all()
	for _, ev := range events {
		if m, ok := ev.(Received); ok {
			got = append(got, m.Stanza.Child(stanza.NSClient, "body").Text())
		}
	}
	return got
}

func (r *recorder) waitBody(t testing.TB, body string) Received {
	t.Helper()
	return wait1(t, r, "message "+body, func(m Received) bool {
		return m.Stanza.Child(stanza.NSClient, "body").Text() == body
	})
}

func (r *recorder) waitPeer(t testing.TB, name Instance) Peer {
	t.Helper()
	return wait1(t, r, "peer "+string(name), func(p PeerAppeared) bool { return p.Peer.Instance == name }).Peer
}

// A node is a running Service with one contact "c".
type node struct {
	*Service
	*recorder
	dns  *fakeDNS
	name Instance
	addr string // of the contact's listener
	stop func()
}

// start runs a Service on a host of its own until the test ends.
func start(t testing.TB, dns *fakeDNS, user string, cfg Config) *node {
	t.Helper()
	if cfg.Machine == "" {
		cfg.Machine = "gw"
	}
	orDefault(&cfg.Settle, time.Nanosecond)
	n := &node{Service: New(cfg, dns), recorder: newRecorder(), dns: dns}
	dns.attach(n.Service)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, n.recorder) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(n.stop)
	if user != "" {
		n.name, n.addr = n.publish(t, "c", user)
	}
	return n
}

// publish makes a contact present and returns its name and where it listens.
func (n *node) publish(t testing.TB, id ContactID, user string) (Instance, string) {
	t.Helper()
	if err := n.Publish(Contact{ID: id, User: user}); err != nil {
		t.Fatal(err)
	}
	ev := wait1(t, n.recorder, "publication", func(p ContactPublished) bool { return p.ID == id })
	e, err := n.dns.Resolve(context.Background(), string(ev.Instance), serviceType)
	if err != nil {
		t.Fatal(err)
	}
	return ev.Instance, netip.AddrPortFrom(e.Addrs[0], e.Port).String()
}

// send sends a message and returns where the verdict will come.
func (n *node) send(to Instance, body string) <-chan error {
	done := make(chan error, 1)
	n.Send(Outgoing{From: "c", To: to, Stanza: message(body), Done: func(err error) { done <- err }})
	return done
}

func message(body string) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "chat"},
		stanza.New(stanza.NSClient, "body", stanza.Text(body)))
}

func verdict(t testing.TB, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("Done is not called")
		return nil
	}
}

// A rawPeer is the far end of a connection, played by hand.
type rawPeer struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// call connects from an address to a node's contact.
func call(t testing.TB, from, to string) *rawPeer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	return raw(t, conn)
}

func raw(t testing.TB, conn net.Conn) *rawPeer {
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &rawPeer{conn, t, bufio.NewReader(conn)}
}

func (p *rawPeer) say(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.Conn, format, args...); err != nil {
		p.t.Fatalf("say: %v", err)
	}
}

// until reads up to and with this text.
func (p *rawPeer) until(text string) string {
	p.t.Helper()
	var got []byte
	for !bytes.HasSuffix(got, []byte(text)) {
		b, err := p.r.ReadSlice(text[len(text)-1])
		got = append(got, b...)
		if err != nil && err != bufio.ErrBufferFull {
			p.t.Fatalf("read %.500q, wanted %q: %v", got, text, err)
		}
	}
	return string(got)
}

// rest reads until the connection is closed.
func (p *rawPeer) rest() string {
	b, _ := io.ReadAll(p.r)
	return string(b)
}

// listenRaw is a peer that can be called; it is published on the host.
func listenRaw(t testing.TB, dns *fakeDNS, instance string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", netip.AddrPortFrom(dns.addrs[0], 0).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	dns.peer(t, instance, uint16(ln.Addr().(*net.TCPAddr).Port))
	return ln
}

// rawCallee is a node that knows romeo@h3, who can be called.
func rawCallee(t testing.TB, cfg Config) (*node, net.Listener) {
	t.Helper()
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", cfg)
	ln := listenRaw(t, lan.host("127.0.0.3"), "romeo@h3")
	n.waitPeer(t, "romeo@h3")
	return n, ln
}

func answer(t testing.TB, ln net.Listener) *rawPeer {
	t.Helper()
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return raw(t, conn)
}

const oldHeader = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

func headerFrom(from, to string) string {
	return `<?xml version="1.0" encoding="UTF-8" ?>` + "\n" + `<stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" from="` + from + `" to="` + to + `">`
}
