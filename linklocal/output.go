package linklocal

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"slices"
	"time"
)

const (
	writeSize  = 32 << 10 // bytes given to a writer at a time, or one stanza if it is larger
	maxControl = 64 << 10 // bytes of answers that may wait for a peer that does not read
)

// A batch is what the writer is given at a time: pieces, or, if there are none,
// the word of TLS that nothing follows.
type batch struct {
	pieces []piece
	tls    *tls.Conn // nil: over plain TCP
}

// write writes the pieces and returns how many bytes of them the socket took.
// Each stanza goes by itself, so that it can be marked, and wrote is told of it
// at once. Pieces of the stream itself go together: who reads our header shall
// see the error that follows it.
func (b batch) write(tcp *marker, wrote func(*outgoing)) (n int, err error) {
	w := io.Writer(tcp)
	if b.tls != nil {
		w = b.tls
		if len(b.pieces) == 0 {
			return 0, b.tls.CloseWrite()
		}
	}
	for pieces := b.pieces; len(pieces) > 0; {
		var p piece
		var mark func(bool)
		if p, pieces = first(pieces); p.out != nil {
			mark = p.out.Mark
		}
		k, err := tcp.writeStanza(w, p.bytes, mark)
		n += k
		if err != nil {
			return n, err
		}
		if p.out != nil {
			wrote(p.out)
		}
	}
	return n, nil
}

// first returns the first stanza, or all that goes before it as one piece, and
// the rest.
func first(pieces []piece) (p piece, rest []piece) {
	p, rest = pieces[0], pieces[1:]
	for p.out == nil && len(rest) > 0 && rest[0].out == nil {
		p.bytes = slices.Concat(p.bytes, rest[0].bytes)
		rest = rest[1:]
	}
	return p, rest
}

// write is the writer of a connection.
func (l *loop) write(c *conn) {
	for b := range c.writes {
		c.tcp.SetWriteDeadline(time.Now().Add(l.cfg.WriteTimeout))
		n, err := b.write(c.tcp, func(o *outgoing) { l.finish(o, nil) })
		// What TLS writes by itself, in its handshake and in answer to a new
		// key of the peer's, must not meet a deadline that is long over.
		c.tcp.SetWriteDeadline(time.Time{})
		if isReset(err) {
			c.tcp.awaitRead(l.quit)
		}
		if !l.call(func(now time.Time) { l.written(now, c, n, err) }) {
			return
		}
	}
}

// written takes the result of a write. Stanzas that the socket took whole
// have been sent, and their senders have been told.
func (l *loop) written(now time.Time, c *conn, n int, err error) {
	sent := c.inFlight
	c.inFlight = nil
	for i, p := range sent {
		if n < len(p.bytes) {
			c.queue = append(sent[i:len(sent):len(sent)], c.queue...)
			break
		}
		n -= len(p.bytes)
		c.sent += int64(len(p.bytes))
		if p.out != nil {
			c.stream.touch(now)
			c.pair.wrote, c.pair.wroteAt = c, now
			c.remember(now, p.out)
			l.finish(p.out, nil)
		}
	}
	if err != nil && !c.dead {
		c.slow, c.reset = errors.Is(err, os.ErrDeadlineExceeded), isReset(err)
		c.stream.handleEOF(err)
		l.kill(c)
	}
	l.carry(now, c)
	if c.pair != nil {
		l.flush(now, c.pair) // others may have waited for this one
	}
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
			l.noteRefusal(now, c)
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
	if out.Pin != nil && !l.pin(c.stream.cfg.peer, out.Pin) {
		c.stream.refuse(now, errWrongKey)
		return true
	}
	if out.Opened {
		l.announceStream(c)
	}
	c.counted += out.Counts.Stanzas
	c.said = append(c.said, out.Messages...)
	if len(out.Write) > 0 {
		c.queue = append(c.queue, piece{bytes: out.Write})
	}
	more = l.passOn(c, out.Queries)
	if out.Caller == nil {
		return more
	}
	l.identify(now, c, *out.Caller)
	return more || c.stream.state != identifying
}

// release lets the reader read on, with what it has to deliver first.
func (l *loop) release(c *conn) {
	securing := c.stream.state == securing
	if !c.waiting || securing && (c.inFlight != nil || len(c.queue) > 0) {
		return
	}
	c.waiting = false
	d := delivery{stanzas: c.counted}
	if securing {
		d.secure = l.handshake(c.stream.cfg.role)
	}
	for _, el := range c.said {
		d.received = append(d.received, Received{To: c.contact.ID, From: c.stream.cfg.peer, Stanza: el})
	}
	if len(c.said) > 0 {
		d.after = c.told
	}
	c.said, c.counted = nil, 0
	c.deliveries <- d
}

// noteRefusal counts a stream error of ours, once.
func (l *loop) noteRefusal(now time.Time, c *conn) {
	cond, ok := refusal(c.stream.why)
	if !ok || c.noted {
		return
	}
	c.noted = true
	l.notePins(now, c)
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
	if over && c.doubting(now) {
		l.due(c.doubtTill)
		return
	}
	if over || c.stream.state == refused {
		c.unqueue()
		if !c.dead && len(c.queue) == 0 && c.tls != nil && !c.bidden {
			c.bidden = true
			c.send([]piece{})
		}
		done := over && c.inFlight == nil && (c.dead || len(c.queue) == 0)
		if done {
			c.unsent = append(l.unread(c), c.unsent...)
			l.drop(c)
		}
		if done || c.doubtTill.IsZero() {
			l.retry(now, c)
		}
	}
	switch {
	case c.dead, c.inFlight != nil:
	case len(c.queue) == 0:
		if c.stream.state == refused {
			// Closing would throw away what we said if the peer is still writing.
			c.tcp.CloseWrite()
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

// writeNext gives the writer the next batch.
func (c *conn) writeNext() {
	n, bytes := 0, 0
	for n < len(c.queue) && (n == 0 || bytes+len(c.queue[n].bytes) <= writeSize) {
		bytes += len(c.queue[n].bytes)
		n++
	}
	sent := c.queue[:n:n]
	c.queue = c.queue[n:]
	c.send(sent)
}

// send gives the writer pieces, which are not altered any more.
func (c *conn) send(pieces []piece) {
	c.inFlight = pieces
	c.writes <- batch{pieces, c.tls}
}

// unqueue takes the stanzas out of the queue.
func (c *conn) unqueue() {
	var rest []piece
	for _, p := range c.queue {
		if p.out != nil {
			c.unsent = append(c.unsent, p.out)
		} else {
			rest = append(rest, p)
		}
	}
	c.queue = rest
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

// drop forgets a connection. Nothing of it is being written. Its pair knows it
// until then, and so lives as long: what another pair of the same two had to
// say would be forgotten with it.
func (l *loop) drop(c *conn) {
	l.kill(c)
	delete(l.conns, c)
	if c.pair != nil {
		c.pair.conns = slices.DeleteFunc(c.pair.conns, func(o *conn) bool { return o == c })
	}
	l.log.Debug("stream closed", "contact", c.contact.ID, "peer", c.stream.cfg.peer, "remote", c.remote, "why", c.stream.why)
	l.count.streams.Store(int64(len(l.conns)))
	if c.stream.cfg.role == recipient {
		l.callers--
		if l.perAddr[c.remote]--; l.perAddr[c.remote] <= 0 {
			delete(l.perAddr, c.remote)
		}
	}
	close(c.writes)
	if c.reading {
		l.late++
	}
}

// readerEnded notes that what a connection said has been delivered, and that
// nothing more will be.
func (l *loop) readerEnded(c *conn) {
	c.reading = false
	if _, ok := l.conns[c]; !ok {
		l.late--
	}
}
