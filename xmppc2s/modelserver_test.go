package xmppc2s_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/internal/xmlframe"
)

// A modelServer is a server of one account that plays by itself: it keeps a
// session over connections, by the rules of XEP-0198 and as strictly as
// Prosody, and notes what arrives.
type modelServer struct {
	*fakeServer
	mu    sync.Mutex
	wake  chan struct{}
	conns []net.Conn
	known bool     // there is a session
	id    int      // of it
	in    int      // stanzas from the client in it
	out   []string // stanzas for the client that it has not acknowledged …
	base  int      // … after this many that it has
	got   []string // ids of messages, in all sessions
}

func newModelServer(t *testing.T) *modelServer {
	s := &modelServer{fakeServer: newFake(t), wake: make(chan struct{}, 1)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case c := <-s.fakeServer.conns:
				wg.Go(func() { s.serve(c.conn) })
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		s.cutAll()
		wg.Wait()
	})
	return s
}

// tell queues a message for the client.
func (s *modelServer) tell(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, fmt.Sprintf("<message id='%s' from='bob@example.org/x'/>", id))
}

func (s *modelServer) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// lose forgets the session, as a server does that was restarted.
func (s *modelServer) lose() {
	s.cutAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

func (s *modelServer) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := make(map[string]int)
	for _, id := range s.got {
		n[id]++
	}
	return n
}

// await waits until this holds, or never is closed.
func (s *modelServer) await(what string, never <-chan struct{}, holds func() bool) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		ok := holds()
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-s.wake:
		case <-never:
			return
		case <-deadline:
			s.t.Fatalf("waiting for %s; arrived: %q", what, s.got)
		}
	}
}

var errModel = errors.New("not what the model expects")

// A modelConn is one of its connections.
type modelConn struct {
	conn   net.Conn
	framer *xmlframe.Framer
	frames []xmlframe.Frame
}

func (c *modelConn) next() (string, error) {
	for len(c.frames) == 0 {
		buf := make([]byte, 4096)
		n, err := c.conn.Read(buf)
		if n == 0 && err != nil {
			return "", err
		}
		if c.frames, err = c.framer.Feed(buf[:n]); err != nil {
			return "", err
		}
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return string(f.Bytes), nil
}

// ask sends something and wants an answer that begins like that.
func (c *modelConn) ask(say, want string) (string, error) {
	if _, err := c.conn.Write([]byte(say)); err != nil {
		return "", err
	}
	got, err := c.next()
	if err == nil && !strings.HasPrefix(got, want) {
		err = fmt.Errorf("%w: %s", errModel, got)
	}
	return got, err
}

func (c *modelConn) header(features string) string {
	return "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' " +
		"version='1.0' id='1' from='example.org'><stream:features>" + features + "</stream:features>"
}

// login returns the first element behind authentication.
func (s *modelServer) login(c *modelConn) (string, error) {
	steps := []struct{ say, want string }{
		{"", "<stream:stream"}, {c.header(startTLS), "<starttls"}, {"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", ""},
		{"", "<stream:stream"}, {c.header(plainAuth), "<auth"}, {"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", ""},
		{"", "<stream:stream"},
	}
	for _, step := range steps {
		switch {
		case step.want == "":
			if _, err := c.conn.Write([]byte(step.say)); err != nil {
				return "", err
			}
			if strings.HasPrefix(step.say, "<proceed") {
				c.conn = tls.Server(c.conn, s.tls)
			}
			c.framer, c.frames = xmlframe.New(0), nil
		default:
			if _, err := c.ask(step.say, step.want); err != nil {
				return "", err
			}
		}
	}
	return c.ask(c.header(bindSM3), "<")
}

var (
	handledIn = regexp.MustCompile(` h='(\d+)'`)
	msgID     = regexp.MustCompile(` id='([^']*)'`)
)

func numberIn(re *regexp.Regexp, s string) int {
	m := re.FindStringSubmatch(s)
	if m == nil {
		return -1
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return -1
	}
	return n
}

// serve plays one connection until it ends.
func (s *modelServer) serve(conn net.Conn) {
	s.mu.Lock()
	s.conns = append(s.conns, conn)
	s.mu.Unlock()
	defer conn.Close()
	c := &modelConn{conn: conn, framer: xmlframe.New(0)}
	got, err := s.login(c)
	for ; err == nil; got, err = c.next() {
		if _, err := c.conn.Write([]byte(s.answer(got))); err != nil {
			return
		}
	}
}

// answer takes an element and says what is to be said to it.
func (s *modelServer) answer(got string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	switch {
	case strings.HasPrefix(got, "<resume "):
		return s.resume(got)
	case strings.Contains(got, "urn:ietf:params:xml:ns:xmpp-bind"):
		return "<iq type='result' id='bind-1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@example.org/desk</jid></bind></iq>"
	case strings.HasPrefix(got, "<enable "):
		s.known, s.in, s.base = true, 0, 0
		s.id++
		return fmt.Sprintf("<enabled xmlns='urn:xmpp:sm:3' id='id-%d' resume='true'/>", s.id) + strings.Join(s.out, "")
	case strings.HasPrefix(got, "<r "):
		return fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", s.in)
	case strings.HasPrefix(got, "<a "):
		s.acknowledge(numberIn(handledIn, got))
		return ""
	case strings.HasPrefix(got, "</"):
		return ""
	}
	s.in++
	if strings.HasPrefix(got, "<message") {
		s.got = append(s.got, msgID.FindStringSubmatch(got)[1])
	}
	return ""
}

func (s *modelServer) resume(got string) string {
	if !s.known || !strings.Contains(got, fmt.Sprintf("previd='id-%d'", s.id)) {
		return "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
	}
	s.acknowledge(numberIn(handledIn, got))
	return fmt.Sprintf("<resumed xmlns='urn:xmpp:sm:3' previd='id-%d' h='%d'/>", s.id, s.in) + strings.Join(s.out, "")
}

// acknowledge takes an h. "h going back" ends a session at Prosody.
func (s *modelServer) acknowledge(h int) {
	n := h - s.base
	if n < 0 || n > len(s.out) {
		s.t.Errorf("h=%d after %d, with %d outstanding", h, s.base, len(s.out))
		return
	}
	s.base, s.out = h, slices.Clone(s.out[n:])
}
