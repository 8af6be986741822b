package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// slateAt opens a slate at a moment that stays, as the next run does after a kill: nobody
// has closed it.
func slateAt(t *testing.T, path string, at moment) (*Slate, []byte) {
	t.Helper()
	s, left, err := openSlate(path, func() moment { return at })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, left
}

func wantLeft(t *testing.T, why, path string, at moment, want []byte) {
	t.Helper()
	if _, left := slateAt(t, path, at); !bytes.Equal(left, want) {
		t.Errorf("%s: %d bytes %.20q are left, want %d bytes %.20q", why, len(left), left, len(want), want)
	}
}

func set(t *testing.T, s *Slate, value string) {
	t.Helper()
	if err := s.Set([]byte(value)); err != nil {
		t.Fatal(err)
	}
}

var anEvening = moment{wall: 1_700_000_000, up: 1000}

func TestASlateHoldsWhatWasSetLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.slate")
	s, left := slateAt(t, path, anEvening)
	if left != nil {
		t.Errorf("a new one holds %q", left)
	}
	for _, value := range [][]byte{[]byte("a long one"), []byte("short"), nil, bytes.Repeat([]byte("much"), MaxSlate/4), []byte("little")} {
		if err := s.Set(value); err != nil {
			t.Fatal(err)
		}
		wantLeft(t, "after a kill", path, anEvening, value)
	}
	if err := s.Set(make([]byte, MaxSlate+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Set = %v", err)
	}
	wantLeft(t, "after what was too large", path, anEvening, []byte("little"))
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v: %v", fi.Mode(), err)
	}
}

// The clocks of this machine say that it has not been started anew meanwhile.
func TestASlateKnowsThisStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.slate")
	s, _, err := OpenSlate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set(t, s, "value")
	_, left, err := OpenSlate(path)
	if err != nil || string(left) != "value" && uptime() > 0 {
		t.Errorf("%q is left: %v", left, err)
	}
}

// A write that was killed leaves what was set before, and a damage never something else.
func TestATornSlateHoldsTheOneBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.slate")
	s, _ := slateAt(t, path, anEvening)
	set(t, s, "one")
	set(t, s, "two")
	before := image(t, path)
	set(t, s, "three")
	after := image(t, path)
	torn := bytes.Clone(before)
	for at := range after {
		if before[at] == after[at] {
			continue
		}
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		wantLeft(t, "torn", path, anEvening, []byte("two"))
		torn[at] = after[at]
	}
	if !bytes.Equal(torn, after) {
		t.Error("the write was not followed to its end")
	}
}

func image(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return grown(b, 2*slateSlot)
}

// After another start of the machine nothing counts, unless it was sealed; and that
// counts until something else is set, whatever of both has reached the disk.
func TestASealHoldsOverAnotherStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.slate")
	anotherStart := moment{anEvening.wall + 100, 30}
	s, _ := slateAt(t, path, anEvening)
	set(t, s, "not sealed")
	wantLeft(t, "not sealed", path, anotherStart, nil)
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	sealed := image(t, path)
	s, left := slateAt(t, path, anotherStart)
	if string(left) != "not sealed" {
		t.Errorf("%q was sealed", left)
	}
	opened := image(t, path)
	images := [][]byte{opened}
	for _, value := range []string{"first", "second", "third"} {
		set(t, s, value)
		images = append(images, image(t, path))
	}
	cut := func(a, b []byte) {
		if err := os.WriteFile(path, append(bytes.Clone(a[:slateSlot]), b[slateSlot:]...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	third := moment{anotherStart.wall + 100, 40}
	for _, a := range [][]byte{sealed, opened} {
		for _, b := range [][]byte{sealed, opened} {
			cut(a, b)
			if _, left := slateAt(t, path, third); left != nil && string(left) != "not sealed" {
				t.Errorf("cut off while the seal was broken: %q", left)
			}
		}
	}
	for _, a := range images {
		for _, b := range images {
			cut(a, b)
			wantLeft(t, "the seal was broken", path, third, nil)
		}
	}
}

// What a run did not take up, and did not set, it does not seal.
func TestOnlyWhatCountsIsSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.slate")
	s, _ := slateAt(t, path, anEvening)
	set(t, s, "old")
	anotherStart := moment{anEvening.wall + 100, 30}
	s, _ = slateAt(t, path, anotherStart)
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	wantLeft(t, "sealed by a run that had nothing", path, anotherStart, nil)
}

// What is older than what was to be set is not sealed, whether that was not written or
// cannot be read any more.
func TestNothingOlderIsSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.slate")
	anotherStart := moment{anEvening.wall + 100, 30}
	s, _ := slateAt(t, path, anEvening)
	set(t, s, "old")
	if err := s.Set(make([]byte, MaxSlate+1)); err == nil {
		t.Fatal("too large, and set")
	}
	if err := s.Seal(); err != nil {
		t.Error(err)
	}
	wantLeft(t, "older than what was not written", path, anotherStart, nil)
	set(t, s, "new")
	if _, err := s.f.WriteAt([]byte("damage"), int64(s.count%2)*slateSlot); err != nil {
		t.Fatal(err)
	}
	if err := s.Seal(); err == nil {
		t.Error("what cannot be read was sealed")
	}
	wantLeft(t, "older than what is damaged", path, anotherStart, nil)
}

func TestTwoClocksTellOfAnotherStart(t *testing.T) {
	for _, c := range []struct {
		why   string
		later moment
		same  bool
	}{
		{"at once", anEvening, true},
		{"a while later", moment{anEvening.wall + 60, 1060}, true},
		{"the clocks tick apart", moment{anEvening.wall + 62, 1060}, true},
		{"started anew", moment{anEvening.wall + 60, 20}, false},
		{"started anew, and up for longer", moment{anEvening.wall + 1100, 1020}, false},
		{"the clock was set back", moment{anEvening.wall - 60, 1060}, false},
		{"started anew, without a clock that goes on", moment{anEvening.wall - 960, 40}, false},
		{"nobody knows for how long it is up", moment{anEvening.wall + 60, 0}, false},
	} {
		if same := anEvening.sameStart(c.later); same != c.same {
			t.Errorf("%s: %v", c.why, same)
		}
	}
}

func BenchmarkSlateSet(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 448 << 10} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			s, _, err := OpenSlate(filepath.Join(b.TempDir(), "x.slate"))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := s.Set(value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
