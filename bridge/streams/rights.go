package streams

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"meshgate/bridge/dsps"
	"meshgate/bridge/internal/bounds"
	"meshgate/linklocal"
)

// rights is the service's policy.
func (p *people) rights(cfg Config) dsps.Policy {
	create := make([]string, len(cfg.Create))
	for i, pattern := range cfg.Create {
		create[i] = linklocal.Instance(pattern).Key()
	}
	mayCreate := func(client dsps.JID) bool {
		name := linklocal.Instance(client.Bare()).Key()
		if peer, ok := p.peer(client); ok {
			name = peer.Key()
		}
		return p.known(client) && (len(create) == 0 ||
			slices.ContainsFunc(create, func(pattern string) bool { return bounds.Matches(pattern, name) }))
	}
	return dsps.Policy{
		MayCreate: mayCreate,
		MayInvite: p.connected,
		MayJoin:   p.known,
		MayRelay: func(client dsps.JID, d dsps.Dest) bool {
			return mayCreate(client) && slices.Contains(cfg.Relays, destination(d))
		},
	}
}

// destination is where the service connects to for a relay, as in Config.Relays.
func destination(d dsps.Dest) string {
	host, port := d.Host, d.Port
	if host == "" {
		host = d.JID.Host()
	}
	if port == 0 {
		port = dsps.DefaultPort
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.Itoa(port))
}
