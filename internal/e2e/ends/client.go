// Package ends has the two kinds of people a gateway is between, reduced to
// what counting and measuring need: a LAN peer and an XMPP client, both fast,
// and neither with anything of the gateway's own sessions in it.
package ends

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"meshgate/internal/e2e"
	gate "meshgate/internal/stanza"
)

// A Handler is told of each stanza that arrives at an end, in order and one at
// a time, from the goroutine that reads.
type Handler func(at time.Time, st *gate.Element)

// A Client is a plain XMPP client, without XEP-0198 and without patience: when
// its connection ends it is over. Its methods are safe from any goroutine.
type Client struct {
	session *xmpp.Session
	handle  Handler
	ended   chan struct{}
}

// Roots is what a client of the server trusts.
func Roots(s *e2e.Server) (*x509.CertPool, error) {
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ends: %s holds no certificate", s.CAFile)
	}
	return pool, nil
}

// dialServer connects to the server from beside it.
func dialServer(ctx context.Context, s *e2e.Server) (net.Conn, error) {
	return s.Host().Dial(ctx, "tcp", s.LoopbackAddr())
}

// Login logs a user in from beside the server, and sends presence.
func Login(ctx context.Context, s *e2e.Server, roots *x509.CertPool, user string, handle Handler) (*Client, error) {
	conn, err := dialServer(ctx, s)
	if err != nil {
		return nil, err
	}
	c, err := NewClient(ctx, conn, jid.MustParse(s.JID(user)), e2e.UserPassword, roots, handle)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// NewClient logs in over conn, which is its own from then on, and sends presence.
func NewClient(ctx context.Context, conn net.Conn, account jid.JID, password string, roots *x509.CertPool, handle Handler) (*Client, error) {
	s, err := logIn(ctx, conn, account, password, roots)
	if err != nil {
		return nil, err
	}
	c := &Client{session: s, handle: handle, ended: make(chan struct{})}
	go func() { // ends with the connection
		defer close(c.ended)
		_ = s.Serve(xmpp.HandlerFunc(c.serve)) // however it ends
		conn.Close()
	}()
	return c, c.SetStatus(ctx, "")
}

// logIn makes a session over conn.
func logIn(ctx context.Context, conn net.Conn, account jid.JID, password string, roots *x509.CertPool) (*xmpp.Session, error) {
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
		return nil, fmt.Errorf("ends: %s: %w", account, err)
	}
	return s, nil
}

func (c *Client) serve(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	at := time.Now()
	if st, err := gate.Decode(t, *start, gate.Limits{}); err == nil {
		c.handle(at, st)
	}
	return nil
}

// Send sends a chat message. Without an id it has none.
func (c *Client) Send(ctx context.Context, to jid.JID, id, body string) error {
	text := xmlstream.Wrap(xmlstream.Token(xml.CharData(body)), xml.StartElement{Name: xml.Name{Local: "body"}})
	return c.session.Send(ctx, stanza.Message{ID: id, To: to, Type: stanza.ChatMessage}.Wrap(text))
}

// Enter enters a MUC with so many lines of its history at most; what comes tells of it.
func (c *Client) Enter(ctx context.Context, room jid.JID, nick string, lines int) error {
	me, err := room.WithResource(nick)
	if err != nil {
		return fmt.Errorf("ends: %w", err)
	}
	history := xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "history"}, Attr: []xml.Attr{{Name: xml.Name{Local: "maxstanzas"}, Value: strconv.Itoa(lines)}}})
	x := xmlstream.Wrap(history, xml.StartElement{Name: xml.Name{Space: "http://jabber.org/protocol/muc", Local: "x"}})
	return c.session.Send(ctx, stanza.Presence{To: me}.Wrap(x))
}

// Say sends a message to a MUC.
func (c *Client) Say(ctx context.Context, room jid.JID, body string) error {
	text := xmlstream.Wrap(xmlstream.Token(xml.CharData(body)), xml.StartElement{Name: xml.Name{Local: "body"}})
	return c.session.Send(ctx, stanza.Message{To: room, Type: stanza.GroupChatMessage}.Wrap(text))
}

// SetStatus changes the text beside the user's name.
func (c *Client) SetStatus(ctx context.Context, text string) error {
	if text == "" {
		return c.session.Send(ctx, stanza.Presence{Type: stanza.AvailablePresence}.Wrap(nil))
	}
	status := xmlstream.Wrap(xmlstream.Token(xml.CharData(text)), xml.StartElement{Name: xml.Name{Local: "status"}})
	return c.session.Send(ctx, stanza.Presence{Type: stanza.AvailablePresence}.Wrap(status))
}

// Ping asks the server for an answer: it has then read all that was sent.
func (c *Client) Ping(ctx context.Context) error {
	return ping.Send(ctx, c.session, c.session.LocalAddr().Domain())
}

// Close ends the session in order.
func (c *Client) Close() error { return c.session.Close() }

// Ended is closed when nothing comes any more, and the handler is not called.
func (c *Client) Ended() <-chan struct{} { return c.ended }
