package clique

import (
	"context"
	"sync/atomic"

	"meshgate/internal/mailbox"
)

// A news is what is to be told of a room, in order, by a goroutine that may block.
type news struct {
	box   *mailbox.Mailbox[Event]
	size  atomic.Int64  // bytes that are not told
	kept  atomic.Uint64 // the last Snapshot that was told
	limit int64         // of size: see full
	drain chan struct{} // a token: a Snapshot was told, or it is not full any more
	ended chan struct{} // closed: nothing more comes
}

func newNews(limit int) *news {
	const any = 1<<31 - 1 // what is bounded is their size
	return &news{box: mailbox.New[Event](any), limit: int64(limit), drain: make(chan struct{}, 1), ended: make(chan struct{})}
}

// eventSize is about what an event takes.
func eventSize(ev Event) int64 {
	const least = 200
	switch ev := ev.(type) {
	case Received:
		return least + int64(ev.size)
	case Said:
		return least + int64(ev.size)
	case Data:
		return least + int64(len(ev.Data))
	case Snapshot:
		return least + int64(len(ev.Data))
	}
	return least
}

func (n *news) put(ev Event) {
	n.size.Add(eventSize(ev))
	n.box.Put(ev)
}

// full reports whether no more is to be heard until the handler has taken some: what
// has been heard already may still be put.
func (n *news) full() bool { return n.size.Load() >= n.limit }

func (n *news) end() { close(n.ended) }

// deliver tells the handler until all is told or ctx ends.
func (n *news) deliver(ctx context.Context, h Handler) {
	for {
		n.tell(ctx, h, n.box.Take())
		select {
		case <-n.box.C():
		case <-n.ended:
			select {
			case <-n.box.C(): // put before the end
			default:
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// tell tells the handler. Of several snapshots the last is enough.
func (n *news) tell(ctx context.Context, h Handler, events []Event) {
	var last uint64
	for _, ev := range events {
		if s, ok := ev.(Snapshot); ok {
			last = s.count
		}
	}
	for i, ev := range events {
		if ctx.Err() != nil {
			return
		}
		s, isSnapshot := ev.(Snapshot)
		if !isSnapshot || s.count == last {
			h.HandleClique(ctx, ev)
		}
		kept := isSnapshot && s.count == last
		if kept {
			n.kept.Store(s.count)
		}
		full := n.full()
		n.size.Add(-eventSize(ev))
		events[i] = nil
		if kept || full && !n.full() {
			signal(n.drain)
		}
	}
}
