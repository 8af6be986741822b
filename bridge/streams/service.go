package streams

import (
	"context"
	crand "crypto/rand"
	"log/slog"
	"math/rand/v2"

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
	people *people
	server *dsps.Server
	parts  Parts // set by Run before anything is sent
	log    *slog.Logger
}

// New makes a service. Run starts it.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{people: newPeople(cfg), log: cfg.Log}
	sc := cfg.Server
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	sc.Engine.Rand = rand.New(rand.NewChaCha8(seed))
	sc.Engine.Addresses, sc.Engine.Policy = addresses{s.people}, s.people.rights(cfg)
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
	return s
}

// Run listens and serves until ctx ends.
func (s *Service) Run(ctx context.Context, parts Parts) error {
	s.parts = parts
	return s.server.Run(ctx, s)
}

// Stats says how the service is doing.
func (s *Service) Stats() dsps.ServerStats { return s.server.Stats() }

// HandleServer takes what happens on the network.
func (s *Service) HandleServer(ev xmppc2s.Event) { s.people.heard(ev) }

// HandleLAN takes what happens on the LAN.
func (s *Service) HandleLAN(ev linklocal.Event) {
	if ev, ok := ev.(linklocal.ContactPublished); ok {
		s.people.published(ev, bridge.ConciergeID)
	}
}

// Network are the queries that come by the gateway's account.
func (s *Service) Network() xmppc2s.Queries {
	return xmppc2s.Queries{NS: dsps.NS, HandleIQ: s.handleNetwork}
}

// LAN are the queries that come to the gateway's own presence name.
func (s *Service) LAN() linklocal.Queries {
	return linklocal.Queries{NS: dsps.NS, Contact: bridge.ConciergeID, HandleIQ: s.handleLAN}
}

// handleNetwork takes a query of a contact; others are refused as if there were
// no service.
func (s *Service) handleNetwork(to jid.JID, iq *stanza.Element) bool {
	from, ok := s.people.contact(dsps.JID(iq.Attr("from")))
	return ok && s.server.HandleQuery(dsps.JID(from.String()), dsps.JID(to.String()), iq)
}

// handleLAN does so with one of a peer.
func (s *Service) handleLAN(at, from linklocal.Instance, iq *stanza.Element) bool {
	peer, ok := s.people.peer(dsps.JID(from))
	if !ok {
		return false
	}
	to := withResource(dsps.JID(at), dsps.JID(iq.Attr("to")).Resource())
	return s.server.HandleQuery(dsps.JID(peer), to, rename(iq, s.people.fromLAN))
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
	s.parts.LAN.Send(linklocal.Outgoing{
		From: bridge.ConciergeID, To: linklocal.Instance(iq.Attr("to")), Stanza: rename(iq, s.people.toLAN),
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
	if err := s.parts.Server.Send(iq.WithAttr("to", to)); err != nil {
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
