package xmppc2s

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// A target is one place where the server may be.
type target struct {
	addr      string // host:port
	directTLS bool
	hinted    bool // by the server, for a resumption
}

// resolver is the part of net.Resolver that finds servers.
type resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// maxTargets bounds how many servers are tried in one attempt.
const maxTargets = 16

// targets lists where to connect, in order. hint is where the server wants to
// be reached for a resumption (XEP-0198 §5), or empty.
func targets(ctx context.Context, cfg *Config, r resolver, hint string) ([]target, error) {
	if cfg.Host != "" {
		addr := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
		return []target{{addr: addr, directTLS: cfg.DirectTLS}}, nil
	}
	domain, err := asciiDomain(cfg)
	if err != nil {
		return nil, err
	}
	list, err := lookup(ctx, r, domain)
	if err != nil {
		return nil, err
	}
	list = slices.Concat(hinted(cfg, hint, list), list)
	return list[:min(len(list), maxTargets)], nil
}

// lookup asks for both kinds of records. RFC 6120 §3.2.1; XEP-0368 §3: a
// client mixes them by priority and weight as if they were of one kind.
func lookup(ctx context.Context, r resolver, domain string) ([]target, error) {
	var records []srvRecord
	none := false
	var failure error
	for _, service := range []string{"xmpps-client", "xmpp-client"} {
		_, found, err := r.LookupSRV(ctx, service, "tcp", domain)
		if err != nil && len(found) == 0 {
			if e, ok := errors.AsType[*net.DNSError](err); !ok || !e.IsNotFound {
				failure = fmt.Errorf("look up %s: %w", domain, err)
			}
		}
		for _, srv := range found {
			if srv.Target == "." || srv.Target == "" { // the service is not there at all: RFC 2782
				none = none || service == "xmpp-client" // without direct TLS there may still be the other kind
				continue
			}
			records = append(records, srvRecord{*srv, service == "xmpps-client"})
		}
	}
	if len(records) == 0 && failure != nil { // nothing known is not the same as known to be nothing
		return nil, failure
	}
	if len(records) == 0 && none {
		return nil, &Error{Problem: NotServed, Text: fmt.Sprintf("DNS says that %s has no XMPP service", domain)}
	}
	if len(records) == 0 {
		return []target{{addr: net.JoinHostPort(domain, "5222")}}, nil
	}
	return order(records, rand.IntN), nil
}

type srvRecord struct {
	net.SRV
	directTLS bool
}

// order sorts by priority and, within one, draws by weight (RFC 2782).
func order(records []srvRecord, intn func(int) int) []target {
	slices.SortStableFunc(records, func(a, b srvRecord) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight))
	})
	var out []target
	for len(records) > 0 {
		n := 1
		for n < len(records) && records[n].Priority == records[0].Priority {
			n++
		}
		i := draw(records[:n], intn)
		host := strings.TrimSuffix(records[i].Target, ".")
		out = append(out, target{addr: net.JoinHostPort(host, strconv.Itoa(int(records[i].Port))), directTLS: records[i].directTLS})
		records = slices.Delete(records, i, i+1)
	}
	return out
}

// draw picks one of records of the same priority, those of weight 0 first in
// the list and last in chance.
func draw(records []srvRecord, intn func(int) int) int {
	sum := 0
	for _, r := range records {
		sum += int(r.Weight)
	}
	x := intn(sum + 1)
	for i, r := range records {
		if x -= int(r.Weight); x <= 0 {
			return i
		}
	}
	return len(records) - 1
}

// hinted is where the location attribute of <enabled/> leads: an IP address or
// domain name, optionally with a port (XEP-0198 §5). No more is followed than
// from <see-other-host/>. known is where the server is otherwise.
func hinted(cfg *Config, hint string, known []target) []target {
	if ip, err := netip.ParseAddr(hint); err == nil && ip.Is6() {
		hint = "[" + hint + "]"
	}
	host, port, err := parsePlace(hint)
	if err != nil || cfg.InsecureNoTLS || astray(host, slices.ContainsFunc(known, target.inward)) {
		return nil
	}
	return []target{{addr: net.JoinHostPort(host, cmp.Or(port, "5222")), hinted: true}}
}

// asciiDomain is the domain as DNS and certificates write it.
func asciiDomain(cfg *Config) (string, error) {
	d := cfg.JID.Domain().String()
	if ip := strings.Trim(d, "[]"); net.ParseIP(ip) != nil {
		return ip, nil
	}
	ascii, err := idna.Lookup.ToASCII(d)
	if err != nil {
		return "", &Error{Problem: NotServed, Text: fmt.Sprintf("%s is no domain name", d), Err: err}
	}
	return ascii, nil
}
