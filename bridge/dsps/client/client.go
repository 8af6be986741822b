// Package client uses data stream proxy services (XEP-0037): it creates
// streams, invites to them, joins them, and connects to them.
//
// It is told of the stanzas that come, by HandleIQ, and says what is to be sent,
// to Config.Send: so an XMPP session carries them, or a stream on a mesh, or, to
// a service in the same program, a function call.
package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// Config is what a Client needs to know.
type Config struct {
	Self dsps.JID // our full address, where stanzas come to
	// Send sends a stanza. It may be called from any goroutine, and must not
	// call HandleIQ before it returns.
	Send func(iq *stanza.Element) error
	// Invited is told of invitations, in the goroutine of HandleIQ: it must not
	// wait for answers. Nil: all are rejected.
	Invited func(*Invitation)
	// Dial makes connections; default: a net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is for connections with it. Services often have a certificate that
	// nobody has signed.
	TLS *tls.Config
}

const (
	maxStreams = 256 // that a client has at a time
	maxEvents  = 256 // that nobody has taken yet, of one stream
)

// Errors of a Client.
var (
	ErrDropped = errors.New("dsps: dropped from the stream")
	errAnswer  = errors.New("dsps: not an answer to what was asked")
	errMany    = errors.New("dsps: too many streams")
	errBusy    = errors.New("dsps: the service has too much to do")
)

// A Client is one address's use of services. Its methods may be called from any
// goroutine.
type Client struct {
	cfg Config

	mu      sync.Mutex
	waiting map[token]func(dsps.IQ) // for answers
	streams map[dsps.JID]*Stream    // by the service's address
	relay   *relaying               // that is being set up

	turn chan struct{} // held by who sets up a relay: keys do not say for which
}

// A token is what an answer is known by: an id, and the service without resource,
// since an answer may come from an address that is new.
type token struct {
	id   string
	from dsps.JID
}

// New makes a client.
func New(cfg Config) *Client {
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	return &Client{cfg: cfg, waiting: map[token]func(dsps.IQ){}, streams: map[dsps.JID]*Stream{}, turn: make(chan struct{}, 1)}
}

// HandleIQ takes a stanza that came from from, who is who it says. It reports
// whether it was for a client: others may be for a service at the same address.
func (c *Client) HandleIQ(from dsps.JID, el *stanza.Element) bool {
	iq, err := dsps.ParseReply(el)
	if err != nil {
		return false
	}
	iq.From = from
	if iq.Kind == "result" || iq.Kind == "error" {
		if done := c.take(token{iq.ID, from.Bare()}); done != nil {
			done(iq)
			return true
		}
	}
	if len(iq.Queries) == 0 {
		return false
	}
	return c.hear(iq)
}

// hear takes a stanza that answers nothing.
func (c *Client) hear(iq dsps.IQ) bool {
	s := c.stream(iq.From)
	switch q := iq.Queries[0].(type) {
	case dsps.Invitation:
		c.invited(iq, q)
	case dsps.RelayKey:
		return c.relayKey(iq, q)
	case dsps.Presence:
		c.confirm(iq)
		s.changed(q.Peers)
	case dsps.Report:
		s.changed(q.Peers)
	case dsps.Dropped:
		c.confirm(iq)
		s.drop(q.Comments)
	default:
		return false
	}
	return true
}

// confirm answers a set, as RFC 6120 §8.2.3 wants; a service ignores it.
func (c *Client) confirm(iq dsps.IQ) {
	_ = c.send(dsps.IQ{Kind: "result", ID: iq.ID, To: iq.From})
}

func (c *Client) send(iq dsps.IQ) error {
	iq.From = c.cfg.Self
	return c.cfg.Send(iq.Element())
}

func (c *Client) take(t token) func(dsps.IQ) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.waiting[t]
	delete(c.waiting, t)
	return f
}

// then sends a stanza, and has done called with the answer, in the goroutine of HandleIQ.
func (c *Client) then(iq dsps.IQ, done func(dsps.IQ)) (forget func(), err error) {
	t := token{iq.ID, iq.To.Bare()}
	c.mu.Lock()
	c.waiting[t] = done
	c.mu.Unlock()
	forget = func() { c.take(t) }
	if err := c.send(iq); err != nil {
		forget()
		return nil, fmt.Errorf("dsps: %w", err)
	}
	return forget, nil
}

// ask sends a stanza and waits for the answer.
func (c *Client) ask(ctx context.Context, iq dsps.IQ) (dsps.IQ, error) {
	got := make(chan dsps.IQ, 1)
	forget, err := c.then(iq, func(a dsps.IQ) { got <- a })
	if err != nil {
		return dsps.IQ{}, err
	}
	select {
	case a := <-got:
		if a.Error != nil {
			return a, a.Error
		}
		return a, nil
	case <-ctx.Done():
		forget()
		return dsps.IQ{}, fmt.Errorf("dsps: no answer from %s: %w", iq.To, ctx.Err())
	}
}

// newID is an id that nobody can guess.
func newID() string { return rand.Text() }

// Options are what a stream is created with.
type Options struct {
	MinThroughput dsps.Rate
	MaxPublic     int
	Comments      []*stanza.Element
}

func (o Options) create() dsps.Create {
	return dsps.Create{MinThroughput: o.MinThroughput, MaxPublic: o.MaxPublic, Comments: o.Comments}
}

// Create creates a stream, of which we are a master.
func (c *Client) Create(ctx context.Context, service dsps.JID, o Options) (*Stream, error) {
	return c.prepare(ctx, dsps.IQ{Kind: "get", ID: newID(), To: service, Queries: []dsps.Query{o.create()}}, dsps.Master)
}

// Take goes on with a stream that another client at this address has created or
// joined: Connect wants of p where the service is, if its address does not say it.
func (c *Client) Take(at dsps.JID, r dsps.Right, p dsps.Prepared) (*Stream, error) {
	return c.addStream(at, p, r)
}

// Join joins a public stream, as a slave.
func (c *Client) Join(ctx context.Context, public dsps.JID) (*Stream, error) {
	return c.prepare(ctx, dsps.IQ{Kind: "result", ID: newID(), To: public, Queries: []dsps.Query{dsps.Answer{Accept: true}}}, dsps.Slave)
}

// Public lists the public streams of a service.
func (c *Client) Public(ctx context.Context, service dsps.JID) ([]dsps.StreamStats, error) {
	a, err := c.ask(ctx, dsps.IQ{Kind: "get", ID: newID(), To: service, Queries: []dsps.Query{dsps.Stats{}}})
	if err != nil {
		return nil, err
	}
	var list []dsps.StreamStats
	for _, q := range a.Queries {
		if s, ok := q.(dsps.StreamStats); ok {
			list = append(list, s)
		}
	}
	return list, nil
}

// prepare asks for a connection to be prepared. The answer may be followed by
// what is said to the stream: it is known before ask returns.
func (c *Client) prepare(ctx context.Context, iq dsps.IQ, r dsps.Right) (*Stream, error) {
	type outcome struct {
		s   *Stream
		err error
	}
	got := make(chan outcome, 1)
	forget, err := c.then(iq, func(a dsps.IQ) {
		s, err := c.prepared(a, r)
		got <- outcome{s, err}
	})
	if err != nil {
		return nil, err
	}
	select {
	case o := <-got:
		return o.s, o.err
	case <-ctx.Done():
		forget()
		return nil, fmt.Errorf("dsps: no answer from %s: %w", iq.To, ctx.Err())
	}
}

func (c *Client) prepared(a dsps.IQ, r dsps.Right) (*Stream, error) {
	if a.Error != nil {
		return nil, a.Error
	}
	if len(a.Queries) == 0 {
		return nil, errAnswer
	}
	switch q := a.Queries[0].(type) {
	case dsps.Prepared:
		return c.addStream(a.From, q, r)
	case dsps.Dropped:
		return nil, ErrDropped
	}
	return nil, errAnswer
}

func (c *Client) addStream(at dsps.JID, p dsps.Prepared, r dsps.Right) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[at]; s != nil && !s.isDropped() {
		return s, nil // a relay that is connected again
	}
	if len(c.streams) >= maxStreams {
		return nil, errMany
	}
	s := &Stream{client: c, At: at, Right: r, Prepared: p, events: make(chan dsps.PeerPresence, maxEvents), joined: make(chan struct{}, 1), dropped: make(chan struct{})}
	c.streams[at] = s
	return s, nil
}

// stream is ours at this address of a service, or nil.
func (c *Client) stream(at dsps.JID) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[at]
}

func (c *Client) forget(s *Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[s.At] == s {
		delete(c.streams, s.At)
	}
}

// An Invitation is to a stream. It is accepted or rejected once.
type Invitation struct {
	dsps.Invitation
	From   dsps.JID // an address of the service, for the answer
	id     string
	client *Client
}

func (c *Client) invited(iq dsps.IQ, q dsps.Invitation) {
	inv := &Invitation{q, iq.From, iq.ID, c}
	if c.cfg.Invited == nil {
		_ = inv.Reject()
		return
	}
	c.cfg.Invited(inv)
}

// Accept joins the stream.
func (i *Invitation) Accept(ctx context.Context) (*Stream, error) {
	return i.client.prepare(ctx, i.answer(true), i.Right)
}

// Reject says no.
func (i *Invitation) Reject() error { return i.client.send(i.answer(false)) }

func (i *Invitation) answer(accept bool) dsps.IQ {
	return dsps.IQ{Kind: "result", ID: i.id, To: i.From, Queries: []dsps.Query{dsps.Answer{Accept: accept}}}
}
