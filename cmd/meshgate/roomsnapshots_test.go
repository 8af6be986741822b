package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"meshgate/bridge/rooms"
	"meshgate/bridge/store"
	"meshgate/clique/rmulticast"
)

func snapshotsOf(t *testing.T, path string, names ...string) roomSnapshots {
	t.Helper()
	var list []rooms.Room
	for _, name := range names {
		list = append(list, rooms.Room{Name: name})
	}
	s := openSnapshots(path, list, slog.New(slog.NewTextHandler(io.Discard, nil)))
	t.Cleanup(s.close)
	return s
}

// CQ-13: what a room was like when the gateway was killed, or stopped, is there for the next run,
// which forgets rooms that it is not to be in.
func TestSnapshotsOutliveTheGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), stateFile)
	s := snapshotsOf(t, path, "Lab", "../Coven")
	for _, name := range []string{"Lab", "../Coven", "Nowhere"} {
		if got := s.Get(name); len(got) > 0 {
			t.Errorf("%s begins with %q", name, got)
		}
		if err := s.Set(name, []byte(name+" as it is")); err != nil {
			t.Error(err)
		}
	}
	s = snapshotsOf(t, path, "../Coven", "Nowhere") // killed
	if got := string(s.Get("../Coven")); got != "../Coven as it is" || len(s.Get("Nowhere")) > 0 || len(s.Get("Lab")) > 0 {
		t.Errorf("after a kill: %q, %q, %q", got, s.Get("Nowhere"), s.Get("Lab"))
	}
	if files, err := os.ReadDir(filepath.Dir(path)); len(files) != 2 {
		t.Errorf("%d files are left, want 2: %v", len(files), err)
	}
	if err := s.seal(); err != nil {
		t.Error(err)
	}
	s.close()
	if got := string(snapshotsOf(t, path, "../Coven").Get("../Coven")); got != "../Coven as it is" {
		t.Errorf("after a stop: %q", got)
	}
}

// CQ-13: an orderly stop seals them, for a machine that is started anew: a moment of zeros is
// in front of the value.
func TestAStopSealsSnapshots(t *testing.T) {
	dir := t.TempDir()
	path := slatePath(filepath.Join(dir, "state", stateFile), "Lab")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	slate, _, err := store.OpenSlate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer slate.Close()
	if err := slate.Set([]byte("as it was")); err != nil {
		t.Fatal(err)
	}
	r := startIn(t, dir, nil, "control: off\nrooms: [{name: Lab, muc: lab@muc.example.org}]\n")
	r.await("starting")
	r.signals <- os.Interrupt
	if code := r.end(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Contains(b, append(make([]byte, 16), "as it was"...)) {
		t.Errorf("there is no seal: %v", err)
	}
}

func TestTheLargestSnapshotFitsASlate(t *testing.T) {
	if rmulticast.MaxSnapshot+256 > store.MaxSlate {
		t.Error("the largest snapshot, with its group, does not")
	}
}

// Where a slate cannot be opened its room works all the same.
func TestWithoutASlateARoomIsEnteredAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), stateFile)
	if err := os.Mkdir(slatePath(path, "Lab"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := snapshotsOf(t, path, "Lab")
	if err := s.Set("Lab", []byte("as it is")); err != nil || len(s.Get("Lab")) > 0 {
		t.Errorf("%v, %q", err, s.Get("Lab"))
	}
}
