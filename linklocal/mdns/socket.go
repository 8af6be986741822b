package mdns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	multicastTTL = 255     // RFC 6762 §11
	readBuffer   = 4 << 20 // a room full of announcements at once; the kernel may give less
)

// group is where mDNS is spoken, RFC 6762 §3.
func (f family) group() netip.AddrPort {
	a := netip.AddrFrom4([4]byte{224, 0, 0, 251})
	if f == ipv6Family {
		a = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0xfb})
	}
	return netip.AddrPortFrom(a, mdnsPort)
}

// listen binds port 5353 of a family with address reuse, beside the sockets of
// other stacks on this host: net.ListenUDP sets that for a multicast address
// while it binds the wildcard one.
func listen(f family) (*net.UDPConn, error) {
	net4, net6 := "udp4", "udp6"
	c, err := net.ListenUDP([...]string{net4, net6}[f], net.UDPAddrFromAddrPort(f.group()))
	if err != nil {
		return nil, fmt.Errorf("mdns: listen: %w", err)
	}
	c.SetReadBuffer(readBuffer) // less is slower, not wrong
	return c, nil
}

func (osNetwork) open(f family) (packetConn, error) {
	c, err := listen(f)
	if err != nil {
		return nil, err
	}
	var s packetConn
	if f == ipv4Family {
		s, err = newSocket4(ipv4.NewPacketConn(c))
	} else {
		s, err = newSocket6(ipv6.NewPacketConn(c))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// A setting is a step in preparing a socket.
type setting struct {
	what string
	do   func() error
}

func apply(steps ...setting) error {
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("mdns: %s: %w", step.what, err)
		}
	}
	return nil
}

// membership is what a group is joined and left by. The interface's name and
// number are all that is needed of it.
func membership(l *Link, f family) (*net.Interface, net.Addr) {
	return &net.Interface{Name: l.Name, Index: l.Index}, net.UDPAddrFromAddrPort(f.group())
}

// rejoin joins after leaving what may be left of a former membership.
func rejoin(l *Link, f family, leave, join func(*net.Interface, net.Addr) error) error {
	_ = leave(membership(l, f)) // there was none, as a rule
	return join(membership(l, f))
}

// A socket4 is bound to 0.0.0.0:5353.
type socket4 struct{ *ipv4.PacketConn }

// newSocket4 prepares a socket. Loopback is on because other stacks live on
// this host.
func newSocket4(p *ipv4.PacketConn) (socket4, error) {
	return socket4{p}, apply(
		setting{"control messages", func() error { return p.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true) }},
		setting{"multicast ttl", func() error { return p.SetMulticastTTL(multicastTTL) }},
		setting{"ttl", func() error { return p.SetTTL(multicastTTL) }},
		setting{"loopback", func() error { return p.SetMulticastLoopback(true) }},
	)
}

func (s socket4) ReadPacket(b []byte) (int, arrival, error) {
	for {
		n, cm, from, err := s.ReadFrom(b)
		if err != nil {
			return 0, arrival{}, err
		}
		if u, ok := from.(*net.UDPAddr); ok && cm != nil {
			return n, arrival{cm.IfIndex, u.AddrPort(), !cm.Dst.IsMulticast()}, nil
		}
	}
}

func (s socket4) WritePacket(b []byte, link int, to netip.AddrPort) error {
	if !to.IsValid() {
		to = ipv4Family.group()
	}
	_, err := s.WriteTo(b, &ipv4.ControlMessage{IfIndex: link}, net.UDPAddrFromAddrPort(to))
	return err
}

func (s socket4) Join(l *Link) error { return rejoin(l, ipv4Family, s.LeaveGroup, s.JoinGroup) }

func (s socket4) Leave(l *Link) { _ = s.LeaveGroup(membership(l, ipv4Family)) }

// A socket6 is bound to [::]:5353, for IPv6 only.
type socket6 struct{ *ipv6.PacketConn }

func newSocket6(p *ipv6.PacketConn) (socket6, error) {
	return socket6{p}, apply(
		setting{"control messages", func() error { return p.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true) }},
		setting{"multicast hop limit", func() error { return p.SetMulticastHopLimit(multicastTTL) }},
		setting{"hop limit", func() error { return p.SetHopLimit(multicastTTL) }},
		setting{"loopback", func() error { return p.SetMulticastLoopback(true) }},
	)
}

func (s socket6) ReadPacket(b []byte) (int, arrival, error) {
	for {
		n, cm, from, err := s.ReadFrom(b)
		if err != nil {
			return 0, arrival{}, err
		}
		if u, ok := from.(*net.UDPAddr); ok && cm != nil {
			return n, arrival{cm.IfIndex, u.AddrPort(), !cm.Dst.IsMulticast()}, nil
		}
	}
}

func (s socket6) WritePacket(b []byte, link int, to netip.AddrPort) error {
	if !to.IsValid() {
		to = ipv6Family.group()
	}
	_, err := s.WriteTo(b, &ipv6.ControlMessage{IfIndex: link}, net.UDPAddrFromAddrPort(to))
	return err
}

func (s socket6) Join(l *Link) error { return rejoin(l, ipv6Family, s.LeaveGroup, s.JoinGroup) }

func (s socket6) Leave(l *Link) { _ = s.LeaveGroup(membership(l, ipv6Family)) }

// sendError classifies what can go wrong with a datagram. In all cases it is
// lost and nothing else: if the link is gone, checkLinks finds out.
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
