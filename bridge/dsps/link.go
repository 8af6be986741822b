package dsps

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A link is one connection: of a peer to us, or of ours to a service behind us.
// A goroutine of its own goes through the handshake and then reads; another
// writes. The loop comes in by abort, attach and told.
type link struct {
	id    ConnID
	named chan struct{} // closed when id is
	conn  net.Conn      // with TLS, if there is; its own goroutine's

	said     chan string // keys from the engine
	attached chan struct{}
	dead     chan struct{}

	mu   sync.Mutex
	raw  net.Conn // as it was made; nil: is being made
	gone bool
	stop context.CancelFunc // of what makes it

	full   bool          // what was read last filled its space: there may be more that is not in the socket
	linger time.Duration // see ServerConfig.LingerTimeout
	drain  time.Duration // for how long, in all, one that has left is waited for; the reader's

	// Set by attach.
	hose   *hose
	client JID
	peer   string // its id in blocks
	master bool
	relay  bool
	share  int // of the stream's blocks
	piece  int // how much is written at a time, in bytes

	// Under the hose's lock.
	queue []*block
	wake  *sync.Cond // there is something to write, or mode has changed
	mode  linkMode
	left  int64 // bytes that one which has left may still send

	written atomic.Int64 // bytes
	busy    atomic.Int64 // ns in writing
	since   atomic.Int64 // when the write under way began, ns since the epoch; 0: there is none
	last    struct {     // what progress has told, the loop's
		at             time.Time
		written        int64
		busy           time.Duration
		acked, waiting int64 // see acknowledged
	}
}

// A linkMode is what data a link has still to do with.
type linkMode uint8

const (
	bothWays    linkMode = iota
	readOnly             // its peer has left: take what it sent
	writeClosed          // its peer was dropped in the end: it has got all
	noWay                // dead
)

// leftover bounds what is read from a peer that has left: what buffers on the
// way may have.
const leftover = 64 << 20

// refusalPause is how long a refused HTTP request is read.
const refusalPause = time.Second

func newLink(c net.Conn, linger, drain time.Duration) *link {
	return &link{
		raw: c, conn: c, linger: linger, drain: drain, stop: func() {}, named: make(chan struct{}), said: make(chan string, 1),
		attached: make(chan struct{}), dead: make(chan struct{}),
	}
}

// made says which connection it is. It reports false if nobody wants it any more.
func (l *link) made(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.raw, l.conn = c, c
	return !l.gone
}

// abort closes the connection at once.
func (l *link) abort() {
	l.mu.Lock()
	if !l.gone {
		l.gone = true
		close(l.dead)
		l.stop()
	}
	if l.raw != nil {
		l.raw.Close()
	}
	l.mu.Unlock()
	select {
	case <-l.attached:
		l.hose.change(l, noWay)
	default:
	}
}

// attach puts the link onto a stream.
func (l *link) attach(h *hose, a Action) {
	l.hose, l.client, l.peer, l.master, l.relay = h, a.Client, a.ID, a.Right == Master, a.Right == Relay
	l.last.at = time.Now()
	l.last.acked, l.last.waiting, _ = acknowledged(l.raw)
	switch _, secure := l.conn.(*tls.Conn); {
	case secure:
		l.share, l.piece = otherShare, tlsPiece
	case l.relay: // it waits with a block in its hand
		l.share, l.piece = otherShare, headroom+blockSize
	default:
		l.share, l.piece = plainShare, headroom+blockSize
	}
	_ = l.raw.SetDeadline(time.Time{}) // that of the handshake: end may set others
	h.join(l)
	close(l.attached)
}

// told takes what the engine says of the connection alone.
func (l *link) told(a Action) {
	switch a.Do {
	case Say:
		select {
		case l.said <- a.Line:
		default: // never: the engine says one thing, and waits
		}
	case Abort:
		l.abort()
	case Finish:
		l.end(readOnly)
	case Flush:
		l.end(writeClosed)
	}
}

// end begins the end: a reader that waits notices, and so does a writer, lest a
// peer that has left holds what others wait for.
func (l *link) end(m linkMode) {
	l.hose.change(l, m)
	_ = l.raw.SetDeadline(time.Now().Add(l.linger))
}

// key waits for what the engine says.
func (l *link) key(done <-chan struct{}) (string, error) {
	select {
	case k := <-l.said:
		return k, nil
	case <-l.dead:
	case <-done:
	}
	return "", errCut
}

// wait waits until data may flow.
func (l *link) wait(done <-chan struct{}) error {
	select {
	case <-l.attached:
		return nil
	case <-l.dead:
	case <-done:
	}
	return errCut
}

// more reads what comes next in a handshake.
func (l *link) more(p *preamble) error {
	var b [pieceSize]byte
	n, err := l.conn.Read(b[:])
	l.full = n == len(b)
	p.add(b[:n])
	if n > 0 {
		return nil
	}
	return err
}

// refuseHTTP says that a request is not understood, and takes what is still on
// its way: closing over it would take back what was said.
func (l *link) refuseHTTP() {
	_, _ = io.WriteString(l.conn, httpRefusal)
	_ = closeWrite(l.conn)
	_ = l.conn.SetReadDeadline(time.Now().Add(refusalPause))
	_, _ = io.CopyN(io.Discard, l.conn, maxHeaderSize)
}

// behind reads until it is known how the last line has ended.
func (l *link) behind(p *preamble) error {
	for p.settle(); len(p.buf) == 0; p.settle() {
		if err := l.more(p); err != nil {
			return err
		}
	}
	return nil
}

// serve lets data flow until the connection ends.
func (l *link) serve(rest []byte) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(l.write)
	l.read(rest)
	l.abort()
}

// progress is how many bytes the peer has got since it was asked the last time, and
// how long something waited for it: while a write was under way, or all the time if
// it has not even got what was written by then.
func (l *link) progress(now time.Time) (bytes int64, waited time.Duration) {
	bytes, waited = l.wrote(now)
	last := l.last
	acked, waiting, ok := acknowledged(l.raw)
	l.last.at, l.last.acked, l.last.waiting = now, acked, waiting
	if !ok {
		return bytes, waited
	}
	if acked < last.acked+last.waiting {
		waited = max(waited, now.Sub(last.at))
	}
	return max(0, acked-last.acked), waited
}

// wrote is the same as far as it is known of every connection.
func (l *link) wrote(now time.Time) (int64, time.Duration) {
	written, busy := l.written.Load(), time.Duration(l.busy.Load())
	if since := l.since.Load(); since != 0 {
		busy += max(0, now.Sub(time.Unix(0, since)))
	}
	last := l.last
	l.last.written, l.last.busy = written, max(busy, last.busy)
	return written - last.written, l.last.busy - last.busy
}
