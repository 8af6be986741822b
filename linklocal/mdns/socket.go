package mdns

import (
	"net"
	"net/netip"

	"meshgate/internal/multicast"
)

const (
	multicastTTL = 255     // RFC 6762 §11
	readBuffer   = 4 << 20 // a room full of announcements at once
)

// group is where mDNS is spoken, RFC 6762 §3.
func (f family) group() netip.AddrPort {
	a := netip.AddrFrom4([4]byte{224, 0, 0, 251})
	if f == ipv6Family {
		a = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0xfb})
	}
	return netip.AddrPortFrom(a, mdnsPort)
}

func (osNetwork) open(f family) (packetConn, error) {
	c, err := multicast.Listen(multicast.Config{Group: f.group(), TTL: multicastTTL, Buffer: readBuffer})
	if err != nil {
		return nil, err
	}
	return socket{c}, nil
}

// A socket is bound to port 5353 of a family, beside those of other stacks on
// this host.
type socket struct{ *multicast.Conn }

func (s socket) ReadPacket(b []byte) (int, arrival, error) {
	n, from, err := s.Conn.ReadPacket(b)
	return n, arrival{from.Link, from.Src, !from.Dst.IsMulticast()}, err
}

func (s socket) Join(l *Link) error { return s.Conn.Join(netInterface(l)) }

func (s socket) Leave(l *Link) { s.Conn.Leave(netInterface(l)) }

func netInterface(l *Link) *net.Interface { return &net.Interface{Name: l.Name, Index: l.Index} }
