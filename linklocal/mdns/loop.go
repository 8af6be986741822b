package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"meshgate/internal/alarm"
)

// Run takes part in the link until ctx ends, then says goodbye. It owns the
// socket and every goroutine, and returns when they are gone. It must be
// called once. A missing interface is no error.
func (c *Conn) Run(ctx context.Context, h Handler) error {
	now := time.Now()
	l := &loop{
		c: c, h: h, packets: make(chan Packet, 256), broken: make(chan packetConn, 1),
		stop: make(chan struct{}), waiters: map[uint64]chan Event{},
		engine: NewEngine(now, Config{Host: c.cfg.Host, Browse: c.cfg.Browse, Limits: c.cfg.Limits, Log: c.cfg.Log}),
	}
	defer c.finish()
	defer l.wg.Wait()
	defer close(l.stop)
	defer l.drop()
	defer l.wake.Stop()
	poll := time.NewTicker(linkPoll)
	defer poll.Stop()
	l.checkLink(now)
	for {
		l.flush()
		select {
		case <-c.wake:
			l.runCalls()
		case <-poll.C:
			l.checkLink(time.Now())
		case <-ctx.Done():
			l.shutdown()
			return nil
		case p := <-l.packets:
			l.engine.HandlePacket(time.Now(), p)
		case conn := <-l.broken:
			l.readerEnded(conn)
		case <-l.wake.C():
			l.engine.HandleTimeout(time.Now())
		}
	}
}

func (c *Conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.calls = true, nil
	close(c.done)
}

// A loop is the state of Run; it belongs to Run's goroutine.
type loop struct {
	c       *Conn
	h       Handler
	engine  *Engine
	wake    alarm.Alarm
	wg      sync.WaitGroup // readers
	packets chan Packet
	broken  chan packetConn // sockets that cannot be read any more
	stop    chan struct{}
	waiters map[uint64]chan Event

	link       link
	conn       packetConn
	sendErrors uint64
	offLink    uint64 // of sockets closed already
	lastErr    string // of opening, to log it once
}

func (l *loop) runCalls() {
	now := time.Now()
	for _, f := range l.c.takeCalls() {
		f(now, l)
	}
}

// flush carries out the engine's output and sets the alarm.
func (l *loop) flush() {
	out := l.engine.TakeOutput()
	for _, ev := range out.Events {
		l.deliver(ev)
	}
	for _, d := range out.Datagrams {
		l.send(d)
	}
	l.wake.Set(l.engine.NextTimeout())
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

// send sends one datagram. What the kernel refuses is a lost packet.
func (l *loop) send(d Datagram) {
	if l.conn == nil {
		return
	}
	if err := l.conn.WritePacket(d.Data, d.To); err != nil {
		l.sendErrors++
		l.c.log.Debug("packet lost", "to", d.To, "reason", sendError(err), "err", err)
	}
}

func (l *loop) publish() {
	s := l.engine.Stats()
	s.SendErrors += l.sendErrors
	s.OffLink = l.offLink
	if l.conn != nil {
		s.OffLink += l.conn.OffLink()
	}
	l.c.mu.Lock()
	l.c.stats = s
	l.c.mu.Unlock()
}

// shutdown says goodbye and waits until that is done.
func (l *loop) shutdown() {
	l.runCalls()
	now := time.Now()
	l.engine.Shutdown(now)
	limit := time.NewTimer(goodbyeLimit)
	defer limit.Stop()
	for {
		l.flush()
		if l.engine.Done() {
			return
		}
		select {
		case <-l.wake.C():
			l.engine.HandleTimeout(time.Now())
		case p := <-l.packets:
			l.engine.HandlePacket(time.Now(), p)
		case <-limit.C:
			return
		}
	}
}

// checkLink follows the interface: it opens, reopens or closes the socket and
// tells the engine the addresses.
func (l *loop) checkLink(now time.Time) {
	found, ok := l.c.sys.find()
	if l.conn != nil && (!ok || !l.link.same(&found)) {
		l.drop()
		if !ok || l.link.ifi.Index != found.ifi.Index {
			l.setLink(now, link{})
		}
	}
	if !ok {
		l.complain("no usable interface", nil)
		return
	}
	if l.conn == nil && !l.open(found) {
		return
	}
	l.setLink(now, found)
}

func (l *loop) open(found link) bool {
	conn, err := l.c.sys.open(found)
	if err != nil {
		l.complain("socket not opened", err)
		return false
	}
	l.lastErr = ""
	l.conn = conn
	l.c.log.Info("link up", "interface", found.ifi.Name, "addrs", found.addrs)
	l.wg.Go(func() { l.read(conn) })
	return true
}

// complain logs the same trouble once.
func (l *loop) complain(msg string, err error) {
	if text := fmt.Sprint(msg, err); text != l.lastErr {
		l.lastErr = text
		l.c.log.Warn(msg, "interfaces", l.c.cfg.Interfaces, "err", err)
	}
}

// setLink takes the link into use. One whose carrier is back is a new one.
//
// "Whenever a Multicast DNS responder … receives an indication of a network
// interface "Link Change" event … it MUST perform the two startup steps below:
// Probing … and Announcing", RFC 6762 §8.
func (l *loop) setLink(now time.Time, found link) {
	if found.carrier() && l.link.up() && !l.link.carrier() {
		l.engine.SetAddrs(now, nil)
	}
	l.link = found
	l.engine.SetZone(found.ifi.Name)
	l.engine.SetAddrs(now, found.addrs)
	l.c.mu.Lock()
	l.c.link = found
	l.c.mu.Unlock()
}

func (l *loop) drop() {
	if l.conn != nil {
		l.offLink += l.conn.OffLink()
		l.conn.Close()
		l.conn = nil
	}
}

// readerEnded drops a socket that failed; the next checkLink opens another.
func (l *loop) readerEnded(conn packetConn) {
	if conn == l.conn {
		l.drop()
	}
}

// read hands packets to the loop until the socket closes or fails. One
// goroutine per socket.
func (l *loop) read(conn packetConn) {
	buf := make([]byte, 65536)
	for {
		n, src, unicast, err := conn.ReadPacket(buf)
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
		case l.packets <- Packet{Data: slices.Clone(buf[:n]), Src: src, Unicast: unicast}:
		case <-l.stop:
			return
		}
	}
}
