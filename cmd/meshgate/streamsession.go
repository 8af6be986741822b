package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

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

// A carrier is an XMPP session: an xmppc2s.Errand.
type carrier interface {
	Address() string
	Send(iq *stanza.Element) error
	Run(handle func(iq *stanza.Element) bool) error
	Close()
}

type loginFunc func(context.Context, xmppc2s.Config) (carrier, error)

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
	o        *streamOptions
	login    loginFunc
	resource string
}

// A streamSession is a client of services and the session that carries it.
type streamSession struct {
	*client.Client
	carrier carrier
	self    dsps.JID
	alive   context.Context // ends with the session, and says why
	invited chan *client.Invitation
}

// open logs in. The session is there until close.
func (r *streamRun) open(ctx context.Context) (*streamSession, error) {
	cfg, err := r.account()
	if err != nil {
		return nil, err
	}
	c, err := r.login(ctx, cfg)
	if err != nil {
		return nil, err
	}
	alive, end := context.WithCancelCause(ctx)
	s := &streamSession{carrier: c, self: dsps.JID(c.Address()), alive: alive, invited: make(chan *client.Invitation, maxInvitations)}
	s.Client = client.New(client.Config{
		Self: s.self, Send: c.Send, Invited: s.keep,
		// The connection's keys go through the session: who it is is proven by them.
		TLS: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	})
	go func() { // ends with the session, for which close waits
		err := c.Run(func(iq *stanza.Element) bool { return s.HandleIQ(dsps.JID(iq.Attr("from")), iq) })
		end(fmt.Errorf("the XMPP session has ended: %w", err))
	}()
	return s, nil
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

// account is the session that the flags ask for.
func (r *streamRun) account() (cfg xmppc2s.Config, err error) {
	own, err := parseAddress(r.o.account)
	if err != nil {
		return cfg, err
	}
	cfg.CloseOnStop = true
	if cfg.JID, err = r.withResource(own); err != nil {
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

// withResource gives the account the resource that it has not.
func (r *streamRun) withResource(own jid.JID) (jid.JID, error) {
	switch {
	case own.Resourcepart() != "":
		return own, nil
	case r.resource != "":
		return own.WithResource(r.resource)
	}
	return own.WithResource(waitingResource + "-" + rand.Text()[:8])
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
	return strings.NewReplacer("xmppc2s: ", "", "dsps: ", "", ": context deadline exceeded", "").Replace(err.Error())
}

// parseJID reads an address of a service or a stream, which need not be an
// account's.
func parseJID(s string) (dsps.JID, error) {
	j, err := jid.Parse(s)
	if err != nil || s == "" {
		return "", fmt.Errorf("%q is not a valid address", s)
	}
	return dsps.JID(j.String()), nil
}
