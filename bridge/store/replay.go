package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

// errLogSize is why a log is replaced before it is written.
var errLogSize = errors.New("a log has another size")

// logNames are the names of the logs of a database.
func logNames(path string) [2]string { return [2]string{path + ".log1", path + ".log2"} }

// foldedSeq is the number of the last record that is in the database.
func foldedSeq(db *bbolt.DB) (seq uint64) {
	_ = db.View(func(tx *bbolt.Tx) error { // it is open
		if meta := tx.Bucket([]byte(metaBucket)); meta != nil {
			if b := meta.Get([]byte(foldedKey)); len(b) == 8 {
				seq = binary.BigEndian.Uint64(b)
			}
		}
		return nil
	})
	return seq
}

// A found is what both logs hold.
type found struct {
	salts   [2]uint64
	records []record // that are not in the database, without a gap
	last    uint64   // the highest number that there is, whatever its record is worth
}

// readLogs reads the logs beside the database, which has the records up to
// folded. The error is ErrDamaged if not all can be had of what was written:
// then found is what can.
func readLogs(path string, folded uint64) (found, error) {
	f := found{last: folded}
	var damage []error
	var buf bytes.Buffer // of one log after the other: they are large
	for i, name := range logNames(path) {
		l, err := readLog(name, folded, &buf)
		switch {
		case errors.Is(err, ErrDamaged):
			damage = append(damage, fmt.Errorf("%s: %w", name, err))
		case err != nil:
			return f, fmt.Errorf("%s: %w", name, err)
		}
		f.salts[i], f.last = l.salt, max(f.last, l.stray)
		for _, r := range l.records {
			if r.seq > folded {
				f.last = max(f.last, r.seq)
				f.records = append(f.records, record{r.seq, bytes.Clone(r.body)})
			}
		}
	}
	if gap := f.join(folded); gap > 0 {
		damage = append(damage, fmt.Errorf("%w: of the log record %d is missing", ErrDamaged, gap))
	}
	if len(damage) > 0 {
		return f, fmt.Errorf("%w: %w", ErrLogDamaged, errors.Join(damage...))
	}
	return f, nil
}

// join puts the records of both logs in order, all of which are newer than
// folded, and tells of the first that is missing; 0: none.
func (f *found) join(folded uint64) (gap uint64) {
	slices.SortStableFunc(f.records, func(a, b record) int { return cmp.Compare(a.seq, b.seq) })
	next := folded + 1
	for i, r := range f.records {
		if r.seq != next {
			f.records = f.records[:i]
			break
		}
		next++
	}
	if next <= f.last {
		return next
	}
	return 0
}

// openLogs takes up what the logs hold, and begins them anew. If the disk has
// no room for that, it is tried again when something is to be written.
func (s *Store) openLogs(path string, size int64) error {
	f, err := readLogs(path, s.seq)
	damaged := errors.Is(err, ErrDamaged)
	if err != nil && !damaged {
		return err
	}
	if err := s.replay(f.records); err != nil {
		damaged = true
	}
	if damaged {
		if err := s.copyAside(path); err != nil {
			return fmt.Errorf("its log is damaged, and cannot be put aside: %w", err)
		}
	}
	s.seq = f.last
	if err := s.flush(); err != nil {
		if damaged {
			return err
		}
		s.broken = err
	}
	for i, name := range logNames(path) {
		if damaged {
			s.logs[i], err = createLog(name, size)
		} else {
			s.logs[i], err = openLog(name, f.salts[i], size)
		}
		if err != nil {
			return errors.Join(err, s.closeLogs())
		}
		if s.logs[i].bad && s.broken == nil {
			s.broken = errLogSize
		}
	}
	return nil
}

func (s *Store) closeLogs() (err error) {
	for _, l := range s.logs {
		if l != nil {
			err = errors.Join(err, l.close())
		}
	}
	return err
}

// replay makes the changes of the records, up to one that makes no sense.
func (s *Store) replay(records []record) error {
	for _, r := range records {
		o := newOverlay()
		if err := s.view(o).replay(r); err != nil {
			return err
		}
		s.active.merge(o)
	}
	return nil
}

// copyAside puts copies of the logs aside. The logs stay until what they held
// before the damage is in the database.
func (s *Store) copyAside(path string) error {
	var made []string
	for _, name := range logNames(path) {
		aside, err := putAside(name, copyFile)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			for _, aside := range made { // the next start tries again
				err = errors.Join(err, os.Remove(aside))
			}
			return err
		}
		made = append(made, aside)
	}
	if len(made) > 0 {
		s.logAside = made[0]
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(to)) // a piece would be in the way of the next one
	}
	return nil
}
