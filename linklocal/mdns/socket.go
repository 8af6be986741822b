package mdns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
)

const (
	multicastTTL = 255     // RFC 6762 §11
	readBuffer   = 4 << 20 // a room full of announcements at once; the kernel may give less
)

var errNoIPv4 = errors.New("mdns: interface has no IPv4 address")

func groupAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 251}), mdnsPort)
}

// An osNetwork is the real network. IPv4 only as transport.
type osNetwork struct{ names []string }

func (o osNetwork) find() (link, bool) {
	for _, name := range o.names {
		if ifi, err := net.InterfaceByName(name); err == nil {
			return usable(*ifi)
		}
	}
	if len(o.names) > 0 {
		return link{}, false
	}
	all, err := net.Interfaces()
	if err != nil {
		return link{}, false
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 {
			continue
		}
		if l, ok := usable(ifi); ok {
			return l, true
		}
	}
	return link{}, false
}

func usable(ifi net.Interface) (link, bool) {
	if ifi.Flags&net.FlagUp == 0 || ifi.Flags&net.FlagMulticast == 0 {
		return link{}, false
	}
	l := link{ifi: ifi, prefixes: prefixes(&ifi)}
	for _, p := range l.prefixes {
		l.addrs = append(l.addrs, p.Addr())
	}
	return l, len(ipv4Of(l.addrs)) > 0
}

func prefixes(ifi *net.Interface) (out []netip.Prefix) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, _ := netip.AddrFromSlice(n.IP)
		ones, _ := n.Mask.Size()
		out = append(out, netip.PrefixFrom(ip.Unmap(), ones))
	}
	return out
}

// A socket is bound to 0.0.0.0:5353 beside those of other stacks on this host.
type socket struct {
	p        *ipv4.PacketConn
	ifi      net.Interface
	prefixes []netip.Prefix
	offLink  atomic.Uint64
}

// open binds port 5353 with address reuse, which net.ListenUDP sets for a
// multicast address while it binds the wildcard one, and joins the group.
// Loopback is on because other stacks live on this host.
func (o osNetwork) open(l link) (packetConn, error) {
	if len(ipv4Of(l.addrs)) == 0 {
		return nil, errNoIPv4
	}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(224, 0, 0, 0), Port: mdnsPort})
	if err != nil {
		return nil, fmt.Errorf("mdns: listen: %w", err)
	}
	s := &socket{p: ipv4.NewPacketConn(c), ifi: l.ifi, prefixes: prefixes(&l.ifi)}
	c.SetReadBuffer(readBuffer) // less is slower, not wrong
	if err := s.join(); err != nil {
		s.p.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) join() error {
	group := net.UDPAddrFromAddrPort(groupAddr())
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"join group", func() error { return s.p.JoinGroup(&s.ifi, group) }},
		{"control messages", func() error { return s.p.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true) }},
		{"multicast interface", func() error { return s.p.SetMulticastInterface(&s.ifi) }},
		{"multicast ttl", func() error { return s.p.SetMulticastTTL(multicastTTL) }},
		{"ttl", func() error { return s.p.SetTTL(multicastTTL) }},
		{"loopback", func() error { return s.p.SetMulticastLoopback(true) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("mdns: %s: %w", step.what, err)
		}
	}
	return nil
}

// ReadPacket returns the next packet from our link.
//
// A packet sent to the group cannot have come from beyond the link; one sent
// to our own address must have a source address of the link, RFC 6762 §11.
func (s *socket) ReadPacket(b []byte) (n int, src netip.AddrPort, unicast bool, err error) {
	for {
		n, cm, from, err := s.p.ReadFrom(b)
		if err != nil {
			return 0, src, false, err
		}
		if cm == nil || cm.IfIndex != s.ifi.Index {
			continue // another interface's Conn takes it
		}
		u, ok := from.(*net.UDPAddr)
		if !ok {
			continue
		}
		src = u.AddrPort()
		src = netip.AddrPortFrom(src.Addr().Unmap(), src.Port())
		unicast = !cm.Dst.IsMulticast()
		if unicast && !s.onLink(src.Addr()) {
			s.offLink.Add(1)
			continue
		}
		return n, src, unicast, nil
	}
}

func (s *socket) onLink(a netip.Addr) bool {
	for _, p := range s.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return a.IsLinkLocalUnicast()
}

func (s *socket) WritePacket(b []byte, to netip.AddrPort) error {
	if !to.IsValid() {
		to = groupAddr()
	}
	_, err := s.p.WriteTo(b, &ipv4.ControlMessage{IfIndex: s.ifi.Index}, net.UDPAddrFromAddrPort(to))
	return err
}

func (s *socket) OffLink() uint64 { return s.offLink.Load() }

func (s *socket) Close() error { return s.p.Close() }

// sendError classifies what can go wrong with a datagram. In all cases it is
// lost and nothing else: if the link is gone, checkLink finds out.
func sendError(err error) string {
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable"
	case errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "link down"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return "filtered"
	case errors.Is(err, syscall.EMSGSIZE):
		return "too large"
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.EAGAIN):
		return "no buffers"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	}
	return "other"
}
