package dsps_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/e2e/rawstream"
	"meshgate/internal/selfsigned"
	"meshgate/internal/stanza"
)

// Clients are those that were written from the document alone.
type (
	person = rawstream.Person
	line   = rawstream.Line
	method = rawstream.Method
	answer = rawstream.Answer
)

var plain = rawstream.Plain

// A post office carries stanzas between persons and services.
type post struct {
	t       testing.TB
	mu      sync.Mutex
	persons map[string]*person
	servers map[string]*dsps.Server // by their bare addresses
	seen    []string                // all that services said
}

func newPost(t testing.TB) *post {
	return &post{t: t, persons: map[string]*person{}, servers: map[string]*dsps.Server{}}
}

// SendIQ makes it a dsps.Sender.
func (o *post) SendIQ(iq *stanza.Element) {
	o.mu.Lock()
	o.seen = append(o.seen, iq.String())
	p := o.persons[iq.Attr("to")]
	o.mu.Unlock()
	if p != nil {
		p.Hear(iq)
	}
}

// server is the one that an address belongs to.
func (o *post) server(at string) *dsps.Server {
	bare, _, _ := strings.Cut(at, "/")
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.servers[bare]
}

// person makes somebody with a full JID.
func (o *post) person(jid string) *person {
	p := rawstream.New(o.t, rawstream.Config{
		JID: jid, Service: "dsps.office",
		Send: func(iq *stanza.Element) error {
			to := iq.Attr("to")
			if !o.server(to).HandleQuery(dsps.JID(jid), dsps.JID(to), iq) {
				return fmt.Errorf("%s takes no more stanzas", to)
			}
			return nil
		},
		Dial: func(at, _ string) (net.Conn, error) { return reach(o.server(at)) },
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.persons[jid] = p
	return p
}

// serve runs a server for the length of a test.
func serve(t testing.TB, change ...func(*dsps.ServerConfig)) (*dsps.Server, *post) {
	o := newPost(t)
	return serveWith(t, o, "dsps.office", change...), o
}

func serveWith(t testing.TB, o *post, name dsps.JID, change ...func(*dsps.ServerConfig)) *dsps.Server {
	all := func(dsps.JID) bool { return true }
	cfg := dsps.ServerConfig{Listen: "127.0.0.1:0", TLS: certificate(t)}
	cfg.Engine.Rand = secrets()
	cfg.Engine.Host = "gate.office"
	cfg.Engine.Addresses = dsps.Resources{Bare: name, Rand: cfg.Engine.Rand}
	cfg.Engine.Policy = dsps.Policy{
		MayCreate: all, MayJoin: all, MayInvite: func(_, _ dsps.JID) bool { return true },
		MayRelay: func(dsps.JID, dsps.Dest) bool { return true },
	}
	for _, f := range change {
		f(&cfg)
	}
	s := dsps.NewServer(cfg)
	o.mu.Lock()
	o.servers[string(name)] = s
	o.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if cfg.Listen != "none" {
		s.Addr()
	}
	return s
}

var certOnce = sync.OnceValues(func() (tls.Certificate, error) { return selfsigned.New(time.Now()) })

func certificate(t testing.TB) *tls.Config {
	cert, err := certOnce()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// reach connects to a server, wherever it listens.
func reach(s *dsps.Server) (net.Conn, error) {
	if at := s.Addr(); at != nil {
		return net.Dial("tcp", at.String())
	}
	ours, theirs := net.Pipe()
	s.Serve(theirs)
	return ours, nil
}

func dial(t testing.TB, s *dsps.Server) *line {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return rawstream.NewLine(t, c)
}
