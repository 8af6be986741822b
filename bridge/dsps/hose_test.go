package dsps

import (
	"sync"
	"sync/atomic"
	"testing"
)

func newTestHose() *hose {
	return newHose("", &sync.Pool{New: func() any { return new(block) }}, new(atomic.Int64))
}

// A peer has 64 KiB at most: what a stream has in blocks is bounded by who is on
// it, less for those that take more themselves, and never less than one for each.
func TestBlocksAreAsManyAsItsLinksMayHave(t *testing.T) {
	for _, tt := range []struct{ plain, other, want int }{
		{1, 0, 1}, {2, 0, 3}, {9, 0, 13}, {64, 0, 96}, {0, 1, 1}, {0, 2, 2}, {0, 64, 64}, {1, 1, 2}, {2, 2, 5},
	} {
		h := newTestHose()
		for range tt.plain {
			h.join(&link{share: plainShare})
		}
		for range tt.other {
			h.join(&link{share: otherShare})
		}
		if got := h.most(); got != tt.want {
			t.Errorf("%d plain, %d others: %d blocks, want %d", tt.plain, tt.other, got, tt.want)
		}
	}
}

// What waits for a reader goes out together and in order, but not without end.
func TestBlocksAreWrittenInBatches(t *testing.T) {
	h := newTestHose()
	from, to := &link{share: plainShare, master: true}, &link{share: 100}
	h.join(from)
	h.join(to)
	const blocks = 3*maxBatch + 1
	for i := range blocks {
		b := h.take(from)
		b.fill("1", i)
		h.publish(from, b, i)
	}
	var todo []*block
	for next := 0; next < blocks; {
		todo = h.next(to, todo)
		if want := min(maxBatch, blocks-next); len(todo) != want {
			t.Fatalf("%d blocks at once, want %d", len(todo), want)
		}
		for _, b := range todo {
			if len(b.data()) != next {
				t.Fatalf("block %d instead of %d", len(b.data()), next)
			}
			next++
		}
	}
	h.change(to, noWay)
	if h.next(to, todo); h.used != 0 || h.pending != 0 {
		t.Errorf("%d blocks are not given back, %d times to be written", h.used, h.pending)
	}
}
