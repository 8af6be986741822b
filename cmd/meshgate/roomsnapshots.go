package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"meshgate/bridge/rooms"
	"meshgate/bridge/store"
)

// slateSuffix is what is between the database's name and a room's in that of its slate.
const slateSuffix = ".room-"

// roomSnapshots are what the next run needs to go on in Clique rooms, each in a slate.
type roomSnapshots struct {
	slates map[string]*store.Slate // by room
	left   map[string][]byte       // by the run before
}

// openSnapshots opens them, and removes those of other rooms. A room whose slate cannot
// be opened is one that is entered anew after each start.
func openSnapshots(statePath string, list []rooms.Room, log *slog.Logger) roomSnapshots {
	s := roomSnapshots{map[string]*store.Slate{}, map[string][]byte{}}
	ours := map[string]bool{}
	for _, r := range list {
		path := slatePath(statePath, r.Name)
		ours[filepath.Base(path)] = true
		slate, left, err := store.OpenSlate(path)
		if err != nil {
			log.Warn("after a restart the gateway will be another member of the room", "room", r.Name, "err", err)
			continue
		}
		s.slates[r.Name], s.left[r.Name] = slate, left
	}
	entries, _ := os.ReadDir(filepath.Dir(statePath)) // what is not removed does no harm
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(statePath)+slateSuffix) && !ours[e.Name()] {
			_ = os.Remove(filepath.Join(filepath.Dir(statePath), e.Name()))
		}
	}
	return s
}

// slatePath is where the slate of a room is, whose name may hold anything.
func slatePath(statePath, room string) string {
	sum := sha256.Sum256([]byte(room))
	return statePath + slateSuffix + hex.EncodeToString(sum[:8])
}

func (s roomSnapshots) Get(room string) []byte { return s.left[room] }

func (s roomSnapshots) Set(room string, data []byte) error {
	if slate := s.slates[room]; slate != nil {
		return slate.Set(data)
	}
	return nil
}

// seal makes them last over another start of the machine: nothing more is said in the rooms.
func (s roomSnapshots) seal() error {
	var errs []error
	for _, slate := range s.slates {
		errs = append(errs, slate.Seal())
	}
	return errors.Join(errs...)
}

func (s roomSnapshots) close() {
	for _, slate := range s.slates {
		slate.Close()
	}
}
