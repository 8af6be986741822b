package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

const streamService = "dsps.office"

// An exchange is an XMPP server and a data stream service, in memory but for
// the data, which goes over loopback.
type exchange struct {
	t        *testing.T
	server   *dsps.Server
	mu       sync.Mutex
	sessions map[string]*fakeSession
	conns    []net.Conn  // that carry data
	came     chan string // who has logged in
}

func newExchange(t *testing.T) *exchange {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{t: t, sessions: map[string]*fakeSession{}, came: make(chan string, 100)}
	secrets := rand.New(rand.NewChaCha8([32]byte{5}))
	all := func(dsps.JID) bool { return true }
	cfg := dsps.ServerConfig{Listen: "none", Engine: dsps.Config{
		Rand: secrets, Addresses: dsps.Resources{Bare: streamService, Rand: secrets},
		Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port,
		Limits: dsps.Limits{Queries: 100_000}, // tests ask until they hear what they want
		Policy: dsps.Policy{MayCreate: func(j dsps.JID) bool { return !strings.HasPrefix(string(j), "mallory@") }, MayJoin: all, MayInvite: func(_, whom dsps.JID) bool { return !strings.HasPrefix(string(whom), "mallory@") }},
	}}
	x.server = dsps.NewServer(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := x.server.Run(ctx, x); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			x.mu.Lock()
			x.conns = append(x.conns, c)
			x.mu.Unlock()
			x.server.Serve(c)
		}
	})
	t.Cleanup(func() { ln.Close(); cancel(); wg.Wait() })
	return x
}

// login is a session of the exchange, for whoever knows the password.
func (x *exchange) login(_ context.Context, cfg xmppc2s.Config) (carrier, error) {
	if cfg.Password != "secret" {
		return nil, &xmppc2s.Error{Problem: xmppc2s.WrongLogin, Text: "wrong password"}
	}
	return x.enter(cfg.JID.String()), nil
}

// joinMesh is a presence on a LAN: the machine is h2, and the second of one name
// gets a digit.
func (x *exchange) joinMesh(_ context.Context, cfg meshConfig) (carrier, error) {
	name := cfg.user + "@h2"
	x.mu.Lock()
	if x.sessions[name] != nil {
		name = cfg.user + "1@h2"
	}
	x.mu.Unlock()
	return fakePresence{x.enter(name)}, nil
}

// A fakePresence is a session on the LAN, which has a gateway.
type fakePresence struct{ *fakeSession }

func (fakePresence) Peers(context.Context) ([]linklocal.PeerInfo, error) {
	return []linklocal.PeerInfo{
		{Instance: "wjt@bael"},
		{Instance: "alice@gw", Host: "gw.local", Presence: linklocal.Presence{Node: capsNode, Ver: "mirror"}},
		{Instance: streamService, Host: "gw.local", Presence: linklocal.Presence{Node: capsNode, Ver: "service"}},
	}, nil
}

func (fakePresence) isOwn(j dsps.JID) bool { return j.Host() == "h2" }

// enter is a session with that address.
func (x *exchange) enter(address string) *fakeSession {
	s := &fakeSession{x: x, address: address, in: make(chan *stanza.Element, 100), closed: make(chan struct{}), ended: make(chan struct{})}
	x.mu.Lock()
	x.sessions[s.address] = s
	x.mu.Unlock()
	x.came <- s.address
	return s
}

// cut breaks the connections that carry data, those that were made last before others.
func (x *exchange) cut(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for range n {
		last := len(x.conns) - 1
		x.conns[last].Close()
		x.conns = x.conns[:last]
	}
}

// await waits until that address has logged in.
func (x *exchange) await(address string) {
	for got := range x.came {
		if got == address {
			return
		}
	}
}

// nobodyCame forgets who has logged in.
func (x *exchange) nobodyCame() {
	for len(x.came) > 0 {
		<-x.came
	}
}

// SendIQ carries a stanza of the service's.
func (x *exchange) SendIQ(iq *stanza.Element) {
	x.mu.Lock()
	s := x.sessions[iq.Attr("to")]
	x.mu.Unlock()
	if s != nil {
		s.in <- iq
	} else if typ := iq.Attr("type"); typ == "get" || typ == "set" {
		x.server.HandleQuery(dsps.JID(iq.Attr("to")), dsps.JID(iq.Attr("from")), (&stanza.Error{Condition: stanza.ServiceUnavailable}).Reply(iq))
	}
}

type fakeSession struct {
	x             *exchange
	address       string
	in            chan *stanza.Element
	closed, ended chan struct{}
	once          sync.Once
}

func (s *fakeSession) Address() string { return s.address }

func (s *fakeSession) Send(iq *stanza.Element) error {
	to := dsps.JID(iq.Attr("to"))
	if to.Bare() == streamService {
		s.x.server.HandleQuery(dsps.JID(s.address), to, iq)
		return nil
	}
	s.x.mu.Lock()
	other := s.x.sessions[string(to)]
	s.x.mu.Unlock()
	if other != nil {
		other.in <- iq.WithAttr("from", s.address)
	} else if reply := (&stanza.Error{Condition: stanza.ServiceUnavailable}).Reply(iq); reply != nil {
		s.in <- reply
	}
	return nil
}

// declines answers the invitation that has come first.
func (s *fakeSession) declines(t *testing.T) {
	t.Helper()
	invitation := <-s.in
	no := dsps.IQ{Kind: "result", ID: invitation.Attr("id"), To: dsps.JID(invitation.Attr("from")), Queries: []dsps.Query{dsps.Answer{}}}
	if err := s.Send(no.Element()); err != nil {
		t.Fatal(err)
	}
}

func (s *fakeSession) Run(handle func(*stanza.Element) bool) error {
	defer close(s.ended)
	for {
		select {
		case iq := <-s.in:
			handle(iq)
		case <-s.closed:
			return errors.New("closed")
		}
	}
}

func (s *fakeSession) Close() {
	s.x.mu.Lock()
	delete(s.x.sessions, s.address)
	s.x.mu.Unlock()
	s.once.Do(func() { close(s.closed) })
	<-s.ended
}

// A call is one meshgate stream.
type call struct {
	code    int
	stdout  transcript
	stderr  transcript
	signals chan os.Signal
	done    chan struct{}
}

// A transcript is what a command says, as it says it.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
	grew chan struct{} // closed when there is more; nil: nobody waits
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grew != nil {
		close(t.grew)
		t.grew = nil
	}
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

func (t *transcript) Bytes() []byte { return []byte(t.String()) }

// so is what there is so far, and when there is more.
func (t *transcript) so() (far string, grew <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grew == nil {
		t.grew = make(chan struct{})
	}
	return t.text.String(), t.grew
}

// says waits until a command has said something like that, and returns the rest
// of the line.
func (c *call) says(t *testing.T, words string) string {
	t.Helper()
	return c.await(t, &c.stderr, words)
}

// gets waits until a command has got that from a stream.
func (c *call) gets(t *testing.T, words string) {
	t.Helper()
	c.await(t, &c.stdout, words)
}

func (c *call) await(t *testing.T, where *transcript, words string) (rest string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		text, grew := where.so()
		if _, rest, ok := strings.Cut(text, words); ok {
			line, _, _ := strings.Cut(rest, "\n")
			return line
		}
		select {
		case <-grew:
		case <-c.done:
			if end, _ := where.so(); !strings.Contains(end, words) {
				t.Fatalf("it ended and there was no %q: %s", words, &c.stderr)
			}
		case <-late:
			t.Fatalf("there is no %q: %s", words, &c.stderr)
		}
	}
}

// start runs a command line in the background.
func (x *exchange) start(stdin io.Reader, args ...string) *call {
	c := &call{signals: make(chan os.Signal, 1), done: make(chan struct{})}
	p := process{stdin: stdin, stdout: &c.stdout, stderr: &c.stderr, signals: c.signals, getenv: func(k string) string {
		return map[string]string{passwordVariable: "secret"}[k]
	}}
	go func() {
		defer close(c.done)
		c.code = streamWith(args, p, streamWays{x.login, x.joinMesh})
	}()
	x.t.Cleanup(func() {
		select {
		case c.signals <- os.Interrupt: // a test that has failed may have left it waiting
		default:
		}
		<-c.done
	})
	return c
}

// ends waits for the end of a command, which it must reach with this exit code.
func (c *call) ends(t *testing.T, code int) *call {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	if c.code != code {
		t.Fatalf("exit code %d, want %d: %s", c.code, code, &c.stderr)
	}
	return c
}

func args(line string, more ...string) []string { return append(strings.Fields(line), more...) }

func writeFile(t *testing.T, name string, size int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	r := rand.NewChaCha8([32]byte{7})
	r.Read(content)
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}
