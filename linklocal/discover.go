package linklocal

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/grandcat/zeroconf"

	"meshgate/linklocal/mdns"
)

const (
	discoverRetry = 10 * time.Second
	// discoverRound bounds the client's memory of names: it forgets none.
	discoverRound = 15 * time.Minute
	// discoverPoll is how often the links are compared with those of the round.
	discoverPoll = 2 * time.Second
)

// discover runs the active discovery client until ctx ends: it asks for
// presence records now and every minute at the latest, on all links; when they
// change it begins anew. All that it finds is names; the mDNS monitor finds
// out the rest and owns the truth.
//
// "In order to discover other users, a client sends an mDNS request for PTR
// records". XEP-0174 v0.9 (Discovering Other Users)
func (l *loop) discover(ctx context.Context) {
	poll := time.NewTicker(discoverPoll)
	defer poll.Stop()
	var failed terrain
	for ctx.Err() == nil {
		wait := discoverPoll
		where := whereToBrowse(l.dns.Links())
		try := where
		if where.same(failed) && where.by&zeroconf.IPv4 != 0 {
			try.by = zeroconf.IPv4 // the client loses a socket each time that IPv6 alone fails
		}
		if len(where.ifaces) > 0 {
			if err := l.browse(ctx, try, where, poll.C); err != nil {
				l.log.Debug("discovery client failed, trying again", "interfaces", where.names(), "err", err)
				wait, failed = discoverRetry, where
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// A terrain is where the discovery client works.
type terrain struct {
	ifaces []net.Interface // by name and number only
	by     zeroconf.IPType
}

// whereToBrowse is the links as the discovery client wants them said.
func whereToBrowse(links []mdns.Link) (w terrain) {
	for _, l := range links {
		w.ifaces = append(w.ifaces, net.Interface{Index: l.Index, Name: l.Name})
		for _, p := range l.Prefixes {
			if p.Addr().Is4() {
				w.by |= zeroconf.IPv4
			} else {
				w.by |= zeroconf.IPv6
			}
		}
	}
	return w
}

func (w terrain) names() (out []string) {
	for _, ifi := range w.ifaces {
		out = append(out, ifi.Name)
	}
	return out
}

func (w terrain) same(o terrain) bool {
	same := func(a, b net.Interface) bool { return a.Index == b.Index && a.Name == b.Name }
	return w.by == o.by && slices.EqualFunc(w.ifaces, o.ifaces, same)
}

// browse runs one round of discovery, until the links are others.
func (l *loop) browse(ctx context.Context, try, where terrain, poll <-chan time.Time) error {
	r, err := zeroconf.NewResolver(zeroconf.SelectIfaces(try.ifaces), zeroconf.SelectIPTraffic(try.by))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, discoverRound)
	defer cancel()
	entries := make(chan *zeroconf.ServiceEntry, 16)
	// The client closes the channel when ctx ends or Browse fails, and waits
	// for ever on one that nobody reads.
	err = r.Browse(ctx, serviceType, "local", entries)
	for {
		select {
		case e, ok := <-entries:
			if !ok {
				return err
			}
			if i := Instance(mdns.UnescapeLabel(e.Instance)); validName(i) {
				l.dns.Learn(string(i), serviceType)
			}
		case <-poll:
			if !whereToBrowse(l.dns.Links()).same(where) {
				cancel()
			}
		}
	}
}
