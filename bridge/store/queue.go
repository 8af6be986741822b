package store

import (
	"errors"
	"sync"
)

// Errors of Write, beside those of Update.
var (
	ErrEnded     = errors.New("store: it takes no more changes")
	ErrQueueFull = errors.New("store: too many changes wait for the disk")
)

const (
	maxQueued = 4096  // sets of changes that wait for Run
	maxLater  = 65536 // sets of Later, likewise
)

// A batch is a set of changes that waits for the disk.
type batch struct {
	changes []Change
	done    func(error) // nil: nobody wants to know
	later   bool        // nobody waits, and it is tried until it is made
}

func (b batch) end(err error) {
	if b.done != nil {
		b.done(err)
	}
}

// A queue holds the batches for Run, in order. It is safe for any number of
// givers and one taker.
type queue struct {
	mu      sync.Mutex
	batches []batch
	writes  int  // of them are not for later
	out     int  // of those for later the taker has so many, and may put them back
	urgent  bool // they cannot wait
	ended   bool
	wake    chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// put adds a batch. The taker is woken unless it knows that there are some for later.
func (q *queue) put(b batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
		return ErrEnded
	case b.later && q.out+len(q.batches)-q.writes >= maxLater, !b.later && q.writes >= maxQueued:
		return ErrQueueFull
	}
	q.batches = append(q.batches, b)
	if !b.later {
		q.writes++
	}
	urgent := !b.later || len(q.batches) == maxQueued // once: not with each that comes while the disk fails
	if urgent && !q.urgent || len(q.batches) == 1 {
		q.signal()
	}
	q.urgent = q.urgent || urgent
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take empties the queue. If all in it is for later, and that is not now, it
// stays, and waiting is true. What was taken has to be followed by back.
func (q *queue) take(now bool) (batches []batch, waiting bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !now && !q.urgent {
		return nil, len(q.batches) > 0
	}
	batches, q.out = q.batches, len(q.batches)-q.writes
	q.batches, q.writes, q.urgent = nil, 0, false
	return batches, false
}

// back puts back in front what was taken and could not be made, if anything.
func (q *queue) back(batches []batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.out = 0
	if len(batches) == 0 {
		return
	}
	q.batches = append(batches, q.batches...)
	q.signal()
}

// end takes what is left; there comes no more.
func (q *queue) end() []batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	batches := q.batches
	q.batches = nil
	return batches
}
