package main

import (
	"context"
	"errors"
	"fmt"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
)

// send creates a stream, or goes on with one, waits for receivers and sends.
func (r *streamRun) send(ctx context.Context) error {
	src, meta, err := r.source(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	s, stream, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	defer leave(ctx, stream)
	r.say("the stream is %s", plain(s.handle(stream).String()))
	conn, err := stream.Connect(s.alive, r.o.method)
	if err != nil {
		return err
	}
	g := &gathering{run: r, session: s, stream: stream, conn: conn, ready: map[dsps.JID]bool{}, cut: map[dsps.JID]bool{}}
	defer func() { g.conn.Close() }()
	if err := g.gather(meta); err != nil {
		return err
	}
	m := r.meter(meta.Name, meta.Size)
	defer m.stop()
	if err := g.send(ctx, src, m); err != nil {
		return err
	}
	m.stop()
	r.say("sent %s", m.sum())
	return nil
}

// begin is the stream that is sent on, and a session that speaks for it.
func (r *streamRun) begin(ctx context.Context) (s *streamSession, stream *client.Stream, err error) {
	if r.o.stream != "" {
		s, stream, err = r.goOn(ctx)
	} else if s, err = r.open(ctx, r.o.resource("")); err == nil {
		stream, err = r.createAt(s, client.Options{})
	}
	if err != nil && s != nil {
		s.close()
	}
	return s, stream, err
}

// goOn takes up a stream that create has made.
func (r *streamRun) goOn(ctx context.Context) (*streamSession, *client.Stream, error) {
	h, err := parseHandle(r.o.stream)
	if err != nil {
		return nil, nil, err
	}
	p, err := h.prepared()
	if err != nil {
		return nil, nil, err
	}
	s, forwards, err := r.reach(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	if forwards {
		return s, nil, errors.New("another meshgate stream is on that stream now")
	}
	stream, err := s.Take(h.stream, dsps.Master, p)
	return s, stream, err
}

// createAt creates a stream.
func (r *streamRun) createAt(s *streamSession, opt client.Options) (*client.Stream, error) {
	service, err := s.service(r.o.service)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.asking()
	defer cancel()
	return s.Create(ctx, service, opt)
}

// create creates a stream, which another call sends on.
func (r *streamRun) create(ctx context.Context) error {
	s, err := r.open(ctx, r.o.resource(""))
	if err != nil {
		return err
	}
	defer s.close()
	stream, err := r.createAt(s, client.Options{MaxPublic: r.o.public})
	if err != nil {
		return err
	}
	fmt.Fprintln(r.stdout, s.handle(stream))
	return nil
}
