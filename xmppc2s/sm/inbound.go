package sm

import (
	"strconv"
	"time"
)

// inbound is what has arrived: stanzas that wait to be taken, and how far
// they were handled.
type inbound struct {
	queue    []Inbound
	bytes    int
	handled  uint32    // our h: all stanzas up to this one are done
	done     []bool    // done[i]: stanza handled+1+i is
	skip     uint32    // stanzas at the head of the resumed stream that we have already
	told     uint32    // the last h that we sent
	owed     bool      // an answer is to be written
	promised bool      // a request was answered while stanzas before it were not done …
	upTo     uint32    // … up to this one
	requests []Request // sm:1: not to be answered yet, oldest first; one for each undone stanza at most
	reached  Request   // sm:1: the last that may be
}

// An Inbound is one element from the server.
type Inbound struct {
	Bytes []byte
	Kind  Kind
	Mark  Mark
}

// A Mark names one inbound stanza, for Done. The zero Mark names none.
type Mark struct {
	epoch, number uint32
	counted       bool
	session       string // its id, if the server will send the stanza again in it under that number
}

// Counted reports whether the server counts the stanza: if it is not done, it
// will come again.
func (m Mark) Counted() bool { return m.counted }

// Place is the stanza's number in its session, with the session's id: what the
// server sends again when that is resumed, be it by another process, has the
// place that it had before, and nothing else has it. It is "" where stanzas
// have no such place.
func (m Mark) Place() string {
	if !m.counted || m.session == "" {
		return ""
	}
	return strconv.FormatUint(uint64(m.number), 10) + "/" + m.session
}

// place is the session of a stanza that is being counted. In sm:1 numbers are
// those of requests, and what is resent begins behind one of those.
func (e *Engine) place() string {
	if e.id.dialect == V1 {
		return ""
	}
	return e.id.id
}

// received is the number of the last stanza that was counted.
func (in *inbound) received() uint32 { return in.handled + uint32(len(in.done)) }

// HandleFrame takes one whole element from the server. An error ends the
// connection; one that is neither ErrHandledHigh nor ErrHandledLow leaves the
// session resumable.
func (e *Engine) HandleFrame(now time.Time, b []byte) error {
	e.heard(now)
	if e.state == Plain {
		e.handlePong(now, b)
	}
	k := KindOf(b)
	if k == Nonza {
		err := e.handleNonza(now, b)
		e.conn.garbled = err != nil
		return err
	}
	if e.state == Enabling && e.in.full(enablingRoom*e.pol.MaxInbound, enablingRoom*e.pol.MaxInboundBytes) {
		e.stats.Flooded++
		return nil
	}
	if m, isNew := e.count(); isNew {
		e.in.queue = append(e.in.queue, Inbound{Bytes: b, Kind: k, Mark: m})
		e.in.bytes += len(b)
	}
	return nil
}

// HandleSkipped takes the first bytes of an element that is too large to be
// kept. A stanza counts as handled, or the server would send it for ever.
func (e *Engine) HandleSkipped(now time.Time, head []byte) {
	e.heard(now)
	if KindOf(head) == Nonza {
		return
	}
	if m, isNew := e.count(); isNew {
		e.Done(m)
	}
}

// count gives an arriving stanza its number. It is not new if it arrived
// before the connection was lost already.
func (e *Engine) count() (m Mark, isNew bool) {
	e.stats.Received++
	if e.state != Active {
		return Mark{}, true
	}
	if e.in.skip > 0 {
		e.in.skip--
		e.stats.Skipped++
		return Mark{}, false
	}
	e.in.done = append(e.in.done, false)
	return Mark{epoch: e.id.epoch, number: e.in.received(), counted: true, session: e.place()}, true
}

// uncounted is what a lost session leaves: messages that the server has sent
// without counting them will not come again, all others will.
func (in *inbound) uncounted() inbound {
	var left inbound
	for _, it := range in.queue {
		if it.Kind == Message && !it.Mark.counted {
			left.queue = append(left.queue, it)
			left.bytes += len(it.Bytes)
		}
	}
	return left
}

// enablingRoom is how many times the usual bounds may be used while stream
// management is being enabled.
const enablingRoom = 4

// InboundFull reports whether no more should be read from the server. While
// stream management is being enabled it never is: nothing is taken before the
// server's answer, and that comes behind what has been sent before it.
func (e *Engine) InboundFull() bool {
	return e.state != Enabling && e.in.full(e.pol.MaxInbound, e.pol.MaxInboundBytes)
}

func (in *inbound) full(stanzas, bytes int) bool {
	return len(in.queue) >= stanzas || in.bytes >= bytes
}

// maxTake and maxTakeBytes bound what is taken at a time: what has been taken
// is not counted in InboundFull.
const (
	maxTake      = 32
	maxTakeBytes = 64 << 10
)

// Waiting shows the next stanzas: at least one if there is any, with no more
// than that many messages among them. They are not to be changed.
func (e *Engine) Waiting(messages int) []Inbound {
	n, bytes := 0, 0
	for _, it := range e.in.queue[:min(len(e.in.queue), maxTake)] {
		bytes += len(it.Bytes)
		if it.Kind == Message {
			messages--
		}
		if messages < 0 || n > 0 && bytes > maxTakeBytes {
			break
		}
		n++
	}
	return e.in.queue[:n:n]
}

// Take removes n of the stanzas that Waiting showed.
func (e *Engine) Take(n int) {
	for _, it := range e.in.queue[:n] {
		e.in.bytes -= len(it.Bytes)
	}
	e.in.queue = e.in.queue[n:]
	if len(e.in.queue) == 0 {
		e.in.queue = nil
	}
}

// Done says that a stanza is delivered, stored or refused. h is the number of
// the last handled stanza (XEP-0198 §4), so it advances only over stanzas
// before which nothing is left undone.
func (e *Engine) Done(m Mark) {
	if !m.counted || m.epoch != e.id.epoch {
		return
	}
	if i := m.number - e.in.handled - 1; i < uint32(len(e.in.done)) {
		e.in.done[i] = true
	}
	for len(e.in.done) > 0 && e.in.done[0] {
		e.in.done = e.in.done[1:]
		e.in.handled++
		e.settle()
	}
}
