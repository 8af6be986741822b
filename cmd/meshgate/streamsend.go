package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
	"meshgate/internal/stanza"
)

// send creates a stream, or goes on with one, waits for receivers and sends.
func (r *streamRun) send(ctx context.Context) error {
	to, err := r.o.to(1)
	if err != nil {
		return err
	}
	src, meta, err := r.source(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	if r.o.stream != "" {
		r.resource = deskResource
	}
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	stream, err := r.begin(s)
	if err != nil {
		return err
	}
	defer leave(ctx, stream)
	conn, err := stream.Connect(s.alive, r.o.method)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := r.gather(s, stream, conn, to, meta); err != nil {
		return err
	}
	m := r.meter(meta.Name, meta.Size)
	defer m.stop()
	if _, err := conn.Send(ctx, io.TeeReader(src, m)); err != nil {
		return err
	}
	m.stop()
	r.say("sent %s", m.sum())
	return nil
}

// begin is the stream that is sent on.
func (r *streamRun) begin(s *streamSession) (*client.Stream, error) {
	if r.o.stream == "" {
		service, err := parseJID(r.o.service)
		if err != nil {
			return nil, err
		}
		ctx, cancel := s.asking()
		defer cancel()
		return s.Create(ctx, service, client.Options{})
	}
	at, err := parseJID(r.o.stream)
	if err != nil {
		return nil, err
	}
	var p dsps.Prepared
	if r.o.at != "" {
		host, port, err := parseServer(r.o.at)
		if err != nil {
			return nil, err
		}
		p.Host, p.Port = host, int(port)
	}
	return s.Take(at, dsps.Master, p)
}

// gather invites, and waits until everybody is ready or will not come.
func (r *streamRun) gather(s *streamSession, stream *client.Stream, conn *client.Conn, to []dsps.JID, meta client.Meta) error {
	wait := r.o.wait
	if wait == 0 {
		wait = defaultCome
	}
	ctx, cancel := context.WithTimeout(s.alive, wait)
	defer cancel()
	g := &gathering{run: r, stream: stream, self: s.self, ready: map[dsps.JID]bool{}}
	if r.o.stream != "" {
		if err := g.seed(ctx); err != nil {
			return err
		}
	}
	if len(to) > 0 {
		offer := client.Offer{Right: dsps.Slave, Peers: to, Expire: wait, Comments: []*stanza.Element{meta.Comment()}}
		if err := stream.Invite(ctx, offer); err != nil {
			return err
		}
		g.awaited += len(to)
	}
	return g.await(ctx, conn)
}

// A gathering is who is to receive. It belongs to one goroutine.
type gathering struct {
	run     *streamRun
	stream  *client.Stream
	self    dsps.JID
	awaited int // were asked, and have neither come nor declined
	ready   map[dsps.JID]bool
}

// seed counts those whom invite has invited: the ones who have come are ready,
// whatever they have said while we were not there.
func (g *gathering) seed(ctx context.Context) error {
	who, err := g.stream.Who(ctx)
	if err != nil {
		return err
	}
	for _, p := range who {
		switch {
		case p.JID == g.self:
		case p.Status == dsps.Connect:
			g.ready[p.JID] = true
		default:
			g.awaited++
		}
	}
	return nil
}

func (g *gathering) await(ctx context.Context, conn *client.Conn) error {
	if g.awaited > 0 {
		g.run.say("waiting for %s", count(g.awaited, "receiver"))
	}
	for g.awaited > 0 {
		select {
		case id, ok := <-conn.Ready():
			if !ok {
				return errors.New("the service has closed the connection")
			}
			if err := g.come(ctx, id); err != nil {
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

// gone takes who has declined, or left.
func (g *gathering) gone(e dsps.PeerPresence) {
	why := map[dsps.Status]string{
		dsps.Reject: "declines, or is not there", dsps.Expire: "did not answer", dsps.Timeout: "did not connect", dsps.Drop: "has left",
	}[e.Status]
	switch {
	case why == "" || e.JID == g.self:
		return
	case g.ready[e.JID]:
		delete(g.ready, e.JID)
	default:
		g.awaited--
	}
	g.run.say("%s %s", plain(string(e.JID)), why)
}

// source is what is sent, and what is known of it.
func (r *streamRun) source(ctx context.Context) (io.ReadCloser, client.Meta, error) {
	name := r.o.args[0]
	if name == "-" {
		return heldBack(ctx, r.stdin), client.Meta{Name: "stream", Size: -1}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, client.Meta{}, fmt.Errorf("%s: %s", name, openWords(err, false))
	}
	meta, err := r.describe(ctx, f)
	if err != nil {
		f.Close()
		return nil, meta, fmt.Errorf("%s: %w", name, err)
	}
	return f, meta, nil
}

// describe reads a file once for its hash, so that receivers can tell whether
// it has come whole. What is no ordinary file cannot be read twice.
func (r *streamRun) describe(ctx context.Context, f *os.File) (client.Meta, error) {
	meta := client.Meta{Name: filepath.Base(f.Name()), Size: -1, MIME: mime.TypeByExtension(filepath.Ext(f.Name()))}
	fi, err := f.Stat()
	switch {
	case err != nil:
		return meta, err
	case fi.IsDir():
		return meta, errors.New("it is a directory; pack it, as in tar c DIR | meshgate stream send … -")
	case !fi.Mode().IsRegular():
		return meta, nil
	}
	meta.Date = fi.ModTime().Truncate(time.Second).UTC()
	m := r.meter("reading "+meta.Name, fi.Size())
	defer m.stop()
	if meta, err = client.Describe(io.TeeReader(stoppable{ctx, f}, m), meta); err != nil {
		return meta, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return meta, err
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}

// heldBack reads standard input, and can be stopped while nothing comes. Its
// goroutine then waits for the rest of the process.
func heldBack(ctx context.Context, r io.Reader) io.ReadCloser {
	in, out := io.Pipe()
	go func() {
		_, err := io.Copy(out, r)
		out.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return in
}

// create creates a stream, which another call sends on.
func (r *streamRun) create(ctx context.Context) error {
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	service, err := parseJID(r.o.service)
	if err != nil {
		return err
	}
	ask, cancel := s.asking()
	defer cancel()
	stream, err := s.Create(ask, service, client.Options{MaxPublic: r.o.public})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.stdout, "%s %s\n", stream.At, stream.Addr())
	return nil
}
