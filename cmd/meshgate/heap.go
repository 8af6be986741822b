package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The heap may grow fivefold before it is collected, but not by more than
// heapGrowth, and by half in any case. Next to the few MiB that live, every
// message is much garbage: letting it lie costs some MiB and saves a seventh of
// the CPU time. When much lives, because much waits, that would cost hundreds.
const (
	mostGCPercent  = 400
	leastGCPercent = 50
	heapGrowth     = 24 << 20
)

// gcPercent is by how many hundredths the heap may grow above what lives in it.
func gcPercent(live uint64) int {
	return int(max(leastGCPercent, min(mostGCPercent, 100*heapGrowth/max(live, 1))))
}

// tuneHeap sets after each collection when the next one is due. GOGC in the
// environment decides where it is set.
func tuneHeap() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(mostGCPercent)
	watchHeap(&heapSentinel{mostGCPercent, func(percent int) { debug.SetGCPercent(percent) }})
	runtime.GC() // from the first collection on there is one every two minutes, also in idle hours
}

// A heapSentinel is garbage from the beginning, so that its finalizer runs
// after each collection.
type heapSentinel struct {
	percent int
	set     func(percent int)
}

func watchHeap(s *heapSentinel) {
	runtime.SetFinalizer(s, func(s *heapSentinel) {
		watchHeap(s) // for the next one
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		if p := gcPercent(sample[0].Value.Uint64()); p != s.percent {
			s.percent = p
			s.set(p)
		}
	})
}
