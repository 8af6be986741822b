package dsps

import (
	"context"
	"net"
	"strconv"
	"time"
)

// dial begins a relay's connection to a service behind us.
func (s *Server) dial(a Action) {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.HandshakeTimeout)
	l := newLink(nil, s.cfg.LingerTimeout, s.cfg.Engine.Drain)
	l.id, l.stop = a.Conn, cancel
	s.links[l.id] = l
	s.wg.Go(func() {
		defer cancel()
		rest, err := s.reach(ctx, l, a)
		s.carry(l, rest, err)
	})
}

// reach connects, and goes through the handshake as a client: the engine tells
// the key that comes, and has the next from its own client.
func (s *Server) reach(ctx context.Context, l *link, a Action) ([]byte, error) {
	c, err := s.cfg.Dial(ctx, "tcp", net.JoinHostPort(a.Dest.Host, strconv.Itoa(a.Dest.Port)))
	if err != nil {
		return nil, err
	}
	if !l.made(c) {
		return nil, errCut
	}
	if err := c.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write(append([]byte(a.Line), cr)); err != nil {
		return nil, err
	}
	var p preamble
	line, ok, err := p.lines.next()
	for ; !ok && err == nil; line, ok, err = p.lines.next() {
		if err := l.more(&p); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	s.call(func(now time.Time) { s.engine.HandleRelayKey(now, l.id, line) })
	k, err := l.key(s.done)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(AppendKey(nil, k)); err != nil {
		return nil, err
	}
	return p.rest(), l.wait(s.done)
}
