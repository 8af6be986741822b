package linklocal

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/grandcat/zeroconf"
	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"

	"meshgate/linklocal/mdns"
)

// The discovery client hears of a peer on the loopback interface and tells
// the monitor its raw name, and only that. It ends with Run.
func TestDiscoveryClientFeedsTheMonitor(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	d := new(fakeLAN).host("127.0.0.2")
	d.ifi, d.learning = "lo", make(chan string, 1)
	start(t, d, "", Config{Discover: true})
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	out := ipv4.NewPacketConn(pc)
	if err := out.SetMulticastInterface(lo); err != nil {
		t.Fatal(err)
	}
	packet := announcement(t)
	repeat := time.NewTicker(20 * time.Millisecond)
	defer repeat.Stop()
	timeout := time.After(patience)
	for {
		select {
		case name := <-d.learning:
			if name != "Dr. Ünï@h9" {
				t.Errorf("learned %q", name)
			}
			return
		case <-repeat.C:
			if _, err := out.WriteTo(packet, nil, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}); err != nil {
				t.Fatal(err)
			}
		case <-timeout:
			t.Fatal("nothing learned")
		}
	}
}

func announcement(t *testing.T) []byte {
	const instance = `Dr\.\ Ün\195\175\@h9._presence._tcp.local.`
	hdr := func(name string, typ uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: typ, Class: dns.ClassINET, Ttl: 120}
	}
	m := &dns.Msg{Answer: []dns.RR{
		&dns.PTR{Hdr: hdr("_presence._tcp.local.", dns.TypePTR), Ptr: instance},
		&dns.SRV{Hdr: hdr(instance, dns.TypeSRV), Port: 1, Target: "h9.local."},
		&dns.TXT{Hdr: hdr(instance, dns.TypeTXT), Txt: []string{"txtvers=1"}},
		&dns.A{Hdr: hdr("h9.local.", dns.TypeA), A: net.IPv4(127, 0, 0, 9)},
	}}
	m.Response = true
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// LL-18: the client works on all links, and anew when they are others.
func TestDiscoveryClientGoesWhereTheLinksAre(t *testing.T) {
	both := []mdns.Link{
		{Name: "eth0", Index: 2, Prefixes: prefixes("10.0.0.1/24", "fe80::1/64")},
		{Name: "eth1", Index: 3, Prefixes: prefixes("10.0.1.1/24")},
	}
	where := whereToBrowse(both)
	if got := where.names(); !slices.Equal(got, []string{"eth0", "eth1"}) || where.by != zeroconf.IPv4AndIPv6 {
		t.Errorf("on %q by %v", got, where.by)
	}
	if by := whereToBrowse(both[1:]).by; by != zeroconf.IPv4 {
		t.Errorf("IPv4 alone: by %v", by)
	}
	again := both[0]
	again.Index = 7
	for _, other := range [][]mdns.Link{nil, both[:1], {both[1], both[0]}, {again, both[1]}} {
		if whereToBrowse(other).same(where) {
			t.Errorf("%v counts as %v", other, both)
		}
	}
	if !whereToBrowse(both).same(where) {
		t.Error("not the same as itself")
	}
}
