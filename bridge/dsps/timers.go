package dsps

import (
	"container/heap"
	"time"
)

// A timer is a deadline of a peer or a stream.
type timer struct {
	number   uint64              // of whose it is: who came first is first
	due      func(now time.Time) // what is done then
	deadline time.Time
	place    int // among the timers, from 1; 0: it is not set
}

// timers are those that are set, a heap.
type timers []*timer

func (t timers) Len() int { return len(t) }

func (t timers) Less(i, j int) bool {
	if t[i].deadline.Equal(t[j].deadline) {
		return t[i].number < t[j].number
	}
	return t[i].deadline.Before(t[j].deadline)
}

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i+1, j+1
}

// Push and Pop are for package heap.
func (t *timers) Push(x any) {
	one := x.(*timer)
	*t = append(*t, one)
	one.place = len(*t)
}

func (t *timers) Pop() any {
	old := *t
	one := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	one.place = 0
	return one
}

// set has one be due after d; 0 is never.
func (t *timers) set(one *timer, now time.Time, d time.Duration) {
	t.stop(one)
	if d > 0 {
		one.deadline = now.Add(d)
		heap.Push(t, one)
	}
}

func (t *timers) stop(one *timer) {
	if one.place > 0 {
		heap.Remove(t, one.place-1)
	}
}

// take removes and returns one whose time is over, or nil.
func (t *timers) take(now time.Time) *timer {
	if len(*t) == 0 || (*t)[0].deadline.After(now) {
		return nil
	}
	return heap.Pop(t).(*timer)
}
