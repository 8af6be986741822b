package xmppc2s_test

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"meshgate/xmppc2s"
)

// wantOffline waits for the first Offline and checks its problem and words.
func wantOffline(t *testing.T, h *tail, problem xmppc2s.Problem, fatal bool, words ...string) {
	t.Helper()
	off := h.await("offline", isOffline).(xmppc2s.Offline)
	e, ok := errors.AsType[*xmppc2s.Error](off.Err)
	if !ok || e.Problem != problem || off.Fatal != fatal {
		t.Fatalf("offline because of %#v (fatal %v), want %v (fatal %v)", off.Err, off.Fatal, problem, fatal)
	}
	for _, w := range words {
		if !strings.Contains(e.Error(), w) {
			t.Errorf("%q does not say %q", e, w)
		}
	}
	if fatal != (off.Retry >= time.Minute) {
		t.Errorf("fatal %v, but the next attempt is in %v", fatal, off.Retry)
	}
}

func TestCertificatesThatAreNotTheServers(t *testing.T) {
	for name, tc := range map[string]struct {
		name     string
		notAfter time.Duration
		trusted  bool
		words    string
	}{
		"expired":    {"example.org", -time.Hour, true, "expired"},
		"wrong name": {"example.com", time.Hour, true, "not for example.org"},
		"unknown CA": {"example.org", time.Hour, false, "ca_file"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t)
			cert, roots := certificate(t, tc.name, time.Now().Add(tc.notAfter))
			s.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
			if tc.trusted {
				s.roots = roots
			}
			h := run(t, xmppc2s.New(s.config()))
			conn := s.accept()
			conn.secure()
			_, err := conn.conn.Read(make([]byte, 1))
			wantOffline(t, h, xmppc2s.Untrusted, true, tc.words)
			if err == nil {
				t.Error("the client went on")
			}
		})
	}
}

func TestServersThatDoNotFit(t *testing.T) {
	sasl := func(mechanism string) string {
		return "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>" + mechanism + "</mechanism></mechanisms>"
	}
	failure := func(condition string) string {
		return "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><" + condition + "/><text>in words</text></failure>"
	}
	logIn := func(answer string) func(*fakeConn) {
		return func(c *fakeConn) {
			c.secure()
			c.open(plainAuth)
			c.expect("<auth")
			c.send("%s", answer)
		}
	}
	for name, tc := range map[string]struct {
		change  func(*xmppc2s.Config)
		play    func(*fakeConn)
		problem xmppc2s.Problem
		fatal   bool
		words   []string
	}{
		"no STARTTLS": {nil, func(c *fakeConn) { c.open(plainAuth); c.expect("<starttls"); c.cut() },
			xmppc2s.NoEncryption, true, []string{"STARTTLS"}},
		"only PLAIN": {func(c *xmppc2s.Config) { c.AllowPlainAuth = false }, func(c *fakeConn) { c.secure(); c.open(plainAuth) },
			xmppc2s.NoMechanism, true, []string{"PLAIN", "allow_plain_auth"}},
		"only odd ways": {nil, func(c *fakeConn) { c.secure(); c.open(sasl("X-ODD")) },
			xmppc2s.NoMechanism, true, []string{"X-ODD"}},
		"PLAIN without TLS": {func(c *xmppc2s.Config) { c.InsecureNoTLS = true }, func(c *fakeConn) { c.open(plainAuth) },
			xmppc2s.NoMechanism, true, nil},
		"wrong password": {nil, logIn(failure("not-authorized")),
			xmppc2s.WrongLogin, true, []string{"alice@example.org", "wrong password or unknown account"}},
		"disabled":  {nil, logIn(failure("account-disabled")), xmppc2s.Disabled, true, []string{"in words"}},
		"temporary": {nil, logIn(failure("temporary-auth-failure")), xmppc2s.Trouble, false, []string{"at the moment"}},
		"host unknown": {nil, func(c *fakeConn) {
			c.refuse("<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		}, xmppc2s.NotServed, true, []string{"does not serve example.org"}},
		"hangs up": {nil, func(c *fakeConn) { c.cut() }, xmppc2s.Trouble, false, nil},
		"not XMPP": {nil, func(c *fakeConn) { c.send("HTTP/1.1 400 Bad Request\r\n\r\n"); c.cut() }, xmppc2s.Trouble, false, nil},
		"binding fails": {nil, func(c *fakeConn) {
			c.login(bindSM3)
			c.expect("<bind")
			c.send("<iq type='error' id='bind-1'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		}, xmppc2s.Trouble, false, []string{"resource-constraint"}},
		"binds nonsense": {nil, func(c *fakeConn) {
			c.login(bindSM3)
			c.expect("<bind")
			c.send("<iq type='result' id='bind-1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>example.org</jid></bind></iq>")
		}, xmppc2s.Trouble, false, []string{"full address"}},
		"conflict": {nil, func(c *fakeConn) {
			c.fresh()
			c.send("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		}, xmppc2s.Conflict, true, []string{"another client", "desk"}},
		"shutdown": {nil, func(c *fakeConn) {
			c.fresh()
			c.send("<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		}, xmppc2s.StreamEnded, false, []string{"shutting down"}},
		"silence": {func(c *xmppc2s.Config) { c.NegotiateTimeout = 50 * time.Millisecond }, func(c *fakeConn) {},
			xmppc2s.Unreachable, false, []string{"in time"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t)
			cfg := s.config()
			if tc.change != nil {
				tc.change(&cfg)
			}
			h := run(t, xmppc2s.New(cfg))
			conn := s.accept()
			tc.play(conn)
			wantOffline(t, h, tc.problem, tc.fatal, tc.words...)
			if tc.fatal {
				s.quiet()
			}
		})
	}
}

func TestAServerThatTalksWithoutEndIsCutOff(t *testing.T) {
	s := newFake(t)
	h := run(t, xmppc2s.New(s.config()))
	conn := s.accept()
	conn.open("")
	go func() {
		for {
			if _, err := conn.conn.Write([]byte(strings.Repeat(" <x xmlns='y'/>", 1000))); err != nil {
				return
			}
		}
	}()
	h.await("offline", isOffline)
}

func TestNobodyAnswers(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	s.ln.Close()
	wantOffline(t, run(t, xmppc2s.New(cfg)), xmppc2s.Unreachable, false, "refused")
}

func TestDNS(t *testing.T) {
	for name, tc := range map[string]struct {
		answer  func(string) ([]*srv, error)
		problem xmppc2s.Problem
		fatal   bool
		words   string
	}{
		"no service": {func(string) ([]*srv, error) { return []*srv{{Target: "."}}, nil }, xmppc2s.NotServed, true, "no XMPP service"},
		"broken": {func(string) ([]*srv, error) { return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true} },
			xmppc2s.Trouble, false, "misbehaving"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t)
			cfg := s.config()
			cfg.Host = ""
			c := xmppc2s.New(cfg)
			xmppc2s.SetResolver(c, resolverFunc(tc.answer))
			wantOffline(t, run(t, c), tc.problem, tc.fatal, tc.words)
		})
	}
}

func TestSRVRecordsOfBothKindsAreMixed(t *testing.T) {
	dead, s := newFake(t), newFake(t)
	dead.ln.Close()
	cfg := s.config()
	cfg.Host = ""
	c := xmppc2s.New(cfg)
	xmppc2s.SetResolver(c, resolverFunc(func(service string) ([]*srv, error) {
		r := record(t, s)
		if service == "xmpps-client" {
			r = record(t, dead)
		}
		r.Priority = map[string]uint16{"xmpps-client": 1, "xmpp-client": 2}[service]
		return []*srv{r}, nil
	}))
	run(t, c)
	s.accept().fresh() // the first, direct TLS, refuses; the second has STARTTLS
}

// RFC 2782: lower priorities first, and within one a chance by weight.
func TestOrderOfServers(t *testing.T) {
	records := func() []xmppc2s.SRVRecord {
		return []xmppc2s.SRVRecord{
			{SRV: net.SRV{Target: "c.", Port: 3, Priority: 2}},
			{SRV: net.SRV{Target: "b.", Port: 2, Priority: 1, Weight: 90}},
			{SRV: net.SRV{Target: "a.", Port: 1, Priority: 1, Weight: 10}},
			{SRV: net.SRV{Target: "z.", Port: 0, Priority: 1, Weight: 0}},
		}
	}
	for draw, want := range map[int]string{0: "z:0 a:1 b:2 c:3", 10: "a:1 b:2 z:0 c:3", 11: "b:2 a:1 z:0 c:3", 100: "b:2 a:1 z:0 c:3"} {
		var got []string
		for _, target := range xmppc2s.Order(records(), func(n int) int { return min(draw, n-1) }) {
			got = append(got, xmppc2s.Addr(target))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("drawing %d: %s, want %s", draw, s, want)
		}
	}
}

// A server that ends every session with an error must not be asked at once
// again and again.
func TestSessionsThatEndInErrorsAreNotRushed(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.Backoff = xmppc2s.Backoff{First: time.Hour, Max: time.Hour}
	h := run(t, xmppc2s.New(cfg))
	for range 2 {
		conn := s.accept()
		conn.login("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")
		conn.bound()
		conn.streamError("connection-timeout")
	}
	h.await("a long wait", func(ev xmppc2s.Event) bool {
		off, ok := ev.(xmppc2s.Offline)
		return ok && off.Retry >= 20*time.Minute
	})
}
