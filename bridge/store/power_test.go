package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// The power fails in the middle of a write. bbolt writes the pages of a
// transaction, waits for the disk, and then writes the page that makes them
// count; until it has waited, the disk may have any of them, in any order, and
// one of them in part. Whatever it has, the file opens, and holds what it held
// before or what it was to hold.
func TestThePowerMayFailInAnyWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	s, _ := opened(t, path)
	limit := Limit{Rows: 1000, RowBytes: 20000, Sorted: true}
	b := bucket(t, s, limit)
	page := s.db.Info().PageSize
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 6 {
		before, had := readFile(t, path), text(b)
		var changes []Change
		for i := range 1 + n%4 {
			changes = append(changes, b.Put(fmt.Appendf(nil, "%d-%d", n, i), bytes.Repeat([]byte{'a' + byte(n)}, 1+rnd.IntN(6000))))
		}
		if n > 2 {
			changes = append(changes, b.Delete(fmt.Appendf(nil, "%d-0", n-2)))
		}
		if err := s.Update(changes...); err != nil {
			t.Fatal(err)
		}
		after, has := readFile(t, path), text(b)
		cut := func(what, want string, file []byte) {
			t.Helper()
			at := filepath.Join(dir, "cut.db")
			if err := os.WriteFile(at, file, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(at)
			if err != nil {
				t.Fatalf("write %d, %s: %v", n, what, err)
			}
			defer s.Close()
			if s.PutAside() != "" {
				t.Fatalf("write %d, %s: damaged", n, what)
			}
			if got := text(bucket(t, s, limit)); got != want {
				t.Errorf("write %d, %s: %d bytes of rows, want %d", n, what, len(got), len(want))
			}
		}
		before = append(before, make([]byte, len(after)-len(before))...) // the file grows first
		data, meta := changedPages(before, after, page)
		if len(meta) != 1 || len(data) == 0 {
			t.Fatalf("write %d: pages %d, of them %d that make the others count", n, len(data), len(meta))
		}
		file := bytes.Clone(before)
		for i, at := range data { // every prefix, and a part of the next one
			cut(fmt.Sprintf("%d pages", i), had, file)
			torn := bytes.Clone(file)
			copy(torn[at:at+page/2], after[at:])
			cut(fmt.Sprintf("%d pages and a half", i), had, torn)
			copy(file[at:at+page], after[at:])
		}
		for range 3 { // any of them
			some := bytes.Clone(before)
			for _, at := range data {
				if rnd.IntN(2) == 0 {
					copy(some[at:at+page], after[at:])
				}
			}
			cut("some pages", had, some)
		}
		cut("all but the last page", had, file)
		// A disk writes a sector of 512 bytes as a whole, and all that counts
		// is within the first; a shorter piece has a wrong checksum.
		for part := 16; part < 80; part += 16 {
			torn := bytes.Clone(file)
			copy(torn[meta[0]:meta[0]+part], after[meta[0]:])
			if !bytes.Equal(torn, after) {
				cut(fmt.Sprintf("%d bytes of the last page", part), had, torn)
			}
		}
		copy(file[meta[0]:meta[0]+page], after[meta[0]:])
		cut("everything", has, file)
		if !bytes.Equal(file, after) {
			t.Errorf("write %d: pages are missing in the test", n)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// changedPages are where the pages begin that are different: those of data,
// and of the two that say which data counts.
func changedPages(before, after []byte, page int) (data, meta []int) {
	for at := 0; at < len(after); at += page {
		switch {
		case bytes.Equal(before[at:at+page], after[at:at+page]):
		case at < 2*page:
			meta = append(meta, at)
		default:
			data = append(data, at)
		}
	}
	return data, meta
}
