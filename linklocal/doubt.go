package linklocal

import (
	"errors"
	"io"
	"syscall"
	"time"
)

// A peer may close while a stanza is on its way to it: libpurple 2.14 writes
// its end tag and closes the socket at once when a chat window is closed. The
// kernel has taken the stanza, and nobody reads it. The peer's TCP then says
// so: it answers with a reset, instead of taking our end tag.
//
// So a stanza is in doubt if the peer closes soon after it was written. Our
// end tag is held back until a reset would be here; if it then cannot be
// written, the stanza goes once more, over another stream. Its sender has been
// told already that it was sent.
//
// A socket that is closed with something unread in it sends that reset at once.
// If there was a FIN instead, the peer has read what had been acknowledged by
// then, and only the rest is in doubt. Over TLS that cannot be told: its end
// comes earlier than the FIN.

const (
	doubtFor  = 200 * time.Millisecond // after it was written, a stanza is in doubt if the peer closes
	resetWait = 50 * time.Millisecond  // for a reset: some round trips of a bad Wi-Fi
	// For the reader, behind a reset: it may be handing over what it has read
	// to a handler that is busy. What goes over another stream waits as long;
	// then all that is in doubt comes again.
	readerWait = 2 * time.Second
	maxTaken   = 256 // stanzas of one stream that are kept for that
)

// A taken is a stanza that the kernel has taken.
type taken struct {
	out *outgoing
	at  time.Time
	end int64 // of it, in bytes from the beginning of the stream
}

// remember notes that the kernel has taken a stanza.
func (c *conn) remember(now time.Time, o *outgoing) {
	old := max(0, len(c.taken)-maxTaken+1)
	for old < len(c.taken) && now.Sub(c.taken[old].at) > doubtFor {
		old++
	}
	c.taken = append(c.taken[old:], taken{o, now, c.sent})
}

// readEnded notes how the reading of the connection ended.
func (m *marker) readEnded(err error) {
	m.acked = -1
	if n := m.ackedSoFar(); errors.Is(err, io.EOF) && m.base >= 0 && n >= 0 {
		m.acked = n - m.base
	}
	close(m.ended)
}

// ackedSoFar is acked of the socket; -1: unknown.
func (m *marker) ackedSoFar() (n int64) {
	n = -1
	if m.raw != nil {
		_ = m.raw.Control(func(fd uintptr) { n = acked(fd) }) // it fails if the socket is closed
	}
	return n
}

// awaitRead waits for readEnded behind a reset: it is a matter of a moment,
// unless the reader is still busy with what it has read.
func (m *marker) awaitRead(quit <-chan struct{}) {
	wait := time.NewTimer(readerWait)
	defer wait.Stop()
	select {
	case <-m.ended:
	case <-quit:
	case <-wait.C:
	}
}

// read reports whether the peer has surely read what ends there.
func (c *conn) read(end int64) bool {
	select {
	case <-c.tcp.ended:
		return c.tls == nil && end <= c.tcp.acked
	default:
		return false
	}
}

// doubting reports whether our end tag has to wait still, on a stream that the
// peer has closed.
func (c *conn) doubting(now time.Time) bool {
	if c.dead || c.inFlight != nil {
		return false
	}
	if c.doubtTill.IsZero() {
		n := len(c.taken)
		if n == 0 || now.Sub(c.taken[n-1].at) > doubtFor {
			c.taken = nil // a reset that answers our end tag says nothing of them
			return false
		}
		c.doubtTill = now.Add(resetWait)
		if c.controlBytes() == 0 { // something has to be written, or no reset comes
			c.queue = append(c.queue, piece{bytes: []byte(c.stream.lastWord())})
		}
	}
	return now.Before(c.doubtTill)
}

// unread takes the stanzas that a reset has shown not to have been read, ready
// to be sent again.
func (l *loop) unread(c *conn) (again []*outgoing) {
	if c.reset && c.pair != nil {
		for _, t := range c.taken {
			if t.out.OpenOnly || c.read(t.end) {
				continue // a chat state is not worth another stream
			}
			o := &outgoing{Outgoing: t.out.Outgoing, tries: t.out.tries, pair: c.pair}
			o.Done = nil // has been called
			if o.Mark != nil {
				o.Mark(false)
			}
			l.queued.Add(1)
			c.pair.queued.Add(1)
			again = append(again, o)
		}
		l.count.resent.Add(int64(len(again)))
		if len(again) > 0 {
			l.log.Debug("peer closed without reading, sending again", "peer", c.pair.peer, "stanzas", len(again))
		}
	}
	c.taken = nil
	return again
}

// lastWord is what may still be written on a stream that is over: our end tag
// if the peer closed without its own, else white space, which may stand behind it.
func (s *stream) lastWord() string {
	if s.ended {
		return "\n"
	}
	s.ended = true
	return endTag
}

// isReset reports whether an error is the other side's TCP saying that what
// was written will not be read.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
