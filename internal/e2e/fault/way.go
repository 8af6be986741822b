package main

import (
	"context"
	"maps"
	"sync"
	"time"
)

// A way is one direction of one pair: its numbered messages, as they were sent
// and as they arrived. Its methods are safe from any goroutine.
type way struct {
	words
	window int // messages that may be under way

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	total   int           // messages that are to be sent
	record  record
	base    int // all before it count as arrived, or as never to arrive
	latest  time.Time
}

// A record is what has become of the messages of a way.
type record struct {
	sent    []sending // by number
	came    []arrival // in their order
	kills   map[int]time.Time
	taken   map[int]bool // the server has them in the archive of whoever sent them
	given   map[int]bool // and in that of whom they were sent to
	acked   int          // the gateway's ledger has them as acknowledged by the server, and no such id has come
	toLAN   bool         // it is the gateway to whom they were sent
	strange []string     // other texts that came: the gateway's own words
}

// maxStrange is how many of them are kept.
const maxStrange = 100

// A sending is a message that was sent. Stream is which of the sender's
// connections it was written to; record.kills has those whose other end was
// killed, and when.
type sending struct {
	at     time.Time
	stream int
}

// An arrival is a message that has come, perhaps not whole, or not for the
// first time. On the LAN messages have no id.
type arrival struct {
	at    time.Time
	n     int
	id    string
	whole bool
}

func newWay(tag string, total, window int, sizes []int) *way {
	return &way{
		words: words{tag, sizes}, window: window, total: total, latest: time.Now(),
		changed: make(chan struct{}), record: record{kills: map[int]time.Time{}, taken: map[int]bool{}, given: map[int]bool{}},
	}
}

// change runs f with the state locked and wakes all who wait.
func (w *way) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// await waits until something holds, which is asked with the state locked.
func (w *way) await(ctx context.Context, holds func() bool) error {
	for {
		w.mu.Lock()
		ok, changed := holds(), w.changed
		w.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next waits until a message may be sent, and returns its number.
func (w *way) next(ctx context.Context) (n int, err error) {
	err = w.await(ctx, func() bool {
		n = len(w.record.sent)
		return n < w.total && n-w.base < w.window
	})
	return n, err
}

// sending notes that the next message is being written. It is called before
// the write; unsent takes it back.
func (w *way) sending(stream int) {
	w.change(func() { w.record.sent = append(w.record.sent, sending{time.Now(), stream}) })
}

// unsent takes the last message back: it was not written as a whole.
func (w *way) unsent() {
	w.change(func() { w.record.sent = w.record.sent[:len(w.record.sent)-1] })
}

// letGo has what was sent so far fill the window no more: it may never arrive.
func (w *way) letGo() { w.change(func() { w.base = len(w.record.sent) }) }

// killed notes that the other end of a connection was killed.
func (w *way) killed(stream int, at time.Time) { w.change(func() { w.record.kills[stream] = at }) }

// arrived notes a text that has come, if it is one of the way's.
func (w *way) arrived(at time.Time, id, text string) {
	n, whole, ok := w.number(text)
	w.change(func() {
		if !ok {
			if text != "" && len(w.record.strange) < maxStrange {
				w.record.strange = append(w.record.strange, text)
			}
			return
		}
		w.record.came = append(w.record.came, arrival{at, n, id, whole})
		w.base = max(w.base, n+1)
		w.latest = at
	})
}

// accepted notes a text that the server has in the archive of its sender.
func (w *way) accepted(text string) { w.archived(text, w.record.taken) }

// reachable notes a text that the server has in the archive of its receiver.
func (w *way) reachable(text string) { w.archived(text, w.record.given) }

// takenAll notes that the server has taken all that was sent.
func (w *way) takenAll() {
	w.change(func() {
		for n := range w.record.sent {
			w.record.taken[n] = true
		}
	})
}

// acknowledged notes the ids of messages that the server has acknowledged.
func (w *way) acknowledged(ids []string) {
	w.change(func() {
		came := make(map[string]bool, len(w.record.came))
		for _, a := range w.record.came {
			came[a.id] = true
		}
		for _, id := range ids {
			if !came[id] {
				w.record.acked++
			}
		}
	})
}

func (w *way) archived(text string, in map[int]bool) {
	if n, whole, ok := w.number(text); ok && whole {
		w.change(func() { in[n] = true })
	}
}

// more raises how many are to be sent.
func (w *way) more(n int) { w.change(func() { w.total += n }) }

// past is how many messages the window has behind it.
func (w *way) past() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base
}

// quietSince is when the last message came, and whether all have been sent.
func (w *way) quietSince() (at time.Time, allSent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest, len(w.record.sent) >= w.total
}

// snapshot is the record so far.
func (w *way) snapshot() record {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.record
	r.sent, r.came = r.sent[:len(r.sent):len(r.sent)], r.came[:len(r.came):len(r.came)]
	r.kills, r.taken, r.given = maps.Clone(r.kills), maps.Clone(r.taken), maps.Clone(r.given)
	return r
}
