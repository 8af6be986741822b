package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/linklocal/mdns"
)

const (
	mirrorCount    = 300
	peerCount      = 100
	foreignPackets = 20_000
	foreignRate    = 4000 // a second
	startRuns      = 3
)

// measureMirrors prints how soon an office of 300 contacts is seen, and what
// it costs to have it.
func measureMirrors(ctx context.Context, tb e2e.TB, out sheet) {
	opt := e2e.OfficeOptions{Server: func(s *e2e.ServerOptions) { s.NoArchive = true }}
	for i := range mirrorCount {
		opt.Users = append(opt.Users, "user"+strconv.Itoa(i))
	}
	friends := opt.Server
	opt.Server = func(s *e2e.ServerOptions) {
		friends(s)
		for _, user := range opt.Users {
			s.Friends = append(s.Friends, [2]string{e2e.GatewayUser, user})
		}
	}
	o := e2e.NewOffice(tb, opt)
	o.Avahi()
	comeOnline(ctx, tb, o, opt.Users)

	var first, all []float64
	for run := range startRuns {
		browser := o.Host("h2").Browse("_presence._tcp")
		start := time.Now()
		o.StartGateway(opt)
		f, a := awaitMirrors(o, browser, start)
		first, all = append(first, f), append(all, a)
		browser.Stop()
		if run < startRuns-1 {
			o.Gateway.Stop()
		}
	}
	out.figure("start_to_first_mirror", median(first), "s")
	out.figure("start_to_300_mirrors", median(all), "s")
	measurePurple(o, out)

	peers := o.Host("h2").Start(must(os.Executable())(tb), peersCommand, "eth0", strconv.Itoa(peerCount))
	peers.Expect(`^all published`)
	seen := o.Host("h1").Browse("_presence._tcp")
	seen.AwaitResolved(fmt.Sprintf("peer%d@h2", peerCount-1))
	out.figure("rss_300_mirrors_100_peers", float64(o.Gateway.Usage().RSS)/(1<<20), "MiB")

	idle := cpuOver(ctx, o, 5*time.Second)
	start := time.Now()
	before := o.Gateway.Usage().CPU
	must(0, foreign(ctx, o.Host("h2")))(tb)
	spent := o.Gateway.Usage().CPU - before - time.Duration(float64(time.Since(start))*idle)
	out.figure("cpu_idle", idle*100, "%")
	out.figure("cpu_foreign_mdns_packet", float64(spent.Microseconds())/foreignPackets/1000, "ms")
}

// comeOnline logs all users in, some at a time.
func comeOnline(ctx context.Context, tb e2e.TB, o *e2e.Office, users []string) {
	pool := must(ends.Roots(o.Server))(tb)
	var group errgroup.Group
	group.SetLimit(8)
	for _, user := range users {
		group.Go(func() error {
			_, err := login(ctx, o, pool, user, jid.MustParse(o.GatewayJID()))
			return err
		})
	}
	must(0, group.Wait())(tb)
}

// awaitMirrors waits for the first and for the last mirror, in seconds.
func awaitMirrors(o *e2e.Office, browser *e2e.Browser, start time.Time) (first, all float64) {
	browser.AwaitResolved(o.Mirror("user0"))
	first = time.Since(start).Seconds()
	var others []string
	for i := 1; i < mirrorCount; i++ {
		others = append(others, o.Mirror("user"+strconv.Itoa(i)))
	}
	browser.AwaitAllResolved(others)
	return first, time.Since(start).Seconds()
}

// cpuOver is the share of one core that the gateway takes.
func cpuOver(ctx context.Context, o *e2e.Office, d time.Duration) float64 {
	before := o.Gateway.Usage().CPU
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return float64(o.Gateway.Usage().CPU-before) / float64(d)
}

// foreign multicasts packets that are none of the gateway's business, as
// printers and televisions do.
func foreign(ctx context.Context, h *e2e.Host) error {
	c, err := h.ListenMulticast(e2e.MDNSGroup)
	if err != nil {
		return err
	}
	defer c.Close()
	m := new(dns.Msg)
	m.SetQuestion("_ipp._tcp.local.", dns.TypePTR)
	m.Id, m.RecursionDesired = 0, false
	b, err := m.Pack()
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second / (foreignRate / 40))
	defer tick.Stop()
	for sent := 0; sent < foreignPackets; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			for range 40 {
				if _, err := c.WriteTo(b, net.UDPAddrFromAddrPort(e2e.MDNSGroup)); err != nil {
					return err
				}
				sent++
			}
		}
	}
	return nil
}

// peersCommand is what the benchmark is called with on another host, to be
// many peers there: an interface and a number.
const peersCommand = "peers"

func publishPeers(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := strconv.Atoi(args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	c := mdns.New(mdns.ConnConfig{Interfaces: args[:1], Host: "peers", Log: slog.New(slog.DiscardHandler)})
	for i := range n {
		err := c.Register(mdns.Service{
			ID: mdns.ServiceID(strconv.Itoa(i)), Instance: fmt.Sprintf("peer%d@h2", i), Type: "_presence._tcp", Port: 5298,
			Text: []string{"txtvers=1", "status=avail", "1st=Peer", "last=" + strconv.Itoa(i), "msg=working on something"},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if err := c.Run(ctx, &counter{want: n}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A counter says when all names are ours.
type counter struct{ have, want int }

func (c *counter) HandleMDNS(ev mdns.Event) {
	if _, ok := ev.(mdns.Established); ok {
		if c.have++; c.have == c.want {
			fmt.Println("all published")
		}
	}
}
