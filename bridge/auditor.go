package bridge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"meshgate/xmppc2s"
)

// A Queue is what waits for the server.
type Queue interface {
	// Queue returns the oldest, at most limit of them, and how many there are.
	Queue(ctx context.Context, limit int) ([]xmppc2s.Queued, int, error)
}

// maxAudited is how much may wait when the carried entries are compared with it.
const maxAudited = 1000

// An auditor closes entries that were carried over from before the start and
// wait no more: when the gateway was killed the outbox knew already that the
// server has the message, and the ledger did not.
type auditor struct {
	hub   *Hub
	queue Queue         // nil: there is none
	asked chan struct{} // has room for one
}

func newAuditor(h *Hub, q Queue) *auditor {
	return &auditor{hub: h, queue: q, asked: make(chan struct{}, 1)}
}

// ask wants an audit, soon. It does not block.
func (a *auditor) ask() {
	select {
	case a.asked <- struct{}{}:
	default:
	}
}

// run makes audits until ctx ends.
func (a *auditor) run(ctx context.Context) {
	for {
		select {
		case <-a.asked:
			a.audit(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// audit asks what waits. What is not in a complete list waits no more: nothing
// comes to wait that has not been there since the start.
func (a *auditor) audit(ctx context.Context) {
	if a.queue == nil {
		return
	}
	list, total, err := a.queue.Queue(ctx, maxAudited)
	if err != nil || total > len(list) {
		return // there will be another time
	}
	waits := make(map[string]bool, len(list))
	for _, q := range list {
		waits[q.ID] = true
	}
	_ = a.hub.call(ctx, func(e *engine) { a.hub.closeCarried(time.Now(), e, waits) }) // an error is the end
}

// closeCarried ends the entries that were carried over and do not wait.
func (h *Hub) closeCarried(now time.Time, e *engine, waits map[string]bool) {
	var stale []entry
	last := int64(0) // when the last message came, before the start, of which the outbox is known to have heard
	heard := func(n *entry) {
		if n.fromLAN && n.came < e.started.UnixMilli() {
			last = max(last, n.came)
		}
	}
	for key, row := range h.past.All(Waiting) {
		switch n, ok := parseRow(string(key), row); {
		case !ok:
		case waits[n.key]:
			heard(&n)
		case e.isCarried(n.key):
			stale = append(stale, n)
		}
	}
	if len(stale) == 0 {
		return
	}
	for key, row := range h.past.All(Passed) {
		if n, ok := parseRow(string(key), row); ok {
			heard(&n)
		}
	}
	slices.SortFunc(stale, func(a, b entry) int { return cmp.Compare(a.came, b.came) })
	for _, n := range stale {
		e.waitsNoMore(now, n, n.came < last)
	}
}
