package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// There are more ways here than elsewhere, so less of each is measured.
const (
	durableRounds = 3
	durableBurst  = 3000
)

// noPlace is where no state can be kept: then it is in memory.
const noPlace = "/proc/meshgate"

// measureOnAndOff prints latency and throughput of an office whose gateway keeps
// its state on the disk, beside one whose gateway does not, and beside a client
// of ours that talks to the other side directly, with XEP-0198 and no journal.
func measureOnAndOff(ctx context.Context, tb e2e.TB, out sheet) {
	on, off := openTalk(ctx, tb, nil), openTalk(ctx, tb, map[string]any{"state_dir": noPlace})
	managed := newManaged(ctx, tb, on)
	ways := []way{
		{"direct", on.dave, on.alice},
		{"direct_sm", managed, on.alice},
		{"on_lan_to_net", on.peer, on.alice},
		{"off_lan_to_net", off.peer, off.alice},
		{"on_net_to_lan", on.alice, on.peer},
		{"off_net_to_lan", off.alice, off.peer},
	}
	times, rates := map[string][]time.Duration{}, map[string][]float64{}
	for range durableRounds {
		for _, w := range ways {
			times[w.name] = append(times[w.name], must(latency(ctx, w.from, w.to, latencyCount, latencyRate))(tb)...)
		}
		for _, w := range ways {
			rates[w.name] = append(rates[w.name], must(rate(ctx, w.from, w.to, durableBurst))(tb))
		}
	}
	direct, directSM := quantile(times["direct"], 0.5), median(rates["direct_sm"])
	out.figure("durable_rate_direct_sm", directSM, "msg/s")
	for _, dir := range []string{"lan_to_net", "net_to_lan"} {
		added := quantile(times["on_"+dir], 0.5) - direct
		out.figure("durable_added_"+dir+"_p50", ms(added), "ms")
		out.figure("durable_added_"+dir+"_p50_over_direct", float64(added)/float64(direct), "ratio")
		with, without := median(rates["on_"+dir]), median(rates["off_"+dir])
		out.figure("durable_rate_on_"+dir, with, "msg/s")
		out.figure("durable_rate_off_"+dir, without, "msg/s")
		out.figure("durable_rate_on_over_off_"+dir, with/without, "ratio")
		out.figure("durable_rate_on_over_direct_sm_"+dir, with/directSM, "ratio")
	}
}

// A managed client writes to alice directly, with stream management.
type managed struct {
	*xmppc2s.Client
	to     string
	online chan struct{}
}

func newManaged(ctx context.Context, tb e2e.TB, t *talk) *managed {
	door := entrance(ctx, tb, t.o)
	m := &managed{to: t.o.Server.JID("alice"), online: make(chan struct{}, 1)}
	m.Client = xmppc2s.New(xmppc2s.Config{
		JID: jid.MustParse(t.o.Server.JID("dave")), Password: e2e.UserPassword,
		Host: door.Addr().String(), Port: door.Port(), RootCAs: must(ends.Roots(t.o.Server))(tb), CloseOnStop: true,
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, m) }()
	tb.Cleanup(func() {
		cancel()
		<-ended
	})
	select {
	case <-m.online:
	case <-time.After(e2e.Patience):
		tb.Fatalf("bench: the client with stream management does not come on line")
	}
	return m
}

// entrance lets this process in to the office's server: the kernel passes on
// what comes to a port of its own.
func entrance(ctx context.Context, tb e2e.TB, o *e2e.Office) netip.AddrPort {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(tb)
	tb.Cleanup(func() { ln.Close() })
	go func() { // ends with the listener
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := o.Host("h1").Dial(ctx, "tcp", o.Server.LoopbackAddr())
			if err != nil {
				in.Close()
				continue
			}
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// pass passes on what comes until the end, and ends both sides.
func pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	from.Close()
	to.Close()
}

// HandleServer is xmppc2s.Handler.
func (m *managed) HandleServer(_ context.Context, ev xmppc2s.Event) {
	switch ev := ev.(type) {
	case xmppc2s.Online:
		m.online <- struct{}{}
	case xmppc2s.Message:
		ev.Done()
	}
}

// send waits while the queue is full.
func (m *managed) send(n int) error {
	st := stanza.New(stanza.NSClient, "message",
		stanza.Attr{Name: "type", Value: "chat"}, stanza.Attr{Name: "to", Value: m.to},
		stanza.New(stanza.NSClient, "body", stanza.Text(body(n))))
	for {
		err := m.Send(st)
		if !errors.Is(err, xmppc2s.ErrQueueFull) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (m *managed) arrivals() <-chan arrival { return nil }
