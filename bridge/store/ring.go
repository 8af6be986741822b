package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"
	"syscall"
)

// KeyLen is the length of a key of a Ring.
const KeyLen = 16

// A ring's file begins with ringMagic, the version of the layout and the
// number of slots (4 bytes each, big endian). Each slot is the number of its
// Add, counted from one (8 bytes, big endian), and the key; all zeros is an
// empty one.
const (
	ringMagic   = "MGRing\r\n"
	ringVersion = 1
	ringHeader  = len(ringMagic) + 4 + 4
	slotLen     = 8 + KeyLen
)

// A Ring remembers the newest of many keys in a file of constant size, which is
// mapped into memory: to add one is to write a few bytes there. They are in the
// file when the program has died, however it did; if the power has failed some
// may be missing. What a torn write leaves is at worst a key that nobody has
// ever added, so keys should be such that this does not matter: hashes.
//
// Its methods are safe to call from any goroutine.
type Ring struct {
	mu   sync.Mutex
	mem  []byte // the file; nil: closed, or it cannot be written any more
	last uint64 // the number of the newest
}

// OpenRing opens the ring of that many keys in the file called path. If it is
// not there, or is another kind of file, or has another size, it is begun anew.
// Its directory has to be.
func OpenRing(path string, slots int) (*Ring, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer f.Close() // the memory stays
	if err := prepareRing(f, slots); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, ringHeader+slots*slotLen, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	r := &Ring{mem: mem}
	err = guarded(func() error {
		for i := range slots {
			r.last = max(r.last, binary.BigEndian.Uint64(r.slot(i)))
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// prepareRing begins a ring anew if the file is none of this size. All of it is
// written, so that the disk has room for it from then on.
func prepareRing(f *os.File, slots int) error {
	head := binary.BigEndian.AppendUint32([]byte(ringMagic), ringVersion)
	head = binary.BigEndian.AppendUint32(head, uint32(slots))
	size := ringHeader + slots*slotLen
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	had := make([]byte, ringHeader)
	if _, err := f.ReadAt(had, 0); err == nil && slices.Equal(had, head) && fi.Size() == int64(size) {
		return nil
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(head, make([]byte, size-len(head))...), 0)
	return err
}

func (r *Ring) slots() int { return (len(r.mem) - ringHeader) / slotLen }

func (r *Ring) slot(i int) []byte {
	at := ringHeader + i*slotLen
	return r.mem[at : at+slotLen]
}

// Add remembers a key, and forgets the oldest.
func (r *Ring) Add(key [KeyLen]byte) {
	r.within(func() {
		r.last++
		s := r.slot(int(r.last % uint64(r.slots())))
		copy(s[8:], key[:])
		binary.BigEndian.PutUint64(s, r.last)
	})
}

// Remove forgets a key. One that is not there is no error.
func (r *Ring) Remove(key [KeyLen]byte) {
	r.within(func() {
		for i := range r.slots() {
			if s := r.slot(i); string(s[8:]) == string(key[:]) {
				clear(s)
			}
		}
	})
}

// All are the keys as of now, the oldest first.
func (r *Ring) All() iter.Seq[[KeyLen]byte] {
	var slots [][slotLen]byte
	r.within(func() {
		for i := range r.slots() {
			if s := [slotLen]byte(r.slot(i)); s != ([slotLen]byte{}) {
				slots = append(slots, s)
			}
		}
	})
	slices.SortFunc(slots, func(a, b [slotLen]byte) int { return slices.Compare(a[:], b[:]) })
	return func(yield func([KeyLen]byte) bool) {
		for _, s := range slots {
			if !yield([KeyLen]byte(s[8:])) {
				return
			}
		}
	}
}

// within works on the memory. Where the file below it has been cut off, or a
// disk that copies on write is full, that is a fault: then the ring remembers
// nothing more, and what it is good for is done less well.
func (r *Ring) within(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return
	}
	if guarded(func() error { f(); return nil }) != nil {
		_ = r.unmap()
	}
}

func (r *Ring) unmap() error {
	mem := r.mem
	r.mem = nil
	if mem == nil {
		return nil
	}
	return syscall.Munmap(mem)
}

// Close ends it. What is added later is not remembered.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unmap()
}
