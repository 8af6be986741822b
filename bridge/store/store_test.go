package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		writeForEver(path)
	}
	goleak.VerifyTestMain(m)
}

// smallLog is the size of a log in most tests: they make many.
const smallLog = 64 << 10

var roomy = Limit{Rows: 100, RowBytes: 1000}

// opened opens the store in path until the test ends or close is called.
func opened(t testing.TB, path string) (s *Store, closing func()) {
	t.Helper()
	return openedSize(t, path, smallLog)
}

func openedSize(t testing.TB, path string, size int64) (s *Store, closing func()) {
	t.Helper()
	s, err := openSize(path, size)
	if err != nil {
		t.Fatal(err)
	}
	closing = func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Cleanup(closing)
	return s, closing
}

func bucket(t testing.TB, s *Store, limit Limit) *Bucket {
	t.Helper()
	b, err := s.Bucket("test", limit)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, b *Bucket, pairs ...string) {
	t.Helper()
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		if err := b.s.Update(b.Put([]byte(k), []byte(v))); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
	}
}

// text is the bucket as "k=v k=v", the oldest first.
func text(b *Bucket) string {
	var out []string
	for k, v := range b.All() {
		out = append(out, string(k)+"="+string(v))
	}
	return strings.Join(out, " ")
}

func TestRowsAreThereAfterAReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "dir", "x.db")
	s, closing := opened(t, path)
	b := bucket(t, s, roomy)
	put(t, b, "z=1", "a=2", "m=", "z=3")
	if err := s.Update(b.Delete([]byte("a")), b.Delete([]byte("none"))); err != nil {
		t.Fatal(err)
	}
	closing()
	s, _ = opened(t, path)
	b = bucket(t, s, roomy)
	if got := text(b); got != "m= z=3" || b.Len() != 2 {
		t.Errorf("%d rows: %s", b.Len(), got)
	}
	if v := b.Get([]byte("m")); v == nil || len(v) != 0 {
		t.Errorf("m is %v, want empty and there", v)
	}
	if v := b.Get([]byte("a")); v != nil {
		t.Errorf("a is %q, want nothing", v)
	}
	other, err := s.Bucket("other", roomy)
	if err != nil || other.Len() != 0 {
		t.Errorf("another bucket has %d rows, %v", other.Len(), err)
	}
}

func TestOnlyItsOwnUserMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "x.db")
	opened(t, path)
	logs := logNames(path)
	for name, want := range map[string]os.FileMode{path: 0o600, logs[0]: 0o600, logs[1]: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		if fi, err := os.Stat(name); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, fi.Mode(), err, want)
		}
	}
}

func TestBucketsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, closing := opened(t, path)
	b := bucket(t, s, Limit{Rows: 3, RowBytes: 10, Evict: true})
	put(t, b, "a=1", "b=2", "c=3", "a=4", "d=5")
	if got := text(b); got != "c=3 a=4 d=5" {
		t.Errorf("rows %s", got)
	}
	for _, c := range []Change{b.Put(nil, nil), b.Put([]byte("k"), make([]byte, 10)), b.Put(make([]byte, 11), nil)} {
		if err := s.Update(b.Put([]byte("e"), nil), c); !errors.Is(err, ErrTooLarge) {
			t.Errorf("Update = %v", err)
		}
	}
	b.limit.Evict = false
	if err := s.Update(b.Put([]byte("a"), []byte("6")), b.Put([]byte("f"), nil)); !errors.Is(err, ErrFull) {
		t.Errorf("Update = %v", err)
	}
	if got := text(b); got != "c=3 a=4 d=5" {
		t.Errorf("a change that failed was made in part: %s", got)
	}
	closing()
	s, _ = opened(t, path)
	if got := text(bucket(t, s, Limit{Rows: 1, RowBytes: 10, Evict: true})); got != "d=5" {
		t.Errorf("rows with a lower limit: %s", got)
	}
}

// A count that something has spoilt keeps out what is new: that is told, not
// taken and forgotten.
func TestWhatCannotBeTakenIsTold(t *testing.T) {
	s, _ := opened(t, filepath.Join(t.TempDir(), "x.db"))
	b := bucket(t, s, roomy)
	put(t, b, "a=1")
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		return openBase(tx, b.name).top.Put(countName, []byte{0, 0, 0, 0, 0, 0, 1, 0})
	})
	if err != nil {
		t.Fatal(err)
	}
	b.limit.Evict = true
	if err := s.Update(b.Put([]byte("b"), nil)); !errors.Is(err, ErrFull) || text(b) != "a=1" {
		t.Errorf("Update = %v, rows %s", err, text(b))
	}
}

func TestASortedBucketGoesByKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, closing := opened(t, path)
	limit := Limit{Rows: 3, RowBytes: 10, Sorted: true}
	b := bucket(t, s, limit)
	put(t, b, "c=1", "a=2", "b=3", "c=4")
	if err := s.Update(b.Put([]byte("d"), nil)); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if err := s.Update(b.Delete([]byte("b")), b.Put([]byte("d"), nil)); err != nil {
		t.Fatal(err)
	}
	closing()
	s, _ = opened(t, path)
	if b = bucket(t, s, limit); text(b) != "a=2 c=4 d=" || b.Len() != 3 {
		t.Errorf("%d rows: %s", b.Len(), text(b))
	}
}

// What has come together is made together; one set that cannot be made is none
// of the others' business.
func TestWritesAreMadeInOrderAndToldWhenMade(t *testing.T) {
	s, _ := opened(t, filepath.Join(t.TempDir(), "x.db"))
	b := bucket(t, s, Limit{Rows: 3, RowBytes: 10})
	var told []string
	write := func(name string, changes ...Change) {
		s.Write(func(err error) { told = append(told, fmt.Sprintf("%s:%v:%s", name, err, text(b))) }, changes...)
	}
	write("first", b.Put([]byte("k"), []byte("1")))
	write("too large", b.Put([]byte("k"), make([]byte, 100)))
	write("second", b.Put([]byte("k"), []byte("2")))
	if len(told) != 0 {
		t.Errorf("told before anything was written: %q", told)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	write("late", b.Put([]byte("k"), []byte("3")))
	want := []string{"first:<nil>:k=2", "too large:store: the row is too large:k=2", "second:<nil>:k=2", "late:" + ErrEnded.Error() + ":k=2"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	s, _ := opened(t, filepath.Join(t.TempDir(), "x.db"))
	b := bucket(t, s, roomy)
	var err error
	for range maxQueued + 1 {
		s.Write(func(e error) { err = e }, b.Put([]byte("k"), nil))
	}
	if !errors.Is(err, ErrQueueFull) {
		t.Errorf("one too many: %v", err)
	}
}

func TestAnotherProgramHoldsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	opened(t, path)
	if _, err := Open(path); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open = %v", err)
	}
	if err := Check(path); err != nil {
		t.Errorf("Check = %v: a gateway that runs is no fault", err)
	}
}

func TestAVolatileStoreLeavesNothing(t *testing.T) {
	s, err := OpenVolatile()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := bucket(t, s, roomy)
	put(t, b, "a=1")
	if _, err := os.Stat(s.db.Path()); text(b) != "a=1" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rows %s, %s is there: %v", text(b), s.db.Path(), err)
	}
}

// filled is a store's file with some rows, of several pages each.
func filled(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	s, closing := opened(t, path)
	b := bucket(t, s, Limit{Rows: 1000, RowBytes: 100_000})
	var changes []Change
	for i := range 200 {
		changes = append(changes, b.Put(fmt.Append(nil, "key ", i), bytes.Repeat([]byte{byte(i)}, 100+i%3*6000)))
	}
	if err := s.Update(changes...); err != nil {
		t.Fatal(err)
	}
	closing()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestADamagedFileIsPutAside(t *testing.T) {
	good := filled(t)
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
	db.Close()
	theirs, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	noise := bytes.Repeat([]byte("noise "), 10_000)
	middle := bytes.Clone(good)
	for i := 2 * os.Getpagesize(); i < len(middle); i++ {
		middle[i] = 0xFF
	}
	for name, file := range map[string][]byte{
		"noise": noise, "one byte": {1}, "half": good[:len(good)/2], "two pages": good[:2*os.Getpagesize()],
		"one page": good[:os.Getpagesize()], "only the header is good": middle, "another program's": theirs,
	} {
		path := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Check(path); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Check = %v", name, err)
		}
		s, closing := opened(t, path)
		b := bucket(t, s, roomy)
		put(t, b, "a=1")
		if kept, err := os.ReadFile(s.PutAside()); err != nil || !bytes.Equal(kept, file) {
			t.Errorf("%s: put aside as %q, %d bytes of %d, %v", name, s.PutAside(), len(kept), len(file), err)
		}
		closing()
		if s, _ = opened(t, path); s.PutAside() != "" || text(bucket(t, s, roomy)) != "a=1" {
			t.Errorf("%s: the new file is put aside, too, as %q", name, s.PutAside())
		}
	}
}

// However a file is cut or altered, opening it ends, and ends well.
func TestAnyDamageIsSurvived(t *testing.T) {
	good := filled(t)
	rapid.Check(t, func(rt *rapid.T) {
		file := bytes.Clone(good)
		file = file[:rapid.IntRange(1, len(file)).Draw(rt, "size")]
		for range rapid.IntRange(0, 5).Draw(rt, "changes") {
			file[rapid.IntRange(0, len(file)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "byte")
		}
		dir, err := memoryTemp(t)
		if err != nil {
			rt.Fatal(err)
		}
		path := filepath.Join(dir, "x.db")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			rt.Fatal(err)
		}
		s, err := openSize(path, smallLog)
		if err != nil {
			rt.Fatal(err)
		}
		s.Close()
	})
}

func TestDamagedFilesDoNotPileUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	names := map[string]bool{}
	for i := range maxAside + 1 {
		if err := os.WriteFile(path, []byte("noise"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openSize(path, smallLog)
		if i == maxAside {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("Open = %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if names[s.PutAside()] {
			t.Errorf("%s was written over", s.PutAside())
		}
		names[s.PutAside()] = true
	}
}

func TestANewerFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, closing := opened(t, path)
	err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(metaBucket)).Put([]byte(versionKey), []byte("3"))
	})
	if err != nil {
		t.Fatal(err)
	}
	closing()
	before, _ := os.ReadFile(path)
	if _, err := Open(path); !errors.Is(err, ErrNewer) {
		t.Errorf("Open = %v", err)
	}
	if err := Check(path); !errors.Is(err, ErrNewer) {
		t.Errorf("Check = %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

func TestCheckOfNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "none", "x.db")
	if err := Check(path); err != nil {
		t.Errorf("Check = %v", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("Check has made the directory")
	}
	if err := Check(dir); err == nil {
		t.Error("Check of a directory finds nothing wrong")
	}
}

func TestNoPlaceForIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "x.db")); err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, ErrBusy) {
		t.Errorf("Open = %v", err)
	}
}

// childFile names the variable by which this test starts itself as a program
// that writes until it is killed.
const childFile = "STORE_TEST_FILE"

func writeForEver(path string) {
	s, err := Open(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	b, err := s.Bucket("test", Limit{Rows: 1 << 20, RowBytes: 100})
	for i := 0; err == nil; i++ {
		err = s.Update(b.Put(fmt.Append(nil, i), nil))
		fmt.Println(i)
	}
	fmt.Println(err)
	os.Exit(1)
}

// What was told to be on the disk is there after the program was killed.
func TestAKilledProgramLosesNothing(t *testing.T) {
	for _, rows := range []int{1, 7, 40} {
		path := filepath.Join(t.TempDir(), "x.db")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childFile+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told := -1
		for lines := bufio.NewScanner(out); told < rows && lines.Scan(); {
			if told, err = strconv.Atoi(lines.Text()); err != nil {
				t.Errorf("the program says %q", lines.Text())
				break
			}
		}
		cmd.Process.Kill()
		cmd.Wait() // killed
		s, _ := opened(t, path)
		b := bucket(t, s, Limit{Rows: 1 << 20, RowBytes: 100})
		if s.PutAside() != "" || b.Len() < told+1 || b.Get(strconv.AppendInt(nil, int64(told), 10)) == nil {
			t.Errorf("%d rows are there, %d were told; put aside: %q", b.Len(), told+1, s.PutAside())
		}
	}
}
