package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A hostile LAN host does everything at once to the gateway, and a hostile
// contact floods it; Bob and Alice keep talking, and memory stays bounded.
func TestHonestPeopleTalkWhileTheLANIsHostile(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Hosts: 3, Users: []string{"alice", "anna"}})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	anna := o.Host("h1").Remote(o.Server, "anna", RemoteOptions{})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	seen := o.Host("h2").Browse("_presence._tcp")
	mirror := seen.AwaitResolved(o.Mirror("alice"))
	before := o.Gateway.Usage().RSS

	ctx, cancel := context.WithCancel(context.Background())
	var attack sync.WaitGroup
	defer attack.Wait()
	defer cancel()
	target := netip.AddrPortFrom(o.Host("h1").Addr(), uint16(mirror.Port))
	for _, hit := range []func(context.Context, *Host, netip.AddrPort) error{
		floodNames, floodGarbage, floodQuestions, silentStreams, xmlBombs, neverReads,
	} {
		attack.Go(func() {
			if err := hit(ctx, o.Host("h3"), target); err != nil && ctx.Err() == nil {
				t.Errorf("attack: %v", err)
			}
		})
	}
	for i := range 40 {
		anna.Status("dnd", fmt.Sprintf("flood %d", i))
		anna.Msg(o.GatewayJID(), strings.Repeat("x", 20_000))
	}
	for round := range 10 {
		bob.Msg(o.Mirror("alice"), fmt.Sprintf("up %d.", round))
		alice.AwaitMessage(o.GatewayJID(), fmt.Sprintf("up %d.", round))
		alice.Msg(o.GatewayJID(), fmt.Sprintf("down %d.", round))
		bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", round))
	}
	after := o.Gateway.Usage()
	t.Logf("RSS %d KiB before, %d KiB after, %d files", before>>10, after.RSS>>10, after.Files)
	if limit := int64(128 << 20); after.PeakRSS > limit {
		t.Errorf("the gateway took %d MiB, want at most %d", after.PeakRSS>>20, limit>>20)
	}
	cancel()
	attack.Wait()
	if code := o.Gateway.Stop(); code != 0 {
		t.Errorf("status %d", code)
	}
}

// multicast sends what next makes to the mDNS group until the context ends,
// about a thousand packets a second.
func multicast(ctx context.Context, h *Host, next func(rnd *rand.Rand) []byte) error {
	c, err := h.ListenMulticast(MDNSGroup)
	if err != nil {
		return err
	}
	defer c.Close()
	rnd := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if _, err := c.WriteTo(next(rnd), net.UDPAddrFromAddrPort(MDNSGroup)); err != nil {
				return err
			}
		}
	}
}

// floodNames announces a new peer with every packet, with much in its TXT.
func floodNames(ctx context.Context, h *Host, _ netip.AddrPort) error {
	n := 0
	return multicast(ctx, h, func(rnd *rand.Rand) []byte {
		n++
		name := fmt.Sprintf("bot%d\\@h3._presence._tcp.local.", n)
		hdr := func(name string, t uint16) dns.RR_Header {
			return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: 4500}
		}
		m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
		m.Answer = []dns.RR{
			&dns.PTR{Hdr: hdr("_presence._tcp.local.", dns.TypePTR), Ptr: name},
			&dns.SRV{Hdr: hdr(name, dns.TypeSRV), Port: 5298, Target: fmt.Sprintf("bot%d.local.", n)},
			&dns.TXT{Hdr: hdr(name, dns.TypeTXT), Txt: []string{"txtvers=1", "msg=" + strings.Repeat("x", 250), strings.Repeat("y", 250)}},
			&dns.A{Hdr: hdr(fmt.Sprintf("bot%d.local.", n), dns.TypeA), A: net.IPv4(10, 66, byte(n>>8), byte(n))},
		}
		b, err := m.Pack()
		if err != nil {
			panic(err) // made by us
		}
		return b
	})
}

// floodGarbage sends bytes that look like DNS at their beginning.
func floodGarbage(ctx context.Context, h *Host, _ netip.AddrPort) error {
	return multicast(ctx, h, func(rnd *rand.Rand) []byte {
		b := make([]byte, 12+rnd.IntN(1400))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		copy(b, []byte{0, 0, 0x84, 0})
		binary.BigEndian.PutUint16(b[4:], uint16(rnd.IntN(3)))
		binary.BigEndian.PutUint16(b[6:], uint16(rnd.IntN(2000)))
		return b
	})
}

// floodQuestions asks for everybody, again and again.
func floodQuestions(ctx context.Context, h *Host, _ netip.AddrPort) error {
	m := new(dns.Msg)
	m.SetQuestion("_presence._tcp.local.", dns.TypePTR)
	b, err := m.Pack()
	if err != nil {
		return err
	}
	return multicast(ctx, h, func(*rand.Rand) []byte { return b })
}

// storm opens one connection after another and does f with each.
func storm(ctx context.Context, h *Host, target netip.AddrPort, f func(net.Conn)) error {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c, err := h.Dial(ctx, "tcp", target.String())
			if err != nil {
				continue // refused: as it should be
			}
			if conns = append(conns, c); len(conns) > 200 {
				conns[0].Close()
				conns = conns[1:]
			}
			f(c)
		}
	}
}

// silentStreams connects and says nothing, or half a header.
func silentStreams(ctx context.Context, h *Host, target netip.AddrPort) error {
	return storm(ctx, h, target, func(c net.Conn) { _, _ = io.WriteString(c, "<stream:stream xmlns='jab") })
}

// xmlBombs sends what parsers fear, under Bob's name.
func xmlBombs(ctx context.Context, h *Host, target netip.AddrPort) error {
	const head = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='bob@h2' to='alice@gw'>"
	bombs := []string{
		"<!DOCTYPE l [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>" + head + "<message><body>&b;</body></message>",
		head + strings.Repeat("<a>", 10_000),
		head + "<message from='bob@h2' to='alice@gw'><body>spoofed</body></message>",
		head + "<message><body>" + strings.Repeat("x", 1<<20),
		head + "<message " + strings.Repeat("a='b' ", 10_000),
		strings.Repeat("\x00\xff<", 1000),
	}
	n := 0
	return storm(ctx, h, target, func(c net.Conn) {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, bombs[n%len(bombs)])
		n++
	})
}

// neverReads makes the gateway answer without end.
func neverReads(ctx context.Context, h *Host, target netip.AddrPort) error {
	const head = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='eve@h3' to='alice@gw'>"
	return storm(ctx, h, target, func(c net.Conn) {
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.WriteString(c, head+strings.Repeat("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", 2000))
	})
}

// IJ-04: a stream in Bob's name from another host is refused, and what it
// says reaches nobody.
func TestAForgedNameIsRefused(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Hosts: 3})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	o.Host("h3").Purple("eve", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	mirror := o.Host("h3").Browse("_presence._tcp").AwaitResolved(o.Mirror("alice"))

	c, err := o.Host("h3").Dial(t.Context(), "tcp", netip.AddrPortFrom(o.Host("h1").Addr(), uint16(mirror.Port)).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='bob@h2' to='alice@gw'>"+
		"<message from='bob@h2' to='alice@gw' type='chat'><body>I am Bob</body></message>")
	_ = c.SetReadDeadline(time.Now().Add(Patience))
	answer, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(answer), "stream:error") {
		t.Errorf("the forger reads %q, %v; want a stream error and the end", answer, err)
	}

	bob.Msg(o.Mirror("alice"), "I am the real one")
	alice.AwaitMessage(o.GatewayJID(), "I am the real one")
	if n := len(alice.Messages()); n != 1 {
		t.Errorf("alice has %d messages, want 1", n)
	}
}
