package doctor

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/net/ipv4"
)

// A probe is the sockets on one link, and a goroutine that reads each.
type probe struct {
	ifi    *net.Interface
	shared shared
	legacy *net.UDPConn   // another port: answers come by unicast to us alone; nil: IPv6
	igmp   net.PacketConn // nil where we may not, or IPv6
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

func openProbe(l Link, six bool) (*probe, error) {
	ifi, err := net.InterfaceByName(l.Name)
	if err != nil {
		return nil, err
	}
	p := &probe{ifi: ifi, sounds: make(chan sound, 64), stop: make(chan struct{})}
	if p.shared, err = openShared(ifi, six); err != nil || six {
		return p, err
	}
	own, _ := l.IPv4()
	if p.legacy, err = openLegacy(ifi, own.Addr()); err != nil {
		p.shared.Close()
		return nil, err
	}
	// Raw sockets are for root. Without one we just know less.
	if p.igmp, err = net.ListenPacket("ip4:igmp", "0.0.0.0"); err != nil {
		p.igmp = nil
	}
	return p, nil
}

func openLegacy(ifi *net.Interface, own netip.Addr) (*net.UDPConn, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(own, 0)))
	if err != nil {
		return nil, err
	}
	p := ipv4.NewPacketConn(c)
	err = allOf(
		func() error { return p.SetMulticastInterface(ifi) },
		func() error { return p.SetMulticastTTL(multicastTTL) },
		func() error { return p.SetTTL(multicastTTL) },
	)
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// start starts the readers. They end with close.
func (p *probe) start() {
	p.wg.Go(p.readShared)
	if p.legacy != nil {
		p.wg.Go(p.readLegacy)
	}
	if p.igmp != nil {
		p.wg.Go(p.readIGMP)
	}
}

func (p *probe) close() {
	close(p.stop)
	p.shared.Close()
	if p.legacy != nil {
		p.legacy.Close()
	}
	if p.igmp != nil {
		p.igmp.Close()
	}
	p.wg.Wait()
}

// say sends to the group.
func (p *probe) say(b []byte) error { return p.shared.say(b, p.ifi) }

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
		n, src, ifIndex, multicast, err := p.shared.hear(buf)
		if err != nil {
			return
		}
		if ifIndex == p.ifi.Index && !p.pass(sound{data: slices.Clone(buf[:n]), src: src, multicast: multicast}) {
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
