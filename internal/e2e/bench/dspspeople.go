package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/dsps"
	dspsclient "meshgate/bridge/dsps/client"
	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// A streamBench is a service that is a bot of a Prosody, and people of it.
type streamBench struct {
	ctx     context.Context
	tb      e2e.TB
	server  *e2e.Server
	service *streamService
	self    dsps.JID // of the service
	people  []*streamUser
	method  dspsclient.Method // by which they connect
	open    []io.Closer       // of the run; closed from the last to the first
	wg      sync.WaitGroup
	mu      sync.Mutex
	err     error // the first of the run
}

// A streamUser is a session of an account, and its use of the service.
type streamUser struct {
	*dspsclient.Client
	errand  *xmppc2s.Errand
	invited chan *dspsclient.Invitation
	answers chan *stanza.Element // to what others than the client asked
}

func openStreams(ctx context.Context, tb e2e.TB) *streamBench {
	users := map[string]string{"service": e2e.UserPassword, "alice": e2e.UserPassword}
	b := &streamBench{ctx: ctx, tb: tb}
	b.server = e2e.Local(tb).Prosody(e2e.ServerOptions{Users: users, NoDelay: true})
	b.service = must(openService(ctx, b.login("service", "dsps")))(tb)
	b.self = b.service.self
	b.gather(2 * fan)
	return b
}

// gather logs in so many people in all.
func (b *streamBench) gather(n int) {
	for i := len(b.people); i < n; i++ {
		b.people = append(b.people, b.user(fmt.Sprintf("p%d", i)))
	}
}

func (b *streamBench) close() {
	b.end()
	for _, p := range b.people {
		p.errand.Close()
	}
	b.service.close()
	b.wg.Wait()
}

// end is the end of a run.
func (b *streamBench) end() {
	b.hangUp()
	b.open = nil
}

func (b *streamBench) hangUp() {
	for i := len(b.open) - 1; i >= 0; i-- {
		b.open[i].Close()
	}
}

// note takes what became of an end of a run. After an error the others are
// not to wait for it.
func (b *streamBench) note(err error) {
	b.mu.Lock()
	first := b.err == nil && err != nil
	if first {
		b.err = err
	}
	b.mu.Unlock()
	if first {
		b.hangUp()
	}
}

func (b *streamBench) check() {
	if b.err != nil {
		b.tb.Fatalf("bench: %v", b.err)
	}
}

// borrow takes people for one stream; they are at the end of the queue then.
func (b *streamBench) borrow(n int) []*streamUser {
	got := b.people[:n:n]
	b.people = append(b.people[n:], got...)
	return got
}

// login opens a session.
func (b *streamBench) login(user, resource string) *xmppc2s.Errand {
	return must(streamLogin(b.ctx, b.server.LoopbackAddr(), b.server.CAFile, b.server.JID(user)+"/"+resource))(b.tb)
}

func streamLogin(ctx context.Context, server, caFile, address string) (*xmppc2s.Errand, error) {
	addr, err := net.ResolveTCPAddr("tcp", server)
	if err != nil {
		return nil, err
	}
	roots, err := ends.Roots(&e2e.Server{CAFile: caFile})
	if err != nil {
		return nil, err
	}
	return xmppc2s.Login(ctx, xmppc2s.Config{
		JID: jid.MustParse(address), Password: e2e.UserPassword, CloseOnStop: true,
		Host: addr.IP.String(), Port: uint16(addr.Port), RootCAs: roots,
	})
}

func (b *streamBench) user(resource string) *streamUser {
	u := &streamUser{
		errand: b.login("alice", resource), invited: make(chan *dspsclient.Invitation, 1), answers: make(chan *stanza.Element, 1),
	}
	u.Client = dspsclient.New(dspsclient.Config{
		Self: dsps.JID(u.errand.Address()), Send: u.errand.Send, Invited: func(i *dspsclient.Invitation) { u.invited <- i },
		TLS: &tls.Config{InsecureSkipVerify: true}, // the service has signed its certificate itself
	})
	b.wg.Go(func() { _ = u.errand.Run(u.handle) })
	return u
}

func (u *streamUser) handle(iq *stanza.Element) bool {
	if u.HandleIQ(dsps.JID(iq.Attr("from")), iq) {
		return true
	}
	if typ := iq.Attr("type"); typ != "result" && typ != "error" {
		return false
	}
	u.answers <- iq
	return true
}

// ask has a user ask something, and returns the answer.
func (b *streamBench) ask(u *streamUser, to, kind string, query *stanza.Element) *stanza.Element {
	id := rand.Text()
	iq := stanza.New(stanza.NSClient, "iq",
		stanza.Attr{Name: "type", Value: kind}, stanza.Attr{Name: "id", Value: id}, stanza.Attr{Name: "to", Value: to}, query)
	must(0, u.errand.Send(iq))(b.tb)
	select {
	case answer := <-u.answers:
		if answer.Attr("type") != "result" || answer.Attr("id") != id {
			b.tb.Fatalf("bench: %s answers %s", to, answer)
		}
		return answer
	case <-b.ctx.Done():
		b.tb.Fatalf("bench: %s does not answer", to)
		return nil
	}
}
