package linklocal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/selfsigned"
)

// LL-16: TLS on link-local streams, between Services and by hand. What the
// engine decides is in testdata/starttls-*.txt.

const tlsNS = `xmlns='urn:ietf:params:xml:ns:xmpp-tls'`

var certificate = sync.OnceValue(newCertificate)

func newCertificate() tls.Certificate {
	c, err := selfsigned.New(time.Now())
	if err != nil {
		panic(err)
	}
	return c
}

// withTLS is a configuration with these policies, a key of its own, and the
// keys of peers in pins.
func withTLS(in, out TLSPolicy, pins Pins) Config {
	return Config{TLS: TLS{Incoming: in, Outgoing: out, Certificate: newCertificate(), Pins: pins}}
}

func secondHeader(from string) string {
	return strings.Replace(headerFrom(from, ""), ` to=""`, ` version="1.0"`, 1)
}

// secure does the TLS handshake on a raw connection.
func (p *rawPeer) secure(role func(net.Conn, *tls.Config) *tls.Conn, certs ...tls.Certificate) (*rawPeer, error) {
	conn := role(p.Conn, &tls.Config{InsecureSkipVerify: true, Certificates: certs})
	return &rawPeer{conn, p.t, bufio.NewReader(conn)}, conn.Handshake()
}

// callTLS calls from an address, under TLS.
func callTLS(t testing.TB, from string, n *node, name string, certs ...tls.Certificate) *rawPeer {
	t.Helper()
	p := call(t, from, n.addr)
	p.say("%s", secondHeader(name))
	p.until("</stream:features>")
	p.say("<starttls %s/>", tlsNS)
	p.until("<proceed " + tlsNS + "/>")
	p, err := p.secure(tls.Client, certs...)
	if err != nil {
		t.Fatal(err)
	}
	p.say("%s", secondHeader(name))
	return p
}

// knowing is a node with TLS that knows romeo@h3.
func knowing(t testing.TB, cfg Config) *node {
	t.Helper()
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", cfg)
	lan.host("127.0.0.3").peer(t, "romeo@h3", 1)
	n.waitPeer(t, "romeo@h3")
	return n
}

// opened waits for a stream and checks that it was told before its messages.
func (n *node) opened(t testing.TB, peer Instance, encrypted bool) {
	t.Helper()
	wait1(t, n.recorder, "stream opened", func(o StreamOpened) bool { return o.Peer == peer })
	events, _ := n.all()
	for _, ev := range events {
		switch ev := ev.(type) {
		case StreamOpened:
			if ev.Peer != peer {
				continue
			}
			if ev.TLS != encrypted || ev.Contact != "c" {
				t.Errorf("%+v, want TLS %v", ev, encrypted)
			}
			return
		case Received:
			t.Fatal("a message before its stream")
		}
	}
}

// LL-16: offered and used where the peer can, by policy.
func TestLL16PoliciesOfBothSides(t *testing.T) {
	for _, tt := range []struct {
		out, in TLSPolicy
		want    string // "tls", "plain" or "refused"
	}{
		{Off, Off, "plain"}, {Off, Offer, "plain"}, {Off, Require, "refused"},
		{Offer, Off, "plain"}, {Offer, Offer, "tls"}, {Offer, Require, "tls"},
		{Require, Off, "refused"}, {Require, Offer, "tls"}, {Require, Require, "tls"},
	} {
		t.Run(tt.out.String()+" calls "+tt.in.String(), func(t *testing.T) {
			lan := new(fakeLAN)
			a := start(t, lan.host("127.0.0.2"), "juliet", withTLS(Off, tt.out, nil))
			b := start(t, lan.host("127.0.0.3"), "romeo", withTLS(tt.in, Off, nil))
			a.waitPeer(t, b.name)
			b.waitPeer(t, a.name)
			err := verdict(t, a.send(b.name, "hi"))
			if tt.want == "refused" {
				if err == nil || b.bodies() != nil || tt.out == Require && !errors.Is(err, ErrInsecure) {
					t.Errorf("sent: %v, arrived: %v", err, b.bodies())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b.waitBody(t, "hi")
			encrypted := tt.want == "tls"
			a.opened(t, b.name, encrypted)
			b.opened(t, a.name, encrypted)
			if err := verdict(t, b.send(a.name, "answer")); err != nil { // on the same stream
				t.Fatal(err)
			}
			a.waitBody(t, "answer")
			if got := a.Stats().Secured == 1 && b.Stats().Secured == 1; got != encrypted {
				t.Errorf("counted as encrypted: %v", got)
			}
		})
	}
}

// A stream is told after its peer and before what is said on it, though all
// three are known at once and the handler takes its time.
func TestStreamIsToldBetweenItsPeerAndItsMessages(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "", Config{})
	spoken := make(chan struct{})
	n.block = func(_ context.Context, ev Event) {
		switch ev.(type) {
		case StreamOpened:
			select {
			case <-spoken:
				t.Error("a message came meanwhile")
			case <-time.After(100 * time.Millisecond):
			}
		case Received:
			close(spoken)
		}
	}
	n.name, n.addr = n.publish(t, "c", "juliet")
	late := lan.host("127.0.0.5")
	late.silent = true // it is asked for when it calls
	late.peer(t, "late@h5", 1)
	call(t, "127.0.0.5", n.addr).say("%s<message><body>in</body></message>", headerFrom("late@h5", ""))
	n.waitBody(t, "in")
	events, _ := n.all()
	var got []string
	for _, ev := range events[1:] { // the first is our own publication
		got = append(got, fmt.Sprintf("%T", ev))
	}
	want := []string{"linklocal.PeerAppeared", "linklocal.StreamOpened", "linklocal.Received"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// LL-12, LL-16: peers of old neither offer nor ask, and nothing is different for them.
func TestLL16OldPeersAreSpokenToAsEver(t *testing.T) {
	cfg := withTLS(Offer, Offer, nil)
	cfg.NegotiateTimeout = time.Hour // nothing is waited for
	n, ln := rawCallee(t, cfg)
	n.send("romeo@h3", "hi")
	p := answer(t, ln)
	p.until("version='1.0'>")
	p.say("%s", oldHeader)
	p.until("<body>hi</body></message>")
	n.opened(t, "romeo@h3", false)
	q := call(t, "127.0.0.3", n.addr)
	q.say("%s<message><body>you there</body></message>", headerFrom("romeo@h3", ""))
	q.until("from='juliet@gw' to='romeo@h3'>") // no version
	n.waitBody(t, "you there")
}

// LL-16: the second time the peer must have the key that it had at first.
func TestLL16AnotherKeyIsRefused(t *testing.T) {
	var logged syncBuffer
	cfg := withTLS(Offer, Offer, nil)
	cfg.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelInfo}))
	cfg.TLS.Forget = "do this and that"
	n := knowing(t, cfg)
	first := callTLS(t, "127.0.0.3", n, "romeo@h3", certificate())
	first.say("<message><body>1</body></message>")
	n.waitBody(t, "1")
	first.say(endTag)
	first.until(endTag)

	for name, certs := range map[string][]tls.Certificate{"another key": {newCertificate()}, "no key": nil} {
		p := callTLS(t, "127.0.0.3", n, "romeo@h3", certs...)
		p.say("<message><body>lies</body></message>")
		got := p.rest()
		if !strings.Contains(got, "<policy-violation") || !strings.Contains(got, "not the one") || strings.Contains(got, "features") {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := n.Stats().WrongKeys; got != 2 {
		t.Errorf("%d wrong keys counted", got)
	}
	if got := logged.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "another TLS key") || !strings.Contains(got, "do this and that") {
		t.Errorf("log: %s", got)
	}

	again := callTLS(t, "127.0.0.3", n, "romeo@h3", certificate())
	again.say("<message><body>2</body></message>")
	n.waitBody(t, "2")
}

// LL-16: the same for those that we call; the stanza is not sent, and its
// sender hears why.
func TestLL16NothingIsSaidToAnotherKey(t *testing.T) {
	pins := newMemoryPins()
	if err := pins.SetPin("ROMEO@gw", bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Fatal(err)
	}
	lan := new(fakeLAN)
	a := start(t, lan.host("127.0.0.2"), "juliet", withTLS(Offer, Offer, pins))
	b := start(t, lan.host("127.0.0.3"), "romeo", withTLS(Offer, Offer, nil))
	a.waitPeer(t, b.name)
	b.waitPeer(t, a.name)
	if err := verdict(t, a.send(b.name, "secret")); !errors.Is(err, ErrInsecure) {
		t.Errorf("Done: %v", err)
	}
	if a.Stats().WrongKeys != 1 || b.bodies() != nil {
		t.Errorf("counted %d, said %v", a.Stats().WrongKeys, b.bodies())
	}
}

// LL-16: and the other way round, whoever calls a peer that refuses its key
// hears of it before it has said anything.
func TestLL16CallerHearsThatItsKeyIsRefused(t *testing.T) {
	pins := newMemoryPins()
	if err := pins.SetPin("juliet@gw", bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Fatal(err)
	}
	lan := new(fakeLAN)
	a := start(t, lan.host("127.0.0.2"), "juliet", withTLS(Offer, Offer, nil))
	b := start(t, lan.host("127.0.0.3"), "romeo", withTLS(Offer, Offer, pins))
	a.waitPeer(t, b.name)
	b.waitPeer(t, a.name)
	if err := verdict(t, a.send(b.name, "secret")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Done: %v", err)
	}
}

// LL-16: whoever has encrypted before and does so no more may be somebody else.
func TestLL16DowngradeIsRefused(t *testing.T) {
	pins := newMemoryPins()
	if err := pins.SetPin("romeo@h3", bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Fatal(err)
	}
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", withTLS(Offer, Offer, pins))
	ln := listenRaw(t, lan.host("127.0.0.3"), "romeo@h3")
	n.waitPeer(t, "romeo@h3")
	for _, said := range []string{headerFrom("romeo@h3", ""), secondHeader("romeo@h3"), oldHeader} {
		p := call(t, "127.0.0.3", n.addr)
		p.say("%s<message><body>plain</body></message>", said)
		if got := p.rest(); !strings.Contains(got, "<policy-violation") || !strings.Contains(got, "encrypted before") {
			t.Errorf("answer %q", got)
		}
	}
	done := n.send("romeo@h3", "secret")
	p := answer(t, ln)
	p.say("%s<stream:features/>", secondHeader("romeo@h3"))
	if got := p.rest(); strings.Contains(got, "secret") || !strings.Contains(got, "<policy-violation") {
		t.Errorf("said: %q", got)
	}
	if err := verdict(t, done); !errors.Is(err, ErrInsecure) {
		t.Errorf("Done: %v", err)
	}
	if n.bodies() != nil || n.Stats().PlainRefused != 4 {
		t.Errorf("delivered %v, counted %d", n.bodies(), n.Stats().PlainRefused)
	}
}

// IJ-04, LL-16: who calls is what they say under TLS, and it is checked there.
func TestIJ04NameUnderTLSIsChecked(t *testing.T) {
	n := knowing(t, withTLS(Offer, Offer, nil))
	n.dns.lan.host("127.0.0.4").peer(t, "mallory@h4", 1)
	n.waitPeer(t, "mallory@h4")
	p := call(t, "127.0.0.4", n.addr)
	p.say("%s", secondHeader("mallory@h4"))
	p.until("</stream:features>")
	p.say("<starttls %s/>", tlsNS)
	p.until("<proceed " + tlsNS + "/>")
	q, err := p.secure(tls.Client, certificate())
	if err != nil {
		t.Fatal(err)
	}
	q.say("%s<message><body>lies</body></message>", secondHeader("romeo@h3"))
	if got := q.rest(); !strings.Contains(got, "<invalid-from") {
		t.Errorf("answer %q", got)
	}
	if n.bodies() != nil || n.Stats().Spoofed != 1 {
		t.Errorf("delivered %v, counted %d", n.bodies(), n.Stats().Spoofed)
	}
	// and the key is not taken for romeo's.
	r := callTLS(t, "127.0.0.3", n, "romeo@h3", newCertificate())
	r.say("<message><body>truth</body></message>")
	n.waitBody(t, "truth")
}

// LL-16: what was sent before the handshake is not taken as sent under TLS,
// neither with the request nor after the answer to it.
func TestLL16PlainTextIsNotInjectedIntoTLS(t *testing.T) {
	const lie = "<message><body>injected</body></message>"
	t.Run("with the request", func(t *testing.T) {
		n := knowing(t, withTLS(Offer, Offer, nil))
		p := call(t, "127.0.0.3", n.addr)
		p.say("%s", secondHeader("romeo@h3"))
		p.until("</stream:features>")
		p.say("<starttls %s/>%s", tlsNS, lie)
		if got := p.rest(); !strings.Contains(got, "<policy-violation") || strings.Contains(got, "<proceed") {
			t.Errorf("answer %q", got)
		}
		p.Close()
		n.stop()
		if n.bodies() != nil {
			t.Error("delivered")
		}
	})
	t.Run("behind it", func(t *testing.T) {
		n := knowing(t, withTLS(Offer, Offer, nil))
		p := call(t, "127.0.0.3", n.addr)
		p.say("%s", secondHeader("romeo@h3"))
		p.until("</stream:features>")
		p.say("<starttls %s/>", tlsNS)
		p.until("<proceed " + tlsNS + "/>")
		p.say("%s", lie)
		p.rest()
		n.awaitFailedHandshake(t)
		n.stop()
		if n.bodies() != nil {
			t.Errorf("delivered %v", n.bodies())
		}
	})
	t.Run("with the answer", func(t *testing.T) {
		lan := new(fakeLAN)
		n := start(t, lan.host("127.0.0.2"), "juliet", withTLS(Offer, Offer, nil))
		ln := listenRaw(t, lan.host("127.0.0.3"), "romeo@h3")
		n.waitPeer(t, "romeo@h3")
		n.send("romeo@h3", "hi")
		p := answer(t, ln)
		p.say("%s<stream:features><starttls %s/></stream:features>", secondHeader("romeo@h3"), tlsNS)
		p.until("<starttls " + tlsNS + "/>")
		p.say("<proceed %s/>%s", tlsNS, oldHeader+lie)
		if got := p.rest(); !strings.Contains(got, "<policy-violation") {
			t.Errorf("answer %q", got)
		}
		p.Close()
		n.stop()
		if n.bodies() != nil {
			t.Error("delivered")
		}
	})
}

// LL-14, LL-16: what is true of plain streams is true of encrypted ones.
func TestNothingIsLostOrDoubledUnderTLS(t *testing.T) {
	for round := range 10 {
		lan := new(fakeLAN)
		a := start(t, lan.host("127.0.0.2"), "juliet", withTLS(Offer, Offer, nil))
		b := start(t, lan.host("127.0.0.3"), "romeo", withTLS(Offer, Offer, nil))
		a.waitPeer(t, b.name)
		b.waitPeer(t, a.name)
		talkAtOnce(t, a, b, 3)
		for _, n := range []*node{a, b} {
			events, _ := n.all()
			for _, ev := range events {
				if o, ok := ev.(StreamOpened); ok && !o.TLS {
					t.Errorf("round %d: a plain stream", round)
				}
			}
		}
		a.stop()
		b.stop()
	}
}

// A peer with stream features of its own that never sends them.
func TestFeaturesThatDoNotComeAreNotWaitedForLong(t *testing.T) {
	cfg := withTLS(Offer, Offer, nil)
	cfg.NegotiateTimeout = 50 * time.Millisecond
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", cfg)
	ln := listenRaw(t, lan.host("127.0.0.3"), "romeo@h3")
	n.waitPeer(t, "romeo@h3")
	n.send("romeo@h3", "hi")
	p := answer(t, ln)
	p.say("%s", secondHeader("romeo@h3"))
	p.until("<body>hi</body></message>")
	n.opened(t, "romeo@h3", false) // though nothing has come that could bring it
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
