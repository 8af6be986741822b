package main

import (
	"errors"
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
	// sentMore is for how many messages more than wait their fate is followed.
	sentMore = 6384
	// fateKept is for how long it is, behind the time that they may wait.
	fateKept = 7 * 24 * time.Hour
)

// sentIDs is how many messages of the LAN are remembered.
func (c *config) sentIDs() int { return c.Outbox.Messages + sentMore }

// outbox is the session's journal. Its rows are put in their order by their keys.
type outbox struct {
	state  *state
	bucket *store.Bucket
	mark   *store.Mark // nil: there is none
}

func (o outbox) Rows() iter.Seq2[[]byte, []byte] { return o.bucket.All() }

func (o outbox) Write(changes []xmppc2s.Change, done func(error)) {
	list := make([]store.Change, len(changes))
	for i, c := range changes {
		if c.Value == nil {
			list[i] = o.bucket.Delete(c.Key)
		} else {
			list[i] = o.bucket.Put(c.Key, c.Value)
		}
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

// shelf is one of the hub's.
type shelf struct {
	state  *state
	bucket *store.Bucket
}

func (s shelf) All() iter.Seq2[[]byte, []byte] { return s.bucket.All() }
func (s shelf) Put(key, value []byte)          { s.state.write("a row", s.bucket.Put(key, value)) }
func (s shelf) Delete(key []byte)              { s.state.write("a row", s.bucket.Delete(key)) }

// openMark opens the mark beside the state. Without it what was handled at the
// very moment of a kill may come again.
func (s *state) openMark(path string) {
	var err error
	if s.outbox.mark, err = store.OpenMark(path); err != nil {
		s.log.Warn("the mark of the session cannot be kept", "err", err)
	}
}

// openOutbox opens what the session and the hub keep of their talk.
func (s *state) openOutbox(sentIDs int) error {
	var errs []error
	open := func(name string, limit store.Limit) *store.Bucket {
		b, err := s.Bucket(name, limit)
		errs = append(errs, err)
		return b
	}
	row := func(name string, rows int) bridge.Shelf {
		return shelf{s, open(name, store.Limit{Rows: rows, RowBytes: bridge.MaxPastRow, Evict: true})}
	}
	s.outbox = outbox{state: s, bucket: open("outbox", store.Limit{Rows: maxOutboxRows, RowBytes: maxOutboxRow, Sorted: true})}
	s.past = bridge.Past{Sent: row("sent", sentIDs), Seen: row("seen", bridge.MaxSeen), Talks: row("talks", maxTalks)}
	return errors.Join(errs...)
}
