package ends

import (
	"context"
	"crypto/x509"
	"encoding/xml"
	"sync"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	gate "meshgate/internal/stanza"
)

// A RawClient is an XMPP client that does nothing by itself: every stanza is the
// handler's, and no iq is answered. Its methods are safe from any goroutine.
type RawClient struct {
	session *xmpp.Session
	ended   chan struct{}
	mu      sync.Mutex // held while a stanza is written
}

// LoginRaw logs a user in from beside the server. It sends no presence.
func LoginRaw(ctx context.Context, s *e2e.Server, roots *x509.CertPool, user string, handle Handler) (*RawClient, error) {
	conn, err := dialServer(ctx, s)
	if err != nil {
		return nil, err
	}
	session, err := logIn(ctx, conn, jid.MustParse(s.JID(user)), e2e.UserPassword, roots)
	if err != nil {
		conn.Close()
		return nil, err
	}
	c := &RawClient{session: session, ended: make(chan struct{})}
	go func() { // ends with the connection
		defer close(c.ended)
		defer conn.Close()
		c.read(handle)
	}()
	return c, nil
}

func (c *RawClient) read(handle Handler) {
	r := c.session.TokenReader()
	defer r.Close()
	for {
		t, err := r.Token()
		if err != nil {
			return
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		st, err := gate.Decode(r, start, gate.Limits{})
		if err != nil {
			return
		}
		handle(time.Now(), st)
	}
}

// JID is the client's full address.
func (c *RawClient) JID() jid.JID { return c.session.LocalAddr() }

// SendStanza writes a stanza.
func (c *RawClient) SendStanza(st *gate.Element) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.session.Conn().Write(gate.Append(nil, st, gate.NSClient))
	return err
}

// Close breaks the connection, and waits until the handler is not called any more.
func (c *RawClient) Close() error {
	err := c.session.Conn().Close()
	<-c.ended
	return err
}
