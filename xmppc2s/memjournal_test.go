package xmppc2s_test

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"meshgate/xmppc2s"
)

// A memJournal is a disk that a test may make fail, or stop in the middle.
type memJournal struct {
	mu     sync.Mutex
	rows   map[string][]byte
	mark   []byte
	writes int
	power  int // writes until the power fails; negative: it does not
	dark   chan struct{}
	hung   func(error) // of the write in which it failed
	ending bool        // nothing hangs any more
	fail   error
	lost   string // key of a row that can be read no more
}

func newMemJournal() *memJournal {
	return &memJournal{rows: make(map[string][]byte), power: -1, dark: make(chan struct{})}
}

func (j *memJournal) Rows() iter.Seq2[[]byte, []byte] {
	j.mu.Lock()
	rows := maps.Clone(j.rows)
	j.mu.Unlock()
	return func(yield func([]byte, []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(rows)) {
			if !yield([]byte(k), rows[k]) {
				return
			}
		}
	}
}

func (j *memJournal) Row(key []byte) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	if string(key) == j.lost {
		return nil
	}
	return slices.Clone(j.rows[string(key)])
}

func (j *memJournal) Write(changes []xmppc2s.Change, done func(error)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.fail != nil:
		done(j.fail)
		return
	case j.power == 0 && j.ending:
		done(errNoPower)
		return
	case j.power == 0:
		j.hung = done // and nobody is told
		close(j.dark)
		return
	}
	j.power--
	j.writes++
	for _, c := range changes {
		if c.Value == nil {
			delete(j.rows, string(c.Key))
		} else {
			j.rows[string(c.Key)] = c.Value
		}
	}
	done(nil)
}

func (j *memJournal) Mark() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mark
}

func (j *memJournal) SetMark(b []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mark = slices.Clone(b)
}

// cutPower makes the power fail after so many writes.
func (j *memJournal) cutPower(writes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.power = writes
}

func (j *memJournal) setFail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail = err
}

var errNoPower = errors.New("no power")

// end lets no write hang, for a process that has to stop after all.
func (j *memJournal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ending = true; j.hung != nil {
		j.fail = errNoPower
		j.hung(j.fail)
	}
}

// after is what is found after the end of the process: a kill leaves the mark,
// a power cut may not.
func (j *memJournal) after(killed bool) *memJournal {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := newMemJournal()
	n.rows = maps.Clone(j.rows)
	if killed {
		n.mark = j.mark
	}
	return n
}

// has reports whether a row holds these words.
func (j *memJournal) has(words string) bool {
	for _, v := range j.Rows() {
		if strings.Contains(string(v), words) {
			return true
		}
	}
	return false
}

func journaled(s *fakeServer, j *memJournal) xmppc2s.Config {
	cfg := s.config()
	cfg.Journal = j
	return cfg
}
