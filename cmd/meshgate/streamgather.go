package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
	"meshgate/internal/stanza"
)

// A gathering is who is to receive. It belongs to one goroutine.
type gathering struct {
	run     *streamRun
	session *streamSession
	stream  *client.Stream
	conn    *client.Conn
	awaited int // were asked, and have neither come nor declined
	ready   map[dsps.JID]bool
	lost    []string // were ready, and have not got all
}

// gather invites, and waits until everybody is ready or will not come.
func (g *gathering) gather(meta client.Meta) error {
	wait := g.run.o.wait
	if wait == 0 {
		wait = defaultCome
	}
	ctx, cancel := context.WithTimeout(g.session.alive, wait)
	defer cancel()
	if g.run.o.stream != "" {
		if err := g.seed(ctx); err != nil {
			return err
		}
	}
	to, err := g.run.receivers(ctx, g.session, g.stream.At)
	if err != nil {
		return err
	}
	if len(to) > 0 {
		offer := client.Offer{Right: dsps.Slave, Peers: to, Expire: wait, Comments: []*stanza.Element{meta.Comment()}}
		if err := inviteAll(ctx, g.stream, offer); err != nil {
			return err
		}
		g.awaited += len(to)
	}
	return g.await(ctx)
}

// seed counts those whom invite has invited, or who have joined.
func (g *gathering) seed(ctx context.Context) error {
	who, err := g.stream.Who(ctx)
	if err != nil {
		return err
	}
	for _, p := range who {
		if p.JID != g.session.self {
			g.awaited++
		}
	}
	g.recount(who)
	return nil
}

// recount takes those for ready who are connected: what they have said while we
// were not is lost.
func (g *gathering) recount(who []dsps.PeerInfo) {
	for _, p := range who {
		if p.Status == dsps.Connect && p.JID != g.session.self && !g.ready[p.JID] {
			g.ready[p.JID] = true
			g.awaited--
		}
	}
}

func (g *gathering) await(ctx context.Context) error {
	if g.awaited > 0 {
		g.run.say("waiting for %s", count(g.awaited, "receiver"))
	}
	for g.awaited > 0 {
		select {
		case id, ok := <-g.conn.Ready():
			if err := g.heard(ctx, id, ok); err != nil {
				return err
			}
		case e := <-g.stream.Events():
			g.gone(e)
		case <-g.stream.Dropped():
			return client.ErrDropped
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && len(g.ready) > 0 {
				g.run.say("%s did not come in time", count(g.awaited, "receiver"))
				return nil
			}
			return fmt.Errorf("waiting for receivers: %w", context.Cause(ctx))
		}
	}
	if len(g.ready) == 0 {
		return errors.New("nobody receives")
	}
	return nil
}

// heard takes who is ready, or that our connection has broken: nothing was sent
// by it, so another one does.
func (g *gathering) heard(ctx context.Context, id string, ok bool) error {
	if ok {
		return g.come(ctx, id)
	}
	g.run.say("the connection broke; connecting again")
	conn, err := g.stream.Connect(ctx, g.run.o.method)
	if err != nil {
		return err
	}
	g.conn.Close()
	g.conn = conn
	who, err := g.stream.Who(ctx)
	g.recount(who)
	return err
}

// come takes who is ready.
func (g *gathering) come(ctx context.Context, id string) error {
	who, err := g.stream.Who(ctx)
	if err != nil {
		return err
	}
	for _, p := range who {
		if p.ID == id && !g.ready[p.JID] {
			g.ready[p.JID] = true
			g.awaited--
			g.run.say("%s is ready", plain(string(p.JID)))
		}
	}
	return nil
}

// farewells are the ways in which somebody is not there any more.
var farewells = map[dsps.Status]string{
	dsps.Reject: "declines, or is not there", dsps.Expire: "did not answer", dsps.Timeout: "did not connect",
	dsps.Drop: "has left", dsps.Waiting: "was cut off",
}

// gone takes who has declined, or left. Who was cut off may come again, and then
// says so.
func (g *gathering) gone(e dsps.PeerPresence) {
	why, was := farewells[e.Status], g.ready[e.JID]
	delete(g.ready, e.JID)
	switch {
	case why == "" || e.JID == g.session.self:
		return
	case e.Status == dsps.Waiting && was:
		g.awaited++
	case e.Status != dsps.Waiting && !was:
		g.awaited--
	}
	g.run.say("%s %s", plain(string(e.JID)), why)
}

// send sends to those who are ready, and notes who goes before the end.
func (g *gathering) send(ctx context.Context, src io.Reader) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	sent := make(chan error, 1)
	go func() {
		_, err := g.conn.Send(ctx, src)
		sent <- err
	}()
	for {
		select {
		case err := <-sent:
			if err != nil {
				g.giveUp()
				if cause := context.Cause(ctx); cause != nil {
					err = cause
				}
				return err
			}
			return nil
		case e := <-g.stream.Events():
			if g.lose(e); len(g.ready) == 0 {
				stop(errors.New("nobody receives any more"))
			}
		}
	}
}

// lose takes who has gone in the midst of it: what is sent meanwhile it does not
// get.
func (g *gathering) lose(e dsps.PeerPresence) {
	if !g.ready[e.JID] || e.Status != dsps.Waiting && e.Status != dsps.Drop {
		return
	}
	delete(g.ready, e.JID)
	g.lost = append(g.lost, plain(string(e.JID)))
	g.run.say("%s %s, and has not got all", plain(string(e.JID)), farewells[e.Status])
}

// missing is the error that not everybody has got all.
func (g *gathering) missing() error {
	if len(g.lost) == 0 {
		return nil
	}
	return fmt.Errorf("not everybody has got all: %s", strings.Join(g.lost, ", "))
}

// giveUp drops the others: who is left when a stream ends has what was sent, and
// would take it for all.
func (g *gathering) giveUp() {
	if len(g.ready) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), partingPatience)
	defer cancel()
	why := stanza.New(dsps.NS, "comment", stanza.Text("not all was sent"))
	_, _ = g.stream.Drop(ctx, []*stanza.Element{why}, slices.Collect(maps.Keys(g.ready))...) // if it cannot be said, so be it
}
