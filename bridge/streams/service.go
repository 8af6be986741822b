package streams

import (
	"context"
	crand "crypto/rand"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge"
	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// A Service is the data stream proxy service of a gateway. Its methods may be
// called from any goroutine, and none but Run blocks.
type Service struct {
	people    *people
	account   *account
	addresses *addresses
	server    *dsps.Server
	prepare   func() error
	tell      func(error)
	parts     Parts // set by Run before anything is sent
	log       *slog.Logger
	state     atomic.Pointer[error] // why nobody can connect; to nil: they can
}

var errStarting = errors.New("streams: not started yet")

// New makes a service. Run starts it.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Prepare == nil {
		cfg.Prepare = func() error { return nil }
	}
	if cfg.Tell == nil {
		cfg.Tell = func(error) {}
	}
	s := &Service{people: newPeople(cfg), account: newAccount(cfg.Sessions, cfg.Log), prepare: cfg.Prepare, tell: cfg.Tell, log: cfg.Log}
	s.account.handle, s.account.unsent = s.handleNetwork, s.unsent
	s.addresses = newAddresses(s.people, s.account)
	s.state.Store(&errStarting)
	sc := cfg.Server
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	sc.Engine.Rand = rand.New(rand.NewChaCha8(seed))
	sc.Engine.Addresses, sc.Engine.Sides, sc.Engine.Policy = s.addresses, sides, s.people.rights(cfg)
	sc.Engine.ClientAs = s.people.saidBy
	sc.Engine.HostFor = func(client dsps.JID) string {
		_, onNetwork := s.people.contact(client)
		switch {
		case onNetwork:
			return cfg.Host
		case cfg.LANHost != "":
			return cfg.LANHost
		}
		return cfg.FindLANHost()
	}
	sc.Log = cfg.Log
	s.server = dsps.NewServer(sc)
	s.account.changed = s.server.AddressesChanged
	return s
}

// Run listens and serves until ctx ends. While it cannot listen it tries again, and
// all are refused as if there were no service.
func (s *Service) Run(ctx context.Context, parts Parts) error {
	s.parts = parts
	if !s.listen(ctx) {
		return nil
	}
	s.become(nil)
	return s.account.run(ctx, parts.Login, func(ctx context.Context) error { return s.server.Run(ctx, s) })
}

// listen reports false if ctx ends before the server listens.
func (s *Service) listen(ctx context.Context) bool {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		err := s.prepare()
		if err == nil {
			err = s.server.Listen(ctx)
		}
		if err == nil {
			return true
		}
		if s.Err().Error() != err.Error() {
			s.log.Error("no streams of data until this is mended", "err", err)
			s.become(err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}

func (s *Service) become(err error) {
	s.state.Store(&err)
	s.tell(err)
}

// Err is why there are no streams now; nil: there are.
func (s *Service) Err() error { return *s.state.Load() }

// Stats says how the service is doing.
func (s *Service) Stats() dsps.ServerStats { return s.server.Stats() }

// Sessions says how it is with further sessions of the account.
func (s *Service) Sessions() SessionStats { return s.account.stats() }

// HandleServer takes what happens on the network.
func (s *Service) HandleServer(ev xmppc2s.Event) {
	switch ev := ev.(type) {
	case xmppc2s.Online:
		s.account.online(dsps.JID(ev.JID.String()))
	case xmppc2s.Offline:
		s.account.offline(ev.Err, func() { s.parts.Server.ConflictOver() })
	}
	s.people.heard(ev)
}

// HandleLAN takes what happens on the LAN.
func (s *Service) HandleLAN(ev linklocal.Event) {
	if ev, ok := ev.(linklocal.ContactPublished); ok {
		s.people.published(ev, bridge.ConciergeID)
		s.server.AddressesChanged()
	}
}

// Network are the queries that come by the gateway's account.
func (s *Service) Network() xmppc2s.Queries {
	return xmppc2s.Queries{NS: dsps.NS, HandleIQ: func(to jid.JID, iq *stanza.Element) bool {
		return s.handleNetwork(dsps.JID(to.String()), iq)
	}}
}

// LAN are the queries that come to the gateway's own presence name.
func (s *Service) LAN() linklocal.Queries {
	return linklocal.Queries{NS: dsps.NS, Contact: bridge.ConciergeID, HandleIQ: s.handleLAN}
}

// handleNetwork takes a query of a contact; others are refused as if there were
// no service.
func (s *Service) handleNetwork(at dsps.JID, iq *stanza.Element) bool {
	from, ok := s.people.contact(dsps.JID(iq.Attr("from")))
	return ok && s.Err() == nil && s.server.HandleQuery(dsps.JID(from.String()), at, iq)
}

// handleLAN does so with one of a peer. Whichever name of ours it knows, we go by
// the one that we have.
func (s *Service) handleLAN(_, from linklocal.Instance, iq *stanza.Element) bool {
	peer := addressOf(from)
	_, ok := s.people.peer(peer)
	if !ok || s.Err() != nil {
		return false
	}
	to := withResource(s.people.name(), resourceOf(dsps.JID(iq.Attr("to"))))
	return s.server.HandleQuery(peer, to, rename(iq, s.people.fromLAN))
}

// SendIQ sends a stanza of the service's to whichever side its receiver is on.
func (s *Service) SendIQ(iq *stanza.Element) {
	if iq.Attr("type") == "result" && iq.Child(dsps.NS, "query").Attr("type") == "create" {
		s.log.Info("a connection to a stream is awaited", "client", iq.Attr("to"), "address", iq.Attr("from"))
	}
	if contact, ok := s.people.contact(dsps.JID(iq.Attr("to"))); ok {
		s.toNetwork(contact, iq)
		return
	}
	to := nameOf(dsps.JID(iq.Attr("to")))
	s.parts.LAN.Send(linklocal.Outgoing{
		From: bridge.ConciergeID, To: to, Stanza: rename(iq, s.addresses.shown).WithAttr("to", string(to)),
		Done: func(err error) {
			if err != nil {
				s.unsent(iq, err)
			}
		},
	})
}

// toNetwork sends a stanza to a contact, whose client is not known if it was
// invited by its bare address.
func (s *Service) toNetwork(contact jid.JID, iq *stanza.Element) {
	to := contact.String()
	if contact.Resourcepart() == "" {
		if to = s.people.device(contact); to == "" {
			s.unsent(iq, errAway)
			return
		}
	}
	if err := s.account.send(iq.WithAttr("to", to), s.parts.Server.Send); err != nil {
		s.unsent(iq, err)
	}
}

// unsent tells the service that nobody will answer.
func (s *Service) unsent(iq *stanza.Element, err error) {
	s.log.Debug("not sent", "to", iq.Attr("to"), "type", iq.Attr("type"), "err", err)
	if iq.Attr("type") == "get" {
		failed := (&stanza.Error{Type: "wait", Condition: stanza.RecipientUnavailable}).Reply(iq)
		s.server.HandleQuery(dsps.JID(iq.Attr("to")), dsps.JID(iq.Attr("from")), failed)
	}
}
