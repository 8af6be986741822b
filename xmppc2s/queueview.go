package xmppc2s

import (
	"time"

	"meshgate/xmppc2s/outbox"
	"meshgate/xmppc2s/sm"
)

// maxListed bounds a list of the queue: what is on the disk is read for it.
const maxListed = 10_000

// queue is what Client.Queue returns. The total counts also what was given up
// and not told yet: whoever looks for something that waits no more must not
// miss why.
func (l *loop) queue(limit int) (list []Queued, total int) {
	l.collect(time.Now())
	limit = max(0, min(limit, maxListed))
	sent := l.engine.Snapshot().Queue
	for _, s := range sent[:min(limit, len(sent))] {
		id, to := addressee(s.Data)
		list = append(list, Queued{
			Seq: s.Seq, ID: id, To: to, Kind: sm.KindOf(s.Data).String(), At: s.At, Bytes: len(s.Data), State: InWork,
		})
	}
	for _, e := range l.box.List(limit - len(list)) {
		list = append(list, l.queued(e))
	}
	waiting, _ := l.box.Len()
	total = len(sent) + waiting + l.box.AsideLen() + len(l.unsure)
	for _, ev := range l.pending {
		if _, ok := ev.(Undelivered); ok {
			total++
		}
	}
	return list, total
}

func (l *loop) queued(e outbox.Entry) Queued {
	q := Queued{Seq: e.Seq, Kind: e.Kind.String(), Lane: e.Lane.String(), At: e.At, Bytes: e.Size, State: Waiting}
	q.ID, q.To = addressee(l.dataOf(e))
	if e.Lane == outbox.Aside {
		q.State, q.Reason = Aside, sm.ErrDeadly.Error()
	}
	return q
}

func (l *loop) queuedStanza(seq uint64) ([]byte, error) {
	if e, ok := l.box.Get(seq); ok {
		if data := l.dataOf(e); data != nil {
			return data, nil
		}
	}
	if data := l.underWay(seq); data != nil {
		return data, nil
	}
	return nil, ErrNotQueued
}

// underWay is a stanza that the engine has; nil: it has none of that number.
func (l *loop) underWay(seq uint64) []byte {
	for _, s := range l.engine.Snapshot().Queue {
		if s.Seq == seq {
			return s.Data
		}
	}
	return nil
}

func (l *loop) dropQueued(seq uint64) error {
	e, ok := l.box.Drop(seq)
	switch {
	case ok:
		l.giveUpEntry(e, ErrDropped)
		return nil
	case l.underWay(seq) != nil:
		return ErrAlreadySent
	}
	return ErrNotQueued
}

func (l *loop) retryQueued(seq uint64) error {
	now := time.Now()
	if seq == 0 {
		l.retryAt = now
		return nil
	}
	switch e, ok := l.box.Get(seq); {
	case ok && e.Lane == outbox.Aside:
		if data := l.dataOf(e); data == nil || !l.box.Retry(now, seq, data) {
			return ErrNotQueued
		}
		return nil
	case ok || l.underWay(seq) != nil:
		return ErrNotAside
	}
	return ErrNotQueued
}
