package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"meshgate/bridge/dsps"
)

// A Method is a way to connect. The zero value is the default one, plain.
type Method struct{ HTTP, TLS bool }

const (
	maxLine    = 1 << 10 // bytes of a line of the service's: keys, and headers of HTTP
	maxHeaders = 64
	// joinPatience is how long a master waits to be told that it is connected.
	joinPatience = 3 * time.Second
)

var errWire = errors.New("dsps: the service does not speak the protocol")

// A Conn is our connection to a stream. One goroutine may read while another writes.
type Conn struct {
	conn   net.Conn
	blocks *dsps.BlockReader
	heed   sync.Once // for ready
	ready  chan string
}

// Connect goes through a handshake. Whoever is connected already, or was and
// lost the connection, does the same.
func (s *Stream) Connect(ctx context.Context, m Method) (*Conn, error) {
	c, err := s.client.cfg.Dial(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, fmt.Errorf("dsps: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	select {
	case <-s.joined: // of a connection before
	default:
	}
	conn, err := s.shake(ctx, c, m)
	if err == nil {
		s.awaitJoined(ctx)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("dsps: connecting to %s: %w", s.Addr(), err)
	}
	return conn, nil
}

// Addr is where the service listens, as host:port.
func (s *Stream) Addr() string {
	host, port := s.Prepared.Host, s.Prepared.Port
	if host == "" {
		host = s.At.Host()
	}
	if port == 0 {
		port = dsps.DefaultPort
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func (s *Stream) shake(ctx context.Context, c net.Conn, m Method) (*Conn, error) {
	in := newInput(c)
	if m.HTTP {
		if err := askHTTP(c, in, s.At.Host()); err != nil {
			return nil, err
		}
	}
	if m.TLS {
		t, err := s.secure(ctx, c)
		if err != nil {
			return nil, err
		}
		c, in = t, newInput(t)
	}
	if _, err := c.Write(dsps.AppendHello(nil, s.client.cfg.Self, s.At)); err != nil {
		return nil, err
	}
	k, err := in.line()
	if err != nil {
		return nil, err
	}
	next, err := s.nextKey(ctx, k)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(dsps.AppendKey(nil, next)); err != nil {
		return nil, err
	}
	return &Conn{conn: c, blocks: dsps.NewBlockReader(in)}, nil
}

// awaitJoined waits until the service has taken the last key: what others send
// before is not for us. "If the client had type "master" connection, all members
// of the stream get notified." XEP-0037. Services may read it otherwise.
func (s *Stream) awaitJoined(ctx context.Context) {
	if s.Right != dsps.Master {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	select {
	case <-s.joined:
	case <-s.dropped:
	case <-ctx.Done():
	}
}

// nextKey has the service give the next key for one.
func (s *Stream) nextKey(ctx context.Context, k string) (string, error) {
	a, err := s.ask(ctx, "get", dsps.Auth{Key: k})
	if err != nil {
		return "", err
	}
	if len(a.Queries) > 0 {
		if q, ok := a.Queries[0].(dsps.Auth); ok && q.Key != "" {
			return q.Key, nil
		}
	}
	return "", errAnswer
}

func (s *Stream) secure(ctx context.Context, c net.Conn) (net.Conn, error) {
	if s.client.cfg.TLS == nil {
		return nil, errors.New("dsps: no configuration for TLS")
	}
	if _, err := io.WriteString(c, "starttls\r"); err != nil {
		return nil, err
	}
	t := tls.Client(c, s.client.cfg.TLS)
	return t, t.HandshakeContext(ctx)
}

// askHTTP sends the request of the document and reads to the end of the answer.
func askHTTP(c net.Conn, in *input, host string) error {
	if _, err := io.WriteString(c, "GET /DSPS/STREAM/ HTTP/1.0\r\nHost: "+host+"\r\n\r\n"); err != nil {
		return err
	}
	status, err := in.line()
	if err != nil {
		return err
	}
	if f := strings.Fields(status); len(f) < 2 || !strings.HasPrefix(f[0], "HTTP/1.") || f[1] != "200" {
		return fmt.Errorf("%w: HTTP: %q", errWire, status)
	}
	for range maxHeaders {
		if h, err := in.line(); err != nil || h == "" {
			in.crlf = false // what comes next may be written by somebody else
			return err
		}
	}
	return fmt.Errorf("%w: too many headers", errWire)
}

// Write sends data to the stream, as it is.
func (c *Conn) Write(b []byte) (int, error) { return c.conn.Write(b) }

// Read reads data of one peer, whose id in Who is ID. The end between two
// blocks is io.EOF, another io.ErrUnexpectedEOF.
func (c *Conn) Read(b []byte) (int, error) { return c.blocks.Read(b) }

// ID is that of the peer that sent what was read last.
func (c *Conn) ID() string { return c.blocks.ID() }

// CloseWrite says that nothing more will come, and lets what is on its way
// arrive: the service ends the connection when it has all. Whoever closes
// instead can lose what it has sent last.
func (c *Conn) CloseWrite() error {
	w := c.conn
	if t, ok := w.(*tls.Conn); ok {
		if err := t.CloseWrite(); err != nil {
			return err
		}
		w = t.NetConn()
	}
	if half, ok := w.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return w.Close()
}

// Close ends the connection. We are still a peer, and may connect again.
func (c *Conn) Close() error { return c.conn.Close() }

// SetDeadline is as that of a net.Conn.
func (c *Conn) SetDeadline(at time.Time) error { return c.conn.SetDeadline(at) }
