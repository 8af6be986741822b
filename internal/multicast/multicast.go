// Package multicast has the UDP sockets of a multicast group that is on several
// links at once: each packet is sent to one of them, and it is known where each
// came from.
package multicast

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A Config says what a socket is for.
type Config struct {
	Group  netip.AddrPort // IPv4 or IPv6: the socket's family
	TTL    int            // of what is sent, or the hop limit
	Buffer int            // bytes that wait to be read; the kernel may give less, which is slower, not wrong
	// Crowd is for groups in which many programs of one host are: any of them may
	// share the port by whatever means, and what is sent to groups of others that
	// have the port, too, is kept away, where the system can do that.
	Crowd bool
	Bulk  bool // ReadPackets is called, not ReadPacket
}

// A Conn is a socket bound to the group's port on all addresses, beside those of
// other programs. It gets what is sent to that port, also by unicast and, as a
// rule, to other groups that somebody on this host has joined: see Arrival.Dst.
// What it sends comes back to it and to others on this host. Its methods may be
// called from any goroutine.
type Conn struct {
	group  net.Addr
	udp    *net.UDPConn
	p4     *ipv4.PacketConn // one of the two is nil
	p6     *ipv6.PacketConn
	bulk   *bulk       // nil without Config.Bulk
	trains atomic.Bool // may be sent
}

// An Arrival says where a packet came from, and where it was sent to.
type Arrival struct {
	Link int // index of the interface
	Src  netip.AddrPort
	Dst  netip.Addr
}

// Listen opens a socket that has joined nowhere yet.
func Listen(cfg Config) (*Conn, error) {
	udp, err := bind(cfg)
	if err != nil {
		return nil, fmt.Errorf("multicast: listen: %w", err)
	}
	_ = udp.SetReadBuffer(cfg.Buffer)
	c := &Conn{group: net.UDPAddrFromAddrPort(cfg.Group), udp: udp}
	if cfg.Group.Addr().Is4() {
		c.p4 = ipv4.NewPacketConn(udp)
		err = prepare4(c.p4, cfg.TTL)
	} else {
		c.p6 = ipv6.NewPacketConn(udp)
		err = prepare6(c.p6, cfg.TTL)
	}
	if err != nil {
		udp.Close()
		return nil, err
	}
	if cfg.Bulk {
		if err := c.takeBulk(); err != nil {
			udp.Close()
			return nil, fmt.Errorf("multicast: %w", err)
		}
	}
	return c, nil
}

func (c *Conn) takeBulk() error {
	raw, err := c.udp.SyscallConn()
	if err != nil {
		return err
	}
	c.bulk = newBulk()
	c.trains.Store(takeTrains(raw))
	return nil
}

// bind binds the port with address reuse: package net sets that for a multicast
// address, while it binds the wildcard one.
func bind(cfg Config) (*net.UDPConn, error) {
	network := "udp4"
	if !cfg.Group.Addr().Is4() {
		network = "udp6"
	}
	var lc net.ListenConfig
	if cfg.Crowd {
		lc.Control = func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { inCrowd(fd, cfg.Group.Addr()) })
		}
	}
	c, err := lc.ListenPacket(context.Background(), network, cfg.Group.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// A setting is a step in preparing a socket.
type setting struct {
	what string
	do   func() error
}

func apply(steps ...setting) error {
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("multicast: %s: %w", step.what, err)
		}
	}
	return nil
}

func prepare4(p *ipv4.PacketConn, ttl int) error {
	return apply(
		setting{"control messages", func() error { return p.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true) }},
		setting{"multicast ttl", func() error { return p.SetMulticastTTL(ttl) }},
		setting{"ttl", func() error { return p.SetTTL(ttl) }},
		setting{"loopback", func() error { return p.SetMulticastLoopback(true) }},
	)
}

func prepare6(p *ipv6.PacketConn, ttl int) error {
	return apply(
		setting{"control messages", func() error { return p.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true) }},
		setting{"multicast hop limit", func() error { return p.SetMulticastHopLimit(ttl) }},
		setting{"hop limit", func() error { return p.SetHopLimit(ttl) }},
		setting{"loopback", func() error { return p.SetMulticastLoopback(true) }},
	)
}

// ReadPacket waits for a packet. What does not fit into b is cut off.
func (c *Conn) ReadPacket(b []byte) (n int, from Arrival, err error) {
	for {
		var src net.Addr
		known := false
		if c.p4 != nil {
			var cm *ipv4.ControlMessage
			if n, cm, src, err = c.p4.ReadFrom(b); cm != nil {
				known, from.Link = true, cm.IfIndex
				from.Dst, _ = netip.AddrFromSlice(cm.Dst.To4())
			}
		} else {
			var cm *ipv6.ControlMessage
			if n, cm, src, err = c.p6.ReadFrom(b); cm != nil {
				known, from.Link = true, cm.IfIndex
				from.Dst, _ = netip.AddrFromSlice(cm.Dst)
			}
		}
		if err != nil {
			return 0, Arrival{}, err
		}
		var ok bool
		if from.Src, ok = source(src); ok && known {
			return n, from, nil
		}
	}
}

func source(a net.Addr) (netip.AddrPort, bool) {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	src := u.AddrPort()
	return netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), true
}

// WritePacket sends a packet on a link, to the group if to is zero. What may go
// wrong is a lost packet as a rule: see Reason.
func (c *Conn) WritePacket(b []byte, link int, to netip.AddrPort) error {
	dst := c.group
	if to.IsValid() {
		dst = net.UDPAddrFromAddrPort(to)
	}
	if c.p4 != nil {
		_, err := c.p4.WriteTo(b, &ipv4.ControlMessage{IfIndex: link}, dst)
		return err
	}
	_, err := c.p6.WriteTo(b, &ipv6.ControlMessage{IfIndex: link}, dst)
	return err
}

// Join joins the group on a link, also after what may be left of a former
// membership. Of the interface only name and index are needed.
func (c *Conn) Join(link *net.Interface) error {
	c.Leave(link) // there was none, as a rule
	if c.p4 != nil {
		return c.p4.JoinGroup(link, c.group)
	}
	return c.p6.JoinGroup(link, c.group)
}

// Leave leaves the group on a link.
func (c *Conn) Leave(link *net.Interface) {
	if c.p4 != nil {
		_ = c.p4.LeaveGroup(link, c.group)
	} else {
		_ = c.p6.LeaveGroup(link, c.group)
	}
}

// Close ends a ReadPacket that waits.
func (c *Conn) Close() error { return c.udp.Close() }
