package linklocal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"meshgate/linklocal/mdns"
)

const (
	publishRetry = 5 * time.Second        // after a port or a name could not be had
	acceptRetry  = 100 * time.Millisecond // after accepting failed, for want of file descriptors say
)

// A contact is one that we publish.
type contact struct {
	Contact
	service  mdns.ServiceID
	listener net.Listener // on a port of its own
	port     uint16
	text     []string   // as registered; nil: not registered
	icon     fittedIcon // what is to be served
	served   servedIcon // what is
	name     Instance   // the name that we hold; "": none yet
	retry    time.Time
	// since is when it got its name, changed when that or its text changed.
	since, changed time.Time
}

// publish takes a contact in, or what is new about it.
func (l *loop) publish(now time.Time, c Contact) {
	ct := l.contacts[c.ID]
	switch {
	case !l.stopAt.IsZero():
		return
	case ct == nil && len(l.contacts) >= l.cfg.MaxContacts:
		l.log.Error("too many contacts, one is not published", "contact", c.ID, "limit", l.cfg.MaxContacts)
		return
	case ct == nil:
		ct = &contact{Contact: c}
		l.contacts[c.ID] = ct
		l.count.contacts.Store(int64(len(l.contacts)))
	case ct.User != c.User:
		l.unregister(now, ct)
	}
	ct.Contact = c
	l.fitIcon(ct)
	l.establish(now, ct)
}

// establish does what is missing for a contact to be present.
//
// One port for each contact: COMPAT iChat and v0.9 say no "to" on a stream,
// whom they call is known by the port only.
func (l *loop) establish(now time.Time, ct *contact) {
	ct.retry = time.Time{}
	before := ct.text
	err := l.listen(ct)
	if err == nil {
		err = l.register(now, ct)
	}
	if err != nil {
		ct.retry = now.Add(publishRetry)
		l.due(ct.retry)
		l.log.Warn("contact cannot be published, trying again", "contact", ct.ID, "err", err)
	}
	if !slices.Equal(before, ct.text) {
		ct.changed = now
	}
}

func (l *loop) register(now time.Time, ct *contact) error {
	l.serveIcon(now, ct)
	text := l.textOf(ct)
	switch {
	case ct.text == nil:
		name := presenceName(ct.User, l.cfg.Machine)
		// The user is part of the id: another user is another publication.
		ct.service = mdns.ServiceID("presence " + strconv.Quote(string(ct.ID)) + " " + ct.User)
		err := l.dns.Register(mdns.Service{
			ID: ct.service, Instance: string(name), Type: serviceType, Port: ct.port, Text: text, Null: ct.served.data, Rename: l.cfg.Rename.name,
		})
		if err != nil {
			return fmt.Errorf("linklocal: register %s: %w", name, err)
		}
	case !slices.Equal(ct.text, text):
		l.dns.SetText(ct.service, text)
	}
	ct.text = text
	return nil
}

// textOf is the TXT record of a contact: what may be published of it, with
// the port where its listener is.
func (l *loop) textOf(ct *contact) []string {
	p := l.capsOf(ct.ID).with(ct.Presence)
	if p.Status == "" {
		p.Status = Available
	}
	p.Port, p.PHSH = ct.port, ct.served.hash
	return l.cfg.keysOf(&ct.Contact).text(p)
}

// established notes which name a contact holds; "": none, for the moment.
// Streams under another name are ended.
func (l *loop) established(now time.Time, id mdns.ServiceID, name Instance) {
	for _, ct := range l.contacts {
		if ct.service != id || ct.name == name {
			continue
		}
		if ct.name != "" {
			delete(l.names, ct.name.Key())
			l.endStreams(now, ct)
		}
		ct.name = name
		if name != "" {
			ct.since, ct.changed = now, now
			l.names[name.Key()] = ct
			l.peerGone(now, name)
			l.announce(ContactPublished{ct.ID, name})
			l.log.Info("contact published", "contact", ct.ID, "instance", name, "port", ct.port)
		}
		return
	}
}

func (l *loop) unregister(now time.Time, ct *contact) {
	if ct.text != nil {
		l.dns.Unregister(ct.service)
		l.established(now, ct.service, "")
		ct.text = nil
	}
}

// withdraw ends a contact. The goodbye is the responder's business.
func (l *loop) withdraw(now time.Time, ct *contact) {
	l.unregister(now, ct)
	l.endStreams(now, ct)
	if ct.listener != nil {
		ct.listener.Close()
	}
	delete(l.contacts, ct.ID)
	l.count.contacts.Store(int64(len(l.contacts)))
	why := ErrNoContact
	if !l.stopAt.IsZero() {
		why = ErrStopped
	}
	for _, p := range l.pairs {
		if p.contact == ct {
			l.abandon(p, why)
		}
	}
}

func (l *loop) endStreams(now time.Time, ct *contact) {
	for c := range l.conns {
		if c.contact == ct {
			c.stream.end(now)
			l.carry(now, c)
		}
	}
}

// listen opens the contact's port on all addresses: connections that came to
// another than those of the mesh are closed unread, so a changed address
// needs no new port.
func (l *loop) listen(ct *contact) error {
	if ct.listener != nil {
		return nil
	}
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		return fmt.Errorf("linklocal: listen: %w", err)
	}
	ct.listener = ln
	ct.port = uint16(ln.Addr().(*net.TCPAddr).Port)
	l.spawn(func(ctx context.Context) { l.accept(ctx, ct, ln) })
	return nil
}

// accept runs in a goroutine of its own until the listener is closed.
func (l *loop) accept(ctx context.Context, ct *contact, ln net.Listener) {
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		tcp, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			l.log.Warn("accepting connections failed, trying again", "contact", ct.ID, "err", err)
			select {
			case <-time.After(acceptRetry):
			case <-ctx.Done():
			}
		case !l.call(func(now time.Time) { l.accepted(now, ct, tcp) }):
			tcp.Close()
		}
	}
}

// accepted takes a connection in, if there is room for it.
func (l *loop) accepted(now time.Time, ct *contact, tcp net.Conn) {
	local, remote := addrOf(tcp.LocalAddr()), addrOf(tcp.RemoteAddr())
	switch {
	case ct.name == "" || l.contacts[ct.ID] != ct:
		tcp.Close()
	case !hasAddr(l.ownAddrs(), local):
		l.count.wrongIface.Add(1)
		tcp.Close()
	case !l.roomFor(remote):
		l.count.overLimit.Add(1)
		l.log.Debug("connection closed, too many", "remote", remote)
		tcp.Close()
	default:
		l.count.streamsIn.Add(1)
		l.callers++
		l.perAddr[remote]++
		l.addConn(now, tcp, ct, nil)
	}
}

// roomFor reports whether an address may open one more connection. Whoever
// opens all that they can must not keep us from calling others.
func (l *loop) roomFor(remote netip.Addr) bool {
	limit := l.cfg.MaxStreams
	return l.busy() < limit && l.callers+l.late < limit-limit/4 && l.perAddr[remote] < l.cfg.MaxStreamsPerAddr
}

// busy is how many streams have their goroutines: those that are over, too,
// while the handler has not taken what they said.
func (l *loop) busy() int { return len(l.conns) + l.late }

// addrOf is the IP address of a TCP end, IPv4 as IPv4.
func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
