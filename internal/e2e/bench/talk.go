package main

import (
	"context"
	"maps"
	"net/netip"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
)

const (
	rounds       = 5
	latencyCount = 100 // messages of one measurement of latency
	latencyRate  = 50  // of them a second
	burst        = 6000
	peerName     = "bench@h2"
)

// A talk is an office with one LAN peer and two network users.
type talk struct {
	tb    e2e.TB
	o     *e2e.Office
	peer  end // on the LAN, talks with alice
	alice end // on the network, talks with the peer through the gateway
	dave  end // on the network, writes to alice directly
}

// measureTalk prints latency, throughput, and CPU time for each message.
func measureTalk(ctx context.Context, tb e2e.TB, out sheet) {
	t := openTalk(ctx, tb, nil)
	out.figure("rss_idle", float64(t.o.Gateway.Usage().RSS)/(1<<20), "MiB")
	t.latency(ctx, out)
	t.throughput(ctx, out)
}

// openTalk opens an office with further keys in its gateway's configuration.
func openTalk(ctx context.Context, tb e2e.TB, config map[string]any) *talk {
	return openTalkWith(ctx, tb, e2e.GatewayOptions{}, config)
}

func openTalkWith(ctx context.Context, tb e2e.TB, gateway e2e.GatewayOptions, config map[string]any) *talk {
	opt := e2e.OfficeOptions{
		Gateway: gateway,
		Users:   []string{"alice", "dave"},
		Server: func(s *e2e.ServerOptions) {
			s.Friends = [][2]string{{e2e.GatewayUser, "alice"}, {e2e.GatewayUser, "dave"}}
			s.NoArchive = true
		},
		Config: e2e.NoLimits(),
	}
	maps.Copy(opt.Config, config)
	o := e2e.OpenOffice(tb, opt)
	t := &talk{tb: tb, o: o}
	account := jid.MustParse(o.GatewayJID())
	alice := t.client(ctx, "alice", account)
	t.alice, t.dave = alice, t.client(ctx, "dave", jid.MustParse(o.Server.JID("alice")))

	h2 := o.Host("h2")
	h2.Publish(peerName, "_presence._tcp", 5298, "txtvers=1", "status=avail")
	mirror := h2.Browse("_presence._tcp").AwaitResolved(o.Mirror("alice"))
	addr := netip.AddrPortFrom(o.Host("h1").Addr(), uint16(mirror.Port))
	conn := must(h2.Dial(ctx, "tcp", addr.String()))(tb)
	p := &peer{in: make(chan arrival, 1<<16)}
	p.Peer = must(ends.OpenPeer(conn, peerName, o.Mirror("alice"), p.handle))(tb)
	t.peer = p

	// Alice's words find their way to whom she talked with last.
	must(latency(ctx, t.peer, t.alice, 1, latencyRate))(tb)
	must(latency(ctx, t.alice, t.peer, 1, latencyRate))(tb)
	return t
}

func (t *talk) client(ctx context.Context, user string, to jid.JID) *client {
	t.tb.Helper()
	return must(login(ctx, t.o, must(ends.Roots(t.o.Server))(t.tb), user, to))(t.tb)
}

// A way is a pair of ends to measure between.
type way struct {
	name     string
	from, to end
}

func (t *talk) ways() []way {
	return []way{
		{"direct", t.dave, t.alice},
		{"lan_to_net", t.peer, t.alice},
		{"net_to_lan", t.alice, t.peer},
	}
}

// latency interleaves the ways, so that a busy moment of the machine meets all.
func (t *talk) latency(ctx context.Context, out sheet) {
	times := map[string][]time.Duration{}
	for range rounds {
		for _, w := range t.ways() {
			times[w.name] = append(times[w.name], must(latency(ctx, w.from, w.to, latencyCount, latencyRate))(t.tb)...)
		}
	}
	direct := times["direct"]
	p50, p99 := quantile(direct, 0.5), quantile(direct, 0.99)
	out.figure("latency_direct_p50", ms(p50), "ms")
	out.figure("latency_direct_p99", ms(p99), "ms")
	for _, w := range t.ways()[1:] {
		got := times[w.name]
		added50, added99 := quantile(got, 0.5)-p50, quantile(got, 0.99)-p99
		out.figure("latency_added_"+w.name+"_p50", ms(added50), "ms")
		out.figure("latency_added_"+w.name+"_p99", ms(added99), "ms")
		out.figure("latency_added_"+w.name+"_p50_over_direct", float64(added50)/float64(p50), "ratio")
	}
}

func (t *talk) throughput(ctx context.Context, out sheet) {
	rates := map[string][]float64{}
	cpu := map[string][]float64{}
	for range rounds {
		for _, w := range t.ways() {
			before := t.o.Gateway.Usage().CPU
			rates[w.name] = append(rates[w.name], must(rate(ctx, w.from, w.to, burst))(t.tb))
			spent := t.o.Gateway.Usage().CPU - before
			cpu[w.name] = append(cpu[w.name], float64(spent.Microseconds())/burst)
		}
	}
	direct := median(rates["direct"])
	out.figure("rate_direct", direct, "msg/s")
	for _, w := range t.ways()[1:] {
		out.figure("rate_"+w.name, median(rates[w.name]), "msg/s")
		out.figure("rate_"+w.name+"_over_direct", median(rates[w.name])/direct, "ratio")
		out.figure("cpu_"+w.name, median(cpu[w.name]), "µs/msg")
	}
	out.figure("rss_after_load", float64(t.o.Gateway.Usage().RSS)/(1<<20), "MiB")
}
