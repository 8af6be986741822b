package linklocal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"meshgate/internal/mailbox"
	"meshgate/internal/stanza"
	"meshgate/linklocal/mdns"
)

// serviceType is the DNS-SD type of link-local messaging
const serviceType = "_presence._tcp"

// maxCommands bounds what waits for the loop. Sends are bounded before, by
// Config.MaxQueued, so that they cannot crowd out a Withdraw.
const maxCommands = 16 << 10

// DNS is what a Service needs of an mDNS responder; *mdns.Conn has it. Its
// methods are called from several goroutines.
type DNS interface {
	Register(mdns.Service) error
	SetText(id mdns.ServiceID, text []string)
	SetNull(id mdns.ServiceID, data []byte)
	Unregister(id mdns.ServiceID)
	// Learn says that there is an instance, for the responder to find out more.
	Learn(instance, typ string)
	// Resolve finds out now where an instance is.
	Resolve(ctx context.Context, instance, typ string) (mdns.Entry, error)
	Links() []mdns.Link // where it works
	// FetchNull asks an instance for its NULL record, which may be any bytes.
	FetchNull(ctx context.Context, instance, typ string) ([]byte, error)
}

// A Service is our presence on the mesh: contacts, roster and streams.
// All of its methods are safe to call from any goroutine, and none but Run
// and Peers blocks.
type Service struct {
	cfg      Config
	dns      DNS
	caps     caps
	serving  caps        // of the contact that serves
	tls      *tls.Config // of streams, both roles
	log      *slog.Logger
	count    *counters
	inbox    *mailbox.Latest[string, mdns.Event]
	commands *mailbox.Mailbox[command]
	queued   atomic.Int64 // Outgoing not yet done
	stopped  atomic.Bool
}

// A command is what a caller wants of the loop: a Contact, a withdrawal, an
// *outgoing or an asking.
type command interface{}

type withdrawal ContactID

// New makes a Service. It starts nothing: see Run.
func New(cfg Config, dns DNS) *Service {
	cfg = cfg.withDefaults()
	cfg.Machine = cleanMachine(cfg.Machine)
	return &Service{
		cfg: cfg, dns: dns, caps: newCaps(cfg.Node, cfg.Features), serving: newCaps(cfg.Node, append(slices.Clone(cfg.Features), cfg.Queries.NS)), tls: cfg.TLS.config(), log: cfg.Log, count: newCounters(),
		inbox:    mailbox.NewLatest[string, mdns.Event](4 * (cfg.MaxPeers + cfg.MaxContacts)),
		commands: mailbox.New[command](maxCommands),
	}
}

// Run is present on the mesh until ctx ends: then it withdraws the contacts,
// ends the streams, waits for the peers to do so too and for h to take what
// they said, each at most Config.CloseTimeout, and returns nil. It must be
// called once. An error is the configuration's fault.
//
// All calls of h come from goroutines that Run owns. The goodbyes are sent by
// the mDNS responder, which has to end later.
func (s *Service) Run(ctx context.Context, h Handler) error {
	if t := s.cfg.TLS; t.wanted() && len(t.Certificate.Certificate) == 0 {
		return errNoCertificate
	}
	return newLoop(s, h).run(ctx)
}

// Publish makes a contact present, or changes what a present one publishes.
// Its name comes as ContactPublished.
func (s *Service) Publish(c Contact) error {
	if c.ID == "" || c.User == "" {
		return errors.New("linklocal: contact without id or user")
	}
	if s.stopped.Load() {
		return ErrStopped
	}
	if !s.commands.Put(c) {
		return ErrQueueFull
	}
	return nil
}

// Withdraw ends the presence of a contact, and its streams.
func (s *Service) Withdraw(id ContactID) {
	if !s.stopped.Load() && !s.commands.Put(withdrawal(id)) {
		s.log.Error("withdrawal lost, command queue full", "contact", id)
	}
}

// Send sends a stanza. What became of it says o.Done, which may be called
// before Send returns.
func (s *Service) Send(o Outgoing) {
	out := &outgoing{Outgoing: o}
	if s.queued.Add(1) > int64(s.cfg.MaxQueued) {
		s.finish(out, ErrQueueFull)
		return
	}
	if n := len(stanza.Append(nil, o.Stanza, stanza.NSClient)); n > s.cfg.MaxStanza {
		s.finish(out, fmt.Errorf("%w: %d bytes", ErrTooLarge, n))
		return
	}
	if !s.commands.Put(out) {
		s.finish(out, ErrQueueFull)
		return
	}
	if s.stopped.Load() {
		// The loop may have emptied the mailbox for the last time already.
		s.failCommands()
	}
}

// failCommands empties the mailbox when there is no loop any more.
func (s *Service) failCommands() {
	for _, c := range s.commands.Take() {
		switch c := c.(type) {
		case *outgoing:
			s.finish(c, ErrStopped)
		case asking:
			close(c.answer)
		}
	}
}

// An outgoing is an Outgoing on its way.
type outgoing struct {
	Outgoing
	tries int         // streams that broke before it was written
	pair  *pair       // nil before the loop has seen it
	told  atomic.Bool // its sender, what became of it
}

// finish tells the sender what became of a stanza, the first time. It may be
// called from any goroutine: by the writer, so that nothing comes between.
// Whoever then sends another finds room for it.
func (s *Service) finish(o *outgoing, err error) {
	if o.told.Swap(true) {
		return
	}
	if o.pair != nil {
		o.pair.queued.Add(-1)
	}
	s.queued.Add(-1)
	if err != nil {
		s.count.sendsFailed.Add(1)
	} else {
		s.count.stanzasOut.Add(1)
	}
	if o.Done != nil {
		o.Done(err)
	}
}
