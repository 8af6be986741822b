package xmppc2s_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/internal/xmlframe"
	"meshgate/xmppc2s"
)

// fakeServer is a server on loopback that a test plays by hand, one
// connection after the other.
type fakeServer struct {
	t     testing.TB
	ln    net.Listener
	tls   *tls.Config
	roots *x509.CertPool
	conns chan *fakeConn
}

const fakePassword = "the secret"

func newFake(t testing.TB) *fakeServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, roots := certificate(t, "example.org", time.Now().Add(time.Hour))
	s := &fakeServer{t: t, ln: ln, roots: roots, tls: &tls.Config{Certificates: []tls.Certificate{cert}}, conns: make(chan *fakeConn, 10)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns <- &fakeConn{t: t, server: s, conn: &recorder{Conn: c}}
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
		for {
			select {
			case c := <-s.conns:
				c.conn.Close()
			default:
				return
			}
		}
	})
	return s
}

func certificate(t testing.TB, name string, notAfter time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// config is a client of this server. It logs in with PLAIN, because that is
// what a test can play by hand; SCRAM is proven with real servers.
func (s *fakeServer) config() xmppc2s.Config {
	host, port := split(s.t, s.ln.Addr().String())
	return xmppc2s.Config{
		JID: parse("alice@example.org/desk"), Password: fakePassword, Host: host, Port: port, RootCAs: s.roots,
		AllowPlainAuth: true, CloseOnStop: false, StopTimeout: 50 * time.Millisecond,
		Backoff: xmppc2s.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond},
	}
}

// accept waits for the client's next connection.
func (s *fakeServer) accept() *fakeConn {
	s.t.Helper()
	select {
	case c := <-s.conns:
		s.t.Cleanup(func() { c.conn.Close() })
		return c
	case <-time.After(e2e.Patience):
		s.t.Fatal("no connection")
		return nil
	}
}

// quiet makes sure that there is no further connection waiting.
func (s *fakeServer) quiet() {
	s.t.Helper()
	select {
	case <-s.conns:
		s.t.Error("another connection")
	default:
	}
}

// recorder keeps what the client has written.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	got bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got.Write(p[:n])
	return n, err
}

type fakeConn struct {
	t      testing.TB
	server *fakeServer
	conn   net.Conn // TLS from starttls on
	framer *xmlframe.Framer
	frames []xmlframe.Frame
	plain  string // what came before TLS, and before authentication within it
}

func (c *fakeConn) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format, args...); err != nil {
		c.t.Errorf("send %.60s: %v", format, err)
	}
}

// next returns the client's next element, header or end of stream.
func (c *fakeConn) next() string {
	c.t.Helper()
	for len(c.frames) == 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(e2e.Patience))
		buf := make([]byte, 4096)
		n, err := c.conn.Read(buf)
		if n > 0 {
			frames, ferr := c.framer.Feed(buf[:n])
			if ferr != nil {
				c.t.Fatalf("the client sent %q: %v", buf[:n], ferr)
			}
			c.frames = frames
			continue
		}
		if err != nil {
			c.t.Fatalf("waiting for the client: %v", err)
		}
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return string(f.Bytes)
}

// expect returns the client's next element, which must contain the words.
func (c *fakeConn) expect(words ...string) string {
	c.t.Helper()
	got := c.next()
	for _, w := range words {
		if !strings.Contains(got, w) {
			c.t.Fatalf("the client sent %s, want %q in it", got, w)
		}
	}
	return got
}

// stanza is the client's next element that is no request for an acknowledgement.
func (c *fakeConn) stanza(words ...string) string {
	c.t.Helper()
	for {
		got := c.next()
		if strings.HasPrefix(got, "<r ") || strings.HasPrefix(got, "<a ") {
			continue
		}
		c.frames = append([]xmlframe.Frame{{Bytes: []byte(got)}}, c.frames...)
		return c.expect(words...)
	}
}

// open reads the client's stream header and answers it.
func (c *fakeConn) open(features string) {
	c.t.Helper()
	c.framer, c.frames = xmlframe.New(0), nil
	c.expect("<stream:stream")
	c.send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "+
		"version='1.0' id='1' from='example.org'><stream:features>%s</stream:features>", features)
}

const (
	startTLS  = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	plainAuth = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
	bindSM3   = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/>"
)

// secure plays STARTTLS.
func (c *fakeConn) secure() {
	c.t.Helper()
	c.open(startTLS)
	c.expect("<starttls")
	c.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	rec := c.conn.(*recorder)
	rec.mu.Lock()
	c.plain = rec.got.String()
	rec.mu.Unlock()
	c.conn = &recorder{Conn: tls.Server(rec.Conn, c.server.tls)}
}

// distrusted plays STARTTLS with a certificate that the client does not accept.
func (c *fakeConn) distrusted() {
	c.t.Helper()
	c.open(startTLS)
	c.expect("<starttls")
	c.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	if err := tls.Server(c.conn, c.server.tls).Handshake(); err == nil {
		c.t.Error("the client trusts anybody")
	}
}

// login plays everything up to the features behind authentication.
func (c *fakeConn) login(features string) {
	c.t.Helper()
	c.secure()
	c.open(plainAuth)
	c.expect("<auth", "PLAIN")
	rec := c.conn.(*recorder)
	rec.mu.Lock()
	c.plain += rec.got.String()
	rec.mu.Unlock()
	c.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
	c.open(features)
}

// bound answers the client's request for a resource.
func (c *fakeConn) bound() {
	c.t.Helper()
	c.expect("<bind", "<resource>desk</resource>")
	c.send("<iq type='result' id='bind-1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@example.org/desk</jid></bind></iq>")
}

// fresh plays everything up to a new session under stream management, with
// what the client says first in it.
func (c *fakeConn) fresh() {
	c.t.Helper()
	c.login(bindSM3)
	c.bound()
	c.enabled("the-id")
}

func (c *fakeConn) enabled(id string) {
	c.t.Helper()
	c.expect("<enable ", "urn:xmpp:sm:3", "resume='true'")
	c.send("<enabled xmlns='urn:xmpp:sm:3' id='%s' resume='true' max='300'/>", id)
	c.stanza("<iq", "jabber:iq:roster")
	c.stanza("<presence", "http://jabber.org/protocol/caps")
}

// resumed plays everything up to a resumption and returns the client's
// request.
func (c *fakeConn) resumed(h int) string {
	c.t.Helper()
	c.login(bindSM3)
	req := c.expect("<resume ", "previd='the-id'")
	c.send("<resumed xmlns='urn:xmpp:sm:3' previd='the-id' h='%d'/>", h)
	return req
}

// streamError ends the stream. More, if any, stands beside the condition.
func (c *fakeConn) streamError(condition string, more ...string) {
	c.t.Helper()
	c.send("<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>%s</stream:error></stream:stream>", condition, strings.Join(more, ""))
}

func (c *fakeConn) cut() { c.conn.(*recorder).Conn.Close() }

// roundTrip makes sure that the client has dealt with everything sent so far.
func (c *fakeConn) roundTrip() {
	c.t.Helper()
	c.send("<iq type='get' id='trip' from='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
	c.stanza("<iq", "trip", "result")
}

// handled waits until the client says that it has handled h stanzas. An answer
// may be on its way a moment before its question counts.
func (c *fakeConn) handled(h int) {
	c.t.Helper()
	c.send("<r xmlns='urn:xmpp:sm:3'/>")
	for want := fmt.Sprintf("h='%d'", h); ; {
		if got := c.next(); strings.HasPrefix(got, "<a ") && strings.Contains(got, want) {
			return
		}
	}
}

// resolverFunc is a DNS that a test makes up.
type resolverFunc func(service string) ([]*net.SRV, error)

func (f resolverFunc) LookupSRV(_ context.Context, service, _, _ string) (string, []*net.SRV, error) {
	list, err := f(service)
	return "", list, err
}

// refuse answers the stream header with this instead of features.
func (c *fakeConn) refuse(answer string) {
	c.t.Helper()
	c.framer = xmlframe.New(0)
	c.expect("<stream:stream")
	c.send("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='1' from='example.org'>%s", answer)
}

// sendAway has a client find s by SRV, be told that its session is better
// resumed at another server, and lose its connection.
func (s *fakeServer) sendAway(other *fakeServer) {
	s.t.Helper()
	cfg := s.config()
	cfg.Host = ""
	c := xmppc2s.New(cfg)
	xmppc2s.SetResolver(c, resolverFunc(func(service string) ([]*srv, error) {
		if service == "xmpps-client" {
			return nil, &net.DNSError{IsNotFound: true}
		}
		return []*srv{record(s.t, s)}, nil
	}))
	run(s.t, c)
	conn := s.accept()
	conn.login(bindSM3)
	conn.bound()
	conn.expect("<enable ")
	conn.send("<enabled xmlns='urn:xmpp:sm:3' id='the-id' resume='true' location='%s'/>", other.ln.Addr())
	conn.stanza("roster")
	conn.stanza("<presence")
	conn.cut()
}
