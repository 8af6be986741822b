package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"meshgate/internal/e2e"
	gate "meshgate/internal/stanza"
)

// A client is a plain XMPP client, without anything of the gateway's own
// session in it: the yardstick must not share its speed.
type client struct {
	session *xmpp.Session
	to      jid.JID
	in      chan arrival
	ticks   chan arrival // presence with a tick in its status
}

// dialClient logs in over conn and sends presence. Its messages go to to.
func dialClient(ctx context.Context, conn net.Conn, account jid.JID, password string, roots *x509.CertPool, to jid.JID) (*client, error) {
	features := []xmpp.StreamFeature{
		xmpp.StartTLS(&tls.Config{ServerName: account.Domainpart(), RootCAs: roots, MinVersion: tls.VersionTLS12}),
		xmpp.SASL("", password, sasl.ScramSha256, sasl.ScramSha1),
		xmpp.BindResource(),
	}
	s, err := xmpp.NewSession(ctx, account.Domain(), account, conn, 0,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: features}
		}))
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w", account, err)
	}
	c := &client{session: s, to: to, in: make(chan arrival, 1<<16), ticks: make(chan arrival, 1<<10)}
	go c.session.Serve(xmpp.HandlerFunc(c.handle)) // ends with the connection
	return c, s.Send(ctx, stanza.Presence{Type: stanza.AvailablePresence}.Wrap(nil))
}

// roots is what a client of the server trusts.
func roots(tb e2e.TB, s *e2e.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(s.CAFile))(tb))
	return pool
}

// login is dialClient from beside the server. It is safe from any goroutine.
func login(ctx context.Context, o *e2e.Office, pool *x509.CertPool, user string, to jid.JID) (*client, error) {
	conn, err := o.Host("h1").Dial(ctx, "tcp", o.Server.LoopbackAddr())
	if err != nil {
		return nil, err
	}
	return dialClient(ctx, conn, jid.MustParse(o.Server.JID(user)), e2e.UserPassword, pool, to)
}

func (c *client) handle(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	at := time.Now()
	el, err := gate.Decode(t, *start, gate.Limits{})
	if err != nil {
		return nil
	}
	if n, ok := tickIn(el.Child(gate.NSClient, "status").Text()); ok {
		select {
		case c.ticks <- arrival{n, at}:
		default: // nobody counts them
		}
	}
	if n, ok := number(el.Child(gate.NSClient, "body").Text()); ok {
		c.in <- arrival{n, at}
	}
	return nil
}

func (c *client) send(n int) error {
	text := xmlstream.Wrap(xmlstream.Token(xml.CharData(body(n))), xml.StartElement{Name: xml.Name{Local: "body"}})
	return c.session.Send(context.Background(), stanza.Message{To: c.to, Type: stanza.ChatMessage}.Wrap(text))
}

func (c *client) arrivals() <-chan arrival { return c.in }
