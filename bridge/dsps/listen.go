package dsps

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	httpGreeting = "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"
	httpRefusal  = "HTTP/1.0 401 Unauthorized\r\n\r\n"

	pieceSize   = 1 << 10 // bytes that are read at a time before data flows
	acceptPause = 100 * time.Millisecond
)

// keepAlive finds out within half a minute that a silent peer's machine is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

var errCut = errors.New("dsps: the connection was refused")

// A gate counts connections.
type gate struct {
	mu               sync.Mutex
	most, half, each int
	open, halfOpen   int
	hosts            map[string]int // half-open ones, by address
	refused, failed  atomic.Uint64
}

// enter lets one more handshake begin, or does not.
func (g *gate) enter(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.most || g.halfOpen >= g.half || g.hosts[host] >= g.each {
		g.refused.Add(1)
		return false
	}
	g.open++
	g.halfOpen++
	g.hosts[host]++
	return true
}

// through says that a handshake has ended.
func (g *gate) through(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.halfOpen--
	if g.hosts[host]--; g.hosts[host] == 0 {
		delete(g.hosts, host)
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
}

func hostOf(c net.Conn) string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return ""
	}
	return host
}

// accept takes connections until ctx ends.
func (s *Server) accept(ctx context.Context, ln net.Listener) {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer ln.Close()
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			s.Serve(c)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // no file descriptors, most likely
			s.cfg.Log.Warn("no connection can be taken", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

// Serve takes a connection that a peer, or we ourselves, made to us. It is to be
// called while Run runs.
func (s *Server) Serve(c net.Conn) {
	host := hostOf(c)
	if s.ended() || !s.gate.enter(host) {
		c.Close()
		return
	}
	s.wg.Go(func() {
		defer s.gate.leave()
		l := newLink(c, s.cfg.LingerTimeout, s.cfg.Engine.Drain)
		if !s.call(func(time.Time) { l.id = s.engine.NewConn(); s.links[l.id] = l; close(l.named) }) {
			c.Close()
			s.gate.through(host)
			return
		}
		<-l.named
		rest, err := s.shake(l)
		s.gate.through(host)
		s.carry(l, rest, err)
	})
}

// ended reports whether Run is over.
func (s *Server) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// carry lets data flow, if the handshake did not fail, and closes the link.
func (s *Server) carry(l *link, rest []byte, err error) {
	if err != nil {
		s.gate.failed.Add(1)
		s.cfg.Log.Debug("handshake", "conn", l.id, "err", err)
	} else {
		l.serve(rest)
		if l.drain <= 0 {
			s.late.Add(1)
			s.cutOff(l, "it has left, and does not come to an end")
		}
	}
	l.abort()
	s.call(func(now time.Time) {
		delete(s.links, l.id)
		s.progress(now, l) // who goes before it is measured is measured all the same
		s.engine.HandleClosed(now, l.id)
	})
}

// shake goes through a handshake, and returns the data that came behind it.
func (s *Server) shake(l *link) ([]byte, error) {
	if err := l.conn.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout)); err != nil {
		return nil, err
	}
	var p preamble
	for {
		step, line, err := p.next()
		if err != nil {
			if p.inHTTP() {
				l.refuseHTTP()
			}
			return nil, err
		}
		switch step {
		case stepNone:
			err = l.more(&p)
		case stepHTTP:
			_, err = io.WriteString(l.conn, httpGreeting)
		case stepTLS:
			err = s.secure(l, &p)
		case stepHello:
			err = s.hello(l, line)
		case stepKey:
			return p.rest(), s.key(l, line)
		}
		if err != nil {
			return nil, err
		}
	}
}

// secure begins TLS. What came behind the line is the beginning of it.
func (s *Server) secure(l *link, p *preamble) error {
	if s.cfg.TLS == nil {
		return fmt.Errorf("%w: no TLS here", errCut)
	}
	if err := l.behind(p); err != nil {
		return err
	}
	c := tls.Server(&records{Conn: &prefixed{Conn: l.conn, prefix: p.rest()}}, s.cfg.TLS)
	if err := c.Handshake(); err != nil { // within the deadline of all
		return fmt.Errorf("dsps: TLS: %w", err)
	}
	l.conn = c
	return nil
}

// hello has the engine look at a first line, and says the key that it gives.
func (s *Server) hello(l *link, line string) error {
	s.call(func(time.Time) { s.engine.HandleHello(l.id, line) })
	k, err := l.key(s.done)
	if err != nil {
		return err
	}
	_, err = l.conn.Write(AppendKey(nil, k))
	return err
}

// key has the engine look at the line that ends a handshake.
func (s *Server) key(l *link, line string) error {
	s.call(func(time.Time) { s.engine.HandleKey(l.id, line) })
	return l.wait(s.done)
}

// prefixed is a connection of which something was read already.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.prefix)
	p.prefix = p.prefix[n:]
	return n, nil
}

// CloseWrite ends our direction.
func (p *prefixed) CloseWrite() error { return closeWrite(p.Conn) }

// closeWrite ends our direction of a connection, if that can be done by itself.
func closeWrite(c net.Conn) error {
	var first error
	if t, ok := c.(*tls.Conn); ok { // which ends only its own
		first = t.CloseWrite()
		c = t.NetConn()
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return errors.Join(first, half.CloseWrite())
	}
	return first
}
