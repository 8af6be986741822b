package ends

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"hash"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/rawstream"
	"meshgate/internal/stanza"
)

// A hall is an office with people who use the gateway's streams by a client that
// has nothing of the gateway's code.
type hall struct {
	*e2e.Office
	t     *testing.T
	ctx   context.Context
	roots *x509.CertPool
}

func newHall(t *testing.T, opt e2e.OfficeOptions) *hall {
	t.Helper()
	return hallOf(t, e2e.OpenOffice(t, opt))
}

// hallOf is an office whose gateway is about to be online.
func hallOf(t *testing.T, o *e2e.Office) *hall {
	t.Helper()
	roots, err := Roots(o.Server)
	if err != nil {
		t.Fatal(err)
	}
	o.Gateway.AwaitLog("online")
	ctx, cancel := context.WithTimeout(t.Context(), 4*e2e.Patience)
	t.Cleanup(cancel)
	return &hall{o, t, ctx, roots}
}

// service is the gateway's address for contacts.
func (h *hall) service() string { return h.GatewayJID() + "/meshgate" }

// contact is a client of a user's, which reaches streams from a host; through, if
// it is not nil, is on the way.
func (h *hall) contact(user string, from *e2e.Host, through *e2e.Proxy) *rawstream.Person {
	h.t.Helper()
	ready, p := make(chan struct{}), (*rawstream.Person)(nil)
	c, err := LoginRaw(h.ctx, h.Server, h.roots, user, func(_ time.Time, st *stanza.Element) {
		<-ready
		p.Hear(st)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	p = rawstream.New(h.t, rawstream.Config{JID: c.JID().String(), Service: h.service(), Send: c.SendStanza, Dial: h.dialer(from, through)})
	close(ready)
	return p
}

// peer is one on a LAN, in talk with the gateway that has this name there.
func (h *hall) peer(name, gateway string, on *e2e.Host) *rawstream.Person {
	h.t.Helper()
	ready, p := make(chan struct{}), (*rawstream.Person)(nil)
	talk := openPresence(h.ctx, h.t, on, name, gateway, func(_ time.Time, st *stanza.Element) {
		<-ready
		p.Hear(st)
	})
	p = rawstream.New(h.t, rawstream.Config{JID: name, Service: gateway, Send: talk.SendStanza, Dial: h.dialer(on, nil)})
	close(ready)
	return p
}

func (h *hall) dialer(from *e2e.Host, through *e2e.Proxy) func(at, addr string) (net.Conn, error) {
	return func(_, addr string) (net.Conn, error) {
		if through != nil {
			addr = through.Addr()
		}
		return from.Dial(h.ctx, "tcp", addr)
	}
}

// called is the name by which a peer on this gateway's LAN, or a contact, knows somebody.
func (h *hall) called(by, whom *rawstream.Person) string {
	j, err := jid.Parse(whom.JID)
	if err != nil || j.Resourcepart() == "" || strings.Contains(by.JID, "/") {
		return whom.JID
	}
	return h.Mirror(j.Localpart()) + "/" + j.Resourcepart()
}

// A party is a stream, whoever is on it, and how they are connected.
type party struct {
	*hall
	master *rawstream.Person
	at     string // the service's address for the master
	line   *rawstream.Line
	places map[*rawstream.Person]string
}

// begin has somebody create a stream, and connect to it.
func (h *hall) begin(master *rawstream.Person, attrs string) *party {
	h.t.Helper()
	p := &party{hall: h, master: master, at: master.Create(attrs, ""), places: map[*rawstream.Person]string{}}
	p.line = master.Connect(p.at, rawstream.Plain, "")
	master.Presence(master.JID, "connect")
	return p
}

// invite has the master invite somebody, who connects.
func (p *party) invite(guest *rawstream.Person, right string, m rawstream.Method) *rawstream.Line {
	p.t.Helper()
	p.places[guest] = p.master.Invite(p.at, guest, p.called(p.master, guest), right, "")
	return p.back(guest, m)
}

// back has somebody connect, for the first time or again.
func (p *party) back(guest *rawstream.Person, m rawstream.Method) *rawstream.Line {
	p.t.Helper()
	l := guest.Connect(p.places[guest], m, "")
	p.master.Presence(p.called(p.master, guest), "connect")
	return l
}

// leave has the master leave by dropping itself: all that it sent is delivered.
func (p *party) leave() {
	p.t.Helper()
	p.line.Close()
	p.master.Drop(p.at, p.master.JID)
}

// An intake reads a line to its end, and sums it up.
type intake struct {
	hash.Hash
	bytes atomic.Int64
	wg    sync.WaitGroup
	err   error // at the end; nil: between two blocks
}

func take(l *rawstream.Line) *intake {
	in := &intake{Hash: sha256.New()}
	in.wg.Go(func() { in.err = l.All(in) })
	return in
}

func (in *intake) Write(b []byte) (int, error) {
	n, err := in.Hash.Write(b)
	in.bytes.Add(int64(n))
	return n, err
}

// want waits for the end, and compares.
func (in *intake) want(t *testing.T, who string, data []byte) {
	t.Helper()
	in.wg.Wait()
	if in.err != nil {
		t.Errorf("%s: %v", who, in.err)
	}
	in.has(t, who, data)
}

// has waits until so much has come, and compares.
func (in *intake) has(t *testing.T, who string, data []byte) {
	t.Helper()
	awaitBytes(t, in, len(data))
	if sum := sha256.Sum256(data); string(in.Sum(nil)) != string(sum[:]) {
		t.Errorf("%s: %d bytes have come, of %d, which differ", who, in.bytes.Load(), len(data))
	}
}

// put writes all of it, and reports what it could not.
func put(t *testing.T, w io.Writer, data []byte) {
	t.Helper()
	if n, err := w.Write(data); err != nil {
		t.Errorf("%d of %d bytes were written: %v", n, len(data), err)
	}
}
