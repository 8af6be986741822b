package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"meshgate/internal/selfsigned"
)

const (
	tlsHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'" +
		" from='carol@h2' to='alice@gw' version='1.0'>"
	tlsNS = "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
)

// A tlsPeer is the end of a stream of somebody whose client can do TLS.
type tlsPeer struct {
	net.Conn
	t *testing.T
}

func (p *tlsPeer) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// until reads up to and with this text, and returns it all.
func (p *tlsPeer) until(text string) string {
	p.t.Helper()
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, []byte(text)); {
		if _, err := p.Read(b); err != nil {
			p.t.Fatalf("read %q, wanted %q: %v", got, text, err)
		}
		got = append(got, b...)
	}
	return string(got)
}

// secured is p under TLS.
func (p *tlsPeer) secured(role func(net.Conn, *tls.Config) *tls.Conn, key tls.Certificate) (*tlsPeer, []byte) {
	p.t.Helper()
	conn := role(p.Conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{key}, ClientAuth: tls.RequestClientCert})
	if err := conn.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	return &tlsPeer{conn, p.t}, conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo
}

func newPeer(t *testing.T, c net.Conn, err error) *tlsPeer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(Patience))
	return &tlsPeer{c, t}
}

// callAlice calls Alice's mirror from h2, up to the header of a stream.
func (o *Office) callAlice(t *testing.T) *tlsPeer {
	t.Helper()
	var c net.Conn
	var err error
	for begin := time.Now(); ; { // right after a restart avahi may still know the old port
		port := o.Host("h2").Browse("_presence._tcp").AwaitResolved(o.Mirror("alice")).Port
		c, err = o.Host("h2").Dial(t.Context(), "tcp", netip.AddrPortFrom(o.Host("h1").Addr(), uint16(port)).String())
		if err == nil || time.Since(begin) > Patience {
			break
		}
	}
	p := newPeer(t, c, err)
	p.say(tlsHeader)
	p.until("</stream:features>")
	return p
}

// callAliceTLS does so under TLS, and returns the gateway's key, too.
func (o *Office) callAliceTLS(t *testing.T, key tls.Certificate) (*tlsPeer, []byte) {
	t.Helper()
	p := o.callAlice(t)
	p.say("<starttls " + tlsNS + "/>")
	p.until("<proceed " + tlsNS + "/>")
	p, its := p.secured(tls.Client, key)
	p.say(tlsHeader)
	return p, its
}

func newKey(t *testing.T) tls.Certificate {
	t.Helper()
	c, err := selfsigned.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// LL-16: Carol's client can do TLS, so it is used both ways; her key, and the
// gateway's, outlive a restart. Another key is refused until hers is forgotten.
func TestLL16StreamsWithAPeerThatCanAreEncrypted(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Gateway: GatewayOptions{Race: true}})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	alice.AwaitPresence(o.GatewayJID(), "")
	ln, err := o.Host("h2").Listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, name := o.Host("h2").Publish("carol@h2", "_presence._tcp", ln.Addr().(*net.TCPAddr).Port, "txtvers=1")
	key := newKey(t)

	p, gatewaysKey := o.callAliceTLS(t, key)
	p.until("<stream:features>")
	p.say("<message from='carol@h2' to='alice@gw' type='chat'><body>in secret</body></message>")
	e := alice.AwaitMessage(o.GatewayJID(), "in secret")
	alice.SendMessage(Message{To: e.From, Body: "so be it", Thread: e.Thread})
	p.until("<body>so be it</body>")
	p.say("</stream:stream>")
	p.until("</stream:stream>")

	// The gateway calls.
	alice.SendMessage(Message{To: e.From, Body: "once more", Thread: e.Thread})
	c, err := ln.Accept()
	q := newPeer(t, c, err)
	q.until("version='1.0'>")
	q.say(strings.Replace(tlsHeader, "carol@h2' to='alice@gw", name+"' to='alice@gw", 1) + "<stream:features><starttls " + tlsNS + "/></stream:features>")
	q.until("<starttls " + tlsNS + "/>")
	q.say("<proceed " + tlsNS + "/>")
	q, its := q.secured(tls.Server, key)
	if !bytes.Equal(its, gatewaysKey) {
		t.Error("the gateway has another key where it calls")
	}
	q.until("version='1.0'>")
	q.say(tlsHeader + "<stream:features/>")
	q.until("<body>once more</body>")
	q.say("</stream:stream>")
	q.until("</stream:stream>")

	o.Gateway.Stop()
	o.Gateway.Start()
	alice.AwaitPresence(o.GatewayJID(), "")

	other := newKey(t)
	r, its := o.callAliceTLS(t, other)
	if !bytes.Equal(its, gatewaysKey) {
		t.Error("the gateway has another key after its restart")
	}
	r.until("<policy-violation ")
	o.callAlice(t).sayPlain()
	program := BuildGateway(t, true)
	if out := o.Host("h1").Output(program, "forget", "-config", o.Gateway.ConfigFile, "carol@h2"); !strings.Contains(out, "forgotten") {
		t.Errorf("forget says %q", out)
	}
	r, _ = o.callAliceTLS(t, other)
	r.until("<stream:features>")
	r.say("<message from='carol@h2' to='alice@gw' type='chat'><body>from my new computer</body></message>")
	alice.AwaitMessage(o.GatewayJID(), "from my new computer")
	for _, m := range alice.Messages() {
		if strings.Contains(fmt.Sprint(m), "never") {
			t.Errorf("alice reads %v", m)
		}
	}
}

// sayPlain speaks without TLS, and is refused.
func (p *tlsPeer) sayPlain() {
	p.t.Helper()
	p.say("<message from='carol@h2' to='alice@gw' type='chat'><body>never</body></message>")
	p.until("<policy-violation ")
}
