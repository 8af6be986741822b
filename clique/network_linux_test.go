package clique

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"meshgate/clique/rmulticast"
	"meshgate/linklocal/mdns"
)

// A station is a Service with a responder, on the real network.
type station struct {
	*Service
	t      *testing.T
	dns    *mdns.Conn
	events chan Event
	kept   []Event // that nobody has waited for yet
	stop   func()
}

func (s *station) HandleClique(ctx context.Context, ev Event) {
	select {
	case s.events <- ev:
	case <-ctx.Done():
	}
}

// handMDNS hands over what the responder says.
type handMDNS func(mdns.Event)

func (f handMDNS) HandleMDNS(ev mdns.Event) { f(ev) }

func startStation(t *testing.T, cfg Config, links ...string) *station {
	t.Helper()
	if os.Getenv("CLIQUE_TEST_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("name", cfg.Name)
	}
	s := &station{t: t, events: make(chan Event, 1000)}
	s.dns = mdns.New(mdns.ConnConfig{Interfaces: links, Host: "host", Browse: []string{ServiceType}, IPv6: cfg.IPv6})
	s.Service = New(cfg, s.dns)
	ctx, cancel := context.WithCancel(context.Background())
	dnsCtx, cancelDNS := context.WithCancel(context.Background())
	var wg, dnsWG sync.WaitGroup
	dnsWG.Go(func() { s.dns.Run(dnsCtx, handMDNS(s.Service.HandleMDNS)) })
	wg.Go(func() {
		if err := s.Service.Run(ctx, s); err != nil {
			t.Error(err)
		}
	})
	s.stop = sync.OnceFunc(func() { cancel(); wg.Wait(); cancelDNS(); dnsWG.Wait() })
	t.Cleanup(s.stop)
	return s
}

// await waits for an event that is as wanted, or takes one that has come before.
func await[E Event](s *station, why string, is func(E) bool) (found E) {
	s.t.Helper()
	fits := func(ev Event) bool {
		e, ok := ev.(E)
		if ok = ok && is(e); ok {
			found = e
		}
		return ok
	}
	if i := slices.IndexFunc(s.kept, fits); i >= 0 {
		s.kept = slices.Delete(s.kept, i, i+1)
		return found
	}
	limit := time.After(30 * time.Second)
	for {
		select {
		case ev := <-s.events:
			if fits(ev) {
				return found
			}
			s.kept = append(s.kept, ev)
		case <-limit:
			s.t.Fatalf("%s: no %T for %s, but %v", why, found, s.cfg.Name, s.kept)
		}
	}
}

// The whole on a real network of two links, which both have: everything comes
// twice. CQ-09, CQ-10: made by one, found by the other by its advert.
func TestTwoMeetOnARealNetwork(t *testing.T) {
	t.Parallel()
	if !inNamespace(t, "link set lo up",
		"link add d0 type veth peer name p0", "link set p0 up", "link set d0 up", "addr add 10.9.0.1/24 dev d0",
		"link add d1 type veth peer name p1", "link set p1 up", "link set d1 up", "addr add 10.9.1.1/24 dev d1") {
		return
	}
	alice := startStation(t, Config{Name: "alice@a", FindFor: time.Second}, "d0", "d1")
	alice.Join(Room{Name: "a.b \\ Zoë", Make: true})
	in := await(alice, "made", func(Entered) bool { return true })
	if a := in.Group.Addr().As4(); [3]byte(a[:3]) != [3]byte{239, 255, 71} || a[3] < 1 || a[3] > 253 || in.Group.Port() < 1024 {
		t.Errorf("made at %s", in.Group)
	}
	await(alice, "advertised", func(f Found) bool { return f.Group == in.Group })

	listen := ear(t, in.Group)
	stray := straySocket(t, netip.AddrPortFrom(netip.MustParseAddr("239.255.71.254"), in.Group.Port()))
	bob := startStation(t, Config{Name: "bob@b"}, "d0", "d1")
	bob.Join(Room{Name: "a.b \\ Zoë"})
	if got := await(bob, "found", func(Entered) bool { return true }); got.Group != in.Group {
		t.Errorf("bob entered %s", got.Group)
	}
	await(bob, "met", func(j Joined) bool { return fmt.Sprint(j.Members) == "[alice@a]" })
	await(alice, "met", func(j Joined) bool { return fmt.Sprint(j.Members) == "[bob@b]" })
	listen()
	stray()
	for i := range 20 {
		alice.Send("a.b \\ Zoë", textMessage(fmt.Sprint("line ", i)), nil)
	}
	for i := range 20 {
		want := fmt.Sprint("line ", i)
		got := await(bob, want, func(Received) bool { return true })
		if got.From != "alice@a" || bodyOf(got.Stanza) != want || got.Stanza.Attr("to") != "a.b \\ Zoë" {
			t.Errorf("%s: %s says %v", want, got.From, got.Stanza)
		}
	}
	bob.stop()
	await(alice, "bob says goodbye", func(l Left) bool { return l.Member == "bob@b" && l.Why == rmulticast.Said })
	if s := bob.Stats(); s.BadDocuments+s.SendErrors != 0 {
		t.Errorf("bob counted %+v", s)
	}
}

// CQ-09, with IPv6 alone.
func TestTwoMeetOverIPv6(t *testing.T) {
	t.Parallel()
	if !inNamespace(t, "link set lo up",
		"link add d0 type veth peer name p0", "link set p0 up", "link set d0 up", "addr add fd00::1/64 dev d0 nodad") {
		return
	}
	room := Room{Name: "Six", Group: netip.MustParseAddrPort("[ff15::71:1]:7171")}
	alice := startStation(t, Config{Name: "alice@a", IPv6: true}, "d0")
	alice.Join(room)
	await(alice, "advertised", func(f Found) bool { return f.Group == room.Group })
	bob := startStation(t, Config{Name: "bob@b", IPv6: true}, "d0")
	bob.Join(Room{Name: "Six"})
	if got := await(bob, "found", func(Entered) bool { return true }); got.Group != room.Group {
		t.Errorf("bob entered %s", got.Group)
	}
	await(bob, "met", func(j Joined) bool { return fmt.Sprint(j.Members) == "[alice@a]" })
	await(alice, "met", func(j Joined) bool { return true })
	bob.Send("Six", textMessage("hello"), nil)
	await(alice, "spoken to", func(r Received) bool { return bodyOf(r.Stanza) == "hello" })
}

// CQ-09: two make a room at the same moment, with real responders.
func TestTwoRoomsOfOneNameBecomeOneOnARealNetwork(t *testing.T) {
	t.Parallel()
	if !inNamespace(t, "link set lo up",
		"link add d0 type veth peer name p0", "link set p0 up", "link set d0 up", "addr add 10.9.0.1/24 dev d0") {
		return
	}
	cfg := Config{FindFor: time.Second}
	cfg.Name = "alice@a"
	alice := startStation(t, cfg, "d0")
	cfg.Name = "bob@b"
	bob := startStation(t, cfg, "d0")
	alice.Join(Room{Name: "Lab", Make: true})
	bob.Join(Room{Name: "Lab", Make: true})
	await(alice, "met", func(j Joined) bool { return fmt.Sprint(j.Members) == "[bob@b]" })
	await(bob, "met", func(j Joined) bool { return fmt.Sprint(j.Members) == "[alice@a]" })
	if moves := alice.Stats().Moves + bob.Stats().Moves; moves != 1 {
		t.Errorf("%d moves", moves)
	}
}

// ear hears what is sent to a room, and says whether it is sent on both links, with
// the TTL that keeps it there.
func ear(t *testing.T, group netip.AddrPort) (check func()) {
	t.Helper()
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(group))
	if err != nil {
		t.Fatal(err)
	}
	p := ipv4.NewPacketConn(udp)
	if err := p.SetControlMessage(ipv4.FlagTTL|ipv4.FlagInterface, true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d0", "d1"} {
		link, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.JoinGroup(link, net.UDPAddrFromAddrPort(group)); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		defer udp.Close()
		links := map[int]bool{}
		udp.SetReadDeadline(time.Now().Add(10 * time.Second))
		for len(links) < 2 {
			_, cm, _, err := p.ReadFrom(make([]byte, 2000))
			if err != nil {
				t.Fatalf("heard on %d links: %v", len(links), err)
			}
			if cm.TTL != 1 {
				t.Errorf("a packet with TTL %d", cm.TTL)
			}
			links[cm.IfIndex] = true
		}
	}
}

// straySocket is in another group with the same port, on this very host: it joins
// there, and says things.
func straySocket(t *testing.T, group netip.AddrPort) (say func()) {
	t.Helper()
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(group))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	p := ipv4.NewPacketConn(udp)
	d0, err := net.InterfaceByName("d0")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.JoinGroup(d0, net.UDPAddrFromAddrPort(group)); err != nil {
		t.Fatal(err)
	}
	return func() {
		for range 10 {
			p.WriteTo([]byte("Clique\x01\x14 nonsense"), &ipv4.ControlMessage{IfIndex: d0.Index}, net.UDPAddrFromAddrPort(group))
		}
	}
}
