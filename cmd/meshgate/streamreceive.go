package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
)

// receive waits for an invitation, accepts it and writes what comes.
func (r *streamRun) receive(ctx context.Context) error {
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	r.say("waiting for an invitation to %s", plain(string(s.self)))
	inv, err := r.await(s)
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

// await waits for an invitation that is wanted; others are rejected.
func (r *streamRun) await(s *streamSession) (*client.Invitation, error) {
	var late <-chan time.Time
	if r.o.wait > 0 {
		t := time.NewTimer(r.o.wait)
		defer t.Stop()
		late = t.C
	}
	for {
		select {
		case inv := <-s.invited:
			if r.wanted(inv) {
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
func (r *streamRun) wanted(inv *client.Invitation) bool {
	if r.o.service != "" && !samePerson(inv.From, r.o.service) {
		return false
	}
	if r.o.from == "" {
		return true
	}
	for _, p := range inv.Peers {
		if samePerson(p, r.o.from) {
			return true
		}
	}
	return false
}

// samePerson compares addresses without their resources, as written by whoever.
func samePerson(j dsps.JID, written string) bool {
	a, err := parseJID(string(j))
	b, err2 := parseJID(written)
	return err == nil && err2 == nil && a.Bare() == b.Bare()
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
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	at, err := parseJID(r.o.args[0])
	if err != nil {
		return err
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
	conn, err := stream.Connect(s.alive, r.o.method)
	if err != nil {
		return err
	}
	defer conn.Close()
	m := r.meter(meta.Name, meta.Size)
	defer m.stop()
	limit := r.o.max
	if meta.Size >= 0 {
		limit = min(limit, meta.Size)
	}
	if _, err := conn.Receive(ctx, io.MultiWriter(&bounded{out, limit}, m), meta); err != nil {
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

// A bounded takes so many bytes and no more: who sends may lie about the size,
// and would fill the disk.
type bounded struct {
	w    io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		return 0, errors.New("more comes than was announced, or than -max allows")
	}
	n, err := b.w.Write(p)
	b.left -= int64(n)
	return n, err
}
