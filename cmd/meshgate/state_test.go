package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"meshgate/bridge/store"
)

// openedState opens the state and returns what was logged with it.
func openedState(t *testing.T, path string) (*state, *bytes.Buffer) {
	t.Helper()
	var logged bytes.Buffer
	st, err := openState(path, 100, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return st, &logged
}

// end is what a stop does to the state.
func end(t *testing.T, st *state) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.Run(ctx); err != nil {
		t.Error(err)
	}
	st.close()
}

func TestNotesOutliveTheGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", stateFile)
	st, logged := openedState(t, path)
	st.notes.Keep("a")
	st.notes.Keep("b")
	st.notes.Drop("a")
	end(t, st)
	st, _ = openedState(t, path)
	defer end(t, st)
	if got := st.notes.All(); !slices.Equal(got, []string{"b"}) || !st.lasting || logged.Len() != 0 {
		t.Errorf("notes %q, lasting %v, log %s", got, st.lasting, logged)
	}
}

// An appliance that forgets is of more use than one that does not start.
func TestWithoutAPlaceForItsStateTheGatewayWorks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	st, logged := openedState(t, filepath.Join(file, stateFile))
	defer end(t, st)
	if st.lasting || !strings.Contains(logged.String(), "mend=") {
		t.Errorf("lasting %v, log %s", st.lasting, logged)
	}
	st.notes.Keep("a")
}

func TestADamagedStateIsPutAside(t *testing.T) {
	for _, damaged := range []string{stateFile, stateFile + ".log1"} {
		dir := t.TempDir()
		st, err := store.Open(filepath.Join(dir, stateFile))
		if err == nil {
			err = st.Close()
		}
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, damaged), []byte("noise"), 0o600)); err != nil {
			t.Fatal(err)
		}
		again, logged := openedState(t, filepath.Join(dir, stateFile))
		if !again.lasting || !strings.Contains(logged.String(), damaged+".damaged-1") {
			t.Errorf("%s: lasting %v, log %s", damaged, again.lasting, logged)
		}
		end(t, again)
	}
}

func TestASecondGatewayWithTheSameStateDoesNotStart(t *testing.T) {
	r := start(t, nil)
	r.await("starting")
	var errs bytes.Buffer
	code := realMain([]string{"run", "-config", r.file}, process{stdout: io.Discard, stderr: &errs, getenv: noEnv})
	if code != exitFailed || !strings.Contains(errs.String(), "another meshgate is running") {
		t.Errorf("exit code %d, %s", code, &errs)
	}
	r.signals <- os.Interrupt
	r.end()
}

func TestCheckLooksAtTheState(t *testing.T) {
	dir := t.TempDir()
	for name, f := range map[string]func(string) error{
		"":                func(string) error { return nil },
		"is no directory": func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"is damaged": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, stateFile), []byte("noise"), 0o600)
		},
		"its log is damaged": func(dir string) error {
			path := filepath.Join(dir, stateFile)
			st, err := store.Open(path)
			if err == nil {
				err = st.Close()
			}
			return errors.Join(err, os.WriteFile(path+".log1", []byte("noise"), 0o600))
		},
	} {
		at := filepath.Join(dir, "x"+strings.ReplaceAll(name, " ", ""))
		if name != "is no directory" {
			if err := os.Mkdir(at, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := f(at); err != nil {
			t.Fatal(err)
		}
		c := loadText(good + fmt.Sprintf("state_dir: %s\n", at))
		var got string
		for _, p := range c.list {
			got += p.String()
		}
		if name == "" && got != "" || !strings.Contains(got, name) || c.errors() > 0 {
			t.Errorf("%s: %s", name, got)
		}
	}
	path := filepath.Join(dir, "good", stateFile)
	st, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	if c := loadText(good + fmt.Sprintf("state_dir: %s\n", filepath.Dir(path))); len(c.list) != 0 {
		t.Errorf("a good one: %v", c.list)
	}
}

// What Open can read may yet not be written, as on a full disk.
func TestWithoutItsBucketsTheGatewayWorks(t *testing.T) {
	path := filepath.Join(t.TempDir(), stateFile)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		notes, err := tx.CreateBucket([]byte("b:notes"))
		if err != nil {
			return err
		}
		return errors.Join(meta.Put([]byte("version"), []byte("1")), notes.Put([]byte("rows"), nil)) // no bucket
	}); err != nil {
		t.Fatal(err)
	}
	db.Close()
	st, logged := openedState(t, path)
	defer end(t, st)
	if st.lasting || !strings.Contains(logged.String(), "mend=") {
		t.Errorf("lasting %v, log %s", st.lasting, logged)
	}
}
