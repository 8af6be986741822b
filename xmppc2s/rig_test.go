package xmppc2s_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// tail is a Handler that keeps what it is told and lets tests wait for it.
type tail struct {
	tb     testing.TB
	mu     sync.Mutex
	events []xmppc2s.Event
	wake   chan struct{}
	hold   bool // messages are kept undone
}

func newTail(tb testing.TB) *tail { return &tail{tb: tb, wake: make(chan struct{}, 1)} }

func (h *tail) HandleServer(_ context.Context, ev xmppc2s.Event) {
	h.mu.Lock()
	h.events = append(h.events, ev)
	hold := h.hold
	h.mu.Unlock()
	if m, ok := ev.(xmppc2s.Message); ok && !hold {
		m.Done()
	}
	if m, ok := ev.(xmppc2s.RoomMessage); ok && !hold {
		m.Done()
	}
	if m, ok := ev.(xmppc2s.RoomInvited); ok && !hold {
		m.Done()
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// await returns the first event for which fits holds.
func (h *tail) await(what string, fits func(xmppc2s.Event) bool) xmppc2s.Event {
	h.tb.Helper()
	var found xmppc2s.Event
	h.awaitAll(what, func(events []xmppc2s.Event) bool {
		for _, ev := range events {
			if fits(ev) {
				found = ev
				return true
			}
		}
		return false
	})
	return found
}

func (h *tail) awaitAll(what string, holds func([]xmppc2s.Event) bool) {
	h.tb.Helper()
	deadline := time.After(e2e.Patience)
	for {
		h.mu.Lock()
		ok := holds(h.events)
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-h.wake:
		case <-deadline:
			h.mu.Lock()
			defer h.mu.Unlock()
			h.tb.Fatalf("waiting for %s; events: %s", what, describe(h.events))
		}
	}
}

func describe(events []xmppc2s.Event) string {
	var b strings.Builder
	for _, ev := range events[max(0, len(events)-20):] {
		fmt.Fprintf(&b, "\n  %T %+v", ev, ev)
	}
	return b.String()
}

func (h *tail) seen() []xmppc2s.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

func parse(s string) jid.JID { return jid.MustParse(s) }

func isOffline(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.Offline); return ok }

func isOnline(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.Online); return ok }

// start runs a client until the test is over, or until stop is called.
func start(tb testing.TB, cfg xmppc2s.Config) (c *xmppc2s.Client, h *tail, stop func()) {
	c, h = xmppc2s.New(cfg), newTail(tb)
	return c, h, runWith(tb, c, h)
}

// begin runs a client until it has a session on the first connection.
func begin(tb testing.TB) (s *fakeServer, c *xmppc2s.Client, h *tail, conn *fakeConn) {
	tb.Helper()
	s = newFake(tb)
	c = xmppc2s.New(s.config())
	h = run(tb, c)
	conn = s.accept()
	conn.fresh()
	return s, c, h, conn
}

func run(tb testing.TB, c *xmppc2s.Client) *tail {
	h := newTail(tb)
	runWith(tb, c, h)
	return h
}

func runWith(tb testing.TB, c *xmppc2s.Client, h xmppc2s.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(ctx, h); err != nil {
			tb.Errorf("Run: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	tb.Cleanup(stop)
	return stop
}

// messages are the messages so far.
func (h *tail) messages() (list []xmppc2s.Message) {
	for _, ev := range h.seen() {
		if m, ok := ev.(xmppc2s.Message); ok {
			list = append(list, m)
		}
	}
	return list
}

// awaitIDs waits until exactly these messages have come.
func (h *tail) awaitIDs(want ...string) {
	h.tb.Helper()
	h.awaitAll(fmt.Sprint("messages ", want), func(evs []xmppc2s.Event) bool {
		return slices.Equal(messageIDs(evs), want)
	})
}

func messageIDs(evs []xmppc2s.Event) []string {
	var list []string
	for _, ev := range evs {
		if m, ok := ev.(xmppc2s.Message); ok {
			list = append(list, m.Stanza.Attr("id"))
		}
	}
	return list
}

type srv = net.SRV

// record is where a fake server is, for DNS.
func record(t testing.TB, s *fakeServer) *srv {
	host, port := split(t, s.ln.Addr().String())
	return &srv{Target: host, Port: port}
}

// account is how to reach a user of a real server.
func account(tb testing.TB, s *e2e.Server, user, password string) xmppc2s.Config {
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	host, port := split(tb, s.LoopbackAddr())
	return xmppc2s.Config{JID: jid.MustParse(s.JID(user)), Password: password, Host: host, Port: port, RootCAs: pool, CloseOnStop: true}
}

func split(tb testing.TB, addr string) (string, uint16) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		tb.Fatal(err)
	}
	return host, uint16(n)
}

func chat(to, body string) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "to", Value: to}, stanza.Attr{Name: "type", Value: "chat"},
		stanza.New(stanza.NSClient, "body", stanza.Text(body)))
}
