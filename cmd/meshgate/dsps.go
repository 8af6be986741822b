package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"meshgate/bridge"
	"meshgate/bridge/dsps"
	"meshgate/bridge/streams"
	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
	"meshgate/xmppc2s"
)

// streamsCertificateFile is in state_dir.
const streamsCertificateFile = "streams-tls.pem"

func (c *config) checkStreams() {
	s := c.Streams
	if s.Enabled && s.Host == "" && !c.faulty("streams.host") {
		c.wrong("streams.host", "is missing; write the name or the address by which contacts reach this machine, as in gw.example.org")
	}
	c.checkHost("streams.host", s.Host)
	c.checkHost("streams.lan_host", s.LANHost)
	if s.Listen != "" && !isAddr(s.Listen) {
		c.wrong("streams.listen", "%q is no address of this machine, as in 192.0.2.1; leave it out to listen on all of them", s.Listen)
	}
	for i, p := range s.Create {
		c.checkPattern(fmt.Sprintf("streams.create[%d]", i), p)
	}
	for i, r := range s.Relays {
		if _, err := relayHost(r); err != nil {
			c.wrong(fmt.Sprintf("streams.relays[%d]", i), "%v", err)
		}
	}
	c.checkCertificate("streams", s.CertificateFile, s.KeyFile, func(path, format string, args ...any) {
		c.lame(c.line(path), path, format, args...) // it may be there later
	})
}

// checkHost checks a host that others are told, without a port.
func (c *config) checkHost(path, s string) {
	if s == "" {
		return
	}
	if _, port, err := parseServer(s); err != nil {
		c.wrong(path, "%v", err)
	} else if port != 0 {
		c.wrong(path, "%q has a port; that is streams.port", s)
	}
}

// relayHost is where another service is, with its port.
func relayHost(s string) (string, error) {
	host, port, err := parseServer(s)
	if err != nil {
		return "", err
	}
	if port == 0 {
		port = dsps.DefaultPort
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.Itoa(int(port))), nil
}

// streamsConfig is that of the data stream proxy service, for a hub like this.
func (c *config) streamsConfig(hub bridge.Config) (streams.Config, error) {
	s := c.Streams
	if !s.Enabled {
		return streams.Config{}, nil
	}
	cfg := streams.Config{
		Server: dsps.ServerConfig{
			Engine: dsps.Config{
				Port: s.Port, Limits: dsps.Limits{Streams: s.MaxStreams, Peers: s.MaxPeers}, Drain: s.Drain, PublicFloor: publicFloor(s.PublicRate),
			},
			Listen: net.JoinHostPort(s.Listen, strconv.Itoa(s.Port)), StreamRate: s.StreamRate, Rate: s.Rate,
		},
		Policy: hub.Policy(), Create: s.Create, Host: s.Host, LANHost: s.LANHost, Sessions: s.Sessions,
	}
	for _, r := range s.Relays {
		host, err := relayHost(r)
		if err != nil {
			return cfg, fmt.Errorf("streams.relays: %w", err)
		}
		cfg.Relays = append(cfg.Relays, host)
	}
	for _, ct := range hub.Contacts {
		cfg.Contacts = append(cfg.Contacts, streams.Contact{JID: ct.JID, Mirror: linklocal.PresenceName(ct.User, c.machine())})
	}
	return cfg, nil
}

// publicFloor is streams.public_bytes_per_second, where 0 is nothing.
func publicFloor(bytes int) dsps.Rate {
	if bytes == 0 {
		return -1
	}
	return dsps.Rate(bytes)
}

// buildStreams makes the service; nil if there is to be none. tell is told how it is.
func (c *config) buildStreams(hub bridge.Config, lasting bool, log *slog.Logger, links func() []mdns.Link, tell func(error)) (*streams.Service, error) {
	if !c.Streams.Enabled {
		return nil, nil
	}
	cfg, err := c.streamsConfig(hub)
	if err != nil {
		return nil, err
	}
	var cert tls.Certificate // read when the service starts, which is tried again if it cannot be
	cfg.Prepare = func() error {
		read, err := c.readCertificate(c.Streams.CertificateFile, c.Streams.KeyFile)
		if err != nil {
			return fmt.Errorf("streams.certificate_file: %w", err)
		}
		cert, err = c.orSelfSigned(read, streamsCertificateFile, lasting, log)
		return err
	}
	cfg.Server.TLS = &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }, MinVersion: tls.VersionTLS12,
	}
	cfg.FindLANHost, cfg.Tell, cfg.Log = func() string { return lanHost(links()) }, tell, log
	return streams.New(cfg), nil
}

// lanHost is the address by which peers reach us: the first one of IPv4, or else
// of IPv6; of several links the first. "" is none.
func lanHost(links []mdns.Link) string {
	host := ""
	for _, l := range links {
		for _, p := range l.Prefixes {
			switch a := p.Addr().Unmap(); {
			case a.Is4():
				return a.String()
			case host == "" && !a.IsLinkLocalUnicast(): // that has a zone, which is the peer's own
				host = a.String()
			}
		}
	}
	return host
}

// runStreams serves until ctx ends.
func (g *gateway) runStreams(ctx context.Context) error {
	return g.streams.Run(ctx, streams.Parts{LAN: g.lan, Server: g.server, Login: g.loginAgain})
}

// furtherLogins gives the service further sessions of the account.
func furtherLogins(account xmppc2s.Config) func(context.Context, string) (streams.Session, error) {
	return func(ctx context.Context, resource string) (streams.Session, error) {
		cfg := account
		var err error
		if cfg.JID, err = account.JID.WithResource(resource); err != nil {
			return nil, err
		}
		e, err := xmppc2s.Login(ctx, cfg)
		if err != nil {
			return nil, err // not a Session that is nil
		}
		return e, nil
	}
}

// streamState is what the status line says of streams.
func streamState(err error) string {
	if err == nil {
		return "streams: served"
	}
	return "streams: none, " + trimWords(err)
}
