package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"meshgate/internal/e2e"
)

const (
	waitingLimit = 100_000
	waitingCount = waitingLimit - 100 // what the gateway itself has to say waits, too
	acceptRate   = 1000               // a second
	acceptCount  = 5 * acceptRate
)

// measureWaiting prints how long a message of a peer's takes to the disk, at
// acceptRate, and what memory a long queue costs while the server is away.
func measureWaiting(ctx context.Context, tb e2e.TB, out sheet) {
	t := openTalkWith(ctx, tb, e2e.GatewayOptions{Verbose: true}, map[string]any{"outbox.messages": waitingLimit})
	g := t.o.Gateway
	idle := g.Usage()
	t.o.Server.Stop()
	g.AwaitLog("offline")

	sent := make([]time.Time, waitingCount)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for n := range waitingCount {
		for n < acceptCount && time.Since(begin) < time.Duration(n)*time.Second/acceptRate {
			select {
			case <-tick.C:
			case <-ctx.Done():
				tb.Fatalf("bench: %v", ctx.Err())
			}
		}
		sent[n] = time.Now()
		if err := t.peer.send(n); err != nil {
			tb.Fatalf("bench: %v", err)
		}
	}
	took := awaitKept(ctx, tb, g, sent)
	out.figure("accept_p50", ms(quantile(took[:acceptCount], 0.5)), "ms")
	out.figure("accept_p99", ms(quantile(took[:acceptCount], 0.99)), "ms")
	out.figure("accept_rate", waitingCount/time.Since(begin).Seconds(), "msg/s")
	full := g.Usage()
	out.figure("waiting_rss_over_idle", float64(full.RSS-idle.RSS)/(1<<20), "MiB")
	out.figure("waiting_anon_over_idle", float64(full.Anon-idle.Anon)/(1<<20), "MiB")
}

// awaitKept waits until all messages are on the disk, and returns how long each
// has taken.
func awaitKept(ctx context.Context, tb e2e.TB, g *e2e.Gateway, sent []time.Time) []time.Duration {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		list := keepings(tb, g)
		took := make([]time.Duration, 0, len(sent))
		for _, k := range list {
			for len(took) < min(k.waiting, len(sent)) {
				took = append(took, k.at.Sub(sent[len(took)]))
			}
		}
		if len(took) == len(sent) {
			return slices.Clip(took)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("bench: %d of %d messages are on the disk: %v", len(took), len(sent), ctx.Err())
		}
	}
}

// A keeping says that so many messages were on the disk at that moment.
type keeping struct {
	at      time.Time
	waiting int
}

// keepings are what the gateway's log says of that, in order.
func keepings(tb e2e.TB, g *e2e.Gateway) (list []keeping) {
	for _, line := range g.Lines() {
		if !strings.Contains(line, `"msg":"kept"`) {
			continue
		}
		var record struct {
			Time    string
			Waiting int
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			tb.Fatalf("bench: %v", err)
		}
		list = append(list, keeping{logTime(tb, record.Time), record.Waiting})
	}
	return list
}
