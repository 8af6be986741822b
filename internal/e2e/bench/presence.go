package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
)

const (
	presencePeople  = 20
	presenceChanges = 200
	presencePause   = 100 * time.Millisecond // so each changes every two seconds: the LAN hears of one a second

	lanChanges = 30
	lanPause   = 5200 * time.Millisecond // the network hears of one in five seconds
)

// measurePresence prints how long a change of status takes to the other side.
func measurePresence(ctx context.Context, tb e2e.TB, out sheet) {
	opt := e2e.OfficeOptions{}
	for i := range presencePeople {
		opt.Users = append(opt.Users, "user"+strconv.Itoa(i))
	}
	opt.Server = func(s *e2e.ServerOptions) {
		s.NoArchive = true
		for _, user := range opt.Users {
			s.Friends = append(s.Friends, [2]string{e2e.GatewayUser, user})
		}
	}
	o := e2e.OpenOffice(tb, opt)
	browser := o.Host("h2").Browse(e2e.PresenceService)
	pool := must(ends.Roots(o.Server))(tb)
	var clients []*client
	for _, user := range opt.Users {
		clients = append(clients, must(login(ctx, o, pool, user, jid.MustParse(o.GatewayJID())))(tb))
		browser.AwaitResolved(o.Mirror(user))
	}
	wait(ctx, 5*time.Second) // until the announcements are over
	printTimes(out, "status_net_to_lan", must(networkToLAN(ctx, o, clients))(tb))

	bob := o.Host("h2").Purple("bob", e2e.PurpleOptions{})
	bob.AwaitOn(o.Mirror(opt.Users[0]))
	wait(ctx, 2*lanPause)
	all, ours := lanToNetwork(ctx, tb, o, bob, clients[0])
	printTimes(out, "status_libpurple_to_net", all)
	printTimes(out, "status_lan_to_net", ours)
}

// lanToNetwork has libpurple change its status, and waits for the gateway's
// presence that says so. It returns the times from libpurple's command, and
// those from the packet on the LAN: between them avahi waits as it pleases.
func lanToNetwork(ctx context.Context, tb e2e.TB, o *e2e.Office, bob *e2e.Purple, c *client) (all, ours []time.Duration) {
	packets := must(o.Host("h2").ListenMulticast(e2e.MDNSGroup))(tb)
	defer packets.Close()
	onWire := make(chan arrival, 1<<10)
	go readTicks(packets, onWire)
	pace := time.NewTicker(lanPause)
	defer pace.Stop()
	for n := range lanChanges {
		asked := time.Now()
		bob.Send("status available %s", tick(n))
		wire, seen := await(ctx, tb, onWire, n), await(ctx, tb, c.ticks, n)
		all, ours = append(all, seen.Sub(asked)), append(ours, seen.Sub(wire))
		<-pace.C
	}
	return all, ours
}

// await waits until change n has arrived.
func await(ctx context.Context, tb e2e.TB, from <-chan arrival, n int) time.Time {
	for {
		select {
		case a := <-from:
			if a.n == n {
				return a.at
			}
		case <-ctx.Done():
			tb.Fatalf("bench: change %d was not seen", n)
		}
	}
}

func printTimes(out sheet, name string, times []time.Duration) {
	out.figure(name+"_p50", ms(quantile(times, 0.5)), "ms")
	out.figure(name+"_p99", ms(quantile(times, 0.99)), "ms")
}

// tick is the status text of change n; nothing of it is in another's.
func tick(n int) string { return fmt.Sprintf("tick %d.", n) }

// tickIn is the change that a text tells of.
func tickIn(text string) (n int, ok bool) {
	_, after, _ := strings.Cut(text, "tick ")
	_, err := fmt.Sscanf(after, "%d.", &n)
	return n, err == nil
}

// networkToLAN has the clients change their status in turn, and waits for the
// packet on the LAN that says so.
func networkToLAN(ctx context.Context, o *e2e.Office, clients []*client) ([]time.Duration, error) {
	c, err := o.Host("h2").ListenMulticast(e2e.MDNSGroup)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	seen := make(chan arrival, presenceChanges)
	go readTicks(c, seen)
	return changes(ctx, seen, func(n int) error { return clients[n%len(clients)].SetStatus(ctx, tick(n)) })
}

// changes makes one after the other and returns how long each took to be seen.
func changes(ctx context.Context, seen <-chan arrival, change func(n int) error) ([]time.Duration, error) {
	pace := time.NewTicker(presencePause)
	defer pace.Stop()
	started := map[int]time.Time{}
	var times []time.Duration
	for n := 0; len(times) < presenceChanges; {
		select {
		case <-pace.C:
			if n == presenceChanges {
				continue
			}
			started[n] = time.Now()
			if err := change(n); err != nil {
				return nil, err
			}
			n++
		case a := <-seen:
			if at, ok := started[a.n]; ok {
				times = append(times, a.at.Sub(at))
				delete(started, a.n)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d changes seen: %w", len(times), presenceChanges, ctx.Err())
		}
	}
	return times, nil
}

// readTicks reads TXT records off the LAN until c is closed.
func readTicks(c net.PacketConn, seen chan<- arrival) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		at := time.Now()
		var m dns.Msg
		if m.Unpack(buf[:n]) != nil || !m.Response {
			continue
		}
		for _, rr := range m.Answer {
			if txt, ok := rr.(*dns.TXT); ok {
				tellTick(txt.Txt, at, seen)
			}
		}
	}
}

func tellTick(text []string, at time.Time, seen chan<- arrival) {
	for _, s := range text {
		if n, ok := tickIn(s); ok {
			select {
			case seen <- arrival{n, at}:
			default: // repeats of those already had
			}
		}
	}
}
