package ends

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
)

// A streamer is a client of the gateway's service for streams, on either side.
type streamer struct {
	*client.Client
	self, service dsps.JID
	invitations   chan *client.Invitation
}

func newStreamer(h *e2e.Host, self, service dsps.JID, send func(*stanza.Element) error) *streamer {
	s := &streamer{self: self, service: service, invitations: make(chan *client.Invitation, 4)}
	s.Client = client.New(client.Config{
		Self: self, Send: send, Dial: h.Dial, Invited: func(i *client.Invitation) { s.invitations <- i },
	})
	return s
}

// hear takes what arrives; a gateway asks for presence, too.
func (s *streamer) hear(_ time.Time, st *stanza.Element) {
	if st.Is(stanza.NSClient, "iq") {
		s.HandleIQ(dsps.JID(st.Attr("from")), st)
	}
}

// remoteStreamer is a contact.
func remoteStreamer(ctx context.Context, t *testing.T, o *e2e.Office, user string) *streamer {
	t.Helper()
	roots, err := Roots(o.Server)
	if err != nil {
		t.Fatal(err)
	}
	ready, s := make(chan struct{}), (*streamer)(nil)
	var c *RawClient
	c, err = LoginRaw(ctx, o.Server, roots, user, func(at time.Time, st *stanza.Element) {
		<-ready
		if st.Attr("type") == "subscribe" {
			if err := c.SendStanza(presence("subscribed", st.Attr("from"))); err != nil {
				t.Error(err)
			}
		}
		s.hear(at, st)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s = newStreamer(o.Host("h1"), dsps.JID(c.JID().String()), dsps.JID(o.GatewayJID()+"/meshgate"), c.SendStanza)
	close(ready)
	if err := c.SendStanza(presence("", "")); err != nil {
		t.Fatal(err)
	}
	return s
}

func presence(typ, to string) *stanza.Element {
	return stanza.New(stanza.NSClient, "presence", stanza.Attr{Name: "type", Value: typ}, stanza.Attr{Name: "to", Value: to})
}

// lanStreamer is a peer, in talk with the gateway itself.
func lanStreamer(ctx context.Context, t *testing.T, o *e2e.Office, name string) *streamer {
	t.Helper()
	var s *streamer
	ready := make(chan struct{})
	own := o.Mirror("meshgate")
	p := openPresence(ctx, t, o.Host("h2"), name, own, func(at time.Time, st *stanza.Element) {
		<-ready
		s.hear(at, st)
	})
	s = newStreamer(o.Host("h2"), dsps.JID(name), dsps.JID(own), p.SendStanza)
	close(ready)
	return s
}

// openPresence publishes a presence on a host, and opens a stream to that name.
func openPresence(ctx context.Context, t *testing.T, h *e2e.Host, name, to string, handle Handler) *Peer {
	t.Helper()
	ln, err := h.Listen(h.Addr().String() + ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	h.Publish(name, e2e.PresenceService, ln.Addr().(*net.TCPAddr).Port, "txtvers=1", "status=avail")
	at := h.Browse(e2e.PresenceService).AwaitResolved(to)
	conn, err := h.Dial(ctx, "tcp", netip.AddrPortFrom(netip.MustParseAddr(at.Addrs[0]), uint16(at.Port)).String())
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenPeer(conn, name, to, handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		<-p.Ended()
	})
	return p
}

// give creates a stream, invites the other by that name, and sends it data.
func give(ctx context.Context, t *testing.T, from, to *streamer, called dsps.JID, data []byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	meta, err := client.Describe(bytes.NewReader(data), client.Meta{Name: "data"})
	must(err)
	stream, err := from.Create(ctx, from.service, client.Options{})
	must(err)
	c, err := stream.Connect(ctx, client.Method{}) // before others do: what they say then would be lost
	must(err)
	must(stream.Invite(ctx, client.Offer{Right: dsps.Slave, Peers: []dsps.JID{called}, Comments: []*stanza.Element{meta.Comment()}}))
	var inv *client.Invitation
	for inv == nil {
		select {
		case inv = <-to.invitations:
		case p := <-stream.Events():
			if p.JID != from.self { // which has connected
				t.Fatalf("%s: %s", p.JID, p.Status)
			}
		case <-ctx.Done():
			t.Fatal("no invitation")
		}
	}
	described, ok := client.FileOf(inv.Comments)
	if !ok || described.SHA256 != meta.SHA256 {
		t.Fatalf("invited to %+v", described)
	}
	got := sha256.New()
	received := make(chan error, 1)
	go func() { received <- accept(ctx, inv, got, described) }()
	must(c.WaitFor(ctx, 1))
	list, err := stream.Who(ctx)
	must(err)
	for _, p := range list {
		if p.Right == dsps.Slave && !strings.HasPrefix(string(p.JID), string(called)) {
			t.Errorf("%s is called %s", called, p.JID)
		}
	}
	_, err = c.Send(ctx, bytes.NewReader(data))
	must(err)
	must(stream.Leave(ctx))
	must(<-received)
	if sum := sha256.Sum256(data); !bytes.Equal(got.Sum(nil), sum[:]) {
		t.Error("other data has come")
	}
}

func accept(ctx context.Context, inv *client.Invitation, w interface{ Write([]byte) (int, error) }, m client.Meta) error {
	s, err := inv.Accept(ctx)
	if err != nil {
		return err
	}
	c, err := s.Connect(ctx, client.Method{})
	if err != nil {
		return err
	}
	_, err = c.Receive(ctx, w, m)
	return err
}

// DS-19, DS-17: a peer on the LAN and a contact behind a real server exchange
// streams through the gateway, either inviting the other by the name that it knows.
func TestAPeerAndAContactExchangeStreams(t *testing.T) {
	t.Parallel()
	o := e2e.OpenOffice(t, e2e.OfficeOptions{Config: map[string]any{
		"streams.enabled": true, "streams.host": "127.0.0.1",
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2e.Patience)
	defer cancel()
	alice := remoteStreamer(ctx, t, o, "alice")
	mirror := o.Host("h2").Browse(e2e.PresenceService)
	mirror.AwaitResolved(o.Mirror("alice")) // the gateway knows that she is there
	bob := lanStreamer(ctx, t, o, "bob@h2")
	data := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{'d', 's'}).Read(data)
	give(ctx, t, bob, alice, dsps.JID(o.Mirror("alice")), data)
	give(ctx, t, alice, bob, "bob@h2", data)
	o.Gateway.AwaitLog("a connection to a stream is awaited", "client", "bob@h2")
}
