package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"time"
)

// MaxSlate is the most bytes of what a Slate holds.
const MaxSlate = slateSlot - slateHead

const (
	slateSlot = 512 << 10
	slateHead = 4 + 4 + 8 + 8 + 8
)

// A Slate holds one value, which may be large and change many times a second, in a file
// of its own. The disk is not waited for: what was set last is there when the program
// has died, however it did. When the machine has been started anew it is not, for nobody
// knows how old what the disk has is; unless the slate was sealed before.
//
// The file has two slots of 512 KiB, which are written in turns, so that a write that is
// not finished leaves the one before. Numbers are big endian:
//
//	checksum (4 bytes)  CRC-32C of the rest
//	length   (4 bytes)  of the value
//	count    (8 bytes)  of the slot with the higher one is what was set last
//	wall, up (8 bytes each)  when it was set: see moment; zeros: it is sealed
//	value
//
// Its methods are safe to call from any goroutine.
type Slate struct {
	now func() moment

	mu    sync.Mutex
	f     *os.File
	count uint64 // of the slot that was written last
	holds bool   // it is a value that counts
	buf   []byte
}

// OpenSlate opens the slate in the file called path, and makes it if it is not there. Its
// directory has to be. left is what was set last; nil: nothing, or that cannot be told. A
// seal is broken.
func OpenSlate(path string) (s *Slate, left []byte, err error) { return openSlate(path, thisMoment) }

func openSlate(path string, now func() moment) (*Slate, []byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, nil, fmt.Errorf("store: %w", err)
	}
	s := &Slate{f: f, now: now}
	last := s.last()
	sealed := last.at.isZero()
	s.count, s.holds = last.count, last.ok && (sealed || last.at.sameStart(now()))
	if !s.holds {
		return s, nil, nil
	}
	if sealed { // nothing may go by it once something else is set, whatever of that gets to the disk
		err := errors.Join(s.write(last.value, now()), s.write(last.value, now()), datasync(f))
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("store: %w", err), f.Close())
		}
	}
	return s, last.value, nil
}

// Set replaces what it holds. After an error that is still there, and is not sealed.
func (s *Slate) Set(value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.write(value, s.now())
	if s.holds = err == nil; !s.holds {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Seal waits until what was set last is on the disk, for the next who opens the slate,
// also after another start of the machine. What is set later breaks the seal.
func (s *Slate) Seal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holds {
		return nil
	}
	last := s.last()
	if last.count != s.count {
		return fmt.Errorf("store: %s is damaged", s.f.Name())
	}
	if err := errors.Join(s.write(last.value, moment{}), datasync(s.f)); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Close closes the file.
func (s *Slate) Close() error { return s.f.Close() }

// A slot is what one of the two holds.
type slot struct {
	ok    bool
	count uint64
	at    moment
	value []byte
}

// last is the slot that was written last.
func (s *Slate) last() (last slot) {
	for i := range int64(2) {
		if one := s.read(i); one.ok && (!last.ok || one.count > last.count) {
			last = one
		}
	}
	return last
}

func (s *Slate) read(i int64) (one slot) {
	head := make([]byte, slateHead)
	if _, err := s.f.ReadAt(head, i*slateSlot); err != nil {
		return one
	}
	n := binary.BigEndian.Uint32(head[4:])
	if n > MaxSlate {
		return one
	}
	value := make([]byte, n)
	if _, err := s.f.ReadAt(value, i*slateSlot+slateHead); n > 0 && err != nil {
		return one
	}
	if binary.BigEndian.Uint32(head) != slateSum(head, value) {
		return one
	}
	number := func(at int) uint64 { return binary.BigEndian.Uint64(head[at:]) }
	return slot{true, number(8), moment{int64(number(16)), int64(number(24))}, value}
}

func slateSum(head, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[4:], castagnoli), castagnoli, value)
}

// write writes the slot that does not hold what was set last.
func (s *Slate) write(value []byte, at moment) error {
	if len(value) > MaxSlate {
		return ErrTooLarge
	}
	b := append(s.buf[:0], 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	b = binary.BigEndian.AppendUint64(b, s.count+1)
	b = binary.BigEndian.AppendUint64(b, uint64(at.wall))
	b = binary.BigEndian.AppendUint64(b, uint64(at.up))
	binary.BigEndian.PutUint32(b, slateSum(b, value))
	b = append(b, value...)
	if cap(b) <= maxBuf {
		s.buf = b
	}
	if _, err := s.f.WriteAt(b, int64((s.count+1)%2)*slateSlot); err != nil {
		return err
	}
	s.count++
	return nil
}

// A moment is a time by two clocks, in seconds: since 1970, and since the machine was
// started. The zero moment is none.
type moment struct{ wall, up int64 }

func (m moment) isZero() bool { return m == moment{} }

// startSlack is how far apart, in seconds, two clocks may be of which each counts whole ones.
const startSlack = 2

// sameStart reports whether the machine has not been started anew between m and a later
// moment: then as much has passed by both clocks. It reports false also if somebody has set
// the clock, or if that cannot be told.
func (m moment) sameStart(later moment) bool {
	if m.up <= 0 || later.up <= 0 {
		return false
	}
	up := later.up - m.up
	drift := later.wall - m.wall - up
	return up >= 0 && -startSlack <= drift && drift <= startSlack
}

func thisMoment() moment { return moment{time.Now().Unix(), uptime()} }
