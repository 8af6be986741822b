package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"mellium.im/xmpp/jid"

	"meshgate/bridge"
	"meshgate/bridge/rewrite"
	"meshgate/bridge/rooms"
	"meshgate/bridge/status"
	"meshgate/bridge/streams"
	"meshgate/clique"
	"meshgate/internal/netwatch"
	"meshgate/internal/sdnotify"
	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
	"meshgate/xmppc2s"
)

// presenceType is what we browse for. XEP-0174 §3 (DNS Records)
const presenceType = "_presence._tcp"

// capsNode stands for this program in entity capabilities, on the network too.
const capsNode = "urn:x-meshgate"

// A gateway is all parts of the program, built and not yet running.
type gateway struct {
	state  *state
	server *xmppc2s.Client
	hub    *bridge.Hub
	dns    *mdns.Conn
	lan    *linklocal.Service
	clique *clique.Service
	rooms  *rooms.Rooms

	streams    *streams.Service // nil: there is none
	loginAgain func(ctx context.Context, resource string) (streams.Session, error)

	watch  *watch
	status *status.Server
	log    *slog.Logger
}

// build makes the parts, bottom-up. An error is the configuration's fault.
func build(c *config, p process, st *state, log *slog.Logger) (*gateway, error) {
	password, err := c.secret()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.secretPath(), err)
	}
	server, err := c.serverConfig(password)
	if err != nil {
		return nil, err
	}
	hub, err := c.hubConfig()
	if err != nil {
		return nil, err
	}
	joined, err := c.roomsConfig()
	if err != nil {
		return nil, err
	}
	named := func(part string) *slog.Logger { return log.With("part", part) }
	server.Log, hub.Log = named("server"), named("hub")
	notify, err := sdnotify.New(p.getenv, os.Getpid())
	if err != nil {
		log.Warn("the service manager will hear nothing of us", "err", err)
	}

	lan := c.lanConfig(named("linklocal"))
	if !st.lasting {
		lan.IconCache, server.AvatarCache = "", ""
	} else {
		server.Journal = st.outbox
	}

	if lan.TLS.Certificate, err = c.lanCertificate(st.lasting, log); err != nil {
		return nil, err
	}
	lan.TLS.Pins = st.pins

	g := &gateway{state: st, log: log}
	g.streams, err = c.buildStreams(hub, st.lasting, named("streams"),
		func() []mdns.Link { return g.dns.Links() }, func(err error) { g.watch.streamsAre(err) })
	if err != nil {
		return nil, err
	}
	if g.streams != nil {
		g.loginAgain = furtherLogins(server)
		server.Queries, lan.Queries = g.streams.Network(), g.streams.LAN()
	}
	g.server = xmppc2s.New(server)
	g.dns = mdns.New(c.mdnsConfig(named("mdns")))
	g.lan = linklocal.New(lan, g.dns)
	g.buildRooms(c, joined, named)
	g.hub = bridge.New(hub, bridge.Parts{
		LAN: g.lan, Server: g.server, Notes: st.notes, Past: st.past, Marks: st.marks(), Queue: g.server, Rooms: g.rooms,
	})
	g.watch = newWatch(crossing{g.hub, g.rooms, g.clique, g.streams}, notify, log, g.parts()...)
	g.status = status.New(g.statusConfig(c, named("status")))
	return g, nil
}

// buildRooms makes the rooms, and what they have on the LAN.
func (g *gateway) buildRooms(c *config, joined rooms.Config, named func(part string) *slog.Logger) {
	st, lan := g.state, c.cliqueConfig()
	lan.Log, joined.Log = named("clique"), named("rooms")
	lan.Resumable = lan.Resumable && st.lasting
	if st.lasting {
		st.snapshots = openSnapshots(c.statePath(), joined.Rooms, named("state"))
	}
	g.clique = clique.New(lan, g.dns)
	g.rooms = rooms.New(joined, rooms.Parts{
		LAN: g.clique, Server: g.server, Past: st.rooms, Marks: st.lineMarks(), Snapshots: st.snapshots, Tell: teller(g.lan, c.Concierge.Name),
	})
}

// parts are those that count.
func (g *gateway) parts() []part {
	parts := []part{
		{"server", func() any { return g.server.Stats() }},
		{"hub", func() any { return g.hub.Stats() }},
		{"rooms", func() any { return g.rooms.Stats() }},
		{"mdns", func() any { return g.dns.Stats() }},
		{"clique", func() any { return g.clique.Stats() }},
		{"linklocal", func() any { return g.lan.Stats() }},
		{"state", func() any { return g.state.Stats() }},
	}
	if g.streams != nil {
		parts = append(parts, part{"streams", func() any { return g.streams.Stats() }}, part{"sessions", func() any { return g.streams.Sessions() }})
	}
	return parts
}

// stages are the parts in the order in which they start. They stop in
// reverse: linklocal closes its streams and unregisters, clique leaves its
// rooms, mdns says the goodbyes, the hub takes what still stands at its door, the
// server session sends that before it leaves, and what was to be remembered is
// written.
//
// Streams of data end before all that.
func (g *gateway) stages() []stage {
	stages := []stage{
		{"state", g.state.Run},
		{"server", func(ctx context.Context) error { return g.server.Run(ctx, g.watch) }},
		{"network", func(ctx context.Context) error {
			return netwatch.Follow(ctx, g.log.With("part", "network"), g.server.NetworkChanged)
		}},
		{"rooms", g.rooms.Run},
		{"hub", g.hub.Run},
		{"mdns", func(ctx context.Context) error { return g.dns.Run(ctx, fromMDNS{g.lan, g.clique}) }},
		{"clique", func(ctx context.Context) error { return g.clique.Run(ctx, g.rooms) }},
		{"linklocal", func(ctx context.Context) error { return g.lan.Run(ctx, g.watch) }},
	}
	if g.streams != nil {
		stages = append(stages, stage{"streams", g.runStreams})
	}
	return append(stages, stage{"status", g.status.Run}, stage{"watch", g.watch.Run})
}

func (c *config) serverConfig(password string) (xmppc2s.Config, error) {
	own, err := parseAddress(c.Account.JID)
	if err != nil {
		return xmppc2s.Config{}, fmt.Errorf("account.jid: %w", err)
	}
	cfg := xmppc2s.Config{
		JID:            own,
		Password:       password,
		DirectTLS:      c.Account.TLS == "direct",
		AllowPlainAuth: c.Account.AllowPlain,
		InsecureNoTLS:  c.Account.TLS == "none",
		CloseOnStop:    c.Account.OnStop == "logout",
		Version:        buildVersion(),
		AvatarCache:    filepath.Join(c.stateDir(), "avatars"),
		QueueLimit:     c.Outbox.Messages,
		QueueBytes:     c.Outbox.Messages * outboxBytes,
		MessageTTL:     c.Outbox.TTL,

		CatchUp:         c.CatchUp.Age,
		CatchUpMessages: c.CatchUp.Messages,
	}
	if c.Account.Server != "" {
		if cfg.Host, cfg.Port, err = parseServer(c.Account.Server); err != nil {
			return cfg, fmt.Errorf("account.server: %w", err)
		}
	}
	if cfg.RootCAs, err = c.rootCAs(); err != nil {
		return cfg, fmt.Errorf("account.ca_file: %w", err)
	}
	for _, p := range c.Account.Pins {
		pin, err := parsePin(p)
		if err != nil {
			return cfg, fmt.Errorf("account.pins: %w", err)
		}
		cfg.Pins = append(cfg.Pins, pin[:])
	}
	for _, ct := range c.Contacts {
		j, err := parseAddress(ct.JID)
		if err != nil {
			return cfg, fmt.Errorf("contacts: %w", err)
		}
		cfg.Contacts = append(cfg.Contacts, j)
	}
	return cfg, nil
}

func (c *config) hubConfig() (bridge.Config, error) {
	cfg := bridge.Config{
		Concierge: c.Concierge.Name,
		Avatar:    c.avatarPolicy(),
		WarnPlain: c.LAN.TLS.Warn,
		Peers:     c.Peers,
		Limits: bridge.Limits{
			PeerRate:    c.peerRate(),
			ContactRate: bridge.Rate{PerMinute: c.Limits.ContactPerMinute, Burst: c.Limits.ContactBurst},
			BodyBytes:   c.Limits.Body,
			Peers:       c.Limits.Peers,

			Conversations: maxTalks,
		},
		Timing: bridge.Timing{SentKept: c.Outbox.TTL + fateKept},
	}
	if c.Streams.Enabled {
		own, err := parseAddress(c.Account.JID)
		if err != nil {
			return cfg, fmt.Errorf("account.jid: %w", err)
		}
		cfg.Streams = own.Bare()
	}
	for _, ct := range c.Contacts {
		j, err := parseAddress(ct.JID)
		if err != nil {
			return cfg, fmt.Errorf("contacts: %w", err)
		}
		offline := bridge.Withdraw
		if ct.Offline == "show" {
			offline = bridge.ShowOffline
		}
		cfg.Contacts = append(cfg.Contacts, bridge.Contact{
			JID: j, User: ct.Name, Nick: ct.Nick, First: ct.First, Last: ct.Last, Email: ct.Email, Offline: offline,
			Publish: ct.Publish.over(c.LAN.Publish),
		})
	}
	for _, r := range c.PeerRules {
		rule := bridge.PeerRule{Peer: r.Peer}
		for _, s := range r.Contacts {
			j, err := jid.Parse(s)
			if err != nil {
				return cfg, fmt.Errorf("peer_contacts: %w", err)
			}
			rule.Contacts = append(rule.Contacts, j)
		}
		cfg.PeerContacts = append(cfg.PeerContacts, rule)
	}
	var err error
	if cfg.AvatarImage, err = c.avatarImage(); err != nil {
		return cfg, fmt.Errorf("account.avatar: %w", err)
	}
	return cfg, cfg.Validate()
}

func (c *config) peerRate() bridge.Rate {
	return bridge.Rate{PerMinute: c.Limits.PeerPerMinute, Burst: c.Limits.PeerBurst}
}

// hostLabel is the name under .local that our records point to. If the
// configuration names a machine it is that; the name of this computer itself
// belongs to its own mDNS responder, if there is one, and is left alone.
func (c *config) hostLabel() string {
	if c.LAN.Machine != "" {
		return c.LAN.Machine
	}
	return "meshgate-" + c.machine()
}

func (c *config) mdnsConfig(log *slog.Logger) mdns.ConnConfig {
	return mdns.ConnConfig{
		Interfaces: c.LAN.Interfaces,
		IPv6:       c.LAN.IPv6,
		Host:       c.hostLabel(),
		Yield:      true, // a mirror is called otherwise as well; libpurple knows no other name
		Browse:     []string{presenceType, clique.ServiceType},
		Limits:     mdns.Limits{Instances: c.Limits.Peers},
		Log:        log,
	}
}

func (c *config) lanConfig(log *slog.Logger) linklocal.Config {
	publish := c.LAN.Publish.keys()
	rename := linklocal.RenameDigit
	if c.LAN.Rename == "hyphen" {
		rename = linklocal.RenameHyphen
	}
	return linklocal.Config{
		Machine:  c.machine(),
		Rename:   rename,
		Node:     capsNode,
		Features: rewrite.LANFeatures(),
		Publish:  &publish,

		TLS: c.lanTLS(),

		IconCache: filepath.Join(c.stateDir(), "icons"),

		Discover: c.LAN.Discover,
		Idle:     c.LAN.Idle,
		MaxPeers: c.Limits.Peers,

		StanzaRate: float64(c.Limits.StreamStanzas),
		ByteRate:   float64(c.Limits.StreamBytes),

		Log: log,
	}
}
