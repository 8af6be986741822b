package linklocal

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"meshgate/linklocal/mdns"
)

// What hostile peers do with TLS, and its rough edges.

// A peer that says nothing after <proceed/>, or says it one byte at a time, is
// not waited for, and does not hold up others.
func TestSlowHandshakeEnds(t *testing.T) {
	for name, drip := range map[string]bool{"silent": false, "drop by drop": true} {
		t.Run(name, func(t *testing.T) {
			cfg := withTLS(Offer, Offer, nil)
			cfg.HandshakeTimeout = 150 * time.Millisecond
			n := knowing(t, cfg)
			p := call(t, "127.0.0.3", n.addr)
			p.say("%s", secondHeader("romeo@h3"))
			p.until("</stream:features>")
			p.say("<starttls %s/>", tlsNS)
			p.until("<proceed " + tlsNS + "/>")
			if drip {
				go func() {
					hello := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc}, make([]byte, 16<<10)...)
					tick := time.NewTicker(time.Millisecond)
					defer tick.Stop()
					for _, b := range hello {
						<-tick.C
						if _, err := p.Write([]byte{b}); err != nil {
							return
						}
					}
				}()
			}
			other := call(t, "127.0.0.3", n.addr)
			other.say("%s<message><body>meanwhile</body></message>", headerFrom("romeo@h3", ""))
			n.waitBody(t, "meanwhile")
			begin := time.Now()
			p.rest()
			if d := time.Since(begin); d > patience/2 {
				t.Errorf("closed after %v", d)
			}
			n.awaitFailedHandshake(t)
			other.Close()
		})
	}
}

// awaitFailedHandshake waits until one is counted: the peer may notice first.
func (n *node) awaitFailedHandshake(t testing.TB) {
	t.Helper()
	for begin := time.Now(); n.Stats().HandshakesFailed != 1; runtime.Gosched() {
		if time.Since(begin) > patience {
			t.Fatalf("%d handshakes failed, want 1", n.Stats().HandshakesFailed)
		}
	}
}

// bigCertificate is one with an extension of so many bytes.
func bigCertificate(t testing.TB, size int) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signedWith(t, key, size)
}

// signedWith is a new certificate for a key, with an extension of so many bytes.
func signedWith(t testing.TB, key crypto.Signer, size int) tls.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, size)}},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCertificatesAreBounded(t *testing.T) {
	many := newCertificate()
	for range maxCertificates {
		many.Certificate = append(many.Certificate, many.Certificate[0])
	}
	for name, cert := range map[string]tls.Certificate{
		"a megabyte": bigCertificate(t, 1<<20),
		"too large":  bigCertificate(t, 100<<10), // which crypto/tls would take
		"too many":   many,
	} {
		n := knowing(t, withTLS(Offer, Offer, nil))
		p := call(t, "127.0.0.3", n.addr)
		p.say("%s", secondHeader("romeo@h3"))
		p.until("</stream:features>")
		p.say("<starttls %s/>", tlsNS)
		p.until("<proceed " + tlsNS + "/>")
		if q, err := p.secure(tls.Client, cert); err == nil { // TLS 1.3 is done before the server has looked
			q.rest()
		}
		n.awaitFailedHandshake(t)
		n.stop()
		if n.Stats().Secured != 0 {
			t.Errorf("%s: %+v", name, n.Stats())
		}
	}
}

// A slowPins keeps nothing before it is told to.
type slowPins struct {
	*memoryPins
	release chan struct{}
	asked   chan struct{}
}

func (p *slowPins) SetPin(i Instance, key []byte) error {
	p.asked <- struct{}{}
	<-p.release
	return errors.New("disk full")
}

// The key holds from the first stream on, however long it takes to keep it;
// that it could not be kept does no harm to the stream.
func TestKeyHoldsWhileItIsBeingKept(t *testing.T) {
	pins := &slowPins{newMemoryPins(), make(chan struct{}), make(chan struct{}, 1)}
	n := knowing(t, withTLS(Offer, Offer, pins))
	p := callTLS(t, "127.0.0.3", n, "romeo@h3", certificate())
	p.until("<stream:features/>")
	<-pins.asked
	q := callTLS(t, "127.0.0.3", n, "romeo@h3", newCertificate())
	if got := q.rest(); !strings.Contains(got, "<policy-violation") {
		t.Errorf("answer %q", got)
	}
	close(pins.release)
	p.say("<message><body>still here</body></message>")
	n.waitBody(t, "still here")
	for begin := time.Now(); n.Stats().PinsLost != 1; runtime.Gosched() {
		if time.Since(begin) > patience {
			t.Fatal("not counted")
		}
	}
}

// Two streams at once, each with a key: the first counts.
func TestFirstOfTwoKeysAtOnceCounts(t *testing.T) {
	l := newLoop(New(Config{}, new(fakeLAN).host("127.0.0.2")), nil)
	l.pinning["romeo@h3"] = []byte("first")
	if !l.pin("ROMEO@h3", []byte("first")) || l.pin("romeo@h3", []byte("second")) {
		t.Error("the first key does not count")
	}
}

// What bounds a handshake does not bound what comes under TLS, and a peer with
// a new certificate for its key is who it was.
func TestLL16RenewedCertificateAndManyBytes(t *testing.T) {
	cfg := withTLS(Offer, Offer, nil)
	cfg.ByteRate = 1 << 30
	n := knowing(t, cfg)
	first := callTLS(t, "127.0.0.3", n, "romeo@h3", certificate())
	first.until("<stream:features/>")
	p := callTLS(t, "127.0.0.3", n, "romeo@h3", signedWith(t, certificate().PrivateKey.(crypto.Signer), 1))
	half := strings.Repeat("x", maxHandshakeBytes/2)
	p.say("<message><body>%s</body></message><message><body>%s</body></message><message><body>end</body></message>", half, half)
	n.waitBody(t, "end")
}

func TestKeysInMemoryAreBounded(t *testing.T) {
	p := newMemoryPins()
	for i := range maxMemoryPins + 10 {
		err := p.SetPin(Instance(big.NewInt(int64(i)).String()), []byte{1})
		if (err != nil) != (i >= maxMemoryPins) {
			t.Fatalf("key %d: %v", i, err)
		}
	}
	if err := p.SetPin("1", []byte{2}); err != nil {
		t.Errorf("a key that is there already: %v", err)
	}
}

func TestTLSWithoutACertificateIsAnError(t *testing.T) {
	s := New(Config{TLS: TLS{Incoming: Require}}, new(fakeLAN).host("127.0.0.2"))
	if err := s.Run(context.Background(), newRecorder()); err == nil {
		t.Error("Run has no complaint")
	}
}

// RFC 8446 §6.1: nothing is missing at the end, and TLS says so.
func TestStreamUnderTLSEndsWithCloseNotify(t *testing.T) {
	n := knowing(t, withTLS(Offer, Offer, nil))
	p := call(t, "127.0.0.3", n.addr)
	p.say("%s", secondHeader("romeo@h3"))
	p.until("</stream:features>")
	p.say("<starttls %s/>", tlsNS)
	p.until("<proceed " + tlsNS + "/>")
	wire := &recordingConn{Conn: p.Conn}
	conn := tls.Client(wire, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}) // shows the type of a record
	q := &rawPeer{conn, t, bufio.NewReader(conn)}
	q.say("%s%s", secondHeader("romeo@h3"), endTag)
	q.rest()
	const alert = 21
	var kinds []byte
	for b := wire.read; len(b) >= 5; b = b[min(len(b), 5+int(b[3])<<8+int(b[4])):] {
		kinds = append(kinds, b[0])
	}
	if len(kinds) == 0 || kinds[len(kinds)-1] != alert {
		t.Errorf("records: %v", kinds)
	}
}

// The peer goes, or moves, while it is being found out whether it wants TLS.
func TestStreamOfAVanishedPeerIsNotNegotiatedFurther(t *testing.T) {
	n := knowing(t, withTLS(Offer, Offer, nil))
	p := call(t, "127.0.0.3", n.addr)
	p.say("%s", secondHeader("romeo@h3"))
	p.until("</stream:features>")
	n.HandleMDNS(mdns.Vanished{Instance: "romeo@h3", Type: serviceType})
	p.until(endTag)
}

// A write has a deadline; what TLS writes in the reader, later on, has not.
func TestDeadlineOfAWriteEndsWithIt(t *testing.T) {
	l := newLoop(New(Config{}, new(fakeLAN).host("127.0.0.2")), nil)
	close(l.quit) // the writer ends with its first batch
	far, near := net.Pipe()
	defer far.Close()
	go io.Copy(io.Discard, far)
	tcp := &deadlineConn{Conn: near}
	c := &conn{tcp: newMarker(tcp), writes: make(chan batch, 1)}
	c.writes <- batch{pieces: []piece{{bytes: []byte("hello")}}}
	l.write(c)
	if len(tcp.set) != 2 || tcp.set[0].IsZero() || !tcp.set[1].IsZero() {
		t.Errorf("deadlines: %v", tcp.set)
	}
}

type deadlineConn struct {
	net.Conn
	set []time.Time
}

func (c *deadlineConn) SetWriteDeadline(at time.Time) error {
	c.set = append(c.set, at)
	return c.Conn.SetWriteDeadline(at)
}

type recordingConn struct {
	net.Conn
	read []byte
}

func (c *recordingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read = append(c.read, b[:n]...)
	return n, err
}
