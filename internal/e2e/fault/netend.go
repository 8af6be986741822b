package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
)

// A netEnd is a contact on the network, with a client beside the server, whose
// connection nobody cuts; it logs in again after a restart of the server.
type netEnd struct {
	server  *e2e.Server
	roots   *x509.CertPool
	user    string
	gateway jid.JID
	room    jid.JID // where they talk; zero: with the gateway alone
	out, in *way
	gate    gate // closed: nothing is sent

	mu     sync.Mutex
	client *ends.Client
}

// login logs in; for as long as the server is not there, again and again.
func (e *netEnd) login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e2e.Patience)
	defer cancel()
	for {
		c, err := ends.Login(ctx, e.server, e.roots, e.user, e.receive)
		if err == nil && e.inRoom() {
			err = c.Enter(ctx, e.room, e.user, roomHistory)
		}
		if err == nil {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.client = c
			return nil
		}
		if pause(ctx, again); ctx.Err() != nil {
			return fmt.Errorf("fault: %s cannot log in: %w", e.user, err)
		}
	}
}

func (e *netEnd) current() *ends.Client {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.client
}

// run sends what is to be sent until ctx ends.
func (e *netEnd) run(ctx context.Context) {
	for {
		n, err := e.out.next(ctx)
		if err != nil {
			return
		}
		e.gate.pass(ctx, func() { e.send(ctx, n) })
	}
}

func (e *netEnd) send(ctx context.Context, n int) {
	e.out.sending(0)
	if e.say(ctx, n) != nil {
		e.out.unsent()
		pause(ctx, again)
	}
}

func (e *netEnd) inRoom() bool { return !e.room.Equal(jid.JID{}) }

func (e *netEnd) say(ctx context.Context, n int) error {
	if e.inRoom() {
		return e.current().Say(ctx, e.room, e.out.text(n))
	}
	return e.current().Send(ctx, e.gateway, fmt.Sprintf("%s-%d", e.out.tag, n), e.out.text(n))
}

// hold stops the sending and waits until the server has read all that was sent.
func (e *netEnd) hold(ctx context.Context) error {
	e.gate.close()
	ctx, cancel := context.WithTimeout(ctx, e2e.Patience)
	defer cancel()
	return e.current().Ping(ctx)
}

func (e *netEnd) receive(at time.Time, st *stanza.Element) {
	if m := ends.Archived(st); m != nil {
		text := m.Child(stanza.NSClient, "body").Text()
		if e.in.reachable(text); e.inRoom() { // there is one archive for all
			e.out.reachable(text)
		} else {
			e.out.accepted(text)
		}
		return
	}
	if st.Name.Local == "message" && st.Attr("type") != "error" {
		id := st.Attr("id")
		if st.Attr("type") == "groupchat" {
			id = st.Child(stanza.NSSID, "stanza-id").Attr("id") // what the gateway sends twice has the same id of its own
		}
		e.in.arrived(at, id, st.Child(stanza.NSClient, "body").Text())
	}
}
