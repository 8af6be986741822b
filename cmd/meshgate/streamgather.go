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
	awaited int // are on the stream, or asked to be, and not ready
	ready   map[dsps.JID]bool
	cut     map[dsps.JID]bool // were ready, and are to come again
	lost    []string          // were ready, and have not got all
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
		if err := g.seed(); err != nil {
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
	}
	return g.await(ctx)
}

// seed takes those for ready who are connected: what they have said while we
// were not is lost.
func (g *gathering) seed() error {
	return g.recount(func(p dsps.PeerInfo) bool { return p.Status == dsps.Connect })
}

// recount takes others for ready, and counts those who are not. Who may come is
// asked each time, since anybody can join a public stream meanwhile.
func (g *gathering) recount(ready func(dsps.PeerInfo) bool) error {
	ctx, cancel := g.session.asking() // also when the wait is over: then those who are ready get it
	defer cancel()
	who, err := g.stream.Who(ctx)
	g.awaited = 0
	for _, p := range who {
		switch {
		case p.JID == g.session.self || g.ready[p.JID]:
		case ready(p):
			g.ready[p.JID] = true
		default:
			g.awaited++
		}
	}
	return err
}

// nobody is ready whom we have not heard of.
func nobody(dsps.PeerInfo) bool { return false }

func (g *gathering) await(ctx context.Context) error {
	if err := g.recount(nobody); err != nil {
		return err
	}
	if g.awaited > 0 {
		g.run.say("waiting for %s", count(g.awaited, "receiver"))
	}
	for g.awaited > 0 || len(g.stream.Events()) > 0 {
		select {
		case id, ok := <-g.conn.Ready():
			if err := g.heard(ctx, id, ok); err != nil {
				return err
			}
		case e := <-g.stream.Events():
			g.gone(e)
			if len(g.stream.Events()) > 0 {
				continue
			}
			if err := g.recount(nobody); err != nil {
				return err
			}
		case <-g.stream.Dropped():
			return client.ErrDropped
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && len(g.ready) > 0 {
				g.run.warn("%s did not come in time", count(g.awaited, "receiver"))
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
		return g.come(id)
	}
	g.run.say("the connection broke; connecting again")
	conn, err := g.stream.Connect(ctx, g.run.o.method)
	if err != nil {
		return err
	}
	g.conn.Close()
	g.conn = conn
	return g.seed()
}

// come takes who is ready.
func (g *gathering) come(id string) error {
	return g.recount(func(p dsps.PeerInfo) bool {
		if p.ID == id {
			g.run.say("%s is ready", plain(string(p.JID)))
		}
		return p.ID == id
	})
}

// farewells are the ways in which somebody is not there any more.
var farewells = map[dsps.Status]string{
	dsps.Reject: "declines, or is not there", dsps.Expire: "did not answer", dsps.Timeout: "did not connect",
	dsps.Drop: "has left", dsps.Waiting: "was cut off",
}

// gone takes who has declined, or left. Who was cut off may come again, and is
// ready then.
func (g *gathering) gone(e dsps.PeerPresence) {
	why := farewells[e.Status]
	switch {
	case e.JID == g.session.self:
	case e.Status == dsps.Connect && g.cut[e.JID]:
		delete(g.cut, e.JID)
		g.ready[e.JID] = true
	case why != "":
		if e.Status != dsps.Waiting {
			delete(g.cut, e.JID)
		} else if g.ready[e.JID] {
			g.cut[e.JID] = true
		}
		delete(g.ready, e.JID)
		g.run.warn("%s %s", plain(string(e.JID)), why)
	}
}

// send sends to those who are ready, and notes who goes before the end. If nobody
// is left it closes src, which may have nothing to say for long.
func (g *gathering) send(ctx context.Context, src io.ReadCloser, m *meter) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(ctx, func() { src.Close() })()
	sent := make(chan error, 1)
	go func() {
		_, err := g.conn.Send(ctx, io.TeeReader(src, m))
		sent <- err
	}()
	for {
		select {
		case err := <-sent:
			if err == nil {
				return g.settle()
			}
			g.drop("not all was sent", slices.Collect(maps.Keys(g.ready))...)
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return err
		case e := <-g.stream.Events():
			if e.Status == dsps.Waiting || e.Status == dsps.Drop {
				g.lose(e.JID)
			}
			if len(g.ready) == 0 {
				stop(errors.New("nobody receives any more"))
			}
		}
	}
}

// lose takes who has gone in the midst of it: what is sent meanwhile it does not
// get, and it is told so.
func (g *gathering) lose(who dsps.JID) {
	if !g.ready[who] {
		return
	}
	delete(g.ready, who)
	g.lost = append(g.lost, plain(string(who)))
	g.run.warn("%s was cut off, and has not got all", plain(string(who)))
	g.drop("you were cut off while more was sent", who)
}

// settle is the error that not everybody has got all.
func (g *gathering) settle() error {
	ctx, cancel := g.session.asking()
	defer cancel()
	if who, err := g.stream.Who(ctx); err == nil { // who sends without a session has sent all the same
		here := map[dsps.JID]bool{}
		for _, p := range who {
			here[p.JID] = p.Status == dsps.Connect
		}
		for j := range maps.Clone(g.ready) {
			if !here[j] {
				g.lose(j)
			}
		}
	}
	if len(g.lost) == 0 {
		return nil
	}
	return fmt.Errorf("not everybody has got all: %s", strings.Join(g.lost, ", "))
}

// drop takes others off the stream with a reason: who is left when it ends has
// what was sent, and would take it for all.
func (g *gathering) drop(why string, who ...dsps.JID) {
	if len(who) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), partingPatience)
	defer cancel()
	comment := stanza.New(dsps.NS, "comment", stanza.Text(why))
	_, _ = g.stream.Drop(ctx, []*stanza.Element{comment}, who...) // if it cannot be said, so be it
}
