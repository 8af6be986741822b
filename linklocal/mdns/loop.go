package mdns

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"meshgate/internal/alarm"
	"meshgate/internal/multicast"
)

// Run takes part in the links until ctx ends, then says goodbye. It owns the
// sockets and every goroutine, and returns when they are gone. It must be
// called once. Missing interfaces are no error.
func (c *Conn) Run(ctx context.Context, h Handler) error {
	now := time.Now()
	l := &loop{
		c: c, h: h, waiters: map[uint64]chan Event{}, stop: make(chan struct{}),
		packets: make(chan received, 256), broken: make(chan packetConn, numFamilies),
		stack: NewStack(now, Config{
			Host: c.cfg.Host, Quiet: c.cfg.Quiet, Yield: c.cfg.Yield, Browse: c.cfg.Browse, Limits: c.cfg.Limits, Log: c.cfg.Log,
		}),
	}
	l.links.moved, l.links.trouble = make(chan struct{}, 1), map[string]string{}
	defer c.finish()
	defer l.wg.Wait()
	defer close(l.stop)
	defer l.closeSockets()
	defer l.wake.Stop()
	watching, endWatch := context.WithCancel(ctx)
	defer endWatch()
	l.wg.Go(func() { c.sys.watch(watching, l.links.mayHaveMoved) })
	l.run(ctx, now)
	return nil
}

func (c *Conn) finish() {
	c.calls.Close()
	close(c.done)
}

// A loop is the state of Run; it belongs to Run's goroutine.
type loop struct {
	c       *Conn
	h       Handler
	stack   *Stack
	wake    alarm.Alarm
	wg      sync.WaitGroup // readers, and the watch
	packets chan received
	broken  chan packetConn // sockets that cannot be read any more
	stop    chan struct{}
	waiters map[uint64]chan Event

	links      links
	sendErrors uint64
	offLink    uint64
}

// A received is a packet for the loop.
type received struct {
	arrival
	data []byte
}

func (l *loop) run(ctx context.Context, now time.Time) {
	poll := time.NewTicker(linkPoll)
	defer poll.Stop()
	defer l.links.settled.Stop()
	l.checkLinks(now)
	for {
		l.flush()
		select {
		case <-l.c.calls.C():
			l.runCalls()
		case <-poll.C:
			l.checkLinks(time.Now())
		case <-l.links.moved:
			l.links.settled.Set(time.Now().Add(l.links.settle))
		case <-l.links.settled.C():
			l.checkLinks(time.Now())
		case <-ctx.Done():
			l.shutdown()
			return
		case p := <-l.packets:
			l.receive(p)
		case conn := <-l.broken:
			l.readerEnded(conn)
		case <-l.wake.C():
			l.stack.HandleTimeout(time.Now())
		}
	}
}

func (l *loop) runCalls() {
	now := time.Now()
	for _, f := range l.c.calls.Take() {
		f(now, l)
	}
}

// flush carries out the stack's output and sets the alarm.
func (l *loop) flush() {
	out := l.stack.TakeOutput()
	for _, ev := range out.Events {
		l.deliver(ev)
	}
	for _, d := range out.Datagrams {
		l.send(d)
	}
	l.wake.Set(l.stack.NextTimeout())
	l.publish()
}

func (l *loop) deliver(ev Event) {
	switch r := ev.(type) {
	case Resolved:
		l.answer(r.Query, ev)
	case NullResolved:
		l.answer(r.Query, ev)
	default:
		l.h.HandleMDNS(ev)
	}
}

func (l *loop) answer(query uint64, ev Event) {
	if w := l.waiters[query]; w != nil {
		w <- ev // has room for one, and gets one
		delete(l.waiters, query)
	}
}

// send sends one datagram: a multicast by every family of its link, a unicast
// by that of its receiver. What the kernel refuses is a lost packet.
func (l *loop) send(d Datagram) {
	at := l.links.named(d.Link)
	if at == nil {
		return
	}
	for f := range numFamilies {
		if !at.joined[f] || d.To.IsValid() && familyOf(d.To.Addr()) != f {
			continue
		}
		if err := l.links.conns[f].WritePacket(d.Data, at.Index, d.To); err != nil {
			l.sendErrors++
			l.c.log.Debug("packet lost", "interface", d.Link, "to", d.To, "reason", multicast.Reason(err), "err", err)
		}
	}
}

// receive hands a packet to the engine of its link.
//
// A packet sent to the group cannot have come from beyond the link; one sent
// to our own address must have a source address of the link, RFC 6762 §11.
func (l *loop) receive(p received) {
	at := l.links.indexed(p.link)
	switch {
	case at == nil || !at.joined[familyOf(p.src.Addr())]: // another program's
	case p.unicast && !at.onLink(p.src.Addr()):
		l.offLink++
	default:
		l.stack.HandlePacket(time.Now(), at.Name, Packet{Data: p.data, Src: p.src, Unicast: p.unicast})
	}
}

func (l *loop) publish() {
	s := l.stack.Stats()
	s.SendErrors += l.sendErrors
	s.OffLink = l.offLink
	l.c.mu.Lock()
	l.c.stats = s
	l.c.mu.Unlock()
}

// shutdown says goodbye and waits until that is done.
func (l *loop) shutdown() {
	l.runCalls()
	l.stack.Shutdown(time.Now())
	limit := time.NewTimer(goodbyeLimit)
	defer limit.Stop()
	for {
		l.flush()
		if l.stack.Done() {
			return
		}
		select {
		case <-l.wake.C():
			l.stack.HandleTimeout(time.Now())
		case p := <-l.packets:
			l.receive(p)
		case <-limit.C:
			return
		}
	}
}

// read hands packets to the loop until the socket closes or fails. One
// goroutine per socket.
func (l *loop) read(conn packetConn) {
	buf := make([]byte, 65536)
	for {
		n, from, err := conn.ReadPacket(buf)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.c.log.Warn("socket failed", "err", err)
				select {
				case l.broken <- conn:
				case <-l.stop:
				}
			}
			return
		}
		select {
		case l.packets <- received{from, slices.Clone(buf[:n])}:
		case <-l.stop:
			return
		}
	}
}
