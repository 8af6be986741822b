package xmppc2s

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

const (
	// maxRedirects bounds how often an attempt is sent on by <see-other-host/>.
	maxRedirects = 3
	// maxRedirectLen is the longest place, in bytes: a domain name and a port.
	maxRedirectLen = 255 + len(":65535")
)

var (
	errPlace      = errors.New("that is not a place on the net")
	errInward     = errors.New("that is for this machine or this network only")
	errRedirects  = errors.New("it was sent on too often")
	errUnverified = errors.New("without TLS nobody knows who is there")
)

// parsePlace reads what <see-other-host/> says: "the alternate FQDN or IP
// address …, which MUST be a valid domainpart or a domainpart plus port number",
// an IPv6 address in brackets. RFC 6120 §4.9.3.19. port is empty if there is none.
func parsePlace(s string) (host, port string, err error) {
	if len(s) > maxRedirectLen || s == "" || strings.ContainsAny(s, " \t\r\n/@%") {
		return "", "", errPlace
	}
	host = s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", "", errPlace
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		if ip, err := netip.ParseAddr(inner); err != nil || !closed || !ip.Is6() {
			return "", "", errPlace
		}
		return inner, port, nil
	}
	if ascii, err := idna.Lookup.ToASCII(host); err == nil && ascii != "" && !strings.Contains(host, ":") {
		return ascii, port, nil
	}
	return "", "", errPlace
}

// inward reports whether an address leads nowhere but into our own network,
// where a server that is elsewhere has no business to send us.
func inward(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsLinkLocalUnicast()
}

// astray reports whether a server that is inside or not must not send us to a
// host.
func astray(host string, inside bool) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsUnspecified() || ip.IsMulticast() || inward(ip) && !inside)
}

// follow is where to go on after from has sent us on. Who is there has to show
// the same certificate as anybody else: "MUST verify the identity of the new
// host using the same reference identifier(s)". RFC 6120 §4.9.3.19
func (c *connector) follow(ctx context.Context, from target, place string) ([]target, error) {
	host, port, err := parsePlace(place)
	switch {
	case err != nil:
		return nil, err
	case c.cfg.InsecureNoTLS:
		return nil, errUnverified
	}
	if astray(host, from.inward()) {
		return nil, errInward
	}
	_, err = netip.ParseAddr(host)
	isIP := err == nil
	if port != "" || isIP {
		if port == "" {
			port = strconv.Itoa(int(defaultPort(from.directTLS)))
		}
		return []target{{addr: net.JoinHostPort(host, port), directTLS: from.directTLS, hinted: true}}, nil
	}
	list, err := lookup(ctx, c.dns, host)
	for i := range list {
		list[i].hinted = true
	}
	return list, err
}

func (t target) inward() bool {
	ap, err := netip.ParseAddrPort(t.addr)
	return err == nil && inward(ap.Addr())
}

// A redirection is an error that has sent us on, and the place that said so.
type redirection struct {
	from target
	err  *Error
}

// A course is where an attempt goes: the places to be tried, and those that
// were.
type course struct {
	ahead  []target
	been   []target
	redirs int
}

// next is the next place where the attempt has not been.
func (r *course) next() (t target, ok bool) {
	for len(r.ahead) > 0 && len(r.been) < maxTargets {
		t, r.ahead = r.ahead[0], r.ahead[1:]
		same := func(o target) bool { return o.addr == t.addr && o.directTLS == t.directTLS }
		if !slices.ContainsFunc(r.been, same) {
			r.been = append(r.been, t)
			return t, true
		}
	}
	return t, false
}

// redirect has the course go on to where err sends it, if it does.
func (c *connector) redirect(ctx context.Context, r *course, from target, err *Error) *Error {
	if err.elsewhere == "" {
		return err
	}
	var to []target
	why := errRedirects
	if r.redirs < maxRedirects {
		to, why = c.follow(ctx, from, err.elsewhere)
	}
	if why != nil {
		return &Error{Problem: err.Problem, Condition: err.Condition, rule: err.rule, Err: why,
			Text: fmt.Sprintf("%s, which is not followed: %v", err.Text, why)}
	}
	r.redirs++
	r.ahead = slices.Concat(to, r.ahead)
	return err
}
