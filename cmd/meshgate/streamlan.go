package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/mailbox"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
)

const (
	// meshID is our contact, the only one.
	meshID linklocal.ContactID = "stream"
	// namePatience is how long we take to get a name, which needs a second.
	namePatience = 20 * time.Second
	// findPatience is how long a gateway is looked for.
	findPatience = 10 * time.Second
	findEvery    = 100 * time.Millisecond
	// publicPatience is how long one may take to say whether it has a service.
	publicPatience = 5 * time.Second
	maxStanzas     = 256 // that came, and nobody has handled yet
)

// A mesh is a carrier on a LAN.
type mesh interface {
	Peers(context.Context) ([]linklocal.PeerInfo, error)
	// isOwn reports whether a peer is another program on this machine.
	isOwn(dsps.JID) bool
}

// A meshConfig says how we are on a LAN.
type meshConfig struct {
	user       string // of our presence name
	interfaces []string
	log        *slog.Logger
}

// meshConfig is what the flags say. name is the whole name that is wanted; "":
// the default.
func (r *streamRun) meshConfig(name string) meshConfig {
	user := linklocal.Instance(name).User()
	if name == "" {
		user = cmp.Or(r.o.as, cmp.Or(r.getenv("USER"), r.getenv("LOGNAME"), "somebody")+"-stream")
	}
	log := slog.New(slog.NewTextHandler(r.stderr, &slog.HandlerOptions{Level: slog.LevelError, ReplaceAttr: spell}))
	return meshConfig{user, r.o.interfaces, log}
}

// A meshSession is our presence on a LAN under a name of our own (XEP-0174), for
// as long as it takes. It is a carrier.
type meshSession struct {
	dns   *mdns.Conn
	lan   *linklocal.Service
	self  linklocal.Instance
	came  *mailbox.Mailbox[*stanza.Element]
	names chan linklocal.Instance // that we hold
	wg    sync.WaitGroup
	ctx   context.Context // ends with Close …
	leave context.CancelFunc
	ended chan struct{} // … and then Run does
}

// joinMesh is present on the LAN.
func joinMesh(ctx context.Context, cfg meshConfig) (carrier, error) {
	m := &meshSession{came: mailbox.New[*stanza.Element](maxStanzas), names: make(chan linklocal.Instance), ended: make(chan struct{})}
	m.dns = mdns.New(mdns.ConnConfig{
		Interfaces: cfg.interfaces, IPv6: true, Browse: []string{presenceType}, Log: cfg.log,
		Host: "meshgate-" + strings.ToLower(rand.Text()[:8]), // its own, so that its goodbye takes no other's
	})
	m.lan = linklocal.New(linklocal.Config{
		Queries: linklocal.Queries{NS: dsps.NS, Contact: meshID, HandleIQ: m.take}, Log: cfg.log,
	}, m.dns)
	m.ctx, m.leave = context.WithCancel(context.Background())
	m.begin()
	err := m.lan.Publish(linklocal.Contact{ID: meshID, User: cfg.user, Presence: linklocal.Presence{Status: linklocal.Available, Msg: "meshgate stream"}})
	if err == nil {
		err = m.awaitName(ctx)
	}
	if err != nil {
		m.leave()
		m.wg.Wait()
		return nil, err
	}
	return m, nil
}

// begin starts what runs until leave: then our name is withdrawn, and after
// that the goodbye is sent.
func (m *meshSession) begin() {
	ctx, stop := context.WithCancel(context.Background())
	m.wg.Go(func() { _ = m.dns.Run(ctx, m.lan) }) // without a link it waits for one
	m.wg.Go(func() {
		defer stop()
		_ = m.lan.Run(m.ctx, m) // nothing of the configuration can be wrong
	})
}

func (m *meshSession) awaitName(ctx context.Context) error {
	late := time.NewTimer(namePatience)
	defer late.Stop()
	select {
	case m.self = <-m.names:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
	}
	if len(m.dns.Links()) == 0 {
		return errNoLink
	}
	return errors.New("we cannot be present on the LAN; meshgate doctor may say why")
}

// HandleLAN hears of our name; people's words are not for us.
func (m *meshSession) HandleLAN(ctx context.Context, ev linklocal.Event) {
	if ev, ok := ev.(linklocal.ContactPublished); ok {
		select {
		case m.names <- ev.Instance:
		case <-ctx.Done():
		}
	}
}

// take takes a query, or an error.
func (m *meshSession) take(_, from linklocal.Instance, iq *stanza.Element) bool {
	said := string(from)
	if _, r := linklocal.SplitAddress(iq.Attr("from")); r != "" {
		said += "/" + r
	}
	return m.came.Put(iq.WithAttr("from", said))
}

// Address is our name.
func (m *meshSession) Address() string { return string(m.self) }

// Send sends a stanza. To a question that cannot be sent there is an answer.
func (m *meshSession) Send(iq *stanza.Element) error {
	to, _ := linklocal.SplitAddress(iq.Attr("to"))
	m.lan.Send(linklocal.Outgoing{
		From: meshID, To: to, Stanza: iq,
		Done: func(err error) {
			if err == nil {
				return
			}
			failed := &stanza.Error{Type: "wait", Condition: "remote-server-timeout", Text: trimWords(err)}
			if reply := failed.Reply(iq); reply != nil {
				m.came.Put(reply) // whoever has sent so much waits for the rest, too
			}
		},
	})
	return nil
}

// Run passes on what comes.
func (m *meshSession) Run(handle func(iq *stanza.Element) bool) error {
	defer close(m.ended)
	for {
		select {
		case <-m.came.C():
			for _, iq := range m.came.Take() {
				if handle(iq) {
					continue
				}
				if refusal := (&stanza.Error{Condition: stanza.ServiceUnavailable}).Reply(iq); refusal != nil {
					_ = m.Send(refusal) // never fails
				}
			}
		case name := <-m.names:
			if name != m.self {
				m.leave()
				return fmt.Errorf("somebody else on the LAN is %s now", m.self)
			}
		case <-m.ctx.Done():
			return errors.New("closed")
		}
	}
}

// Close withdraws our name.
func (m *meshSession) Close() {
	m.leave()
	<-m.ended
	m.wg.Wait()
}

// Peers is who is on the LAN.
func (m *meshSession) Peers(ctx context.Context) ([]linklocal.PeerInfo, error) {
	return m.lan.Peers(ctx)
}

// isOwn is true of a peer all of whose addresses are ours.
func (m *meshSession) isOwn(j dsps.JID) bool {
	list, err := m.Peers(m.ctx)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(list, func(p linklocal.PeerInfo) bool { return p.Instance.Key() == linklocal.Instance(j).Key() })
	if i < 0 || len(list[i].Addrs) == 0 {
		return false
	}
	own := map[string]bool{}
	for _, l := range m.dns.Links() {
		for _, a := range l.Addrs() {
			own[a.WithZone("").String()] = true
		}
	}
	return !slices.ContainsFunc(list[i].Addrs, func(a netip.Addr) bool { return !own[a.Unmap().WithZone("").String()] })
}

// findService asks the gateways of the LAN for one that has streams for us. Of
// those names of one that say the same of themselves one is asked (XEP-0115).
func (s *streamSession) findService() (found dsps.JID, err error) {
	asked := map[string]bool{}
	err = s.look(func(ctx context.Context, list []linklocal.PeerInfo) bool {
		for _, p := range gatewaysOf(list) {
			key := p.Host + " " + p.Presence.Ver
			if asked[key] {
				continue
			}
			err := s.offers(ctx, dsps.JID(p.Instance))
			if err == nil {
				found = dsps.JID(p.Instance)
				return true
			}
			refusal, ok := errors.AsType[*dsps.Error](err)
			asked[key] = ok && refusal.Code == 0
		}
		return false
	})
	switch {
	case errors.Is(err, errNotSeen) && len(asked) == 0:
		err = errors.New("there is no gateway on this LAN")
	case errors.Is(err, errNotSeen):
		err = errors.New("no gateway on this LAN has streams of data for us")
	}
	return found, err
}

// awaitService waits until a service is seen on the LAN.
func (s *streamSession) awaitService(name dsps.JID) error {
	key := linklocal.Instance(name.Bare()).Key()
	err := s.look(func(_ context.Context, list []linklocal.PeerInfo) bool {
		return slices.ContainsFunc(list, func(p linklocal.PeerInfo) bool { return p.Instance.Key() == key })
	})
	if errors.Is(err, errNotSeen) {
		err = fmt.Errorf("there is no %s on this LAN", plain(string(name.Bare())))
	}
	return err
}

var errNotSeen = errors.New("not seen on the LAN")

// look has seen look at who is on the LAN until it has seen what it wants.
func (s *streamSession) look(seen func(context.Context, []linklocal.PeerInfo) bool) error {
	ctx, cancel := context.WithTimeout(s.alive, findPatience)
	defer cancel()
	tick := time.NewTicker(findEvery)
	defer tick.Stop()
	for {
		list, err := s.mesh.Peers(ctx)
		if err == nil && seen(ctx, list) {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.alive.Done():
			return context.Cause(s.alive)
		case <-ctx.Done():
			return errNotSeen
		}
	}
}

// offers asks whether there is a service.
func (s *streamSession) offers(ctx context.Context, at dsps.JID) error {
	ctx, cancel := context.WithTimeout(ctx, publicPatience)
	defer cancel()
	_, err := s.Public(ctx, at)
	return err
}

// gatewaysOf are the names of gateways in a list: those that gateways mostly have
// themselves, then those that say so, which mirrors do, too.
func gatewaysOf(list []linklocal.PeerInfo) (names []linklocal.PeerInfo) {
	own := func(p linklocal.PeerInfo) bool { return p.Instance.User() == defaults().Concierge.Name }
	for _, p := range list {
		if own(p) {
			names = append(names, p)
		}
	}
	for _, p := range list {
		if !own(p) && p.Presence.Node == capsNode {
			names = append(names, p)
		}
	}
	return names
}
