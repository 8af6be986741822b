package main

import (
	"context"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/dsps"
	"meshgate/linklocal"
)

// waitingResource is where people with accounts wait for invitations.
const waitingResource = "stream"

// serviceResource is that of a gateway's account, where its service is.
const serviceResource = "meshgate"

// A handle is what another command needs to go on with a stream, as one word:
// "gateway@example.org/meshgate,as=stream-7XQ2,at=gw.example.org:5290".
type handle struct {
	stream dsps.JID // the service's address for it
	// as is who may speak for it: the resource of our account, or our name on
	// the LAN. "": whoever the flags say.
	as string
	at string // where the service listens, as host:port; "": as the stream's address says
}

func (h handle) String() string {
	s := string(h.stream)
	if h.as != "" {
		s += ",as=" + h.as
	}
	if h.at != "" {
		s += ",at=" + h.at
	}
	return s
}

// parseHandle reads a handle, or the bare address of a stream.
func parseHandle(s string) (handle, error) {
	var h handle
	if i := strings.LastIndex(s, ",at="); i >= 0 {
		s, h.at = s[:i], s[i+len(",at="):]
	}
	if i := strings.LastIndex(s, ",as="); i >= 0 {
		s, h.as = s[:i], s[i+len(",as="):]
	}
	h.stream = dsps.JID(s)
	if h.stream.Bare() == "" {
		return h, fmt.Errorf("%q is no stream; write what create has printed", s)
	}
	return h, nil
}

// prepared is where a service listens that Prepared said nothing of.
func (h handle) prepared() (p dsps.Prepared, err error) {
	if h.at == "" {
		return p, nil
	}
	host, port, err := parseServer(h.at)
	p.Host, p.Port = host, int(port)
	return p, err
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

// parseService reads the address of a service. A gateway's is that of its
// account with a resource, which is hardly ever another.
func parseService(s string) (dsps.JID, error) {
	j, err := parseJID(s)
	if err == nil && j.Resource() == "" && strings.Contains(string(j), "@") {
		j += "/" + serviceResource
	}
	return j, err
}

// receivers is whom the arguments behind the first name, for somebody with an account.
func (o *streamOptions) receivers() (list []dsps.JID, err error) {
	own, err := parseAddress(o.account)
	if err != nil {
		return nil, err
	}
	for _, s := range o.args[1:] {
		if onLAN(s, own.Domain().String()) {
			list = append(list, dsps.JID(s))
			continue
		}
		j, err := parseAddress(s)
		if err != nil {
			return nil, err
		}
		list = append(list, waiting(dsps.JID(j.String())))
	}
	return list, nil
}

// onLAN reports whether a name is of the LAN: machines there have names of one
// label, domains have dots, or it is our own domain.
func onLAN(name, domain string) bool {
	machine := linklocal.Instance(name).Machine()
	return machine != "" && !strings.ContainsAny(machine, "./") && machine != domain
}

// waiting is where somebody with an account waits.
func waiting(j dsps.JID) dsps.JID {
	if j.Resource() == "" {
		j += "/" + waitingResource
	}
	return j
}

// receivers is whom the arguments behind the first name, on the network or on
// the LAN, where the gateway knows those with accounts by the names of their
// mirrors, on its machine, and by their addresses.
func (r *streamRun) receivers(ctx context.Context, s *streamSession, service dsps.JID) ([]dsps.JID, error) {
	if s.mesh == nil {
		return r.o.receivers()
	}
	here, err := s.mesh.Peers(ctx)
	if err != nil {
		return nil, err
	}
	present := map[string]bool{}
	for _, p := range here {
		present[p.Instance.Key()] = p.Presence.Node != capsNode
	}
	var list []dsps.JID
	for _, name := range r.o.args[1:] {
		j := dsps.JID(name)
		if i := linklocal.Instance(name); !present[i.Key()] && (!onLAN(name, "") || i.Machine() == service.Host()) {
			j = waiting(j)
		}
		list = append(list, j)
	}
	return list, nil
}

// samePerson compares addresses without their resources, as written by whoever.
func samePerson(a, b dsps.JID) bool {
	return strings.EqualFold(normal(a), normal(b))
}

// normal is an address without its resource as servers write it; names on a LAN
// stay as they are.
func normal(a dsps.JID) string {
	if j, err := jid.Parse(string(a)); err == nil {
		return j.Bare().String()
	}
	return string(a.Bare())
}
