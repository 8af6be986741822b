package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"meshgate/bridge"
	"meshgate/bridge/rooms"
	"meshgate/bridge/store"
)

const (
	stateFile    = "meshgate.db"
	markSuffix   = ".mark"
	ringSuffix   = ".ring"
	linesSuffix  = ".lines"
	maxNoteBytes = 512
)

func (c *config) stateDir() string  { return c.resolve(c.StateDir) }
func (c *config) statePath() string { return filepath.Join(c.stateDir(), stateFile) }

// checkState says whether the state can be kept. What another user may find
// there the check cannot know, so nothing of it is an error.
func (c *config) checkState() {
	const path = "state_dir"
	if fi, err := os.Stat(c.stateDir()); err == nil && !fi.IsDir() {
		c.doubt(path, "%s is no directory", c.stateDir())
		return
	}
	switch err := store.Check(c.statePath()); {
	case err == nil, errors.Is(err, fs.ErrPermission):
	case errors.Is(err, store.ErrLogDamaged):
		c.doubt(path, "%v; when the gateway starts, a copy is put aside, and what the log held behind the damage is missing", err)
	case errors.Is(err, store.ErrDamaged):
		c.doubt(path, "%s is damaged; when the gateway starts, it is put aside and a new one is begun", c.statePath())
	default:
		c.doubt(path, "%s cannot be used: %v; the gateway forgets its state when it ends", c.statePath(), err)
	}
}

// A state is what outlives a run of the gateway.
type state struct {
	*store.Store
	lasting bool // on a disk, not only in memory
	notes   *notes
	pins    *pins
	outbox  outbox
	past    past
	rooms   roomPast
	ring    *store.Ring // nil: there is none
	lines   *store.Ring // of rooms, likewise
	log     *slog.Logger

	snapshots roomSnapshots
}

// openState opens the state, in which that many messages may wait.
// Where it cannot be kept the gateway is told so and works all the same: then
// what waits lasts as long as the program. Only a second gateway with the same
// state is an error.
func openState(path string, waiting int, log *slog.Logger) (*state, error) {
	st, err := store.Open(path)
	switch {
	case errors.Is(err, store.ErrBusy):
		return nil, fmt.Errorf("%s: another meshgate is running with this state_dir", path)
	case err != nil:
		return volatileState(err, waiting, log)
	}
	s, err := newState(st, true, waiting, log)
	if err != nil { // a full disk, say
		return volatileState(err, waiting, log)
	}
	s.openMark(path + markSuffix)
	s.ring = s.openRing(path+ringSuffix, bridge.MaxDelivered)
	s.lines = s.openRing(path+linesSuffix, rooms.MaxMarks)
	if st.PutAside() != "" {
		log.Warn("the state was damaged and is begun anew", "file", path, "put aside", st.PutAside(),
			"lost", "what waited for the server, who talked with whom, who was told what, which keys of peers were trusted")
	}
	if st.LogPutAside() != "" {
		log.Warn("the state's log was damaged: a copy is put aside, and what it held behind the damage is missing", "file", path,
			"put aside", st.LogPutAside(), "lost", "what changed in the last seconds or minutes before the end of the last run")
	}
	return s, nil
}

func volatileState(why error, waiting int, log *slog.Logger) (*state, error) {
	log.Warn("the state cannot be kept: what it holds is forgotten when the gateway ends", "err", why,
		"mend", "let the gateway's user write to state_dir")
	st, err := store.OpenVolatile()
	if err != nil {
		return nil, err
	}
	return newState(st, false, waiting, log)
}

func newState(st *store.Store, lasting bool, waiting int, log *slog.Logger) (*state, error) {
	s := &state{Store: st, lasting: lasting, log: log}
	b, err := st.Bucket("notes", store.Limit{Rows: bridge.MaxNotes, RowBytes: maxNoteBytes, Evict: true})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	s.notes = &notes{s, b}
	s.pins, err = newPins(s)
	if err = errors.Join(err, s.openOutbox(waiting), s.openRooms()); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return s, nil
}

func (s *state) close() {
	if s.outbox.mark != nil {
		s.outbox.mark.Close()
	}
	s.snapshots.close()
	for _, r := range []*store.Ring{s.ring, s.lines} {
		if r != nil {
			r.Close()
		}
	}
	if err := s.Close(); err != nil {
		s.log.Error("the state was not closed", "err", err)
	}
}

// seal has last what counts only until the machine is started anew. All parts have ended.
func (s *state) seal() {
	if err := s.snapshots.seal(); err != nil {
		s.log.Warn("after another start of the machine the gateway will be another member of its rooms", "err", err)
	}
}

// write queues changes; that they are lost is logged.
func (s *state) write(what string, changes ...store.Change) {
	s.Write(func(err error) {
		if err != nil {
			s.log.Warn("the state was not written", "what", what, "err", err)
		}
	}, changes...)
}

// settle waits until what nobody waits for is on the disk, if the disk takes it.
func (s *state) settle(ctx context.Context) {
	done := make(chan struct{})
	s.Write(func(error) { close(done) })
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// notes are the hub's.
type notes struct {
	state  *state
	bucket *store.Bucket
}

func (n *notes) All() []string {
	var all []string
	for text := range n.bucket.All() {
		all = append(all, string(text))
	}
	return all
}

func (n *notes) Keep(text string) { n.state.write("a note", n.bucket.Put([]byte(text), nil)) }
func (n *notes) Drop(text string) { n.state.write("a note", n.bucket.Delete([]byte(text))) }
