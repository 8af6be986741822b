package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAMarkIsWhatWasSetLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.mark")
	m, err := OpenMark(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Get(); got != nil {
		t.Errorf("a new one is %q", got)
	}
	for _, s := range []string{"a long one", "short", ""} {
		if err := m.Set([]byte(s)); err != nil {
			t.Fatal(err)
		}
		again, err := OpenMark(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Get(); got == nil || string(got) != s {
			t.Errorf("%q, want %q", got, s)
		}
		again.Close()
	}
	if err := m.Set(make([]byte, maxMark+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Set = %v", err)
	}
	m.Close()
}

// A torn write is nothing, never something else.
func TestADamagedMarkIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.mark")
	m, err := OpenMark(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Set([]byte("the value")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for _, b := range [][]byte{whole[:i], append(append(whole[:i:i], whole[i]^1), whole[i+1:]...)} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := m.Get(); got != nil {
				t.Errorf("%x is %q", b, got)
			}
		}
	}
}
