package linklocal

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
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
