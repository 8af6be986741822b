package doctor

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/net/ipv4"
)

// sharedPort makes net.ListenUDP bind the wildcard address beside others: it
// sets the reuse of addresses for a multicast address.
var sharedPort = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 0), Port: int(group.Port())}

const multicastTTL = 255 // RFC 6762 §11

// A probe is the sockets on one link, and a goroutine that reads each.
type probe struct {
	ifi    *net.Interface
	shared *ipv4.PacketConn // port 5353, as every responder has it
	legacy *net.UDPConn     // another port: answers come by unicast to us alone
	igmp   net.PacketConn   // nil where we may not
	sounds chan sound
	stop   chan struct{}
	wg     sync.WaitGroup
}

// A sound is a packet that was heard.
type sound struct {
	data      []byte
	src       netip.Addr
	multicast bool
	igmp      bool // a query of a multicast router or switch
}

func openProbe(l Link) (*probe, error) {
	ifi, err := net.InterfaceByName(l.Name)
	if err != nil {
		return nil, err
	}
	p := &probe{ifi: ifi, sounds: make(chan sound, 64), stop: make(chan struct{})}
	c, err := net.ListenUDP("udp4", sharedPort)
	if err != nil {
		return nil, err
	}
	p.shared = ipv4.NewPacketConn(c)
	own, _ := l.IPv4()
	if p.legacy, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(own.Addr(), 0))); err == nil {
		err = p.tune()
	}
	if err != nil {
		p.closeSockets()
		return nil, err
	}
	// Raw sockets are for root. Without one we just know less.
	if p.igmp, err = net.ListenPacket("ip4:igmp", "0.0.0.0"); err != nil {
		p.igmp = nil
	}
	return p, nil
}

func (p *probe) tune() error {
	legacy := ipv4.NewPacketConn(p.legacy)
	for _, f := range []func() error{
		func() error { return p.shared.JoinGroup(p.ifi, net.UDPAddrFromAddrPort(group)) },
		func() error { return p.shared.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true) },
		func() error { return p.shared.SetMulticastInterface(p.ifi) },
		func() error { return p.shared.SetMulticastTTL(multicastTTL) },
		func() error { return p.shared.SetMulticastLoopback(true) },
		func() error { return legacy.SetMulticastInterface(p.ifi) },
		func() error { return legacy.SetMulticastTTL(multicastTTL) },
		func() error { return legacy.SetTTL(multicastTTL) },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// start starts the readers. They end with close.
func (p *probe) start() {
	p.wg.Go(p.readShared)
	p.wg.Go(p.readLegacy)
	if p.igmp != nil {
		p.wg.Go(p.readIGMP)
	}
}

func (p *probe) close() {
	close(p.stop)
	p.closeSockets()
	p.wg.Wait()
}

func (p *probe) closeSockets() {
	p.shared.Close()
	if p.legacy != nil {
		p.legacy.Close()
	}
	if p.igmp != nil {
		p.igmp.Close()
	}
}

// say sends to the group.
func (p *probe) say(b []byte) error {
	_, err := p.shared.WriteTo(b, &ipv4.ControlMessage{IfIndex: p.ifi.Index}, net.UDPAddrFromAddrPort(group))
	return err
}

// pass reports false when the probe is closed.
func (p *probe) pass(s sound) bool {
	select {
	case p.sounds <- s:
		return true
	case <-p.stop:
		return false
	}
}

func (p *probe) readShared() {
	buf := make([]byte, maxPacket+1)
	for {
		n, cm, from, err := p.shared.ReadFrom(buf)
		if err != nil {
			return
		}
		u, ok := from.(*net.UDPAddr)
		if cm == nil || cm.IfIndex != p.ifi.Index || !ok {
			continue
		}
		if !p.pass(sound{data: slices.Clone(buf[:n]), src: u.AddrPort().Addr().Unmap(), multicast: cm.Dst.IsMulticast()}) {
			return
		}
	}
}

func (p *probe) readLegacy() {
	buf := make([]byte, maxPacket+1)
	for {
		n, from, err := p.legacy.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if !p.pass(sound{data: slices.Clone(buf[:n]), src: from.Addr().Unmap()}) {
			return
		}
	}
}

func (p *probe) readIGMP() {
	const membershipQuery = 0x11 // RFC 3376 §4
	buf := make([]byte, maxPacket)
	for {
		n, from, err := p.igmp.ReadFrom(buf)
		if err != nil {
			return
		}
		a, ok := from.(*net.IPAddr)
		if !ok || n == 0 || buf[0] != membershipQuery {
			continue
		}
		src, _ := netip.AddrFromSlice(a.IP)
		if !p.pass(sound{src: src.Unmap(), igmp: true}) {
			return
		}
	}
}
