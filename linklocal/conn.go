package linklocal

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"meshgate/internal/stanza"
)

const readSize = 4 << 10 // bytes read at once

// A conn is one TCP connection with its stream. Its fields belong to the
// loop; its reader and its writer know the channels and the net.Conn only.
type conn struct {
	tcp     *marker
	tls     *tls.Conn // over tcp; nil: not yet, or not at all
	local   netip.Addr
	remote  netip.Addr
	contact *contact
	stream  *stream
	pair    *pair // nil until it is known who calls

	queue    []piece     // to be written
	inFlight []piece     // being written
	unsent   []*outgoing // taken out of queue, for another stream

	sent      int64     // bytes
	taken     []taken   // by the kernel, the last doubtFor
	doubtTill time.Time // not zero: the peer has closed, and may not have read those
	reset     bool      // it has not

	reading bool // the reader has not ended
	heard   bool // the peer has said something
	waiting bool // it waits for a delivery
	said    []*stanza.Element
	counted int             // stanzas in, since the last delivery
	dead    bool            // the connection is closed, nothing is written any more
	slow    bool            // because the peer did not read
	told    <-chan struct{} // closed when the handler has heard of the open stream
	wasOpen bool            // the stream has been open
	bidden  bool            // close_notify is out
	noted   bool            // its refusal has been counted

	deliveries chan delivery // to the reader, at most one
	writes     chan batch    // to the writer, at most one
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
	// after is closed when the handler has heard of the stream; nil: it has.
	after  <-chan struct{}
	secure handshake // to do before it reads on; nil: none
}

// addConn starts a stream on a new connection.
// p is the pair whose call this is; nil: the peer's.
func (l *loop) addConn(now time.Time, tcp net.Conn, ct *contact, p *pair) {
	r, peer, pin := recipient, Instance(""), []byte(nil)
	c := &conn{
		tcp: newMarker(tcp), local: addrOf(tcp.LocalAddr()), remote: addrOf(tcp.RemoteAddr()), contact: ct,
		deliveries: make(chan delivery, 1), writes: make(chan batch, 1), reading: true,
	}
	if p != nil {
		r, peer, pin = initiator, p.peer, l.pinOf(p.peer)
		c.pair, p.calling = p, c
		p.conns = append(p.conns, c)
	}
	c.stream = newStream(now, streamConfig{
		role: r, local: ct.name, peer: peer, caps: l.capsOf(ct.ID), serves: l.serves(ct.ID), maxStanza: l.cfg.MaxStanza,
		tls: l.cfg.TLS.policy(r), pin: pin,
		idle: l.cfg.Idle, header: l.cfg.HeaderTimeout, caller: l.cfg.CallerTimeout,
		negotiate: l.cfg.NegotiateTimeout, handshake: l.cfg.HandshakeTimeout, close: l.cfg.CloseTimeout,
	})
	turn, gone := context.WithCancel(context.Background())
	c.gone = gone
	l.conns[c] = struct{}{}
	l.count.streams.Store(int64(len(l.conns)))
	l.linger(func(ctx context.Context) {
		l.read(ctx, turn, c)
		l.call(func(time.Time) { l.readerEnded(c) })
	})
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
	conn := net.Conn(c.tcp) // which never changes
	for {
		n, err := conn.Read(buf)
		if err != nil {
			c.tcp.readEnded(err)
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
		if d.secure != nil {
			secured, err := d.secure(conn)
			if !l.call(func(now time.Time) { l.handshaken(now, c, secured, err) }) || err != nil {
				return
			}
			conn = secured
		}
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

func (l *loop) readBytes(now time.Time, c *conn, b []byte) {
	c.waiting, c.heard = true, true
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
		c.reset = isReset(err)
		c.stream.handleEOF(err)
		l.kill(c)
	}
	l.carry(now, c)
}
