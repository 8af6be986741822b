package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A faulty disk fails once.
type faulty struct {
	disk
	short int // what the next write takes, with ENOSPC; -1: all of it
	sync  error
}

func (f *faulty) WriteAt(b []byte, at int64) (int, error) {
	if n := f.short; n >= 0 {
		f.short = -1
		f.disk.WriteAt(b[:min(n, len(b))], at)
		return min(n, len(b)), syscall.ENOSPC
	}
	return f.disk.WriteAt(b, at)
}

func (f *faulty) Sync() error {
	if err := f.sync; err != nil {
		f.sync = nil
		return err
	}
	return f.disk.Sync()
}

// killed opens copies of a store's files as they are.
func killed(t *testing.T, path string) *Store {
	t.Helper()
	s, _ := opened(t, copied(t, path))
	return s
}

// copied are copies of a store's files.
func copied(t *testing.T, path string) (at string) {
	t.Helper()
	at = filepath.Join(t.TempDir(), "copy.db")
	for i, b := range readFiles(t, path) {
		writeFile(t, paths(at)[i], b)
	}
	return at
}

// After a failure a log is never believed again. What has failed counts for
// nothing, even where the disk has it.
func TestALogThatHasFailedIsReplaced(t *testing.T) {
	for name, f := range map[string]*faulty{
		"a wait":            {short: -1, sync: syscall.EIO},
		"a write":           {short: 0},
		"a part of a write": {short: 20},
	} {
		path := filepath.Join(t.TempDir(), "x.db")
		s, _ := opened(t, path)
		b := bucket(t, s, roomy)
		put(t, b, "a=1")
		l := s.logs[s.cur]
		salt := l.salt
		f.disk = l.disk
		l.disk = f
		if err := s.Update(b.Put([]byte("b"), []byte("2"))); !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: Update = %v", name, err)
		}
		if got := text(b); got != "a=1" {
			t.Errorf("%s: what could not be written is there: %s", name, got)
		}
		if again := killed(t, path); text(bucket(t, again, roomy)) != "a=1" {
			t.Errorf("%s: after a kill at once: %s", name, text(bucket(t, again, roomy)))
		}
		put(t, b, "c=3")
		if l.bad || l.salt == salt {
			t.Errorf("%s: the log is the same", name)
		}
		if again := killed(t, path); text(bucket(t, again, roomy)) != "a=1 c=3" {
			t.Errorf("%s: after a kill: %s", name, text(bucket(t, again, roomy)))
		}
		put(t, b, "d=4")
		if got := text(b); got != "a=1 c=3 d=4" {
			t.Errorf("%s: rows %s", name, got)
		}
	}
}

// The number of what has failed is taken, also where nothing stands before it:
// a number that is nowhere would be a damage at the next start.
func TestWhatHasFailedLeavesNoGap(t *testing.T) {
	for name, fail := range map[string]func(*Store, *Bucket) error{
		"the first of a log": func(s *Store, b *Bucket) error {
			l := s.logs[s.cur]
			l.disk = &faulty{disk: l.disk, short: 0}
			return s.Update(b.Put([]byte("b"), nil))
		},
		"one larger than a log": func(s *Store, _ *Bucket) error {
			s.ruined = syscall.EIO
			defer func() { s.ruined = nil }()
			return s.keepLarge(overlayOf("test", &row{key: "b", age: 9}))
		},
	} {
		path := filepath.Join(t.TempDir(), "x.db")
		s, _ := opened(t, path)
		b := bucket(t, s, roomy)
		put(t, b, "a=1")
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
		if err := fail(s, b); err == nil {
			t.Errorf("%s: it has not failed", name)
		}
		put(t, b, "c=3")
		if again := killed(t, path); again.LogPutAside() != "" || text(bucket(t, again, roomy)) != "a=1 c=3" {
			t.Errorf("%s: after a kill: %s, put aside %q", name, text(bucket(t, again, roomy)), again.LogPutAside())
		}
	}
}

// full bounds the size of files until the test ends or room is called: it is
// the nearest to a full disk that a test can have without being root.
func full(t *testing.T, size int64) (room func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(size), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	room = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(room)
	return room
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// SM-11: on a full disk nothing that was accepted is lost, what is not
// accepted is known, and it goes on when there is room.
func TestAFullDiskLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, _ := opened(t, path)
	big := Limit{Rows: 10000, RowBytes: 10000, Sorted: true}
	b := bucket(t, s, big)
	room := full(t, fileSize(t, path)) // the logs are smaller
	value := strings.Repeat("x", 4000)
	taken := 0
	var err error
	for ; err == nil && taken < 5000; taken++ {
		err = s.Update(b.Put(fmt.Appendf(nil, "%06d", taken), []byte(value)))
	}
	taken--
	if !isFull(err) || taken < 10 {
		t.Fatalf("after %d rows: %v", taken, err)
	}
	want := func(name string, b *Bucket, n int) {
		t.Helper()
		got := 0
		for k, v := range b.All() {
			if string(k) != fmt.Sprintf("%06d", got) || string(v) != value {
				t.Fatalf("%s: row %d is %s with %d bytes", name, got, k, len(v))
			}
			got++
		}
		if got != n || b.Len() != n {
			t.Errorf("%s: %d rows, Len %d, want %d", name, got, b.Len(), n)
		}
	}
	want("while it is full", b, taken)
	again := killed(t, path)
	c := bucket(t, again, big)
	want("after a kill", c, taken)
	if err := again.Update(c.Put([]byte("z"), []byte(value))); !isFull(err) {
		t.Errorf("after a kill: Update = %v", err)
	}
	room()
	for _, b := range []*Bucket{b, c} {
		if err := b.s.Update(b.Put(fmt.Appendf(nil, "%06d", taken), []byte(value))); err != nil {
			t.Errorf("with room again: %v", err)
		}
		want("with room again", b, taken+1)
	}
}

// isFull reports whether it is the error of full: bbolt passes on its words only.
func isFull(err error) bool {
	return err != nil && strings.Contains(err.Error(), syscall.EFBIG.Error())
}

// aLogged is a store's files with records in a log that are not in the database.
func aLogged(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.db")
	s, _ := opened(t, path)
	b := bucket(t, s, roomy)
	for i := range 5 {
		put(t, b, fmt.Sprintf("%d=%d", i, i))
	}
	return copied(t, path)
}

// A log that is damaged is put aside, what it held before the damage is
// taken, and all of that is said.
func TestADamagedLogIsPutAside(t *testing.T) {
	size := len(appendRecord(nil, 0, 1, overlayOf("test", &row{key: "0", age: 1, value: []byte("0")})))
	for name, tt := range map[string]struct {
		damage  func(log []byte) []byte
		rows    string
		damaged bool
	}{
		"the first record":  {func(b []byte) []byte { b[logStart+20]++; return b }, "", true},
		"one in the middle": {func(b []byte) []byte { b[logStart+3*size+20]++; return b }, "0=0 1=1 2=2", true},
		"the last record":   {func(b []byte) []byte { b[logStart+4*size+20]++; return b }, "0=0 1=1 2=2 3=3", false}, // as torn
		"cut off":           {func(b []byte) []byte { return b[:logStart+2*size] }, "0=0 1=1", false},
		"the header":        {func(b []byte) []byte { b[20]++; return b }, "", true},
		"everything":        {func(b []byte) []byte { return bytes.Repeat([]byte("noise "), 1000) }, "", true},
		"empty":             {func(b []byte) []byte { return nil }, "", true},
		"nothing":           {func(b []byte) []byte { return b }, "0=0 1=1 2=2 3=3 4=4", false},
	} {
		path := aLogged(t)
		name1 := logNames(path)[0]
		log := tt.damage(readFiles(t, path)[1])
		writeFile(t, name1, log)
		if err := Check(path); errors.Is(err, ErrLogDamaged) != tt.damaged || errors.Is(err, ErrDamaged) != tt.damaged {
			t.Errorf("%s: Check = %v", name, err)
		}
		s, closing := opened(t, path)
		b := bucket(t, s, roomy)
		if got := text(b); got != tt.rows || (s.LogPutAside() != "") != tt.damaged || s.PutAside() != "" {
			t.Errorf("%s: rows %s, put aside %q, %q", name, got, s.LogPutAside(), s.PutAside())
		}
		if tt.damaged {
			if kept, err := os.ReadFile(s.LogPutAside()); err != nil || !bytes.Equal(kept, log) {
				t.Errorf("%s: put aside are %d bytes of %d, %v", name, len(kept), len(log), err)
			}
		}
		put(t, b, "new=1")
		if size := fileSize(t, name1); size != smallLog {
			t.Errorf("%s: the log has %d bytes", name, size)
		}
		closing()
		if s, _ = opened(t, path); s.LogPutAside() != "" || !strings.HasSuffix(text(bucket(t, s, roomy)), "new=1") {
			t.Errorf("%s: afterwards %q is put aside, rows %s", name, s.LogPutAside(), text(bucket(t, s, roomy)))
		}
	}
}

// Where there is no room for the copy each start fails, and leaves nothing.
func TestADamagedLogWaitsForRoomToBePutAside(t *testing.T) {
	path := aLogged(t)
	names := logNames(path)
	writeFile(t, names[0], []byte("noise")) // for this one there is room
	room := full(t, smallLog-1)
	for range maxAside + 1 {
		if _, err := openSize(path, smallLog); !isFull(err) {
			t.Fatalf("Open = %v", err)
		}
	}
	room()
	s, _ := opened(t, path)
	if all, _ := filepath.Glob(path + "*" + asideSuffix + "*"); len(all) != 2 || s.LogPutAside() != names[0]+asideSuffix+"1" {
		t.Errorf("put aside are %s, told is %s", all, s.LogPutAside())
	}
}

func TestALogOfANewerVersionIsLeftAlone(t *testing.T) {
	path := aLogged(t)
	name := logNames(path)[0]
	log := readFiles(t, path)[1]
	log[len(logMagic)+3]++
	writeFile(t, name, log)
	if _, err := Open(path); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), name) {
		t.Errorf("Open = %v", err)
	}
	if err := Check(path); !errors.Is(err, ErrNewer) {
		t.Errorf("Check = %v", err)
	}
	if after, _ := os.ReadFile(name); !bytes.Equal(after, log) {
		t.Error("the log was changed")
	}
}

// A start that was cut short while it made the logs has left one, and a piece.
func TestALogThatIsMissingIsMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, closing := opened(t, path)
	put(t, bucket(t, s, roomy), "a=1")
	closing()
	name := logNames(path)[1]
	if err := os.Rename(name, name+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name+".new", 5000); err != nil {
		t.Fatal(err)
	}
	s, _ = opened(t, path)
	if got := text(bucket(t, s, roomy)); got != "a=1" || s.LogPutAside() != "" || fileSize(t, name) != smallLog {
		t.Errorf("rows %s, put aside %q, the log has %d bytes", got, s.LogPutAside(), fileSize(t, name))
	}
	if _, err := os.Stat(name + ".new"); err == nil {
		t.Error("the piece is still there")
	}
}

// A damaged database takes its logs with it: their records say what has
// changed in it, and of nothing else.
func TestTheLogsOfADamagedDatabaseArePutAsideWithIt(t *testing.T) {
	path := aLogged(t)
	writeFile(t, path, []byte("noise"))
	s, _ := opened(t, path)
	if got := text(bucket(t, s, roomy)); got != "" || s.PutAside() == "" {
		t.Errorf("rows %s, put aside %q", got, s.PutAside())
	}
	for _, name := range logNames(path) {
		if _, err := os.Stat(name + asideSuffix + "1"); err != nil {
			t.Error(err)
		}
	}
}

// All can be read, and no page is free that is said to be: with what is in the
// log each start would end as the one before.
func TestADatabaseThatCannotBeWrittenIsPutAside(t *testing.T) {
	path := aLogged(t)
	file, size := readFiles(t, path)[0], os.Getpagesize()
	for at := 0; at < len(file); at += size {
		const flags, count, ids, freelist = 8, 10, 16, 0x10
		page := file[at:]
		if binary.NativeEndian.Uint16(page[flags:]) != freelist {
			continue
		}
		n := len(file)/size - 2
		binary.NativeEndian.PutUint16(page[count:], uint16(n))
		for i := range n {
			binary.NativeEndian.PutUint64(page[ids+8*i:], uint64(2+i))
		}
	}
	writeFile(t, path, file)
	s, _ := opened(t, path)
	b := bucket(t, s, roomy)
	put(t, b, "a=1")
	kept, err := os.ReadFile(s.PutAside())
	if err != nil || len(kept) != len(file) || text(b) != "a=1" {
		t.Errorf("put aside %q, %d bytes, %v; rows %s", s.PutAside(), len(kept), err, text(b))
	}
}

// After an error of the disk the database is left as it is. The logs take what
// they have room for, and the next start has all of it.
func TestADatabaseWhoseDiskHasFailedIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, _ := opened(t, path)
	limit := Limit{Rows: 1000, RowBytes: 10000, Sorted: true}
	b := bucket(t, s, limit)
	put(t, b, "0000=first")
	before := readFiles(t, path)[0]
	s.ruined = syscall.EIO
	taken, err := 1, error(nil)
	for ; err == nil && taken < 1000; taken++ {
		err = s.Update(b.Put(fmt.Appendf(nil, "%04d", taken), make([]byte, 4000)))
	}
	taken--
	if !errors.Is(err, syscall.EIO) || taken < 10 || b.Len() != taken {
		t.Errorf("after %d rows: %v; %d rows are there", taken, err, b.Len())
	}
	if !bytes.Equal(readFiles(t, path)[0], before) {
		t.Error("the database was written")
	}
	if n := bucket(t, killed(t, path), limit).Len(); n != taken {
		t.Errorf("the next start has %d rows of %d", n, taken)
	}
	s.ruined = nil // so that it closes
}

func TestAFailureOfTheDiskIsToldFromAFullOne(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{&fs.PathError{Op: "write", Err: syscall.ENOSPC}, false},
		{errors.New("file resize error: no space left on device"), false}, // as of bbolt
		{&fs.PathError{Op: "write", Err: syscall.EIO}, true},
		{&fs.PathError{Op: "sync", Err: syscall.ENOSPC}, true},
		{syscall.ENOSPC, true}, // of fdatasync: the room was promised, a thin volume has none
		{syscall.EIO, true},
	} {
		if got := diskFailed(tt.err); got != tt.want {
			t.Errorf("%T %v: %v", tt.err, tt.err, got)
		}
	}
}
