package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"meshgate/internal/alarm"
)

const (
	// foldPart of a log is written before it is folded: while that goes on
	// the other is written, which has room for twice as much.
	foldPart = 2
	// foldIdle is how long something may stand in a log alone.
	foldIdle = 30 * time.Second
	// foldRetry is the pause after a fold that failed.
	foldRetry = time.Second
)

// over are the overlays, the newest first. mu is held, or writing.
func (s *Store) over() []*overlay {
	if s.frozen == nil {
		return []*overlay{s.active}
	}
	return []*overlay{s.active, s.frozen}
}

// view is one with those overlays above the store's. writing is held.
func (s *Store) view(above ...*overlay) *view {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &view{db: s.db, over: append(above, s.over()...)}
}

// turn makes what the current log holds ready for a fold, and goes on with the
// other log. writing is held, and nothing else waits for a fold.
func (s *Store) turn() {
	s.mu.Lock()
	s.frozen, s.frozenSeq, s.active = s.active, s.seq, newOverlay()
	s.mu.Unlock()
	s.cur = 1 - s.cur
	if l := s.logs[s.cur]; l != nil {
		l.rewind()
	}
}

// fold puts what is frozen into the database, in one transaction with the
// number of its last record. If it fails nothing has changed, and if nobody
// knows whether it has, it does no harm a second time.
func (s *Store) fold() error {
	s.folding.Lock()
	defer s.folding.Unlock()
	s.mu.RLock()
	o, seq := s.frozen, s.frozenSeq
	s.mu.RUnlock()
	if o == nil {
		return nil
	}
	if err := s.update(o, seq); err != nil {
		return err
	}
	s.letGoAll()
	s.mu.Lock()
	s.frozen = nil
	s.folds++
	s.mu.Unlock()
	return nil
}

// update makes an overlay part of the database. After a failure of the disk no
// other is made: bbolt goes on with what it sees in the system's cache, and
// would write over pages that on the disk still count. The logs have what is
// missing, for the next start. folding is held.
func (s *Store) update(o *overlay, seq uint64) error {
	if s.ruined != nil {
		return s.ruined
	}
	err := s.db.Update(func(tx *bbolt.Tx) error { return foldInto(tx, o, seq) })
	if diskFailed(err) {
		s.ruined = err
	}
	return err
}

// diskFailed reports whether an error of a transaction leaves it open what the
// disk has: one of the disk, or of a wait for it, for whatever reason, which
// bbolt passes on as the bare number. A write that the system does not take
// for want of room has changed nothing that counts.
func diskFailed(err error) bool {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Op == "sync" || errors.Is(err, syscall.EIO)
	}
	var errno syscall.Errno
	return errors.As(err, &errno)
}

// flush folds everything. writing is held.
func (s *Store) flush() error {
	if err := s.fold(); err != nil {
		return err
	}
	if s.seq == s.frozenSeq && s.active.empty() {
		return nil
	}
	s.turn()
	return s.fold()
}

// mend makes the logs good again after a failure. The number of the record
// that failed goes into the database with what came before it: should that
// record be on the disk after all, it counts for nothing. writing is held.
func (s *Store) mend() error {
	if err := s.flush(); err != nil {
		return err
	}
	for _, l := range s.logs {
		if l.bad {
			if err := l.renew(); err != nil {
				return err
			}
		}
	}
	s.broken = nil
	return nil
}

// foldBeside folds until ctx ends: when a log is half full, and when something
// has stood in one for a while.
func (s *Store) foldBeside(ctx context.Context) {
	var due alarm.Alarm
	defer due.Stop()
	for {
		select {
		case <-s.foldDue:
			due.Set(time.Now().Add(foldIdle))
		case <-due.C():
			s.turnIdle()
		case <-ctx.Done():
			return
		}
		if err := s.fold(); err != nil { // Write tells, once it cannot do without
			due.Set(time.Now().Add(foldRetry))
		}
	}
}

// turnIdle turns if something stands in the current log.
func (s *Store) turnIdle() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.broken == nil && !s.isFrozen() && s.seq != s.frozenSeq {
		s.turn()
	}
}

func (s *Store) isFrozen() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.frozen != nil
}

func (s *Store) wantFold() {
	select {
	case s.foldDue <- struct{}{}:
	default:
	}
}

// foldInto puts an overlay into the database.
func foldInto(tx *bbolt.Tx, o *overlay, seq uint64) error {
	for _, name := range slices.Sorted(maps.Keys(o.parts)) {
		if err := foldPartInto(tx, name, o.parts[name]); err != nil {
			return err
		}
	}
	meta, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
	if err != nil {
		return err
	}
	return meta.Put([]byte(foldedKey), binary.BigEndian.AppendUint64(nil, seq))
}

// fullPages is how full a page is left where what comes next comes behind it.
const fullPages = 0.9

func foldPartInto(tx *bbolt.Tx, name string, p *part) error {
	b, err := makeBase(tx, name)
	if err != nil {
		return err
	}
	b.ages.FillPercent = fullPages
	byKey := slices.SortedFunc(maps.Values(p.rows), func(a, b *row) int { return cmp.Compare(a.key, b.key) })
	for _, r := range byKey { // in the order of the pages
		if err := b.set(r); err != nil {
			return err
		}
	}
	for r := range p.live() {
		if r.age > 0 && !r.gone {
			if err := b.ages.Put(appendAge(nil, r.age), []byte(r.key)); err != nil {
				return err
			}
		}
	}
	if err := b.ages.SetSequence(p.nextAge - 1); err != nil {
		return err
	}
	return b.top.Put(countName, binary.BigEndian.AppendUint64(nil, uint64(p.count)))
}

// set makes a row of the database what r says, but for its new age in ages.
func (b base) set(r *row) error {
	key := []byte(r.key)
	if old := b.get(key); old != nil {
		if age := binary.BigEndian.Uint64(old); age > 0 {
			if err := b.ages.Delete(appendAge(nil, age)); err != nil {
				return err
			}
		}
	}
	if r.gone {
		return b.rows.Delete(key)
	}
	if r.age == 0 {
		b.rows.FillPercent = fullPages
	}
	return b.rows.Put(key, append(appendAge(make([]byte, 0, ageLen+len(r.value)), r.age), r.value...))
}
