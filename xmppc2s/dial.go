package xmppc2s

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// maxNegotiation bounds what a server may send before the session is up.
const maxNegotiation = 1 << 20

var errTalkative = errors.New("the server sends too much before the session is up")

// dial opens a TCP connection to one target.
func dial(ctx context.Context, cfg *Config, t target) (*meteredConn, error) {
	d := net.Dialer{
		Timeout:         cfg.DialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4},
		Control:         tuneSocket,
	}
	conn, err := d.DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	return &meteredConn{Conn: conn, ack: quickAck(conn), left: maxNegotiation}, nil
}

// A meteredConn bounds what is read while the session is negotiated. Then
// unmeter lifts the bound. It belongs to one goroutine at a time.
type meteredConn struct {
	net.Conn
	ack  func() // see quickAck
	left int    // bytes; negative: no bound
}

func (c *meteredConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errTalkative
	}
	if c.left > 0 && len(p) > c.left {
		p = p[:c.left]
	}
	c.ack()
	n, err := c.Conn.Read(p)
	if c.left > 0 {
		c.left -= n
	}
	return n, err
}

func (c *meteredConn) unmeter() {
	c.left = -1
	c.ack = func() {} // it pays in the ping-pong of the negotiation only
}

// A byteConn lets two readers use one connection one after the other: the XML
// decoder of the negotiation and the framer of the session. encoding/xml does
// not read ahead of an io.ByteReader.
type byteConn struct {
	net.Conn
	br *bufio.Reader
}

func newByteConn(c net.Conn) *byteConn { return &byteConn{c, bufio.NewReaderSize(c, 16<<10)} }

func (c *byteConn) Read(p []byte) (int, error) { return c.br.Read(p) }
func (c *byteConn) ReadByte() (byte, error)    { return c.br.ReadByte() }

// ConnectionState makes the TLS state known through the wrapper.
func (c *byteConn) ConnectionState() tls.ConnectionState {
	if t, ok := c.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return t.ConnectionState()
	}
	return tls.ConnectionState{}
}
