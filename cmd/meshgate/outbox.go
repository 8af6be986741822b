package main

import (
	"iter"
	"time"

	"meshgate/bridge"
	"meshgate/bridge/store"
	"meshgate/xmppc2s"
)

const (
	// maxOutboxRows and maxOutboxRow are beyond what the session ever keeps:
	// its own limits are what people are told of.
	maxOutboxRows = 1 << 20
	maxOutboxRow  = 4 << 20
	// maxTalks is how many conversations are remembered.
	maxTalks = 1000
	// outboxBytes is what each message of the outbox may have on average.
	outboxBytes = 2 << 10
	// passedMore is for how many messages more than twice as many as may wait it
	// is remembered what became of them, and maxRefused those not passed on.
	passedMore = 6384
	maxRefused = 4096
	// fateKept is for how long it is, behind the time that they may wait.
	fateKept = 7 * 24 * time.Hour
)

// outbox is the session's journal. Its rows are put in their order by their keys.
type outbox struct {
	state  *state
	bucket *store.Bucket
	mark   *store.Mark // nil: there is none
}

func (o outbox) Rows() iter.Seq2[[]byte, []byte] { return o.bucket.All() }

func (o outbox) Row(key []byte) []byte { return o.bucket.Get(key) }

func (o outbox) Write(changes []xmppc2s.Change, done func(error)) {
	list := make([]store.Change, len(changes))
	for i, c := range changes {
		list[i] = o.bucket.Set(c.Key, c.Value)
	}
	o.state.Write(done, list...)
}

func (o outbox) Mark() []byte {
	if o.mark == nil {
		return nil
	}
	return o.mark.Get()
}

func (o outbox) SetMark(b []byte) {
	if o.mark == nil {
		return
	}
	if err := o.mark.Set(b); err != nil {
		o.state.log.Debug("the mark was not set", "err", err) // the row will do
	}
}

// past is what the hub remembers: a bucket for each shelf.
type past struct {
	state   *state
	buckets map[bridge.Shelf]*store.Bucket
}

func (p past) All(on bridge.Shelf) iter.Seq2[[]byte, []byte] { return p.buckets[on].All() }
func (p past) Get(on bridge.Shelf, key []byte) []byte        { return p.buckets[on].Get(key) }

func (p past) Write(changes ...bridge.ShelfChange) {
	list := make([]store.Change, len(changes))
	for i, c := range changes {
		list[i] = p.buckets[c.On].Set(c.Key, c.Value)
	}
	p.state.Later(list...) // what is sent behind it goes through the same queue
}

// pastLimits are those of the shelves, where that many messages may wait.
func pastLimits(waiting int) map[bridge.Shelf]store.Limit {
	const row = bridge.MaxPastRow
	return map[bridge.Shelf]store.Limit{
		bridge.Waiting: {Rows: maxOutboxRows, RowBytes: row, Sorted: true},
		bridge.Passed:  {Rows: 2*waiting + passedMore, RowBytes: row, Evict: true},
		bridge.Refused: {Rows: maxRefused, RowBytes: row, Evict: true},
		bridge.Talks:   {Rows: maxTalks, RowBytes: row, Evict: true},
		bridge.Filed:   {Rows: 1, RowBytes: row, Sorted: true},
	}
}

// openMark opens the mark beside the state. Without it what was handled at the
// very moment of a kill may come again.
func (s *state) openMark(path string) {
	var err error
	if s.outbox.mark, err = store.OpenMark(path); err != nil {
		s.log.Warn("the mark of the session cannot be kept", "err", err)
	}
}

// openRing opens the marks of what was delivered, likewise; nil: there are none.
func (s *state) openRing(path string, slots int) *store.Ring {
	ring, err := store.OpenRing(path, slots)
	if err != nil {
		s.log.Warn("what is delivered cannot be marked: after a kill it may be delivered once more", "err", err)
		return nil
	}
	return ring
}

// marks are the ring, if there is one.
func (s *state) marks() bridge.Marks {
	if s.ring == nil {
		return nil
	}
	return s.ring
}

// openOutbox opens what the session and the hub keep of their talk.
func (s *state) openOutbox(waiting int) error {
	b, err := s.Bucket("outbox", store.Limit{Rows: maxOutboxRows, RowBytes: maxOutboxRow, Sorted: true})
	if err != nil {
		return err
	}
	s.outbox = outbox{state: s, bucket: b}
	s.past = past{s, make(map[bridge.Shelf]*store.Bucket)}
	for on, limit := range pastLimits(waiting) {
		if s.past.buckets[on], err = s.Bucket(on.String(), limit); err != nil {
			return err
		}
	}
	return nil
}
