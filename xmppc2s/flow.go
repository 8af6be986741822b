package xmppc2s

import (
	"errors"
	"slices"
	"time"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/outbox"
	"meshgate/xmppc2s/sm"
)

const (
	// delayedAfter is how long a message may wait and still count as said when
	// it is sent. One of another process and another session does not.
	delayedAfter = time.Minute
	// sessionForgotten is how long a session that cannot be tried is believed in,
	// if the server has not said for how long it keeps it.
	sessionForgotten = time.Hour
	// maxExpired is how many messages expire at a time: each is read from the
	// disk, and told.
	maxExpired = 256
)

// collect takes in what other goroutines left.
func (l *loop) collect(now time.Time) {
	for _, m := range l.c.dones.Take() {
		l.engine.Done(m)
	}
	for _, o := range l.c.inbox.Take() {
		l.counted++
		l.countedBytes += len(o.data)
		if err := l.box.Add(o.at, o.data); err != nil {
			l.c.log.Error("not queued", "err", err) // Send and vconn let only stanzas through
		}
	}
	if row := l.c.archived.Swap(nil); row != nil { // behind the inbox: it is durable before the question leaves
		l.catchUp(now, *row)
	}
	if l.tr != nil && !l.tr.busy && l.engine.RotationDue() {
		l.rotate(now)
	}
}

// release gives the engine what it has room for.
func (l *loop) release(now time.Time) {
	for l.engine.Room() > 0 {
		e, ok := l.box.Next()
		if !ok {
			return
		}
		data := l.dataOf(e)
		if data == nil {
			continue
		}
		if e.Kind == sm.Message && (now.Sub(e.At) >= delayedAfter || e.Left && !l.resumed) {
			data = sm.WithDelay(data, e.At)
		}
		switch _, err := l.engine.Enqueue(e.At, data); {
		case errors.Is(err, ErrTooLarge) && e.Kind == sm.Message:
			l.giveUp(data, err)
		case err != nil:
			l.c.log.Error("not sent", "err", err) // the box lets only stanzas through
		}
	}
}

// dataOf is the stanza itself; nil: the disk does not have it any more.
func (l *loop) dataOf(e outbox.Entry) []byte {
	if e.Data != nil {
		return e.Data
	}
	if _, _, data, ok := parseRowValue(l.cfg.Journal.Row(entryKey(e))); ok && len(data) == e.Size {
		return data
	}
	l.c.counts.unreadable.Add(1)
	l.c.log.Error("a stanza that waited cannot be read from the disk: it is lost", "seq", e.Seq, "kind", e.Kind, "queued", e.At)
	return nil
}

// gauge shows others how much waits, and says what the server has.
func (l *loop) gauge() {
	n, bytes := l.engine.Queued()
	waiting, more := l.box.Len()
	n, bytes = n+waiting, bytes+more
	l.c.queued.Add(int64(n - l.counted))
	l.c.queuedBytes.Add(int64(bytes - l.countedBytes))
	l.counted, l.countedBytes = n, bytes
	l.c.counts.setQueue(l.engine.Stats(), l.box.Stats(), l.box.AsideLen())
	l.tellAcked()
}

// tellAcked says what the server has acknowledged.
func (l *loop) tellAcked() {
	acked := l.engine.TakeAcked()
	if len(acked) == 0 {
		return
	}
	l.acked += uint64(len(acked))
	sent := make([]Sent, len(acked))
	for i, s := range acked {
		sent[i].ID, sent[i].To = addressee(s.Data)
	}
	if n := len(l.pending); n > 0 {
		if last, ok := l.pending[n-1].(Acknowledged); ok {
			l.pending[n-1] = Acknowledged{append(last.Messages, sent...)}
			return
		}
	}
	l.tell(Acknowledged{sent})
}

// addressee is what the server and we know a stanza by.
func addressee(b []byte) (id, to string) { return sm.Attr(b, "id"), sm.Attr(b, "to") }

// sortOut deals with what a new session has made of the queue: gone is what the
// engine gave up.
func (l *loop) sortOut(now time.Time, gone []sm.GivenUp) {
	for _, g := range gone {
		if g.Kind != sm.Message {
			continue
		}
		if g.Reason == sm.ErrDeadly {
			id, to := addressee(g.Bytes)
			l.c.log.Warn("a message is left out", "id", id, "to", to, "bytes", len(g.Bytes), "err", g.Reason)
			l.box.SetAside(now, sm.WithDelay(g.Bytes, g.At))
		}
		l.giveUp(g.Bytes, g.Reason)
	}
	if l.book != nil || l.cfg.Journal != nil { // there was another session
		l.box.Fresh()
	}
}

// expire gives up messages that have waited for longer than MessageTTL. Those
// that may have arrived wait as long as the session can be resumed: the server
// says then whether they have.
func (l *loop) expire(now time.Time) {
	if l.cfg.MessageTTL <= 0 {
		return
	}
	l.expireAt = now.Add(min(l.cfg.MessageTTL/4, time.Minute))
	if l.tr == nil && !l.dialing && now.Sub(l.lostAt) > max(l.engine.MaxResume(), sessionForgotten) {
		l.engine.Forget()
	}
	before := now.Add(-l.cfg.MessageTTL)
	for _, g := range l.engine.Expire(before) {
		l.giveUp(g.Bytes, ErrExpired)
	}
	expired := l.box.Expire(before, max(0, maxExpired-len(l.pending)-len(l.unsure)))
	if len(expired)+len(l.pending)+len(l.unsure) >= maxExpired {
		l.expireAt = now.Add(min(l.cfg.MessageTTL/4, time.Second)) // there may be more
	}
	for _, e := range expired {
		l.giveUpEntry(e, ErrExpired)
	}
}

// giveUpEntry reports what has left the box, if its sender is to hear of it:
// of what was set aside it has.
func (l *loop) giveUpEntry(e outbox.Entry, reason error) {
	if e.Kind != sm.Message || e.Lane == outbox.Aside {
		return
	}
	if data := l.dataOf(e); data != nil {
		l.giveUp(data, reason)
	}
}

// An unsure event is told when the disk knows of it: a process that ends
// before that tries again.
type unsure struct {
	ev   Event
	mark uint64 // of keeper; 0: not known yet
}

// giveUp reports a stanza that will not be sent, as soon as its row is gone.
func (l *loop) giveUp(b []byte, reason error) {
	st, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{Depth: 1 << 10, Nodes: 1 << 20})
	if err != nil {
		l.c.log.Error("undelivered stanza does not parse", "err", err)
		return
	}
	l.c.counts.undelivered.Add(1)
	l.unsure = append(l.unsure, unsure{ev: Undelivered{Stanza: st, Err: reason}})
}

// tellSure tells what has become sure. It is called when the keeper has all
// records.
func (l *loop) tellSure() {
	n := 0
	for i := range l.unsure {
		u := &l.unsure[i]
		if u.mark == 0 {
			u.mark = l.keeper.mark()
		}
		if n == i && l.keeper.isDurable(u.mark) {
			n++
			l.tell(u.ev)
		}
	}
	l.unsure = slices.Delete(l.unsure, 0, n)
}

// abandonQueue empties the queue in the end, and reports every message that is
// not on the disk. What is unsure the next process finds out again.
func (l *loop) abandonQueue() {
	l.unsure = nil
	unkept := l.keeper.unkept()
	lost := func(key, data []byte) {
		if l.cfg.Journal == nil || unkept[string(key)] {
			l.giveUp(data, ErrStopped)
		}
	}
	for _, g := range l.engine.Drain() {
		if g.Kind == sm.Message {
			lost(rowKey(sentKey, g.Seq), g.Bytes)
		}
	}
	for _, e := range l.box.Drain() {
		if e.Kind == sm.Message && e.Data != nil {
			lost(entryKey(e), e.Data)
		}
	}
	for _, u := range l.unsure {
		l.tell(u.ev)
	}
}
