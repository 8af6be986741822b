package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	// logBytes is the size of each log: all of it is written once, so that
	// what is written over it later changes nothing but these blocks. Then the
	// disk is waited for once, not also for the file system's journal.
	logBytes = 4 << 20
	// maxLogBytes is the most that is read as a log.
	maxLogBytes = 64 << 20
)

// A disk is the open file of a log.
type disk interface {
	io.WriterAt
	Sync() error // of the data, and of what it takes to find it
	Close() error
}

type osDisk struct{ *os.File }

func (d osDisk) Sync() error { return datasync(d.File) }

// A logFile is a log on the disk that is written. One without a disk keeps
// nothing: that of a store in memory.
type logFile struct {
	path string
	disk disk
	salt uint64
	at   int64 // where the next record begins
	size int64
	bad  bool // a write or a wait has failed: what it holds nobody knows; or it has another size
}

// fits reports whether it has room for a record of n bytes.
func (l *logFile) fits(n int) bool { return l.at+int64(n) <= l.size }

// append writes a record and waits until it is on the disk.
func (l *logFile) append(b []byte) error {
	if l.disk != nil {
		_, err := l.disk.WriteAt(b, l.at)
		if err == nil {
			err = l.disk.Sync()
		}
		if err != nil {
			l.bad = true
			return err
		}
	}
	l.at += int64(len(b))
	return nil
}

// rewind begins it anew: what it holds is in the database.
func (l *logFile) rewind() { l.at = logStart }

func (l *logFile) close() error {
	if l.disk == nil {
		return nil
	}
	return l.disk.Close()
}

// renew puts a new file in the place of a log that has gone bad: the system
// may show of the old one what is not on the disk.
func (l *logFile) renew() error {
	fresh, err := createLog(l.path, l.size)
	if err != nil {
		return err
	}
	_ = l.close() // it has failed already
	*l = *fresh
	return nil
}

// createLog makes an empty log. Until all of it is on the disk it has another name.
func createLog(path string, size int64) (*logFile, error) {
	l := &logFile{path: path, at: logStart, size: size, salt: rand.Uint64()}
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return nil, err
	}
	err = writeEmpty(f, l.salt, size)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(temp))
	}
	l.disk = osDisk{f}
	return l, nil
}

// writeEmpty writes the header and zeros behind it.
func writeEmpty(f *os.File, salt uint64, size int64) error {
	block := append(appendHeader(nil, salt), make([]byte, 64<<10)...)
	for size > 0 {
		n := min(size, int64(len(block)))
		if _, err := f.Write(block[:n]); err != nil {
			return err
		}
		clear(block)
		size -= n
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readLog reads the log in the file called path into buf. One that is not
// there has no records.
func readLog(path string, folded uint64, buf *bytes.Buffer) (logged, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return logged{}, nil
	}
	if err != nil {
		return logged{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return logged{}, err
	}
	if fi.Size() > maxLogBytes {
		return logged{}, fmt.Errorf("%w: it has %d bytes", ErrDamaged, fi.Size())
	}
	buf.Reset()
	buf.Grow(int(fi.Size()) + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(f, maxLogBytes)); err != nil {
		return logged{}, err
	}
	return parseLog(buf.Bytes(), folded)
}

// openLog opens a log that has been read, to begin it anew, or makes it. One of
// another size has been cut off, say, and is bad.
func openLog(path string, salt uint64, size int64) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		return createLog(path, size)
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &logFile{path: path, disk: osDisk{f}, salt: salt, at: logStart, size: size, bad: fi.Size() != size}, nil
}
