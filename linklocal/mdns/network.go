package mdns

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"meshgate/internal/netwatch"
)

// An osNetwork is the real network; see also socket.go and the files of each
// system.
type osNetwork struct {
	names []string
	log   *slog.Logger
}

func (o osNetwork) candidates() (out []candidate, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	unfit, err := unfitAddrs()
	if err != nil {
		return nil, err
	}
	routed := o.defaultRoutes()
	for _, ifi := range all {
		const need = net.FlagUp | net.FlagMulticast
		named := slices.Contains(o.names, ifi.Name)
		if ifi.Flags&need != need || !named && (len(o.names) > 0 || ifi.Flags&net.FlagLoopback != 0) {
			continue
		}
		own, err := prefixes(&ifi, unfit)
		if err != nil {
			return nil, err
		}
		out = append(out, candidate{
			Link:    Link{Name: ifi.Name, Index: ifi.Index, Prefixes: own},
			running: ifi.Flags&net.FlagRunning != 0,
			tunnel:  ifi.Flags&net.FlagPointToPoint != 0,
			routed:  routed[ifi.Name],
		})
	}
	return out, nil
}

// defaultRoutes are the interfaces by which one gets beyond the LAN, where one
// has to be chosen: the office's, not the bridge of its containers.
func (o osNetwork) defaultRoutes() map[string]bool {
	routed := map[string]bool{}
	if len(o.names) > 0 {
		return routed
	}
	for _, r := range netwatch.DefaultRoutes() {
		if !r.IPv6 {
			routed[r.Interface] = true
		}
	}
	return routed
}

// watch listens to what the kernel says of interfaces and addresses. What it
// says is not looked at: candidates does that.
func (o osNetwork) watch(ctx context.Context, changed func()) {
	l, _ := netwatch.Listen() // in this thread, so first; else Keep will
	l.Keep(ctx, o.log, changed)
}

func (osNetwork) uptime() time.Duration { return netwatch.Uptime() }

// prefixes are the interface's addresses that we publish, in order.
func prefixes(ifi *net.Interface, unfit map[netip.Addr]bool) (out []netip.Prefix, err error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, _ := netip.AddrFromSlice(n.IP)
		if ones, _ := n.Mask.Size(); !unfit[ip.WithZone(ifi.Name)] {
			out = append(out, netip.PrefixFrom(ip.Unmap(), ones))
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return out[:min(len(out), maxOwnAddrs)], nil
}
