package sm

import (
	"fmt"
	"time"

	"meshgate/internal/stanza"
)

// outbound is the queue of stanzas that the server has not acknowledged.
type outbound struct {
	q     []item
	bytes int
	acked uint64 // the last h of the server, before it wraps
	seq   uint64 // the highest that was given to a stanza
	next  int    // index of the first item not written on this connection
	tried int    // items at the head that were ever written in this session
}

type item struct {
	Stanza
	kind Kind
}

// Enqueue appends one whole stanza. Other elements are refused: they would be
// lost with the connection; and so are those that are larger than the server
// at the other end takes. It returns the stanza's Seq.
func (e *Engine) Enqueue(now time.Time, b []byte) (seq uint64, err error) {
	k := KindOf(b)
	if k == Nonza {
		return 0, fmt.Errorf("sm: not a stanza: %.40q", b)
	}
	if most := e.conn.limits.MaxStanza; most > 0 && len(b) > most {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), most)
	}
	e.out.seq++
	st := Stanza{Seq: e.out.seq, At: now, Data: b}
	e.out.q = append(e.out.q, item{Stanza: st, kind: k})
	e.out.bytes += len(b)
	e.record(Enqueued, st)
	return st.Seq, nil
}

// Queued is the number and size of the stanzas that are not acknowledged.
func (e *Engine) Queued() (stanzas, bytes int) { return len(e.out.q), e.out.bytes }

// Unacked is the number of stanzas written in this session and not acknowledged.
func (e *Engine) Unacked() int { return e.out.tried }

// AppendWrite appends what is to be written now: at most one batch. It is
// called again once that has been written, and whenever something has changed.
// The place where a journal has to be durable is before these bytes leave.
func (e *Engine) AppendWrite(now time.Time, b []byte) []byte {
	if e.state == Offline {
		return b
	}
	b = append(b, e.conn.hello...)
	e.conn.hello = nil
	if e.state == Enabling {
		return b
	}
	b = e.appendStanzas(now, e.appendAnswer(now, b))
	if b = e.appendRequest(now, b); len(b) > 0 {
		e.conn.wroteAt = now
	}
	return b
}

// appendStanzas appends what the window and the batch allow.
func (e *Engine) appendStanzas(now time.Time, b []byte) []byte {
	for e.out.next < len(e.out.q) && !e.windowFull() {
		if e.shareUnasked() {
			b = e.appendRequest(now, b)
		}
		it := &e.out.q[e.out.next]
		if len(b) > 0 && len(b)+len(it.Data) > e.pol.MaxBatch {
			break
		}
		b = append(b, it.Data...)
		e.wrote(now, it)
	}
	return b
}

// shareUnasked reports whether it is time for a request because of the window.
func (e *Engine) shareUnasked() bool {
	return e.conn.unasked > 0 && e.conn.unaskedB >= e.pace.share(e.window())
}

// wrote counts the next item as written.
func (e *Engine) wrote(now time.Time, it *item) {
	e.stats.Sent++
	if e.conn.inFlight == 0 {
		e.pace.launched(now)
	}
	e.conn.inFlight += len(it.Data)
	if e.conn.unasked == 0 {
		e.conn.unaskedAt = now
	}
	e.conn.unasked++
	e.conn.unaskedB += len(it.Data)
	e.out.next++
	if e.out.next > e.out.tried {
		e.out.tried = e.out.next
	} else {
		e.stats.Resent++
	}
}

// windowFull reports whether the next item has to wait for an acknowledgement.
func (e *Engine) windowFull() bool {
	c := &e.conn
	if c.inFlight == 0 || e.out.next >= len(e.out.q) {
		return false
	}
	size := len(e.out.q[e.out.next].Data)
	return e.suspected() || c.inFlight >= e.learnedWindow() || size > e.fixedWindow()-c.inFlight
}

func (e *Engine) appendRequest(now time.Time, b []byte) []byte {
	c := &e.conn
	if !c.requested.IsZero() {
		return b
	}
	due := !now.Before(e.requestAt())
	if e.acknowledges() && (c.unasked >= e.requestEvery() || e.shareUnasked()) || e.windowFull() {
		due = true
	}
	if !due || e.id.dialect == V1 && c.unasked == 0 && e.out.next < len(e.out.q) {
		return b
	}
	e.stats.Requests++
	switch {
	case e.state == Plain:
		b = e.appendPingRequest(b)
	case e.id.dialect == V1:
		b = e.appendLegacyRequest(now, b)
	default:
		b = e.id.dialect.appendRequest(b)
	}
	c.requested, c.unasked, c.unaskedB = now, 0, 0
	c.behind, c.leftAt = c.inFlight, time.Time{}
	e.pace.full = c.inFlight >= e.window()/2
	return b
}

// requestEvery is after how many stanzas an acknowledgement is requested: no
// later than the server wishes. v0.7 §2 (Stream Feature)
func (e *Engine) requestEvery() int {
	if n := e.id.stanzas; n > 0 {
		return min(n, e.pol.RequestEvery)
	}
	return e.pol.RequestEvery
}

// ack drops what h covers. An h that cannot be ends the session: nothing that
// this server says about it can be trusted any more.
func (e *Engine) ack(h uint64) error {
	delta := h - e.out.acked
	if e.id.dialect != V1 {
		delta = uint64(int64(int32(uint32(delta)))) // h counts modulo 2^32
	}
	if delta > uint64(e.out.tried) {
		e.id.id = ""
		if back := -delta; back <= e.out.acked {
			return fmt.Errorf("%w: h=%d, %d back", ErrHandledLow, h, back)
		}
		return &TooHighError{H: h, Outstanding: e.out.tried}
	}
	e.stats.Acked += delta
	e.out.acked += delta
	e.forget(int(delta))
	return nil
}

// forget drops n items from the head of the queue.
func (e *Engine) forget(n int) {
	if n == 0 {
		return
	}
	e.record(Acked, Stanza{Seq: e.out.q[n-1].Seq})
	for i := range n {
		if e.pol.Acks && e.out.q[i].kind == Message {
			e.acked = append(e.acked, e.out.q[i].Stanza)
		}
		size := len(e.out.q[i].Data)
		e.out.bytes -= size
		if i < e.out.next {
			e.conn.inFlight -= size
			e.pace.acked += size
		}
		e.out.q[i] = item{}
	}
	e.out.q = e.out.q[n:]
	e.out.next = max(0, e.out.next-n)
	e.out.tried = max(0, e.out.tried-n)
	if len(e.out.q) == 0 {
		e.out.q = nil
	}
}

// TakeAcked returns the messages that the server has acknowledged since it was
// called last; without stream management, those that were written. After a
// process that was killed some may come again.
func (e *Engine) TakeAcked() []Stanza {
	list := e.acked
	e.acked = nil
	return list
}

// sent is the number of the last stanza that was ever written in this session.
func (e *Engine) sent() uint64 { return e.out.acked + uint64(e.out.tried) }

// AppendTooHigh appends the stream error for an h above what was sent:
// undefined-condition with the application condition of XEP-0198 §6, which
// sm:1 does not have yet.
func (e *Engine) AppendTooHigh(b []byte, h uint64) []byte {
	b = fmt.Appendf(b, "<stream:error><undefined-condition xmlns='%s'/>", stanza.NSStErr)
	if e.id.dialect != V1 {
		b = fmt.Appendf(b, "<handled-count-too-high xmlns='%s' h='%d' send-count='%d'/>", string(e.id.dialect), h, uint32(e.sent()))
	}
	return append(b, "</stream:error>"...)
}
