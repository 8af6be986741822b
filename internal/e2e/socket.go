package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// inNetwork runs f on a thread that is on the host's network.
func (h *Host) inNetwork(f func() error) error {
	if h.local {
		return f()
	}
	return h.network.do(f)
}

// Listen opens a TCP listener of this process on the host's network. The
// address must be numeric; ":0" listens on every address of the host.
func (h *Host) Listen(addr string) (net.Listener, error) {
	var ln net.Listener
	err := h.inNetwork(func() (err error) { ln, err = net.Listen("tcp", addr); return err })
	return ln, err
}

// Dial connects from the host's network; the address must be numeric. For
// hostile XML streams, and UDP packets to a single host.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var c net.Conn
	err := h.inNetwork(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// DialFrom is Dial from one of the host's own addresses.
func (h *Host) DialFrom(ctx context.Context, local netip.Addr, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	var c net.Conn
	err := h.inNetwork(func() (err error) { c, err = d.DialContext(ctx, network, addr); return err })
	return c, err
}

// ListenPacket opens a UDP socket of this process on the host's network.
func (h *Host) ListenPacket(addr string) (net.PacketConn, error) {
	var c net.PacketConn
	err := h.inNetwork(func() (err error) { c, err = net.ListenPacket("udp4", addr); return err })
	return c, err
}

// MDNSGroup is where multicast DNS is spoken: RFC 6762 §3.
var MDNSGroup = netip.MustParseAddrPort("224.0.0.251:5353")

// ListenMulticast opens a UDP socket on the host's network that has joined the
// group and is bound to its port beside whoever else is. What is written with
// WriteTo(b, group) goes out with IP TTL 255 and is not looped back.
func (h *Host) ListenMulticast(group netip.AddrPort) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if cerr := raw.Control(func(fd uintptr) { err = h.joinGroup(int(fd), group.Addr()) }); cerr != nil {
			return cerr
		}
		return err
	}}
	var c net.PacketConn
	err := h.inNetwork(func() (err error) {
		c, err = lc.ListenPacket(context.Background(), "udp4", fmt.Sprintf("0.0.0.0:%d", group.Port()))
		return err
	})
	return c, err
}

func (h *Host) joinGroup(fd int, group netip.Addr) error {
	mreq := &unix.IPMreqn{Multiaddr: group.As4(), Address: h.addr.As4()}
	for _, set := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) },
		func() error { return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq) },
		func() error { return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq) },
		func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 255) },
		func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0) },
	} {
		if err := set(); err != nil {
			return fmt.Errorf("e2e: %s: join %s: %w", h.Name, group, err)
		}
	}
	return nil
}

// QuickAck has the kernel acknowledge at once what comes next on a connection.
func QuickAck(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return // closed
	}
	// Without it everything works as well, only later.
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}
