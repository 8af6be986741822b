package linklocal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"meshgate/linklocal/mdns"
)

const (
	maxDials   = 64 // at once
	maxTargets = 8  // addresses of one peer that are tried
	// dialStagger is the time between the attempts at two addresses of a peer.
	// RFC 8305 §8: "Connection Attempt Delay", recommended value
	dialStagger = 250 * time.Millisecond
)

var errNoAddress = errors.New("no address that we could call")

// A target is where to call, and from which of our addresses.
//
// COMPAT libpurple 2.14 closes, before it reads, a connection from an address
// that is not in the caller's record: calls go out from what we publish.
type target struct {
	local  netip.Addr
	remote netip.AddrPort
}

// connect opens a TCP connection to a peer, where it is now. It may be called
// from any goroutine.
//
// "because local IP addresses can be dynamically re-assigned, the client
// SHOULD NOT store the IP address". XEP-0174 v0.9 (Multiple Network Interfaces)
func (l *loop) connect(ctx context.Context, peer Instance) (net.Conn, error) {
	select {
	case l.dials <- struct{}{}:
		defer func() { <-l.dials }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.DialTimeout)
	defer cancel()
	e, err := l.dns.Resolve(ctx, string(peer), serviceType)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	return raceDial(ctx, targetsOf(e, l.dns.Links()), dialTarget)
}

func dialTarget(ctx context.Context, t target) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.local, 0))}
	return d.DialContext(ctx, "tcp", t.remote.String())
}

// targetsOf is how to call an entry.
//
// "Clients MUST use the port discovered via SRV lookups and MUST ignore the
// value of this TXT field", port.p2pj. XEP-0174 v0.9 (TXT Records)
func targetsOf(e mdns.Entry, links []mdns.Link) []target {
	links = seenOn(links, e.Links)
	var v6, v4 []target
	for _, a := range e.Addrs {
		local, ok := sourceFor(a, links)
		if !ok || e.Port == 0 {
			continue
		}
		t := target{local, netip.AddrPortFrom(a.Unmap(), e.Port)}
		if a.Unmap().Is4() {
			v4 = append(v4, t)
		} else {
			v6 = append(v6, t)
		}
	}
	all := ipv4First(v4, v6)
	return all[:min(len(all), maxTargets)]
}

// seenOn leaves the links where a peer is seen.
func seenOn(links []mdns.Link, names []string) (out []mdns.Link) {
	for _, l := range links {
		if slices.Contains(names, l.Name) {
			out = append(out, l)
		}
	}
	return out
}

// sourceFor is which of our addresses to call from: the one on the same
// network. A peer may publish whatever it likes: what is no address on a link
// of ours is not called, so that nobody makes us call others far away.
func sourceFor(to netip.Addr, links []mdns.Link) (netip.Addr, bool) {
	to = to.Unmap()
	if !to.IsValid() || to.IsMulticast() || to.IsUnspecified() {
		return netip.Addr{}, false
	}
	zoned := to.Is6() && to.IsLinkLocalUnicast()
	for _, l := range links {
		if zoned && to.Zone() != l.Name {
			continue
		}
		for _, p := range l.Prefixes {
			switch {
			case !p.Contains(to.WithZone("")):
			case zoned:
				return p.Addr().WithZone(l.Name), true // a socket cannot be bound to it without
			default:
				return p.Addr(), true
			}
		}
	}
	return netip.Addr{}, false
}

// ownAddrs are our addresses on all links. It may be called from any goroutine.
func (s *Service) ownAddrs() (own []netip.Addr) {
	for _, l := range s.dns.Links() {
		own = append(own, l.Addrs()...)
	}
	return own
}

// raceDial tries the targets, each a moment after the one before or when that
// has failed, and returns the first connection. The others are closed.
func raceDial(ctx context.Context, targets []target, dial func(context.Context, target) (net.Conn, error)) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan result, len(targets))
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		close(results)
		for r := range results { // too late
			if r.err == nil {
				r.conn.Close()
			}
		}
	}()
	stagger := time.NewTicker(dialStagger)
	defer stagger.Stop()
	err := error(errNoAddress)
	for next, running := 0, 0; next < len(targets) || running > 0; {
		if next < len(targets) {
			t := targets[next]
			wg.Go(func() {
				conn, err := dial(ctx, t)
				results <- result{conn, err}
			})
			next, running = next+1, running+1
			stagger.Reset(dialStagger)
		}
		for wait := true; wait; {
			select {
			case <-stagger.C:
				wait = next >= len(targets)
			case r := <-results:
				if r.err == nil {
					return r.conn, nil
				}
				err = r.err
				running--
				wait = next >= len(targets) && running > 0
			}
		}
	}
	return nil, err
}
