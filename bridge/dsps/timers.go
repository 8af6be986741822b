package dsps

import (
	"container/heap"
	"time"
)

// timers are the peers with a deadline, a heap.
type timers []*peerState

func (t timers) Len() int { return len(t) }

func (t timers) Less(i, j int) bool {
	if t[i].deadline.Equal(t[j].deadline) {
		return t[i].number < t[j].number
	}
	return t[i].deadline.Before(t[j].deadline)
}

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i, j
}

// Push and Pop are for package heap.
func (t *timers) Push(x any) {
	p := x.(*peerState)
	p.place = len(*t)
	*t = append(*t, p)
}

func (t *timers) Pop() any {
	old := *t
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	p.place = -1
	return p
}

// set gives p a deadline after d; 0 is none.
func (t *timers) set(p *peerState, now time.Time, d time.Duration) {
	t.stop(p)
	if d > 0 {
		p.deadline = now.Add(d)
		heap.Push(t, p)
	}
}

func (t *timers) stop(p *peerState) {
	if p.place >= 0 {
		heap.Remove(t, p.place)
	}
}

// take removes and returns a peer whose time is over, or nil.
func (t *timers) take(now time.Time) *peerState {
	if len(*t) == 0 || (*t)[0].deadline.After(now) {
		return nil
	}
	return heap.Pop(t).(*peerState)
}
