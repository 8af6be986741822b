package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"meshgate/internal/alarm"
)

const (
	// laterWait is how long the changes of Later may wait for those of Write.
	laterWait = 50 * time.Millisecond
	// laterRetry is the pause before those that could not be made are tried again.
	laterRetry = time.Second
	// maxGroup is the most bytes of changes that are one record, unless they
	// are one set: nobody should have to wait for those of many others.
	maxGroup = 256 << 10
	// maxBuf bounds the buffer of a record that is kept for the next one.
	maxBuf = 2 * maxGroup
)

// Update makes the changes, all or none, and returns when they are on the disk.
func (s *Store) Update(changes ...Change) error {
	return s.commit([]batch{{changes: changes}})[0]
}

// Write queues the changes for Run and does not block. done, if not nil, is
// called once, from any goroutine: when the changes are on the disk, or with
// the reason why they are not. Changes are made in the order in which they
// were queued.
func (s *Store) Write(done func(error), changes ...Change) {
	b := batch{changes: changes, done: done}
	if err := s.queue.put(b); err != nil {
		b.end(err)
	}
}

// Later queues the changes, as Write does, and nobody waits for them: they go
// with the next of Write, or after 50 ms, or, if the disk does not take them,
// when it does. Those that a bucket does not take are forgotten, and so are
// those that come while far too many wait (65,536 sets), or after Run: Stats
// counts them.
func (s *Store) Later(changes ...Change) {
	b := batch{changes: changes, done: s.forget, later: true}
	if err := s.queue.put(b); err != nil {
		b.end(err)
	}
}

// forget counts a set of Later that was not made.
func (s *Store) forget(err error) {
	if err != nil {
		s.forgotten.Add(1)
	}
}

// Stats are counters.
type Stats struct {
	Forgotten uint64 // sets of Later that were not made
}

// Stats may be called from any goroutine.
func (s *Store) Stats() Stats { return Stats{s.forgotten.Load()} }

// Run makes the changes that Write has queued until ctx ends, and then those
// that wait. It must be called at most once.
func (s *Store) Run(ctx context.Context) error {
	var folding sync.WaitGroup
	defer folding.Wait()
	folding.Go(func() { s.foldBeside(ctx) })
	var later alarm.Alarm
	defer later.Stop()
	wait := laterWait
	for {
		batches, waiting := []batch(nil), false
		select {
		case <-s.queue.wake:
			if batches, waiting = s.queue.take(false); waiting {
				later.Set(time.Now().Add(wait))
			}
		case <-later.C():
			batches, _ = s.queue.take(true)
		case <-ctx.Done():
			for _, b := range s.writeAll(s.queue.end()) {
				b.end(ErrEnded)
			}
			return nil
		}
		wait = laterWait
		left := s.writeAll(batches)
		if s.queue.back(left); len(left) > 0 {
			wait = laterRetry
		}
	}
}

// writeAll makes the changes of all batches, as many at once as a record should
// hold: for those the disk is waited for once. When it does not take them, it
// is not asked for the rest. Left are those of Later that it has not taken.
func (s *Store) writeAll(batches []batch) (left []batch) {
	var failed error
	for len(batches) > 0 {
		n := groupLen(batches)
		errs := slices.Repeat([]error{failed}, n)
		if failed == nil {
			errs = s.commit(batches[:n])
		}
		for i, b := range batches[:n] {
			if !isRefusal(errs[i]) {
				failed = errs[i]
			}
			if b.later && !isRefusal(errs[i]) {
				left = append(left, b)
			} else {
				b.end(errs[i])
			}
		}
		batches = batches[n:]
	}
	return left
}

// groupLen is how many batches, at least one, have maxGroup bytes together.
func groupLen(batches []batch) int {
	size := 0
	for i, b := range batches {
		for _, c := range b.changes {
			size += len(c.key) + len(c.value)
		}
		if size > maxGroup {
			return max(i, 1)
		}
	}
	return len(batches)
}

// isRefusal reports whether it is no use to try again.
func isRefusal(err error) bool {
	return err == nil || errors.Is(err, ErrFull) || errors.Is(err, ErrTooLarge)
}

// commit makes the changes of each batch, all or none, and returns the outcome
// of each when they are on the disk.
func (s *Store) commit(batches []batch) []error {
	if len(batches) == 0 {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	group, errs := s.stage(batches)
	err := s.keep(group)
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("store: %w", errs[i])
		}
	}
	return errs
}

// stage is what the batches come to, without those that cannot be made.
func (s *Store) stage(batches []batch) (group *overlay, errs []error) {
	group, errs = newOverlay(), make([]error, len(batches))
	v := s.view(nil, group)
	defer v.close()
	for i, b := range batches {
		v.over[0] = newOverlay()
		for _, c := range b.changes {
			if errs[i] = c.apply(v); errs[i] != nil {
				break
			}
		}
		if errs[i] == nil {
			group.merge(v.over[0])
		}
	}
	return group, errs
}

// keep puts a group of changes on the disk, and over what was there before.
func (s *Store) keep(group *overlay) error {
	if group.empty() {
		return nil
	}
	if s.broken != nil {
		if err := s.mend(); err != nil {
			return err
		}
	}
	b, err := s.record(group)
	if err != nil {
		return err
	}
	if b == nil {
		return s.keepLarge(group)
	}
	l := s.logs[s.cur]
	first := l.at == logStart
	s.seq++
	if err := l.append(b); err != nil {
		s.broken = err
		_ = s.mend() // else when it is next to be written; whoever is told must not find the record after a kill
		return err
	}
	s.mu.Lock()
	s.active.merge(group)
	full := l.at > l.size/foldPart && s.frozen == nil
	s.mu.Unlock()
	if full {
		s.turn()
	}
	if full || first {
		s.wantFold()
	}
	return nil
}

// record is the group as a record for the current log, in which room is made
// for it; nil if it is too large for any.
func (s *Store) record(group *overlay) ([]byte, error) {
	for range 2 {
		l := s.logs[s.cur]
		b := appendRecord(s.buf[:0], l.salt, s.seq+1, group)
		if s.buf = b; cap(b) > maxBuf {
			s.buf = nil
		}
		if l.fits(len(b)) {
			return b, nil
		}
		if err := s.fold(); err != nil {
			return nil, err
		}
		s.turn()
		s.wantFold()
	}
	return nil, nil
}

// keepLarge puts a group into the database without the log.
func (s *Store) keepLarge(group *overlay) error {
	if err := s.flush(); err != nil {
		return err
	}
	s.folding.Lock()
	defer s.folding.Unlock()
	s.seq++
	if err := s.update(group, s.seq); err != nil {
		s.broken = err // nobody knows whether its number is taken
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozenSeq = s.seq
	s.folds++
	return nil
}
