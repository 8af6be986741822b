package linklocal

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/time/rate"

	"meshgate/internal/stanza"
)

const (
	readSize   = 4 << 10  // bytes read at once
	writeSize  = 32 << 10 // bytes written at once, or one stanza if it is larger
	maxControl = 64 << 10 // bytes of answers that may wait for a peer that does not read
)

// A conn is one TCP connection with its stream. Its fields belong to the
// loop; its reader and its writer know the channels and the net.Conn only.
type conn struct {
	tcp     net.Conn
	remote  netip.Addr
	contact *contact
	stream  *stream
	pair    *pair // nil until it is known who calls

	queue    []piece // to be written
	inFlight []piece // being written
	waiting  bool    // the reader waits for a delivery
	said     []*stanza.Element
	counted  int  // stanzas in, since the last delivery
	dead     bool // the connection is closed, nothing is written any more
	slow     bool // because the peer did not read
	wasOpen  bool // the stream has been open
	noted    bool // its refusal has been counted

	deliveries chan delivery // to the reader, at most one
	writes     chan []byte   // to the writer, at most one
	gone       func()        // ends the reader's waiting for its turn
}

// A piece is something to write: a stanza, or else a part of the stream itself.
type piece struct {
	bytes []byte
	out   *outgoing // nil: not a stanza of a caller
}

// A delivery is what the reader has to do before it reads on.
type delivery struct {
	received []Event
	stanzas  int
	// after is closed when the handler has heard of the peer; nil: it has.
	after <-chan struct{}
}

// addConn starts a stream on a new connection.
// p is the pair whose call this is; nil: the peer's.
func (l *loop) addConn(now time.Time, tcp net.Conn, ct *contact, p *pair) {
	r, peer := recipient, Instance("")
	c := &conn{
		tcp: tcp, remote: addrOf(tcp.RemoteAddr()), contact: ct,
		deliveries: make(chan delivery, 1), writes: make(chan []byte, 1),
	}
	if p != nil {
		r, peer = initiator, p.peer
		c.pair, p.calling = p, c
		p.conns = append(p.conns, c)
	}
	c.stream = newStream(now, streamConfig{
		role: r, local: ct.name, peer: peer, node: l.cfg.capsNode(), maxStanza: l.cfg.MaxStanza,
		idle: l.cfg.Idle, header: l.cfg.HeaderTimeout, caller: l.cfg.CallerTimeout, close: l.cfg.CloseTimeout,
	})
	turn, gone := context.WithCancel(context.Background())
	c.gone = gone
	l.conns[c] = struct{}{}
	l.count.streams.Store(int64(len(l.conns)))
	l.linger(func(ctx context.Context) { l.read(ctx, turn, c) })
	l.spawn(func(context.Context) { l.write(c) })
	l.carry(now, c)
}

// read is the reader of a connection. It hands over what it reads and then
// delivers what that said, so that a handler that blocks stops the reading of
// this stream and of nothing else.
func (l *loop) read(ctx, turn context.Context, c *conn) {
	bytes := rate.NewLimiter(rate.Limit(l.cfg.ByteRate), max(l.cfg.MaxStanza, readSize))
	stanzas := rate.NewLimiter(rate.Limit(l.cfg.StanzaRate), max(int(2*l.cfg.StanzaRate), 1))
	buf := make([]byte, readSize)
	for {
		n, err := c.tcp.Read(buf)
		if err != nil {
			l.call(func(now time.Time) { l.readFailed(now, c, err) })
			return
		}
		if !l.call(func(now time.Time) { l.readBytes(now, c, buf[:n]) }) {
			return
		}
		var d delivery
		select {
		case d = <-c.deliveries:
		case <-l.quit:
			select {
			case d = <-c.deliveries: // the last one
			default:
				return
			}
		}
		l.deliver(ctx, d)
		if wait(turn, bytes, n) != nil || wait(turn, stanzas, d.stanzas) != nil {
			continue // the connection is closed: Read will say so
		}
	}
}

func (l *loop) deliver(ctx context.Context, d delivery) {
	if d.after != nil {
		select {
		case <-d.after:
		case <-l.quit: // no news any more
		}
	}
	for _, ev := range d.received {
		l.handler.HandleLAN(ctx, ev)
	}
}

// wait waits until n more are allowed, however many they are.
func wait(ctx context.Context, lim *rate.Limiter, n int) error {
	for n > 0 {
		k := min(n, lim.Burst())
		if err := lim.WaitN(ctx, k); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// write is the writer of a connection.
func (l *loop) write(c *conn) {
	for b := range c.writes {
		c.tcp.SetWriteDeadline(time.Now().Add(l.cfg.WriteTimeout))
		n, err := c.tcp.Write(b)
		if !l.call(func(now time.Time) { l.written(now, c, n, err) }) {
			return
		}
	}
}

func (l *loop) readBytes(now time.Time, c *conn, b []byte) {
	c.waiting = true
	if !c.dead {
		c.stream.handleBytes(now, b)
	}
	l.carry(now, c)
}

// readFailed notes that nothing more will be read. If the peer has closed its
// direction in order, what is to be written still is: our end tag mostly.
func (l *loop) readFailed(now time.Time, c *conn, err error) {
	switch {
	case errors.Is(err, io.EOF):
		c.stream.handleEOF(nil)
	case !c.dead:
		c.stream.handleEOF(err)
		l.kill(c)
	}
	l.carry(now, c)
}

// written takes the result of a write. Stanzas that the socket took whole
// have been sent.
func (l *loop) written(now time.Time, c *conn, n int, err error) {
	sent := c.inFlight
	c.inFlight = nil
	for i, p := range sent {
		if n < len(p.bytes) {
			c.queue = append(sent[i:len(sent):len(sent)], c.queue...)
			break
		}
		n -= len(p.bytes)
		if p.out != nil {
			c.stream.touch(now)
			l.finish(p.out, nil)
		}
	}
	if err != nil && !c.dead {
		c.slow = errors.Is(err, os.ErrDeadlineExceeded)
		c.stream.handleEOF(err)
		l.kill(c)
	}
	l.carry(now, c)
}

// carry does what a stream wants done. It is called after every input to it.
func (l *loop) carry(now time.Time, c *conn) {
	if _, ok := l.conns[c]; ok {
		for l.take(now, c) {
		}
		switch c.stream.state {
		case open:
			l.opened(now, c)
		case refused:
			l.noteRefusal(c)
		}
		l.pump(now, c)
		l.due(c.stream.nextTimeout())
	}
	if c.stream.state != identifying {
		l.release(c)
	}
}

// take takes the output of a stream. It reports whether there may be more,
// because a question in it has been answered at once.
func (l *loop) take(now time.Time, c *conn) (more bool) {
	out := c.stream.takeOutput()
	l.count.add(out.Counts)
	c.counted += out.Counts.Stanzas
	c.said = append(c.said, out.Messages...)
	if len(out.Write) > 0 {
		c.queue = append(c.queue, piece{bytes: out.Write})
	}
	if out.Caller == nil {
		return false
	}
	l.identify(now, c, *out.Caller)
	return c.stream.state != identifying
}

// release lets the reader read on, with what it has to deliver first.
func (l *loop) release(c *conn) {
	if !c.waiting {
		return
	}
	c.waiting = false
	d := delivery{stanzas: c.counted}
	for _, el := range c.said {
		d.received = append(d.received, Received{To: c.contact.ID, From: c.stream.cfg.peer, Stanza: el})
	}
	if len(c.said) > 0 {
		d.after = l.roster.announced(c.stream.cfg.peer)
	}
	c.said, c.counted = nil, 0
	c.deliveries <- d
}

// noteRefusal counts a stream error of ours, once.
func (l *loop) noteRefusal(c *conn) {
	cond, ok := c.stream.why.(condition)
	if !ok || c.noted {
		return
	}
	c.noted = true
	l.count.streamErrors[cond].Add(1)
	if cond == invalidFrom {
		l.count.spoofed.Add(1)
	}
	l.log.Debug("stream refused", "remote", c.remote, "contact", c.contact.ID, "condition", string(cond))
}

// pump gives the writer the next batch, or closes the connection when the
// stream is over and everything is written.
func (l *loop) pump(now time.Time, c *conn) {
	if c.inFlight != nil {
		return
	}
	over := c.stream.state == closed
	if over || c.stream.state == refused {
		unsent := c.unqueue()
		if over && (c.dead || len(c.queue) == 0) {
			l.drop(c)
		}
		l.retry(now, c, unsent)
	}
	switch {
	case c.dead:
	case len(c.queue) == 0:
		if c.stream.state == refused {
			closeWrite(c.tcp)
		}
	case c.controlBytes() > maxControl:
		c.slow = true
		c.stream.handleEOF(ErrSlow)
		l.kill(c)
		l.pump(now, c)
	default:
		c.writeNext()
	}
}

// writeNext gives the writer what fits into one write.
func (c *conn) writeNext() {
	var b []byte
	n := 0
	for n < len(c.queue) && (n == 0 || len(b)+len(c.queue[n].bytes) <= writeSize) {
		b = append(b, c.queue[n].bytes...)
		n++
	}
	c.inFlight, c.queue = c.queue[:n:n], c.queue[n:]
	c.writes <- b
}

// unqueue takes the stanzas out of the queue.
func (c *conn) unqueue() (unsent []*outgoing) {
	var rest []piece
	for _, p := range c.queue {
		if p.out != nil {
			unsent = append(unsent, p.out)
		} else {
			rest = append(rest, p)
		}
	}
	c.queue = rest
	return unsent
}

func (c *conn) controlBytes() (n int) {
	for _, p := range c.queue {
		if p.out == nil {
			n += len(p.bytes)
		}
	}
	return n
}

// kill closes the connection. The reader and the writer will notice.
func (l *loop) kill(c *conn) {
	if !c.dead {
		c.dead = true
		if c.slow {
			l.count.slowStop.Add(1)
		}
		c.tcp.Close()
		c.gone()
	}
}

// drop forgets a connection. Nothing of it is being written.
func (l *loop) drop(c *conn) {
	l.kill(c)
	delete(l.conns, c)
	l.count.streams.Store(int64(len(l.conns)))
	if c.stream.cfg.role == recipient {
		if l.perAddr[c.remote]--; l.perAddr[c.remote] <= 0 {
			delete(l.perAddr, c.remote)
		}
	}
	close(c.writes)
}

// closeWrite tells the peer that nothing follows, and leaves it the time to
// read what we said: closing would throw that away if the peer is still writing.
func closeWrite(tcp net.Conn) {
	if half, ok := tcp.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}
