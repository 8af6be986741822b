package client

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"meshgate/bridge/dsps"
	"meshgate/internal/selfsigned"
	"meshgate/internal/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A switchboard carries stanzas between clients and services.
type switchboard struct {
	t     *testing.T
	ctx   context.Context
	mu    sync.Mutex
	hears map[dsps.JID]func(from dsps.JID, iq *stanza.Element) // by full address, or bare
	links []net.Conn                                           // that services made, for relays
}

func newSwitchboard(t *testing.T) *switchboard {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return &switchboard{t: t, ctx: ctx, hears: map[dsps.JID]func(dsps.JID, *stanza.Element){}}
}

// SendIQ passes a stanza on.
func (b *switchboard) SendIQ(iq *stanza.Element) {
	to, from := dsps.JID(iq.Attr("to")), dsps.JID(iq.Attr("from"))
	b.mu.Lock()
	hear := b.hears[to]
	if hear == nil {
		hear = b.hears[to.Bare()]
	}
	b.mu.Unlock()
	if hear != nil {
		hear(from, iq)
	}
}

func (b *switchboard) join(jid dsps.JID, hear func(dsps.JID, *stanza.Element)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hears[jid] = hear
}

func secrets() *rand.Rand { return rand.New(rand.NewChaCha8([32]byte{3})) }

// service runs one for the length of the test.
func (b *switchboard) service(name dsps.JID) *dsps.Server {
	cert, err := selfsigned.New(time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	cfg := dsps.ServerConfig{
		Listen: "127.0.0.1:0", LingerTimeout: time.Second,
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
	}
	cfg.Engine.Rand = secrets()
	cfg.Engine.Addresses = dsps.Resources{Bare: name, Rand: cfg.Engine.Rand}
	all := func(dsps.JID) bool { return true }
	cfg.Engine.Policy = dsps.Policy{
		MayCreate: all, MayJoin: all, MayInvite: func(_, _ dsps.JID) bool { return true },
		MayRelay: func(dsps.JID, dsps.Dest) bool { return true },
	}
	cfg.Dial = b.dialTo(name)
	s := dsps.NewServer(cfg)
	b.run(s, b)
	b.join(name, func(from dsps.JID, iq *stanza.Element) { s.HandleQuery(from, dsps.JID(iq.Attr("to")), iq) })
	where.Store(string(name), s)
	return s
}

// where are the services, by name: ports differ from what addresses say.
var where sync.Map

// dialTo connects to a service by its name.
func (b *switchboard) dialTo(by dsps.JID) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(addr)
		s, ok := where.Load(host)
		if !ok {
			return nil, errors.New("no such service")
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, s.(*dsps.Server).Addr().String())
		if by != "" && err == nil {
			b.mu.Lock()
			b.links = append(b.links, c)
			b.mu.Unlock()
		}
		return c, err
	}
}

func (b *switchboard) run(s *dsps.Server, out dsps.Sender) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, out) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
}

// A guest is a client and the invitations to it.
type guest struct {
	*Client
	b    *switchboard
	invs chan *Invitation
}

func (b *switchboard) config(jid dsps.JID, invs chan *Invitation) Config {
	return Config{
		Self: jid, TLS: &tls.Config{InsecureSkipVerify: true}, Dial: b.dialTo(""),
		Send:    func(iq *stanza.Element) error { b.SendIQ(iq); return nil },
		Invited: func(i *Invitation) { invs <- i },
	}
}

func (b *switchboard) guest(jid dsps.JID) *guest {
	g := &guest{b: b, invs: make(chan *Invitation, 10)}
	g.Client = New(b.config(jid, g.invs))
	b.join(jid, func(from dsps.JID, iq *stanza.Element) { g.HandleIQ(from, iq) })
	return g
}

func (g *guest) create(service dsps.JID, o Options) *Stream {
	g.b.t.Helper()
	s, err := g.Create(g.b.ctx, service, o)
	g.b.must(err)
	return s
}

func (g *guest) accept() *Stream {
	g.b.t.Helper()
	select {
	case i := <-g.invs:
		s, err := i.Accept(g.b.ctx)
		g.b.must(err)
		return s
	case <-g.b.ctx.Done():
		g.b.t.Fatal("no invitation")
		return nil
	}
}

func (b *switchboard) connect(s *Stream, m Method) *Conn {
	b.t.Helper()
	c, err := s.Connect(b.ctx, m)
	b.must(err)
	b.t.Cleanup(func() { c.Close() })
	return c
}

func (b *switchboard) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// event waits for one of a stream.
func (b *switchboard) event(s *Stream, jid dsps.JID, what dsps.Status) {
	b.t.Helper()
	for {
		select {
		case e := <-s.Events():
			if e.JID == jid && e.Status == what {
				return
			}
		case <-b.ctx.Done():
			b.t.Fatalf("%s is never %s", jid, what)
		}
	}
}

const (
	ann dsps.JID = "ann@home.org/a"
	rob dsps.JID = "rob@nauseum.org/r"
)

// DS-17: one upload, three receivers, each another way.
func TestFileForThree(t *testing.T) {
	b := newSwitchboard(t)
	b.service("dsps.office")
	file := make([]byte, 3<<20+7)
	rand.NewChaCha8([32]byte{9}).Read(file)
	m, err := Describe(bytes.NewReader(file), Meta{Name: "myfile.txt", MIME: "application/octet-stream", Date: time.Unix(1e9, 0).UTC()})
	b.must(err)
	if m.Size != int64(len(file)) || m.SHA256 != fmt.Sprintf("%x", sha256.Sum256(file)) || m.SHA1 != fmt.Sprintf("%x", sha1.Sum(file)) {
		t.Errorf("described as %+v", m)
	}

	sender := b.guest(rob)
	s := sender.create("dsps.office", Options{})
	conn := b.connect(s, Method{})
	var wg sync.WaitGroup
	for i, how := range []Method{{}, {TLS: true}, {HTTP: true}, {HTTP: true, TLS: true}} {
		jid := dsps.JID("guest@home.org/") + dsps.JID(rune('a'+i))
		g := b.guest(jid)
		b.must(s.Invite(b.ctx, Offer{Right: dsps.Slave, Peers: []dsps.JID{jid}, Comments: []*stanza.Element{m.Comment()}}))
		wg.Go(func() {
			inv := <-g.invs
			got, ok := FileOf(inv.Comments)
			if diff := cmp.Diff(m, got); !ok || diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			mine, err := inv.Accept(b.ctx)
			if err != nil {
				t.Error(err)
				return
			}
			c, err := mine.Connect(b.ctx, how)
			if err != nil {
				t.Error(err)
				return
			}
			var out bytes.Buffer
			if _, err := c.Receive(b.ctx, &out, got); err != nil || !bytes.Equal(out.Bytes(), file) {
				t.Errorf("%+v: %d bytes, %v", how, out.Len(), err)
			}
			<-mine.Dropped()
		})
	}
	b.must(conn.WaitFor(b.ctx, 4))
	n, err := conn.Send(b.ctx, bytes.NewReader(file))
	if n != int64(len(file)) || err != nil {
		t.Errorf("sent %d, %v", n, err)
	}
	b.must(s.Leave(b.ctx))
	b.must(s.Leave(b.ctx)) // once is enough
	wg.Wait()
}

func TestDamageIsNoticed(t *testing.T) { // DS-17
	b := newSwitchboard(t)
	b.service("dsps.office")
	for _, tt := range []struct {
		m  Meta
		ok bool
	}{
		{Meta{Size: 5}, true}, {Meta{Size: -1}, true}, {Meta{Size: 6}, false},
		{Meta{Size: 5, SHA1: "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"}, true}, {Meta{Size: 5, SHA1: "00"}, false},
		{Meta{Size: 5, SHA256: "00"}, false},
	} {
		s := b.guest(rob).create("dsps.office", Options{})
		conn := b.connect(s, Method{})
		g := b.guest(ann)
		b.must(s.Invite(b.ctx, Offer{Right: dsps.Slave, Peers: []dsps.JID{ann}}))
		c := b.connect(g.accept(), Method{})
		got := make(chan error, 1)
		go func() {
			_, err := c.Receive(b.ctx, io.Discard, tt.m)
			got <- err
		}()
		b.must(conn.WaitFor(b.ctx, 1))
		_, err := conn.Send(b.ctx, strings.NewReader("hello"))
		b.must(err)
		b.must(s.Leave(b.ctx))
		if err := <-got; (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", tt.m, err)
		}
	}
}

func TestStreamIsAdministered(t *testing.T) { // DS-07, DS-08, DS-12
	b := newSwitchboard(t)
	b.service("dsps.office")
	s := b.guest(rob).create("dsps.office", Options{MinThroughput: 2048, MaxPublic: 1})
	b.connect(s, Method{})
	g := b.guest(ann)
	b.must(s.Invite(b.ctx, Offer{Right: dsps.Slave, Peers: []dsps.JID{ann}}))
	b.must((<-g.invs).Reject())
	b.event(s, ann, dsps.Reject)
	b.must(s.Invite(b.ctx, Offer{Right: dsps.Slave, Peers: []dsps.JID{ann}}))
	mine := g.accept()
	b.connect(mine, Method{})
	b.event(s, ann, dsps.Connect)

	who, err := s.Who(b.ctx)
	b.must(err)
	if len(who) != 2 || who[1].JID != ann || who[1].Right != dsps.Slave || who[1].Status != dsps.Connect {
		t.Errorf("%+v", who)
	}
	stats, err := mine.Stats(b.ctx)
	b.must(err)
	if stats.MinThroughput != 2048 || stats.SlaveCount != 1 || stats.PublicID == "" {
		t.Errorf("%+v", stats)
	}
	list, err := g.Public(b.ctx, "dsps.office")
	b.must(err)
	if len(list) != 1 || len(list[0].Peers) != 1 || list[0].Peers[0] != stats.PublicID {
		t.Errorf("%+v", list)
	}
	joined, err := b.guest("cat@home.org/c").Join(b.ctx, stats.PublicID)
	b.must(err)
	b.connect(joined, Method{})
	b.event(s, "cat@home.org/c", dsps.Connect)
	var refused *dsps.Error
	if _, err := b.guest("dan@home.org/d").Join(b.ctx, stats.PublicID); !errors.As(err, &refused) || refused.Code != dsps.MethodNotAllowed {
		t.Errorf("one too many: %v", err)
	}
	if _, err := mine.Drop(b.ctx, nil, rob); !errors.As(err, &refused) || refused.Code != dsps.Forbidden {
		t.Errorf("a slave drops a master: %v", err)
	}
	missing, err := s.Drop(b.ctx, []*stanza.Element{stanza.New(dsps.NS, "comment", stanza.Text("bye"))}, ann, "nobody@x")
	b.must(err)
	if len(missing) != 1 || missing[0] != "nobody@x" {
		t.Errorf("missing %q", missing)
	}
	if why := mine.Why(); len(why) != 1 || why[0].Text() != "bye" {
		t.Errorf("dropped because of %v", why)
	}
}

// DS-16: one side serves the other, which uses it like any service.
func TestPeerToPeer(t *testing.T) {
	b := newSwitchboard(t)
	cfg := dsps.ServerConfig{Listen: "127.0.0.1:0"}
	cfg.Engine.Rand = secrets()
	cfg.Engine.Host = "rob.local"
	own := NewOwn(b.config(rob, nil), cfg)
	b.run(own.Server, own)
	b.join(rob, func(from dsps.JID, iq *stanza.Element) { own.HandleIQ(from, iq) })
	where.Store("rob.local", own.Server)

	s, err := own.Create(b.ctx, rob, Options{Comments: []*stanza.Element{Meta{Name: "x", Size: -1}.Comment()}})
	b.must(err)
	conn := b.connect(s, Method{})
	g := b.guest(ann)
	b.must(s.Invite(b.ctx, Offer{Right: dsps.Slave, Peers: []dsps.JID{ann}}))
	mine := g.accept()
	if mine.At != rob || mine.Prepared.Host != "rob.local" {
		t.Errorf("at %s, %+v", mine.At, mine.Prepared)
	}
	c := b.connect(mine, Method{})
	stats, err := mine.Stats(b.ctx)
	b.must(err)
	if stats.MasterCount != 1 || stats.SlaveCount != 1 {
		t.Errorf("%+v", stats)
	}
	var refused *dsps.Error
	if _, err := b.guest("cat@home.org/c").Create(b.ctx, rob, Options{}); !errors.As(err, &refused) || refused.Code != dsps.Forbidden {
		t.Errorf("a stranger creates a stream at rob's: %v", err)
	}
	if err := mine.Invite(b.ctx, Offer{Right: dsps.Slave, Peers: []dsps.JID{"x@y"}}); !errors.As(err, &refused) || refused.Code != dsps.Forbidden {
		t.Errorf("a slave invites: %v", err)
	}
	var out bytes.Buffer
	got := make(chan error, 1)
	go func() {
		_, err := c.Receive(b.ctx, &out, Meta{Size: 1 << 20})
		got <- err
	}()
	b.must(conn.WaitFor(b.ctx, 1))
	_, err = conn.Send(b.ctx, bytes.NewReader(make([]byte, 1<<20)))
	b.must(err)
	b.must(s.Leave(b.ctx))
	b.must(<-got)
}

// Who has created a stream may go on with it in another process.
func TestStreamIsTakenOver(t *testing.T) {
	b := newSwitchboard(t)
	b.service("dsps.office")
	made := b.guest(rob).create("dsps.office", Options{})
	s, err := b.guest(rob).Take(made.At, dsps.Master, made.Prepared)
	b.must(err)
	conn := b.connect(s, Method{})
	g := b.guest(ann)
	b.must(s.Invite(b.ctx, Offer{Right: dsps.Slave, Peers: []dsps.JID{ann}}))
	c := b.connect(g.accept(), Method{})
	got := make(chan error, 1)
	go func() {
		_, err := c.Receive(b.ctx, io.Discard, Meta{Size: 5})
		got <- err
	}()
	who, err := s.Who(b.ctx)
	b.must(err)
	if id := <-conn.Ready(); len(who) != 2 || id != who[1].ID {
		t.Errorf("%q is ready, of %+v", id, who)
	}
	_, err = conn.Send(b.ctx, strings.NewReader("hello"))
	b.must(err)
	b.must(s.Leave(b.ctx))
	b.must(<-got)
}

func TestCallsEndWithTheirContext(t *testing.T) {
	b := newSwitchboard(t)
	g := b.guest(ann)
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	if _, err := g.Create(ctx, "nobody", Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := len(g.waiting); n != 0 {
		t.Errorf("%d answers are still waited for", n)
	}
	b.service("dsps.office")
	s := b.guest(rob).create("dsps.office", Options{})
	c := b.connect(s, Method{})
	if err := c.WaitFor(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := s.Connect(ctx, Method{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStrangeStanzasAreNotOurs(t *testing.T) {
	g := newSwitchboard(t).guest(ann)
	for _, xml := range []string{
		`<iq type='result' id='x'/>`, `<iq type='get'><query xmlns='jabber:iq:dsps' type='who'/></iq>`,
		`<iq type='get'><query xmlns='jabber:iq:dsps' type='create'>key</query></iq>`,
		`<iq type='result'><query xmlns='jabber:iq:dsps' type='create' wait='1'/></iq>`, `<message/>`,
	} {
		el, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if g.HandleIQ("dsps.office/x", el) {
			t.Errorf("taken: %s", xml)
		}
	}
}
