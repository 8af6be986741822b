package linklocal

import (
	"context"
	"net"
	"time"

	"github.com/grandcat/zeroconf"

	"meshgate/linklocal/mdns"
)

const (
	discoverRetry = 10 * time.Second
	// discoverRound bounds the client's memory of names: it forgets none.
	discoverRound = 15 * time.Minute
)

// discover runs the active discovery client until ctx ends: it asks for
// presence records now and every minute at the latest. All that it finds is
// names; the mDNS monitor finds out the rest and owns the truth.
//
// "In order to discover other users, a client sends an mDNS request for PTR
// records". XEP-0174 v0.9 (Discovering Other Users)
func (l *loop) discover(ctx context.Context) {
	for ctx.Err() == nil {
		if ifi, ok := l.dns.Interface(); ok {
			if err := l.browse(ctx, ifi); err != nil {
				l.log.Debug("discovery client failed, trying again", "interface", ifi.Name, "err", err)
			}
		}
		select {
		case <-time.After(discoverRetry):
		case <-ctx.Done():
		}
	}
}

// browse runs one round of discovery.
func (l *loop) browse(ctx context.Context, ifi net.Interface) error {
	r, err := zeroconf.NewResolver(zeroconf.SelectIfaces([]net.Interface{ifi}), zeroconf.SelectIPTraffic(zeroconf.IPv4))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, discoverRound)
	defer cancel()
	entries := make(chan *zeroconf.ServiceEntry, 16)
	// The client closes the channel when ctx ends or Browse fails, and waits
	// for ever on one that nobody reads.
	err = r.Browse(ctx, serviceType, "local", entries)
	for e := range entries {
		if i := Instance(mdns.UnescapeLabel(e.Instance)); validName(i) {
			l.dns.Learn(string(i), serviceType)
		}
	}
	return err
}
