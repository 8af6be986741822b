package bridge

import "time"

// An outage is the time without a session, of which peers who write meanwhile
// are told once, and not at all if it is over soon.
type outage struct {
	after   time.Duration // how long it must last to be worth telling
	limit   int           // of waiting
	number  uint64
	ongoing bool
	since   time.Time
	waiting []*talk // those who wrote, to be told at since+after
}

func (o *outage) begin(now time.Time) {
	if !o.ongoing {
		o.ongoing, o.since = true, now
		o.number++
	}
}

func (o *outage) end() { o.ongoing, o.waiting = false, nil }

// next is when e.tellOutage is wanted; zero: never.
func (o *outage) next() time.Time {
	if len(o.waiting) == 0 {
		return time.Time{}
	}
	return o.since.Add(o.after)
}

// wroteInOutage notes that the peer of k wrote something that waits for a session.
func (e *engine) wroteInOutage(now time.Time, k *talk) {
	o := &e.outage
	if !o.ongoing || k.outage == o.number {
		return
	}
	k.outage = o.number
	o.waiting = append(o.waiting, k)
	if len(o.waiting) >= o.limit {
		e.tellWaiting()
	}
	e.tellOutage(now)
}

// tellOutage tells those who wait, if the outage has lasted long enough.
func (e *engine) tellOutage(now time.Time) {
	if !now.Before(e.outage.since.Add(e.outage.after)) {
		e.tellWaiting()
	}
}

func (e *engine) tellWaiting() {
	for _, k := range e.outage.waiting {
		e.tellAbout(k.contact, k.peer, wordsWaits)
	}
	e.outage.waiting = nil
}
