package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
)

// receive waits for an invitation, accepts it and writes what comes.
func (r *streamRun) receive(ctx context.Context) error {
	s, err := r.openWaiting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	service, err := r.wantedService(s)
	if err != nil {
		return err
	}
	r.say("waiting for an invitation to %s", plain(string(s.self)))
	inv, err := r.await(s, service)
	if err != nil {
		return err
	}
	meta, described := client.FileOf(inv.Comments)
	if meta.Size > r.o.max {
		_ = inv.Reject()
		return fmt.Errorf("%s offers %s, which is more than -max %s", inviter(inv), sizeWords(meta.Size), sizeWords(r.o.max))
	}
	r.say("%s sends %s", inviter(inv), offerWords(meta, described))
	ask, cancel := s.asking()
	defer cancel()
	stream, err := inv.Accept(ask)
	if err != nil {
		return err
	}
	return r.take(ctx, s, stream, meta, ".")
}

// openWaiting opens a session where people are invited, if nobody else waits there.
func (r *streamRun) openWaiting(ctx context.Context) (*streamSession, error) {
	if r.o.lan {
		return r.open(ctx, "")
	}
	s, err := r.open(ctx, "")
	if err != nil {
		return nil, err
	}
	resource := r.o.resource(waitingResource)
	address := s.self.Bare() + "/" + dsps.JID(resource)
	taken := s.hears(address)
	s.close()
	if taken {
		return nil, fmt.Errorf("another meshgate stream is %s already; give this one a resource of its own, as in -account %s/here", address, address.Bare())
	}
	return r.open(ctx, resource)
}

// wantedService is the only one whose invitations are wanted; "": all are. On
// the LAN a gateway that was asked knows us, and can invite us at once.
func (r *streamRun) wantedService(s *streamSession) (dsps.JID, error) {
	wanted := r.o.service != "" || r.o.from != ""
	if !wanted && s.mesh == nil {
		return "", nil
	}
	service, err := s.service(r.o.service)
	switch {
	case wanted:
		return service, err
	case err != nil && s.alive.Err() == nil:
		r.say("%s; waiting for one all the same", trimWords(err))
	}
	return "", nil
}

// await waits for an invitation that is wanted; others are rejected.
func (r *streamRun) await(s *streamSession, service dsps.JID) (*client.Invitation, error) {
	var late <-chan time.Time
	if r.o.wait > 0 {
		t := time.NewTimer(r.o.wait)
		defer t.Stop()
		late = t.C
	}
	for {
		select {
		case inv := <-s.invited:
			if r.wanted(inv, service) {
				return inv, nil
			}
			_ = inv.Reject()
			r.say("an invitation of %s through %s is declined", inviter(inv), plain(string(inv.From)))
		case <-late:
			return nil, errors.New("nobody has invited us")
		case <-s.alive.Done():
			return nil, context.Cause(s.alive)
		}
	}
}

// wanted reports whether an invitation is one that the flags want.
func (r *streamRun) wanted(inv *client.Invitation, service dsps.JID) bool {
	if service != "" && !samePerson(inv.From, service) {
		return false
	}
	return r.o.from == "" || slices.ContainsFunc(inv.Peers, func(p dsps.JID) bool { return samePerson(p, dsps.JID(r.o.from)) })
}

// inviter is who has invited us, as far as the service says.
func inviter(inv *client.Invitation) string {
	if len(inv.Peers) == 0 {
		return plain(string(inv.From))
	}
	return plain(string(inv.Peers[0].Bare()))
}

func offerWords(m client.Meta, described bool) string {
	switch {
	case !described:
		return "something"
	case m.Size < 0:
		return plain(m.Name)
	}
	return plain(m.Name) + ", " + sizeWords(m.Size)
}

// join joins a public stream, and writes what comes.
func (r *streamRun) join(ctx context.Context) error {
	s, err := r.open(ctx, r.o.resource(""))
	if err != nil {
		return err
	}
	defer s.close()
	at := dsps.JID(r.o.args[0])
	if s.mesh != nil {
		if err := s.awaitService(at); err != nil {
			return err
		}
	}
	ask, cancel := s.asking()
	defer cancel()
	stream, err := s.Join(ask, at)
	if err != nil {
		return err
	}
	r.o.args = r.o.args[1:]
	return r.take(ctx, s, stream, client.Meta{Size: -1}, "-")
}

// take connects, and writes what comes to where the arguments say, or else where.
func (r *streamRun) take(ctx context.Context, s *streamSession, stream *client.Stream, meta client.Meta, where string) error {
	defer leave(ctx, stream)
	if len(r.o.args) > 0 {
		where = r.o.args[0]
	}
	out, err := r.sink(where, meta.Name)
	if err != nil {
		return err
	}
	defer out.abort()
	m := r.meter(meta.Name, meta.Size)
	defer m.stop()
	limit := r.o.max
	if meta.Size >= 0 {
		limit = min(limit, meta.Size)
	}
	if err := r.drain(ctx, s, stream, meta, &limited{w: io.MultiWriter(out, m), left: limit}); err != nil {
		return err
	}
	m.stop()
	name, err := out.commit()
	if err != nil {
		return err
	}
	r.say("received %s%s", m.sum(), name)
	return nil
}

// drain receives all that comes. A connection that breaks before anything has
// come is made again, if it shows when something is missing: "After reconnect,
// peer will not receive any data that exists on the stream while it was
// disconnected." XEP-0037, Disconnection handling
func (r *streamRun) drain(ctx context.Context, s *streamSession, stream *client.Stream, meta client.Meta, out *limited) error {
	for {
		conn, err := stream.Connect(s.alive, r.o.method)
		n := int64(0)
		if err == nil {
			n, err = conn.Receive(ctx, out, meta)
		}
		switch {
		case out.err != nil:
			return out.err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		why, dropped := lastWords(s, stream)
		switch {
		case why != "":
			return fmt.Errorf("the sender has given up on us: %s", why)
		case err == nil && (dropped || meta.Hashed()):
			return nil
		case err == nil:
			return errors.New("the connection broke, and there may be more that did not come")
		case conn == nil || n > 0 || dropped || !meta.Hashed():
			return err
		}
		r.say("the connection broke; connecting again")
	}
}

// lastWords reports whether the stream was over for us when the connection
// ended, and what was said about that. Who is over is told so before it is
// answered anything; who was cut off is still a peer.
func lastWords(s *streamSession, stream *client.Stream) (why string, dropped bool) {
	ctx, cancel := s.asking()
	defer cancel()
	_, _ = stream.Stats(ctx) // no answer is as good as one
	select {
	case <-stream.Dropped():
	default:
		return "", false
	}
	for _, c := range stream.Why() {
		why = cmp.Or(why, plain(c.Text()))
	}
	return why, true
}

// A limited takes so many bytes and no more: who sends may lie about the size,
// and would fill the disk. It remembers what went wrong with writing.
type limited struct {
	w    io.Writer
	left int64
	err  error
}

func (l *limited) Write(p []byte) (n int, err error) {
	if int64(len(p)) > l.left {
		l.err = errors.New("more comes than was announced, or than -max allows")
		return 0, l.err
	}
	n, l.err = l.w.Write(p)
	l.left -= int64(n)
	return n, l.err
}
