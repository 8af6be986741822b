package xmppc2s

import (
	"time"

	"meshgate/xmppc2s/sm"
)

// queue is what Client.Queue returns.
func (l *loop) queue(limit int) (list []Queued, total int) {
	all := l.engine.Snapshot().Queue
	for i, s := range all[:max(0, min(limit, len(all)))] {
		state := Waiting
		if i < l.engine.Unacked() {
			state = InWork
		}
		id, to := addressee(s.Data)
		list = append(list, Queued{Seq: s.Seq, ID: id, To: to, Kind: sm.KindOf(s.Data).String(), At: s.At, Bytes: len(s.Data), State: state})
	}
	return list, len(all)
}

func (l *loop) queuedStanza(seq uint64) ([]byte, error) {
	for _, s := range l.engine.Snapshot().Queue {
		if s.Seq == seq {
			return s.Data, nil
		}
	}
	return nil, ErrNotQueued
}

func (l *loop) dropQueued(seq uint64) error {
	if _, err := l.queuedStanza(seq); err != nil {
		return err
	}
	return ErrAlreadySent
}

func (l *loop) retryQueued(seq uint64) error {
	if seq == 0 {
		l.retryAt = time.Now()
		return nil
	}
	if _, err := l.queuedStanza(seq); err != nil {
		return err
	}
	return ErrNotAside
}
