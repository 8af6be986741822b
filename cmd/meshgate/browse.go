package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"meshgate/bridge/status"
	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
)

// browseEvery is how often what has been heard is compared with what is shown.
const browseEvery = 250 * time.Millisecond

var errNoLink = errors.New("no network interface can be used; meshgate doctor says why")

func browseCommand(args []string, p process) int {
	o, code, done := parse("browse", args, p)
	if done {
		return code
	}
	ctx, stop := p.untilSignal()
	defer stop()
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: spell}))
	limit := defaults().Limits.Peers
	dns := mdns.New(mdns.ConnConfig{
		Interfaces: o.interfaces, IPv6: true, Quiet: true, Browse: []string{presenceType},
		Limits: mdns.Limits{Instances: limit}, Log: log,
	})
	b := &browser{watch: linklocal.NewWatch(limit), wait: o.wait, links: func() bool { return len(dns.Links()) > 0 }}
	var wg sync.WaitGroup
	defer wg.Wait()
	dnsCtx, stopDNS := context.WithCancel(ctx)
	defer stopDNS()
	wg.Go(func() { _ = dns.Run(dnsCtx, b.watch) }) // without a link it waits for one
	if err := o.show(ctx, b, p); err != nil && ctx.Err() == nil {
		fmt.Fprintf(p.stderr, "meshgate browse: %s\n", strings.TrimPrefix(err.Error(), "linklocal: "))
		return exitFailed
	}
	return exitOK
}

// A browser is a peerSource that listens for itself.
type browser struct {
	watch *linklocal.Watch
	wait  time.Duration // how long to listen for a list
	links func() bool   // there is an interface in use
}

// Peers listens for a while and says who was heard.
func (b *browser) Peers(ctx context.Context) ([]status.Peer, error) {
	select {
	case <-time.After(b.wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !b.links() {
		return nil, errNoLink
	}
	return b.heard(ctx)
}

func (b *browser) heard(ctx context.Context) ([]status.Peer, error) {
	list, err := b.watch.Peers(ctx)
	return peersOf(list), err
}

// Follow tells of those who are heard as they come.
func (b *browser) Follow(ctx context.Context, f func([]status.Change)) error {
	known := status.Roster{}
	tick := time.NewTicker(browseEvery)
	defer tick.Stop()
	for {
		list, err := b.heard(ctx)
		if err != nil {
			return err
		}
		if changes := known.Update(list); len(changes) > 0 {
			f(changes)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
