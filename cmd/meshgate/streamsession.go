package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

const (
	passwordVariable = "MESHGATE_PASSWORD"
	// askPatience is how long an answer may take.
	askPatience = 30 * time.Second
	// partingPatience is how long we take to leave a stream.
	partingPatience = 3 * time.Second
	maxInvitations  = 16 // that nobody has looked at yet
)

// A carrier carries our stanzas: an XMPP session (xmppc2s.Errand), or our
// presence on a LAN.
type carrier interface {
	Address() string
	Send(iq *stanza.Element) error
	Run(handle func(iq *stanza.Element) bool) error
	Close()
}

// streamWays are the ways to where others are.
type streamWays struct {
	login func(context.Context, xmppc2s.Config) (carrier, error)
	mesh  func(context.Context, meshConfig) (carrier, error)
}

func login(ctx context.Context, cfg xmppc2s.Config) (carrier, error) {
	e, err := xmppc2s.Login(ctx, cfg)
	if err != nil {
		return nil, err // not a carrier that is nil
	}
	return e, nil
}

// A streamRun is one call of meshgate stream.
type streamRun struct {
	process
	o    *streamOptions
	ways streamWays
}

// A streamSession is a client of services and what carries it.
type streamSession struct {
	*client.Client
	carrier carrier
	mesh    mesh // nil: we are on the network
	self    dsps.JID
	clerk   clerk
	by      atomic.Pointer[intermediary] // who asks for us
	alive   context.Context              // ends with the carrier, and says why
	invited chan *client.Invitation
}

// open is where others are, until close. as is the resource or, on the LAN, the
// name that is wanted; "": one that nobody else has, and on the LAN the default.
func (r *streamRun) open(ctx context.Context, as string) (*streamSession, error) {
	c, err := r.carrier(ctx, as)
	if err != nil {
		return nil, err
	}
	alive, end := context.WithCancelCause(ctx)
	s := &streamSession{carrier: c, self: dsps.JID(c.Address()), alive: alive, invited: make(chan *client.Invitation, maxInvitations)}
	s.mesh, _ = c.(mesh)
	s.clerk = clerk{send: c.Send, kin: s.kin}
	s.Client = client.New(client.Config{
		Self: s.self, Send: func(iq *stanza.Element) error { return c.Send(s.by.Load().wrap(iq)) }, Invited: s.keep,
		// The connection's keys go through the session: who it is is proven by them.
		TLS: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	})
	go func() { // ends with the carrier, for which close waits
		err := c.Run(func(iq *stanza.Element) bool {
			iq = s.by.Load().unwrap(iq)
			return s.clerk.handle(iq) || s.HandleIQ(dsps.JID(iq.Attr("from")), iq)
		})
		end(fmt.Errorf("the session has ended: %w", err))
	}()
	return s, nil
}

func (r *streamRun) carrier(ctx context.Context, as string) (carrier, error) {
	if r.o.lan {
		return r.ways.mesh(ctx, r.meshConfig(as))
	}
	cfg, err := r.account(as)
	if err != nil {
		return nil, err
	}
	return r.ways.login(ctx, cfg)
}

// kin reports whether an address is of another command of ours.
func (s *streamSession) kin(from dsps.JID) bool {
	if s.mesh != nil {
		return s.mesh.isOwn(from)
	}
	return samePerson(from, s.self)
}

// keep takes an invitation, for who waits for one.
func (s *streamSession) keep(i *client.Invitation) {
	select {
	case s.invited <- i:
	default:
		_ = i.Reject()
	}
}

func (s *streamSession) close() { s.carrier.Close() }

// asking is a context for a question.
func (s *streamSession) asking() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.alive, askPatience)
}

// service is the one that the flags say, or that is found on the LAN.
func (s *streamSession) service(written string) (dsps.JID, error) {
	switch {
	case s.mesh == nil:
		return parseService(written)
	case written == "":
		return s.findService()
	}
	return dsps.JID(written), s.awaitService(dsps.JID(written))
}

// handle is what other commands know a stream of ours by.
func (s *streamSession) handle(stream *client.Stream) handle {
	as := s.self.Resource()
	if s.mesh != nil {
		as = string(s.self)
	}
	return handle{stream.At, as, stream.Addr()}
}

// account is the session that the flags ask for, with that resource.
func (r *streamRun) account(resource string) (cfg xmppc2s.Config, err error) {
	own, err := parseAddress(r.o.account)
	if err != nil {
		return cfg, err
	}
	cfg.CloseOnStop = true
	if cfg.JID, err = own.WithResource(cmp.Or(resource, waitingResource+"-"+rand.Text()[:8])); err != nil {
		return cfg, err
	}
	if cfg.Password, err = r.password(); err != nil {
		return cfg, err
	}
	if r.o.server != "" {
		if cfg.Host, cfg.Port, err = parseServer(r.o.server); err != nil {
			return cfg, err
		}
	}
	if r.o.caFile != "" {
		cfg.RootCAs, err = readRoots(r.o.caFile)
	}
	return cfg, err
}

// resource is that of the account as it was written, or else another.
func (o *streamOptions) resource(other string) string {
	own, _ := parseAddress(o.account) // checked; on the LAN there is none
	return cmp.Or(own.Resourcepart(), other)
}

// password never stands on the command line, which everybody on the machine
// can read.
func (r *streamRun) password() (string, error) {
	if r.o.passwordFile != "" {
		b, err := readCapped(r.o.passwordFile, maxSecretBytes)
		if err != nil {
			return "", err
		}
		return cleanSecret(string(b))
	}
	s := r.getenv(passwordVariable)
	if s == "" {
		return "", errors.New("there is no password: put it into the environment variable " + passwordVariable + ", or write -password-file FILE")
	}
	return cleanSecret(s)
}

// say tells the person who watches what is going on.
func (r *streamRun) say(format string, args ...any) {
	if !r.o.quiet {
		fmt.Fprintf(r.stderr, format+"\n", args...)
	}
}

// warn tells what is wrong, also those who want to hear nothing else.
func (r *streamRun) warn(format string, args ...any) {
	fmt.Fprintf(r.stderr, format+"\n", args...)
}

// leave drops us off a stream, also when we were stopped: others are told.
func leave(ctx context.Context, s *client.Stream) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingPatience)
	defer cancel()
	_ = s.Leave(ctx) // if the stream has ended already, so be it
}

// streamWords says what went wrong.
func streamWords(ctx context.Context, err error) string {
	if e, ok := errors.AsType[*dsps.Error](err); ok && e.Code == 0 {
		return "no data stream service is there, or it is not there for you"
	}
	switch {
	case ctx.Err() != nil:
		return "stopped"
	case errors.Is(err, context.DeadlineExceeded):
		return plain(trimWords(err)) + ": it took too long"
	case errors.Is(err, client.ErrDropped):
		return "dropped from the stream"
	}
	return plain(trimWords(err))
}

func trimWords(err error) string {
	return strings.NewReplacer("xmppc2s: ", "", "linklocal: ", "", "dsps: ", "", ": context deadline exceeded", "").Replace(err.Error())
}
