package client

import (
	"context"
	"net"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// An Own is a service that one side of a conversation runs for the other: "any
// client [may] implement a stripped down version of such a server. In such a
// case the only sections that are required are any error reporting, invitation
// acknowledgment and statistical responses." XEP-0037, DSPS with P2P
//
// It has the same address as its owner. Only its owner creates streams.
type Own struct {
	*Client
	Server *dsps.Server
	self   dsps.JID
	send   func(*stanza.Element) error
}

// NewOwn makes a service and its owner's client. Of the server's configuration
// it sets addresses and policy; Engine.Host is where the other side connects.
// Run of the Server starts it, with the Own as its Sender.
func NewOwn(cfg Config, server dsps.ServerConfig) *Own {
	o := &Own{self: cfg.Self, send: cfg.Send}
	server.Engine.Addresses = dsps.OneJID(cfg.Self)
	server.Engine.Policy = dsps.Policy{
		MayCreate: o.isSelf, MayInvite: func(inviter, _ dsps.JID) bool { return o.isSelf(inviter) },
	}
	o.Server = dsps.NewServer(server)
	cfg.Send = o.out
	cfg.Dial = o.dial
	o.Client = New(cfg)
	return o
}

func (o *Own) isSelf(jid dsps.JID) bool { return jid == o.self }

// out sends a stanza of our client: what is for ourselves is for the service.
func (o *Own) out(iq *stanza.Element) error {
	if !o.isSelf(dsps.JID(iq.Attr("to"))) {
		return o.send(iq)
	}
	if !o.Server.HandleQuery(o.self, o.self, iq) {
		return errBusy
	}
	return nil
}

// SendIQ takes a stanza of the service.
func (o *Own) SendIQ(iq *stanza.Element) {
	if o.isSelf(dsps.JID(iq.Attr("to"))) {
		o.Client.HandleIQ(o.self, iq)
		return
	}
	_ = o.send(iq)
}

// HandleIQ takes a stanza that came from from, for the client or the service.
func (o *Own) HandleIQ(from dsps.JID, iq *stanza.Element) bool {
	return o.Client.HandleIQ(from, iq) || o.Server.HandleQuery(from, o.self, iq)
}

// dial connects the owner to its own service.
func (o *Own) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	o.Server.Serve(theirs)
	return ours, nil
}
