package xmppc2s_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"meshgate/xmppc2s"
)

func TestOnlyPlacesOnTheNetAreFollowed(t *testing.T) {
	for place, want := range map[string]string{
		"xmpp.example.org":                   "xmpp.example.org ",
		"xmpp.example.org:9222":              "xmpp.example.org 9222",
		"192.0.2.1":                          "192.0.2.1 ",
		"192.0.2.1:65535":                    "192.0.2.1 65535",
		"[2001:db8::1]":                      "2001:db8::1 ",
		"[2001:db8::1]:9222":                 "2001:db8::1 9222",
		"bücher.example":                     "xn--bcher-kva.example ",
		"":                                   "",
		":5222":                              "",
		"xmpp.example.org:":                  "",
		"xmpp.example.org:0":                 "",
		"xmpp.example.org:65536":             "",
		"xmpp.example.org:-1":                "",
		"xmpp.example.org:5222:5222":         "",
		"2001:db8::1":                        "",
		"[2001:db8::1":                       "",
		"[192.0.2.1]:5222":                   "",
		"[fe80::1%25eth0]:5222":              "",
		"[xmpp.example.org]":                 "",
		"a b":                                "",
		"user@example.org":                   "",
		"http://example.org/":                "",
		"-.example.org":                      "",
		strings.Repeat("a.", 127) + "b:5222": strings.Repeat("a.", 127) + "b 5222",
		strings.Repeat("a", 1000):            "",
	} {
		host, port, err := xmppc2s.ParsePlace(place)
		if got := host + " " + port; (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%.60q: %q, %v; want %q", place, got, err, want)
		}
	}
}

// other is another server of the same domain.
func (s *fakeServer) other() *fakeServer {
	o := newFake(s.t)
	o.tls, o.roots = s.tls, s.roots
	return o
}

func seeOther(place string) string {
	return fmt.Sprintf("<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>%s</see-other-host></stream:error></stream:stream>", place)
}

// SM-07: a session moves to where its server sends it, at the beginning of a
// stream and in the midst of it.
func TestARedirectionIsFollowed(t *testing.T) {
	s := newFake(t)
	second, third := s.other(), s.other()
	run(t, xmppc2s.New(s.config()))
	s.accept().refuse(seeOther(second.ln.Addr().String()))
	conn := second.accept()
	conn.fresh()
	conn.send("%s", seeOther(third.ln.Addr().String()))
	third.accept().resumed(2)
	s.quiet()
}

// Servers may send us round in circles, too far, or where nobody else may.
func TestARedirectionHasItsLimits(t *testing.T) {
	t.Run("circle", func(t *testing.T) {
		s := newFake(t)
		second := s.other()
		cfg := s.config()
		cfg.Backoff = xmppc2s.Backoff{First: time.Hour, Max: time.Hour}
		h := run(t, xmppc2s.New(cfg))
		s.accept().refuse(seeOther(second.ln.Addr().String()))
		second.accept().refuse(seeOther(s.ln.Addr().String()))
		wantElsewhere(t, h, "sends us to")
		s.quiet()
		second.quiet()
	})
	t.Run("chain", func(t *testing.T) {
		first := newFake(t)
		cfg := first.config()
		cfg.Backoff = xmppc2s.Backoff{First: time.Hour, Max: time.Hour}
		h := run(t, xmppc2s.New(cfg))
		s := first
		for range 3 {
			next := first.other()
			s.accept().refuse(seeOther(next.ln.Addr().String()))
			s = next
		}
		last := first.other()
		s.accept().refuse(seeOther(last.ln.Addr().String()))
		wantElsewhere(t, h, "too often")
		last.quiet()
	})
	for name, place := range map[string]string{"nonsense": "a b", "nobody": "0.0.0.0:5222", "everybody": "[ff02::1]:5222"} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t)
			h := run(t, xmppc2s.New(s.config()))
			s.accept().refuse(seeOther(place))
			wantElsewhere(t, h, "not followed")
		})
	}
	t.Run("nobody's certificate", func(t *testing.T) {
		s, other := newFake(t), newFake(t)
		h := run(t, xmppc2s.New(s.config()))
		s.accept().refuse(seeOther(other.ln.Addr().String()))
		other.accept().distrusted()
		h.await("offline", func(ev xmppc2s.Event) bool {
			off, ok := ev.(xmppc2s.Offline)
			return ok && strings.Contains(off.Err.Error(), "not trusted")
		})
	})
	t.Run("no TLS", func(t *testing.T) {
		s := newFake(t)
		other := s.other()
		cfg := s.config()
		cfg.InsecureNoTLS = true
		h := run(t, xmppc2s.New(cfg))
		s.accept().refuse(seeOther(other.ln.Addr().String()))
		wantElsewhere(t, h, "TLS")
		other.quiet()
	})
}

// A server on the net has no business to send us to what only we can reach.
func TestARedirectionDoesNotLeadInward(t *testing.T) {
	cfg := xmppc2s.Config{JID: parse("alice@example.org")}
	from := xmppc2s.Target("203.0.113.1:5222")
	for place, ok := range map[string]bool{
		"127.0.0.1:6379": false, "[::1]:6379": false, "[::ffff:127.0.0.1]:80": false, "169.254.169.254:80": false, "[fe80::1]:80": false,
		"192.0.2.1:5222": true, "10.0.0.1:5222": true, // an office may have its server inside
	} {
		if got, err := xmppc2s.Follow(&cfg, nil, from, place); (err == nil) != ok {
			t.Errorf("%s: %v, %v", place, got, err)
		}
	}
}

// A session's location leads no further than a redirection does.
func TestALocationDoesNotLeadInward(t *testing.T) {
	cfg := xmppc2s.Config{JID: parse("alice@example.org")}
	from := xmppc2s.Target("203.0.113.1:5222")
	for place, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:5222", "192.0.2.1:9222": "192.0.2.1:9222", "a.example.net": "a.example.net:5222",
		"2001:db8::1": "[2001:db8::1]:5222", "[2001:db8::1]:9222": "[2001:db8::1]:9222",
		"": "", "127.0.0.1:6379": "", "[::1]:6379": "", "169.254.169.254": "", "0.0.0.0": "", "a b": "", "a.example.net:0": "",
	} {
		if got := strings.Join(xmppc2s.Hinted(&cfg, from, place), " "); got != want {
			t.Errorf("%q: %q, want %q", place, got, want)
		}
	}
	if got := xmppc2s.Hinted(&cfg, xmppc2s.Target("127.0.0.1:5222"), "127.0.0.1:5333"); len(got) != 1 {
		t.Errorf("a server inside may stay there: %q", got)
	}
	cfg.InsecureNoTLS = true
	if got := xmppc2s.Hinted(&cfg, from, "192.0.2.1"); len(got) > 0 {
		t.Errorf("without TLS nobody knows who is there: %q", got)
	}
}

// "the initiating entity MUST resolve the FQDN specified": without a port the
// name has records of its own.
func TestARedirectionToANameIsLookedUp(t *testing.T) {
	cfg := xmppc2s.Config{JID: parse("alice@example.org")}
	dns := resolverFunc(func(service string) ([]*srv, error) {
		if service == "xmpps-client" {
			return nil, &net.DNSError{IsNotFound: true}
		}
		return []*srv{{Target: "a.example.net.", Port: 5333}}, nil
	})
	if got, err := xmppc2s.Follow(&cfg, dns, xmppc2s.Target("203.0.113.1:5222"), "b.example.net"); err != nil || fmt.Sprint(got) != "[a.example.net:5333]" {
		t.Errorf("%v, %v", got, err)
	}
}

func wantElsewhere(t *testing.T, h *tail, words string) {
	t.Helper()
	off := h.await("offline", isOffline).(xmppc2s.Offline)
	if off.Fatal || !strings.Contains(off.Err.Error(), words) {
		t.Errorf("offline because of %v (fatal %v), want %q", off.Err, off.Fatal, words)
	}
}

// Whatever a server says, what is dialled is a host and a port.
func FuzzParsePlace(f *testing.F) {
	for _, s := range []string{"a:1", "[::1]:5222", "[::1", "b\x00cher", "a..b", ":::", "%zz", "xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := xmppc2s.ParsePlace(s)
		if err != nil {
			return
		}
		again, p, err := net.SplitHostPort(net.JoinHostPort(host, port))
		if err != nil || again != host || p != port || host == "" || strings.ContainsAny(host, " \t\r\n/@%\x00") {
			t.Errorf("%q is %q and %q: %v", s, host, port, err)
		}
	})
}
