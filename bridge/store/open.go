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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	version     = 2
	lockWait    = time.Second // for another program to let go of the file
	lockNow     = 1           // no wait; for bbolt 0 is for ever
	maxAside    = 9           // damaged files that are kept beside the new one
	fileMode    = 0o600
	dirMode     = 0o700
	metaBucket  = "meta"
	versionKey  = "version"
	foldedKey   = "folded"
	asideSuffix = ".damaged-"
	// mapBytes of addresses are set aside for the file at once: to move it
	// all who read it would have to be waited for.
	mapBytes = 256 << 20
	// growBytes are added to the file when it is full.
	growBytes = 1 << 20
)

// Errors of Open and Check. They come wrapped, with the file's name in front.
var (
	ErrBusy    = errors.New("another program is using it")
	ErrNewer   = errors.New("a newer version of this program has written it")
	ErrDamaged = errors.New("it is damaged")
	// ErrLogDamaged comes of Check only, with ErrDamaged: of what the log
	// holds not all can be read.
	ErrLogDamaged = errors.New("its log is damaged")
)

// A Store is an open file. All of its methods are safe to call from any goroutine.
type Store struct {
	db              *bbolt.DB
	queue           *queue
	forgotten       atomic.Uint64 // see Stats
	foldDue         chan struct{} // there is something to fold
	aside, logAside string

	writing sync.Mutex // held by who changes anything; before the others
	logs    [2]*logFile
	cur     int    // the log that is written
	seq     uint64 // of the last record
	broken  error  // no log can be written, because of that
	closed  bool
	buf     []byte // of a record

	folding sync.Mutex   // held by who folds; before mu
	ruined  error        // the disk has failed: the database is not written any more
	read    atomic.Int64 // bytes of the database, since its pages were let go of

	mu        sync.RWMutex
	active    *overlay // what the current log holds
	frozen    *overlay // what is to be folded; nil: nothing
	frozenSeq uint64   // of the last record in it
	folds     int      // how often frozen has become part of the database
}

// Open opens the store in the file called path, and makes it with its
// directory if it is not there. A damaged file is put aside: see PutAside and
// LogPutAside.
func Open(path string) (*Store, error) { return openSize(path, logBytes) }

// openSize is Open with the size of the logs that it makes.
func openSize(path string, size int64) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	aside := ""
	s, err := openWithLogs(path, size)
	if errors.Is(err, ErrDamaged) {
		if aside, err = putAllAside(path, err); err == nil {
			s, err = openWithLogs(path, size)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	s.aside = aside
	s.letGoAll() // verify has read everything
	return s, nil
}

// openWithLogs opens the database and takes up what the logs hold. The error is
// ErrDamaged if it is the database that is.
func openWithLogs(path string, size int64) (s *Store, err error) {
	_, err = open(path, options(lockWait), func(db *bbolt.DB) error {
		s = newStore(db)
		return s.openLogs(path, size)
	})
	return s, err
}

// putAllAside puts a database that is damaged aside, with its logs, which are
// of no use without it.
func putAllAside(path string, why error) (aside string, err error) {
	for _, name := range logNames(path) {
		if _, err := putAside(name, os.Rename); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w, and its log cannot be put aside: %w", why, err)
		}
	}
	if aside, err = putAside(path, os.Rename); err != nil {
		return "", fmt.Errorf("%w, and cannot be put aside: %w", why, err)
	}
	return aside, nil
}

func options(wait time.Duration) *bbolt.Options {
	return &bbolt.Options{Timeout: wait, InitialMmapSize: mapBytes}
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
	opt := options(lockWait)
	opt.NoSync = true
	db, err := open(f.Name(), opt, func(*bbolt.DB) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", f.Name(), err)
	}
	s := newStore(db)
	for i := range s.logs {
		s.logs[i] = &logFile{at: logStart, size: logBytes}
	}
	return s, nil
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
	opt := options(lockNow)
	opt.ReadOnly, opt.PreLoadFreelist = true, true
	db, err := open(path, opt, func(db *bbolt.DB) error {
		_, err := readLogs(path, foldedSeq(db))
		return err
	})
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

// LogPutAside is the name of the damaged log of which Open has put aside a
// copy, "" if none: what it held before the damage is there, the rest is not.
func (s *Store) LogPutAside() string { return s.logAside }

// Close puts everything into the database and closes the files. Run has to
// have ended, if it was called. What cannot be put there stays in the log.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.flush(), s.closeLogs(), s.db.Close())
}

func newStore(db *bbolt.DB) *Store {
	folded := foldedSeq(db)
	return &Store{
		db: db, queue: newQueue(), foldDue: make(chan struct{}, 1),
		active: newOverlay(), seq: folded, frozenSeq: folded,
	}
}

// open opens the file, sees whether all of it can be read, notes the version
// in a new one, and does what comes first: that bbolt's list of free pages is
// damaged only turns out when it is written.
func open(path string, opt *bbolt.Options, first func(*bbolt.DB) error) (db *bbolt.DB, err error) {
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
		db.AllocSize = growBytes
		if err = verify(db); err == nil && !opt.ReadOnly && needsVersion(db) {
			err = db.Update(writeVersion)
		}
		if err == nil {
			err = first(db)
		}
		return err
	})
	if err == nil {
		return db, nil
	}
	if db != nil && !errors.Is(err, ErrDamaged) {
		db.Close()
	}
	if file != nil {
		// A bbolt that has panicked may never close, and leaves it open and
		// mapped: the lock lasts as long as the map, unless it is taken off.
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

// needsVersion reports whether the file is new, or of an older version.
func needsVersion(db *bbolt.DB) (needs bool) {
	_ = db.View(func(tx *bbolt.Tx) error { // it is open
		meta := tx.Bucket([]byte(metaBucket))
		needs = meta == nil || string(meta.Get([]byte(versionKey))) != strconv.Itoa(version)
		return nil
	})
	return needs
}

func writeVersion(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
	if err != nil {
		return err
	}
	return meta.Put([]byte(versionKey), []byte(strconv.Itoa(version)))
}

// putAside moves the file to the first name for damaged ones that is free.
func putAside(path string, move func(from, to string) error) (string, error) {
	for i := 1; i <= maxAside; i++ {
		name := path + asideSuffix + strconv.Itoa(i)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, move(path, name)
		}
	}
	return "", fmt.Errorf("%d damaged files stand beside it", maxAside)
}
