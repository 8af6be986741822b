package rmulticast

import "time"

// A timer is a deadline and what is done then. It belongs to one timers.
type timer struct {
	at    time.Time
	order uint64 // of those with the same deadline: when it was set
	place int    // in the heap, from 1; 0: not set
	fire  func(now time.Time)
}

func (t *timer) isSet() bool { return t.place > 0 }

// timers is a heap of deadlines. Equal ones come in the order they were set in.
type timers struct {
	heap []*timer
	sets uint64
}

// set sets or moves a deadline.
func (q *timers) set(t *timer, at time.Time) {
	if t.place == 0 {
		q.heap = append(q.heap, t)
		t.place = len(q.heap)
	}
	q.sets++
	t.at, t.order = at, q.sets
	q.down(q.up(t.place))
}

func (q *timers) stop(t *timer) {
	if t.place == 0 {
		return
	}
	i, last := t.place, q.heap[len(q.heap)-1]
	q.heap[len(q.heap)-1] = nil
	q.heap = q.heap[:len(q.heap)-1]
	t.place = 0
	if last != t {
		q.put(i, last)
		q.down(q.up(i))
	}
}

// next is the first deadline; zero: there is none.
func (q *timers) next() time.Time {
	if len(q.heap) == 0 {
		return time.Time{}
	}
	return q.heap[0].at
}

// take removes and returns a timer that is due, or nil.
func (q *timers) take(now time.Time) *timer {
	if len(q.heap) == 0 || q.heap[0].at.After(now) {
		return nil
	}
	t := q.heap[0]
	q.stop(t)
	return t
}

func (q *timers) less(i, j int) bool {
	a, b := q.heap[i-1], q.heap[j-1]
	if a.at.Equal(b.at) {
		return a.order < b.order
	}
	return a.at.Before(b.at)
}

func (q *timers) put(i int, t *timer) { q.heap[i-1], t.place = t, i }

func (q *timers) swap(i, j int) {
	a, b := q.heap[i-1], q.heap[j-1]
	q.put(i, b)
	q.put(j, a)
}

func (q *timers) up(i int) int {
	for i > 1 && q.less(i, i/2) {
		q.swap(i, i/2)
		i /= 2
	}
	return i
}

func (q *timers) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2 * i, 2*i + 1} {
			if child <= len(q.heap) && q.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		q.swap(i, least)
		i = least
	}
}
