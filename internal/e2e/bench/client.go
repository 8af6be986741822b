package main

import (
	"context"
	"crypto/x509"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
)

// A client is an XMPP client that notes when numbers arrive.
type client struct {
	*ends.Client
	to    jid.JID // where its messages go
	in    chan arrival
	ticks chan arrival // presence with a tick in its status
}

// login logs a user in from beside the server. It is safe from any goroutine.
func login(ctx context.Context, o *e2e.Office, pool *x509.CertPool, user string, to jid.JID) (*client, error) {
	c := &client{to: to, in: make(chan arrival, 1<<16), ticks: make(chan arrival, 1<<10)}
	var err error
	c.Client, err = ends.Login(ctx, o.Server, pool, user, c.handle)
	return c, err
}

func (c *client) handle(at time.Time, st *stanza.Element) {
	if n, ok := tickIn(st.Child(stanza.NSClient, "status").Text()); ok {
		select {
		case c.ticks <- arrival{n, at}:
		default: // nobody counts them
		}
	}
	if n, ok := number(st.Child(stanza.NSClient, "body").Text()); ok {
		c.in <- arrival{n, at}
	}
}

func (c *client) send(n int) error { return c.Send(context.Background(), c.to, "", body(n)) }

func (c *client) arrivals() <-chan arrival { return c.in }

// A peer is a LAN peer that notes when numbers arrive.
type peer struct {
	*ends.Peer
	in chan arrival
}

func (p *peer) handle(at time.Time, st *stanza.Element) {
	if n, ok := number(st.Child(stanza.NSClient, "body").Text()); ok {
		p.in <- arrival{n, at}
	}
}

func (p *peer) send(n int) error { return p.Send(body(n)) }

func (p *peer) arrivals() <-chan arrival { return p.in }
