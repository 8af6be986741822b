package store

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"meshgate/internal/mailbox"
)

const (
	version     = 1
	lockWait    = time.Second // for another program to let go of the file
	lockNow     = 1           // no wait; for bbolt 0 is for ever
	maxAside    = 9           // damaged files that are kept beside the new one
	maxQueued   = 4096        // sets of changes that wait for Run
	fileMode    = 0o600
	dirMode     = 0o700
	metaBucket  = "meta"
	versionKey  = "version"
	asideSuffix = ".damaged-"
)

// Errors of Open and Check. They come wrapped, with the file's name in front.
var (
	ErrBusy    = errors.New("another program is using it")
	ErrNewer   = errors.New("a newer version of this program has written it")
	ErrDamaged = errors.New("it is damaged")
)

// A Store is an open file. All of its methods are safe to call from any goroutine.
type Store struct {
	db    *bbolt.DB
	queue *mailbox.Mailbox[batch]
	ended chan struct{} // closed: Run has taken its last
	aside string
}

// Open opens the store in the file called path, and makes it with its
// directory if it is not there. A damaged file is put aside: see PutAside.
func Open(path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := open(path, &bbolt.Options{Timeout: lockWait})
	aside := ""
	if errors.Is(err, ErrDamaged) {
		why := err
		if aside, err = putAside(path); err != nil {
			return nil, fmt.Errorf("store: %s: %w, and cannot be put aside: %w", path, why, err)
		}
		db, err = open(path, &bbolt.Options{Timeout: lockWait})
	}
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return newStore(db, aside), nil
}

// memoryDir is a directory in memory on Linux: there is room where the disks
// are full, or can only be read.
const memoryDir = "/dev/shm"

// OpenVolatile opens a store in a file without a name, which is gone when the
// program ends: for when there is no place for one that lasts.
func OpenVolatile() (*Store, error) {
	f, err := os.CreateTemp(memoryDir, "meshgate-")
	if err != nil {
		f, err = os.CreateTemp("", "meshgate-")
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer os.Remove(f.Name())
	f.Close()
	db, err := open(f.Name(), &bbolt.Options{Timeout: lockWait, NoSync: true})
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", f.Name(), err)
	}
	return newStore(db, ""), nil
}

// Check says what is wrong with the store in the file called path, and leaves
// it as it is. That there is none yet, or that it is in use, is not wrong.
func Check(path string) error {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && fi.Size() == 0:
		return nil
	case err != nil:
		return err
	}
	db, err := open(path, &bbolt.Options{Timeout: lockNow, ReadOnly: true, PreLoadFreelist: true})
	switch {
	case errors.Is(err, ErrBusy):
		return nil
	case err != nil:
		return err
	}
	return db.Close()
}

// PutAside is the name of the damaged file that Open has put aside, "" if none.
func (s *Store) PutAside() string { return s.aside }

// Close closes the file. Run has to have ended, if it was called.
func (s *Store) Close() error { return s.db.Close() }

func newStore(db *bbolt.DB, aside string) *Store {
	return &Store{db: db, aside: aside, queue: mailbox.New[batch](maxQueued), ended: make(chan struct{})}
}

// open opens the file, sees whether all of it can be read, and notes the
// version in a new one.
func open(path string, opt *bbolt.Options) (db *bbolt.DB, err error) {
	var file *os.File
	opt.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	err = guarded(func() error {
		var err error
		if db, err = bbolt.Open(path, fileMode, opt); err != nil {
			return openError(err)
		}
		if err = verify(db); err == nil && !opt.ReadOnly {
			err = db.Update(writeVersion)
		}
		return err
	})
	if err == nil {
		return db, nil
	}
	if db != nil {
		db.Close()
	}
	if file != nil {
		// A bbolt that has panicked leaves it open and mapped: the lock lasts
		// as long as the map, unless it is taken off.
		_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN) // fails if it is closed
		file.Close()
	}
	return nil, err
}

// openError tells a file that cannot be read from one that may not be.
func openError(err error) error {
	var path *fs.PathError
	var errno syscall.Errno
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrBusy
	case errors.As(err, &path), errors.As(err, &errno):
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// guarded turns into ErrDamaged what happens when a damaged file is read:
// bbolt panics, and where the file is too short the system signals a fault.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return f()
}

// verify reads everything.
func verify(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(metaBucket))
		if meta == nil {
			return verifyNew(tx)
		}
		v, err := strconv.Atoi(string(meta.Get([]byte(versionKey))))
		switch {
		case err != nil || v < 1:
			return fmt.Errorf("%w: its version is missing", ErrDamaged)
		case v > version:
			return ErrNewer
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return readAll(b) })
	})
}

func verifyNew(tx *bbolt.Tx) error {
	if name, _ := tx.Cursor().First(); name != nil {
		return fmt.Errorf("%w: it is none of this program's", ErrDamaged)
	}
	return nil
}

func readAll(b *bbolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if sub := b.Bucket(k); v == nil && sub != nil {
			return readAll(sub)
		}
		crc32.ChecksumIEEE(v) // where the file is too short this is a fault
		return nil
	})
}

func writeVersion(tx *bbolt.Tx) error {
	if tx.Bucket([]byte(metaBucket)) != nil {
		return nil
	}
	meta, err := tx.CreateBucket([]byte(metaBucket))
	if err != nil {
		return err
	}
	return meta.Put([]byte(versionKey), []byte(strconv.Itoa(version)))
}

// putAside gives the file the first name for damaged ones that is free.
func putAside(path string) (string, error) {
	for i := 1; i <= maxAside; i++ {
		name := path + asideSuffix + strconv.Itoa(i)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, os.Rename(path, name)
		}
	}
	return "", fmt.Errorf("%d damaged files stand beside it", maxAside)
}
