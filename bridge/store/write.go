package store

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// Errors of Write, beside those of Update.
var (
	ErrEnded     = errors.New("store: it takes no more changes")
	ErrQueueFull = errors.New("store: too many changes wait for the disk")
)

// A batch is a set of changes that waits for the disk.
type batch struct {
	changes []Change
	done    func(error) // nil: nobody wants to know
}

// Update makes the changes, all or none, and returns when they are on the disk.
func (s *Store) Update(changes ...Change) error {
	if err := s.db.Update(func(tx *bbolt.Tx) error { return applyAll(tx, changes) }); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func applyAll(tx *bbolt.Tx, changes []Change) error {
	for _, c := range changes {
		if err := c.apply(tx); err != nil {
			return err
		}
	}
	return nil
}

// Write queues the changes for Run and does not block. done, if not nil, is
// called once, from any goroutine: when the changes are on the disk, or with
// the reason why they are not. Changes are made in the order in which they
// were queued.
func (s *Store) Write(done func(error), changes ...Change) {
	if !s.queue.Put(batch{changes, done}) {
		batch{changes, done}.end(ErrQueueFull)
		return
	}
	select {
	case <-s.ended:
		s.giveUp() // Run may have looked for the last time before
	default:
	}
}

// Run makes the changes that Write has queued until ctx ends, and then those
// that wait. It must be called at most once.
func (s *Store) Run(ctx context.Context) error {
	for {
		select {
		case <-s.queue.C():
			s.writeAll(s.queue.Take())
		case <-ctx.Done():
			s.writeAll(s.queue.Take())
			close(s.ended)
			s.giveUp()
			return nil
		}
	}
}

func (s *Store) giveUp() {
	for _, b := range s.queue.Take() {
		b.end(ErrEnded)
	}
}

// writeAll makes the changes of all batches at once: the disk is waited for
// once. If one of them cannot be made, each is tried by itself.
func (s *Store) writeAll(batches []batch) {
	var all []Change
	for _, b := range batches {
		all = append(all, b.changes...)
	}
	if len(batches) == 0 {
		return
	}
	err := s.Update(all...)
	for _, b := range batches {
		if err != nil && len(batches) > 1 {
			b.end(s.Update(b.changes...))
		} else {
			b.end(err)
		}
	}
}

func (b batch) end(err error) {
	if b.done != nil {
		b.done(err)
	}
}
