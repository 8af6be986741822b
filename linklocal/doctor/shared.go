package doctor

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const multicastTTL = 255 // RFC 6762 §11

// A shared is a socket on port 5353, as every responder has it, of one family.
type shared interface {
	// say sends to the group on an interface.
	say(b []byte, ifi *net.Interface) error
	// hear reads a packet, and says by which interface it came, and whether to
	// the group.
	hear(b []byte) (n int, src netip.Addr, ifIndex int, multicast bool, err error)
	Close() error
}

// groupOf is where multicast DNS is spoken. RFC 6762 §3
func groupOf(six bool) netip.AddrPort {
	if six {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0xfb}), group.Port())
	}
	return group
}

// bind opens the port beside others: net.ListenUDP sets the reuse of addresses
// for a multicast address, while it binds the wildcard one.
func bind(six bool) (*net.UDPConn, error) {
	network := "udp4"
	if six {
		network = "udp6"
	}
	return net.ListenUDP(network, net.UDPAddrFromAddrPort(groupOf(six)))
}

// openShared opens a socket that has joined the group on the interface.
func openShared(ifi *net.Interface, six bool) (shared, error) {
	c, err := bind(six)
	if err != nil {
		return nil, err
	}
	var s shared
	if to := net.UDPAddrFromAddrPort(groupOf(six)); six {
		p := ipv6.NewPacketConn(c)
		s, err = shared6{p}, allOf(
			func() error { return p.JoinGroup(ifi, to) },
			func() error { return p.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true) },
			func() error { return p.SetMulticastHopLimit(multicastTTL) },
			func() error { return p.SetMulticastLoopback(true) },
		)
	} else {
		p := ipv4.NewPacketConn(c)
		s, err = shared4{p}, allOf(
			func() error { return p.JoinGroup(ifi, to) },
			func() error { return p.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true) },
			func() error { return p.SetMulticastTTL(multicastTTL) },
			func() error { return p.SetMulticastLoopback(true) },
		)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// allOf does all until one fails.
func allOf(steps ...func() error) error {
	for _, f := range steps {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

type shared4 struct{ *ipv4.PacketConn }

func (s shared4) say(b []byte, ifi *net.Interface) error {
	_, err := s.WriteTo(b, &ipv4.ControlMessage{IfIndex: ifi.Index}, net.UDPAddrFromAddrPort(groupOf(false)))
	return err
}

func (s shared4) hear(b []byte) (int, netip.Addr, int, bool, error) {
	for {
		n, cm, from, err := s.ReadFrom(b)
		if err != nil {
			return 0, netip.Addr{}, 0, false, err
		}
		if u, ok := from.(*net.UDPAddr); ok && cm != nil {
			return n, u.AddrPort().Addr().Unmap(), cm.IfIndex, cm.Dst.IsMulticast(), nil
		}
	}
}

type shared6 struct{ *ipv6.PacketConn }

func (s shared6) say(b []byte, ifi *net.Interface) error {
	_, err := s.WriteTo(b, &ipv6.ControlMessage{IfIndex: ifi.Index}, net.UDPAddrFromAddrPort(groupOf(true)))
	return err
}

func (s shared6) hear(b []byte) (int, netip.Addr, int, bool, error) {
	for {
		n, cm, from, err := s.ReadFrom(b)
		if err != nil {
			return 0, netip.Addr{}, 0, false, err
		}
		if u, ok := from.(*net.UDPAddr); ok && cm != nil {
			return n, u.AddrPort().Addr(), cm.IfIndex, cm.Dst.IsMulticast(), nil
		}
	}
}
