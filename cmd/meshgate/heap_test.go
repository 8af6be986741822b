package main

import (
	"runtime"
	"testing"
)

func TestTheHeapGrowsByLessTheMoreLives(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 6 << 20: 400, 12 << 20: 200, 24 << 20: 100, 48 << 20: 50, 1 << 30: 50} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB live: %d %%, want %d %%", live>>20, got, want)
		}
	}
}

func TestTheHeapIsWatched(t *testing.T) {
	told := make(chan int) // nobody takes what comes after the test
	watchHeap(&heapSentinel{set: func(percent int) {
		select {
		case told <- percent:
		case <-t.Context().Done():
		}
	}})
	collect := func() int { // the finalizer runs some time after a collection
		for {
			runtime.GC()
			select {
			case percent := <-told:
				return percent
			default:
			}
		}
	}
	lives := make([]byte, 20<<20)
	first := collect()
	runtime.KeepAlive(lives)
	lives = make([]byte, 60<<20)
	second := collect()
	runtime.KeepAlive(lives)
	if first > 120 || second != leastGCPercent {
		t.Errorf("with 20 and 60 MiB live the heap may grow by %d and %d %%", first, second)
	}
}
