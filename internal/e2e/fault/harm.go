package main

import (
	"context"
	"slices"
	"time"
)

// tellEvery is how often a long run says how far it is.
const tellEvery = 30 * time.Second

// A harm is something that happens to the office at some moment.
type harm func(ctx context.Context)

// harm does everything that the plan has, in random order and spread over the
// time in which messages come.
func (r *run) harm(ctx context.Context) {
	harms := r.harms()
	r.rng.Shuffle(len(harms), func(i, j int) { harms[i], harms[j] = harms[j], harms[i] })
	total, told := 2*r.messages, time.Now()
	for i, h := range harms {
		r.awaitProgress(ctx, total*(i+1)/(len(harms)+2))
		pause(ctx, time.Duration(r.rng.Int64N(int64(again))))
		if ctx.Err() != nil {
			return
		}
		h(ctx)
		if now := time.Now(); now.Sub(told) > tellEvery {
			told = now
			r.tb.Logf("fault: %d of %d messages, %d of %d times harmed", r.past(), total, i+1, len(harms))
		}
	}
}

func (r *run) harms() []harm {
	var harms []harm
	for i := range r.count {
		c := r.cuts[i%len(r.cuts)]
		harms = append(harms, func(ctx context.Context) {
			r.note("%s", c)
			c.harm(ctx, r.proxy, r.rng)
		})
	}
	for i := range r.kills {
		harms = append(harms, func(ctx context.Context) { r.killGateway(ctx, i%2 == 0) })
	}
	for range r.restarts {
		harms = append(harms, func(ctx context.Context) { r.restartServer(ctx, r.o.Server.Stop) })
	}
	for range r.crashes {
		harms = append(harms, func(ctx context.Context) { r.restartServer(ctx, func() int { r.o.Server.Kill(); return 0 }) })
	}
	for range r.lanCuts {
		harms = append(harms, r.cutLAN)
	}
	return slices.Clip(harms)
}

// awaitProgress waits until so many messages have come, or none come any more.
func (r *run) awaitProgress(ctx context.Context, n int) {
	for have, since := 0, time.Now(); ctx.Err() == nil; pause(ctx, again/5) {
		now := r.past()
		if now >= n {
			return
		}
		if now > have {
			have, since = now, time.Now()
		}
		if time.Since(since) > progress {
			r.note("nothing comes any more, at %d of %d messages", now, n)
			for _, w := range append(r.ups(), r.downs()...) {
				w.letGo()
			}
			return
		}
	}
}

// killGateway ends the gateway at once and starts it again. A quiet kill comes
// when the peers have said nothing for a moment: not one message may be lost.
// At any other what the dying process had only just got is (see handsFull).
func (r *run) killGateway(ctx context.Context, quiet bool) {
	r.note("kill -9 of the gateway, quiet: %t", quiet)
	if quiet {
		for _, e := range r.lan {
			e.hush()
		}
		pause(ctx, settle)
	}
	at := time.Now()
	killed := func() {
		for _, e := range r.lan {
			if !quiet {
				e.killed(at)
			}
		}
	}
	killed()
	r.o.Gateway.Kill()
	killed() // a stream may have been opened meanwhile
	for _, e := range r.lan {
		if !r.room { // in a room nothing may be lost, and who is away for long is given up: the next harm waits
			e.says().letGo()
		}
	}
	if quiet {
		for _, e := range r.lan {
			e.readOut(ctx)
			e.speak()
		}
	}
	r.o.Gateway.Start()
	r.gateways = append(r.gateways, r.o.Gateway.Proc)
}

// restartServer ends the server and starts it again. The contacts' clients
// have no XEP-0198: what they have said is with the server before it ends.
func (r *run) restartServer(ctx context.Context, end func() int) {
	for _, e := range r.net {
		if err := e.hold(ctx); err != nil {
			r.tb.Errorf("fault: %s: %v", e.user, err)
		}
	}
	r.note("the server ends")
	end()
	for _, e := range r.net {
		<-e.current().Ended()
	}
	r.o.Server.Start()
	r.servers = append(r.servers, r.o.Server.Proc)
	r.note("the server is up again")
	for _, e := range r.net {
		if err := e.login(ctx); err != nil {
			r.tb.Fatalf("fault: %v", err)
		}
		e.out.letGo()
		e.gate.open()
	}
}

// sessions reads in the gateway's logs how often a session has begun anew,
// beside the first, and how often one was resumed.
func (r *run) sessions() (lost, resumed int) {
	fresh := 0
	for _, g := range r.gateways {
		for _, rec := range logged(g) {
			switch {
			case rec.Msg != "online":
			case rec.Resumed:
				resumed++
			default:
				fresh++
			}
		}
	}
	return fresh - 1, resumed
}
