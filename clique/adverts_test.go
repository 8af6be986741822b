package clique

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"meshgate/linklocal/mdns"
)

func entry(name string, port uint16, addrs ...string) mdns.Entry {
	e := mdns.Entry{Instance: name, Type: ServiceType, Port: port}
	for _, a := range addrs {
		e.Addrs = append(e.Addrs, netip.MustParseAddr(a))
	}
	return e
}

// news is all that there is to tell, as text.
func (a *adverts) newsText() string {
	var lines []string
	for ev := a.next(); ev != nil; ev = a.next() {
		lines = append(lines, strings.TrimPrefix(fmt.Sprintf("%T%v", ev, ev), "clique."))
	}
	return strings.Join(lines, "\n")
}

// CQ-09: a room is there while anybody advertises it, we or others.
func TestAdvertsAreToldOnce(t *testing.T) {
	a := newAdverts(false)
	group := netip.MustParseAddrPort("239.255.71.1:2000")
	for _, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"appeared", func() { a.see(entry("Lab", 2000, "239.255.71.1")) }, "Found{Lab 239.255.71.1:2000}"},
		{"again", func() { a.see(entry("Lab", 2000, "239.255.71.1")) }, ""},
		{"ours, too, and from then on the responder has it for ours only", func() { a.own("Lab", group); a.vanish("Lab") }, ""},
		{"others still have it", func() { a.own("Lab", netip.AddrPort{}); a.see(entry("Lab", 2000, "239.255.71.1")) }, ""},
		{"other group", func() { a.see(entry("Lab", 2001, "239.255.71.1")) }, "Found{Lab 239.255.71.1:2001}"},
		{"gone", func() { a.vanish("lab") }, "Gone{Lab}"},
		{"gone again", func() { a.vanish("lab") }, ""},
		{"came and went", func() { a.see(entry("Lab", 1, "239.255.71.1")); a.vanish("Lab") }, ""},
		{"now leads nowhere", func() { a.see(entry("X", 2000, "239.255.71.1")); a.next(); a.see(entry("X", 2000, "10.0.0.1")) }, "Gone{X}"},
	} {
		step.do()
		if got := a.newsText(); got != step.want {
			t.Errorf("%s: told\n%s\nwant\n%s", step.what, got, step.want)
		}
	}
	if len(a.all) != 0 {
		t.Errorf("%d adverts are kept of none", len(a.all))
	}
}

// CQ-09, hostile: an advert may not lead us anywhere else.
func TestAdvertsThatLeadNowhereAreNone(t *testing.T) {
	a := newAdverts(false)
	for _, e := range []mdns.Entry{
		entry("unicast", 2000, "10.0.0.1"), entry("loopback", 2000, "127.0.0.1"), entry("mdns", 5353, "224.0.0.251"),
		entry("low", 80, "239.255.71.1"), entry("none", 2000), entry("six", 2000, "ff15::1:1"), entry("line\nbreak", 2000, "239.255.71.1"),
		entry(strings.Repeat("x", 64), 2000, "239.255.71.1"), entry("", 2000, "239.255.71.1"), entry("\xff", 2000, "239.255.71.1"),
	} {
		if a.see(e); a.newsText() != "" {
			t.Errorf("%q is a room", e.Instance)
		}
	}
	six := newAdverts(true)
	if six.see(entry("six", 2000, "ff15::1:1%eth0")); six.newsText() != "Found{six [ff15::1:1]:2000}" {
		t.Error("an IPv6 room is none, with IPv6")
	}
	for i := range 2 * maxAdverts {
		a.see(entry(fmt.Sprint(i), 2000, "239.255.71.1"))
	}
	if len(a.all) != maxAdverts || a.see(entry("more", 2000, "239.255.71.1")) {
		t.Errorf("%d adverts", len(a.all))
	}
}

// CQ-10: 239.255.71.1 to .253, a high port, and as a rule another each time.
func TestNewRoomsAreAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	seen, hosts := map[netip.AddrPort]bool{}, map[byte]bool{}
	for range 10000 {
		g := randomGroup(rng)
		a := g.Addr().As4()
		if [3]byte(a[:3]) != [3]byte{239, 255, 71} || a[3] < 1 || a[3] > 253 || g.Port() < 49152 || g.Port() == 65535 {
			t.Fatalf("a room at %s", g)
		}
		seen[g], hosts[a[3]] = true, true
	}
	if len(seen) < 9950 || len(hosts) != 253 {
		t.Errorf("%d places of 10000, on %d groups", len(seen), len(hosts))
	}
}
