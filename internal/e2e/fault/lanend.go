package main

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
)

// again is how long to wait before something is tried again that failed.
const again = 50 * time.Millisecond

// A lanEnd is a LAN peer that is never tired: it listens under its published
// port, and has a stream to its mirror that it opens again when it breaks.
type lanEnd struct {
	host     *e2e.Host
	name     string // presence name
	mirror   string
	control  *control // says where the mirror is
	out, in  *way
	gate     gate // closed: nothing is written
	listener net.Listener

	mu     sync.Mutex
	stream *ends.Peer
	number int // of the stream, or of that which is being opened, from 1
}

func (e *lanEnd) presence() string { return e.name }
func (e *lanEnd) says() *way       { return e.out }
func (e *lanEnd) hush()            { e.gate.close() }
func (e *lanEnd) speak()           { e.gate.open() }

// publish begins to listen, and makes the peer known on the LAN.
func (e *lanEnd) publish() error {
	ln, err := e.host.Listen(e.host.Addr().String() + ":0")
	if err != nil {
		return err
	}
	e.listener = ln
	port := ln.Addr().(*net.TCPAddr).Port
	e.host.Publish(e.name, e2e.PresenceService, port, "txtvers=1", "status=avail", "port.p2pj="+strconv.Itoa(port))
	return nil
}

// run sends what is to be sent until ctx ends.
func (e *lanEnd) run(ctx context.Context) {
	var accepting sync.WaitGroup
	defer accepting.Wait()
	accepting.Go(e.accept)
	defer e.hangUp()
	defer e.listener.Close()
	for {
		n, err := e.out.next(ctx)
		if err != nil {
			return
		}
		e.gate.pass(ctx, func() { e.send(ctx, n) })
	}
}

// send writes one message, or opens a stream to write it to.
func (e *lanEnd) send(ctx context.Context, n int) {
	stream, number := e.current()
	if stream == nil {
		if stream, number = e.open(ctx); stream == nil {
			pause(ctx, again)
			return
		}
	}
	e.out.sending(number)
	if stream.Send(e.out.text(n)) != nil {
		e.out.unsent()
		e.readOut(ctx)
	}
}

// readOut waits until all that the other side had written is read: to close a
// broken stream before that would lose it.
func (e *lanEnd) readOut(ctx context.Context) {
	stream, _ := e.current()
	if stream == nil {
		return
	}
	select {
	case <-stream.Ended():
	case <-ctx.Done():
	}
}

func (e *lanEnd) current() (*ends.Peer, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stream != nil {
		select {
		case <-e.stream.Ended():
			e.stream = nil
		default:
		}
	}
	return e.stream, e.number
}

func (e *lanEnd) open(ctx context.Context) (*ends.Peer, int) {
	e.mu.Lock()
	e.number++
	e.mu.Unlock()
	port, err := e.control.mirrorPort(ctx, e.mirror)
	if err != nil {
		return nil, 0
	}
	conn, err := e.host.Dial(ctx, "tcp", netip.AddrPortFrom(e.control.addr, port).String())
	if err != nil {
		return nil, 0
	}
	_ = conn.SetReadDeadline(time.Now().Add(e2e.Patience)) // cannot fail on a new connection
	stream, err := ends.OpenPeer(conn, e.name, e.mirror, e.receive)
	if err != nil {
		return nil, 0
	}
	_ = conn.SetReadDeadline(time.Time{})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stream = stream
	e.out.letGo()
	return stream, e.number
}

func (e *lanEnd) hangUp() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stream != nil {
		e.stream.Close()
		e.stream = nil
	}
}

// accept takes the streams that the gateway opens, each until its end.
func (e *lanEnd) accept() {
	for {
		conn, err := e.listener.Accept()
		if err != nil {
			return
		}
		go func() { // ends with the connection, whose other side is the gateway
			if _, err := ends.AcceptPeer(conn, e.name, e.receive); err != nil {
				conn.Close()
			}
		}()
	}
}

func (e *lanEnd) receive(at time.Time, st *stanza.Element) {
	e.in.arrived(at, st.Attr("id"), st.Child(stanza.NSClient, "body").Text())
}

// killed notes that the gateway was killed at the other end of the stream, or
// of that which is just being opened.
func (e *lanEnd) killed(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.number > 0 {
		e.out.killed(e.number, at)
	}
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
