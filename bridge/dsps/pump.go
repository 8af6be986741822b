package dsps

import (
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

// read takes what the peer sends until the connection ends. What came behind
// the handshake is the beginning of it.
func (l *link) read(rest []byte) {
	var src io.Reader = l.conn
	ready := waiter(l.raw)
	switch {
	case l.relay:
		// From a service: blocks. What is read ahead of them is not waited for.
		src, ready = NewBlockReader(&prefixed{l.conn, rest}), nil
	case len(rest) > 0:
		b := l.hose.take(l)
		if b == nil || !l.took(b, copy(b.space(), rest)) {
			return
		}
	}
	for idle := !l.full; ; {
		if idle && ready != nil && !l.wakes(ready) {
			return
		}
		b := l.hose.take(l)
		if b == nil {
			return
		}
		began := l.waits()
		n, err := src.Read(b.space())
		l.waited(began)
		if !l.took(b, n) || err != nil {
			return
		}
		idle = n < blockSize
	}
}

// wakes waits until there is something to read, without a block to read it into.
func (l *link) wakes(ready func() error) bool {
	began := l.waits()
	err := ready()
	l.waited(began)
	return err == nil
}

// waits sets how long is waited for what a peer that has left still sends: for so
// long at a time, and for so long in all. It returns when that began, for waited;
// zero: the peer is there. (A function around the read would cost each reader a larger stack.)
func (l *link) waits() (began time.Time) {
	if l.hose.modeOf(l) == readOnly {
		began = time.Now()
		_ = l.conn.SetReadDeadline(began.Add(min(l.linger, l.drain)))
	}
	return began
}

// waited takes off what was waited since.
func (l *link) waited(began time.Time) {
	if !began.IsZero() {
		l.drain -= time.Since(began)
	}
}

// took passes on what was read, at the pace of the stream. It reports whether
// more may be.
func (l *link) took(b *block, n int) bool {
	h := l.hose
	if n <= 0 || !l.pace(n) {
		h.giveBack(b)
		return n <= 0
	}
	h.came.Add(int64(n))
	h.taken.Add(int64(n))
	b.fill(l.peer, n)
	return h.publish(l, b, n)
}

// pace waits until n bytes more may pass, or the link is dead.
func (l *link) pace(n int) bool {
	for _, p := range l.hose.paces {
		d := p.ReserveN(time.Now(), n).Delay()
		if d == 0 {
			continue
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-l.dead:
			t.Stop()
			return false
		}
	}
	return true
}

// waiter waits until a TCP connection can be read, or the one below TLS, which
// reads nothing ahead; nil for others.
func waiter(c net.Conn) func() error {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	return func() error {
		var b [1]byte
		return raw.Read(func(fd uintptr) bool {
			_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			return err != syscall.EAGAIN
		})
	}
}

// write gives the peer what it is to get.
func (l *link) write() {
	var pieces, rest net.Buffers
	for todo := l.hose.next(l, nil); len(todo) > 0; todo = l.hose.next(l, todo) {
		pieces = pieces[:0]
		for _, b := range todo {
			p := b.whole()
			if l.relay {
				p = b.data()
			}
			pieces = slices.AppendSeq(pieces, slices.Chunk(p, l.piece))
		}
		began := time.Now()
		l.since.Store(began.UnixNano())
		rest = pieces // what is still to be written of them
		n, err := rest.WriteTo(l.conn)
		l.since.Store(0)
		l.busy.Add(int64(time.Since(began)))
		l.written.Add(n)
		if err != nil && l.hose.modeOf(l) != readOnly { // what that one sent is still taken
			l.abort() // and next has nothing else
		}
	}
	// A peer that has left may have closed its side already: whatever came to
	// it then would be answered with a reset, and what it sent last be lost.
	if l.hose.modeOf(l) == writeClosed {
		_ = closeWrite(l.conn)
	}
}
