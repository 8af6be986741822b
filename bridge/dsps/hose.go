package dsps

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// blockSize is how much data a block has at most, in bytes: with the rest of
	// it, what is allocated as 24 KiB.
	blockSize = 24<<10 - 128
	// plainShare and otherShare are how many blocks a stream has for two links:
	// so that a peer takes 64 KiB at most, with the stacks of its goroutines and
	// what TLS has. One for each link is enough for the stream to go on, whoever
	// holds one and waits.
	plainShare = 3
	otherShare = 2
	// maxBatch is how many blocks are written at a time.
	maxBatch = 8
	// tlsPiece is how much is written to TLS at a time, in bytes: it keeps a
	// copy of it until all is in the socket.
	tlsPiece = 8 << 10
	headroom = maxBlockHead
	// lateWrite is how long what is written at a time may take at the end of a
	// stream: that is 192 KiB at most, to somebody who takes 12 KiB a second.
	lateWrite = 16 * time.Second
)

// A block is a piece of data of one peer. It is read once, with its head put in
// front, and written to all receivers from where it is.
type block struct {
	buf        [headroom + blockSize]byte
	start, end int // of head and data
	readers    int // who have still to write it; under the hose's lock
}

// space is where data is to be read to.
func (b *block) space() []byte { return b.buf[headroom:] }

// fill says that n bytes are there, of the peer with this id.
func (b *block) fill(id string, n int) {
	var head [headroom]byte
	h := AppendBlock(head[:0], Block{id, int64(n)})
	b.start, b.end = headroom-len(h), headroom+n
	copy(b.buf[b.start:], h)
}

// whole is the block as peers get it, data what relays get.
func (b *block) whole() []byte { return b.buf[b.start:b.end] }

func (b *block) data() []byte { return b.buf[headroom:b.end] }

// A hose carries the data of one stream. All its blocks are in one order, and
// their number is bounded: when the slowest receiver has them all, nobody is
// read any more. "The DSPS stream operates at the speed of the slowest
// connection". XEP-0037, Stream use
type hose struct {
	blocks *sync.Pool
	paces  []*rate.Limiter
	owner  JID           // of the stream
	came   atomic.Int64  // bytes
	taken  *atomic.Int64 // bytes of all hoses

	mu      sync.Mutex
	room    sync.Cond // a block is free, or a link is not what it was
	links   []*link
	used    int    // blocks
	pending int    // times that a block is to be written
	drained func() // to be called when nothing is
}

func newHose(owner JID, blocks *sync.Pool, taken *atomic.Int64, paces ...*rate.Limiter) *hose {
	h := &hose{owner: owner, blocks: blocks, taken: taken}
	h.room.L = &h.mu
	for _, p := range paces {
		if p != nil {
			h.paces = append(h.paces, p)
		}
	}
	return h
}

// most is how many blocks there may be.
func (h *hose) most() int {
	shares := 0
	for _, l := range h.links {
		shares += l.share
	}
	return max(1, shares/2)
}

// join lets a link take part: it gets what comes from now on.
func (h *hose) join(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.wake = sync.NewCond(&h.mu)
	h.links = append(h.links, l)
	h.room.Broadcast()
}

// change sets what data the link has to do with.
func (h *hose) change(l *link, m linkMode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m <= l.mode {
		return
	}
	l.mode, l.left = m, leftover
	for _, b := range l.queue {
		h.release(b)
	}
	l.queue = nil
	if m == noWay {
		h.links = slices.DeleteFunc(h.links, func(x *link) bool { return x == l })
	}
	l.wake.Broadcast()
	h.room.Broadcast()
}

// take gives a block to read into, when there is one; nil if l is dead.
func (h *hose) take(l *link) *block {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.used >= h.most() && l.mode != noWay {
		h.room.Wait()
	}
	if l.mode == noWay {
		return nil
	}
	h.used++
	return h.blocks.Get().(*block)
}

// publish gives a block of n bytes to whom it is for: "Any data received from a
// "master" gets copied to every other peer on the stream. Any data received from
// a "slave" peer gets copied to all "master" peers on the stream only."
// XEP-0037, Stream administration
//
// It reports whether from may send more: a peer that has left has a limit.
func (h *hose) publish(from *link, b *block, n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b.readers = 1 // us, for the moment
	h.pending++
	if from.mode == bothWays || from.mode == readOnly {
		h.spread(from, b)
	}
	h.release(b)
	if from.mode == readOnly {
		from.left -= int64(n)
	}
	return from.left >= 0
}

func (h *hose) spread(from *link, b *block) {
	for _, l := range h.links {
		if l != from && l.mode == bothWays && (from.master || l.master) {
			l.queue = append(l.queue, b)
			b.readers++
			h.pending++
			l.wake.Signal()
		}
	}
}

func (h *hose) modeOf(l *link) linkMode {
	h.mu.Lock()
	defer h.mu.Unlock()
	return l.mode
}

// next gives back blocks that were written, if any, and waits for others: those
// that are to be written by now, up to maxBatch. None: nothing is any more.
func (h *hose) next(l *link, done []*block) []*block {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range done {
		h.release(b)
	}
	for len(l.queue) == 0 && l.mode == bothWays {
		l.wake.Wait()
	}
	if l.mode != bothWays {
		return nil
	}
	n := min(len(l.queue), maxBatch)
	next := append(done[:0], l.queue[:n]...)
	l.queue = slices.Delete(l.queue, 0, n)
	return next
}

// release takes one reader off a block, under the lock.
func (h *hose) release(b *block) {
	h.pending--
	if b.readers--; b.readers == 0 {
		h.blocks.Put(b)
		h.used--
		h.room.Signal()
	}
	if h.pending == 0 && h.drained != nil {
		h.drained()
		h.drained = nil
	}
}

// giveBack returns a block that nothing was read into.
func (h *hose) giveBack(b *block) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.blocks.Put(b)
	h.used--
	h.room.Signal()
}

// late are the links that hold up the others: a write to them goes on for so long
// that they take hardly anything.
func (h *hose) late(now time.Time) (links []*link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.links {
		if since := l.since.Load(); since != 0 && now.Sub(time.Unix(0, since)) >= lateWrite {
			links = append(links, l)
		}
	}
	return links
}

// drain has done called, under the lock, when nothing is to be written.
func (h *hose) drain(done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pending == 0 {
		done()
		return
	}
	h.drained = done
}
