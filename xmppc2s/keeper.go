package xmppc2s

import (
	"slices"
	"time"

	"meshgate/xmppc2s/sm"
)

// A keeper writes the engine's records to the journal, one write at a time:
// what comes meanwhile is the next one. It belongs to the loop. Without a
// journal everything counts as durable.
type keeper struct {
	journal Journal
	results chan error // of the write under way

	seqs                  []uint64 // of the stanzas that are kept or will be, sorted
	waiting               []Change
	session               *sm.Session // to be written with them
	urgent                bool        // somebody waits for them
	due                   time.Time   // when they are written though nobody does
	writing               []Change    // under way; nil: nothing is
	told                  sm.Session  // what writing makes durable …
	durable               sm.Session  // … and what is
	toldRows, durableRows int         // stanzas, likewise
	started               uint64      // writes
	done                  uint64      // writes that succeeded
	err                   error       // of the last write
	retryAt               time.Time
	markBuf               []byte
}

const (
	// keepLater is how long what nobody waits for may wait: that a stanza was
	// acknowledged the server says again.
	keepLater = 100 * time.Millisecond
	// keepRetry is the pause after a write that failed.
	keepRetry = time.Second
)

func newKeeper(j Journal) *keeper { return &keeper{journal: j, results: make(chan error, 1)} }

// begin takes what the journal holds already.
func (k *keeper) begin(s sm.Snapshot) {
	k.durable = s.Session
	for _, st := range s.Queue {
		k.seqs = append(k.seqs, st.Seq)
	}
}

// add takes records.
func (k *keeper) add(now time.Time, records []sm.Record) {
	for _, r := range records {
		switch r.Kind {
		case sm.Enqueued:
			k.insert(r.Stanza.Seq)
			k.want(now, true, stanzaChange(r.Stanza))
		case sm.Acked:
			n, _ := slices.BinarySearch(k.seqs, r.Stanza.Seq+1)
			for _, seq := range k.seqs[:n] {
				k.want(now, false, Change{Key: stanzaKey(seq)})
			}
			k.seqs = k.seqs[n:]
		case sm.Dropped:
			if i, found := slices.BinarySearch(k.seqs, r.Stanza.Seq); found {
				k.seqs = slices.Delete(k.seqs, i, i+1)
			}
			k.want(now, false, Change{Key: stanzaKey(r.Stanza.Seq)})
		case sm.Changed:
			k.change(now, r.Session)
		}
	}
}

func (k *keeper) insert(seq uint64) {
	if i, found := slices.BinarySearch(k.seqs, seq); !found {
		k.seqs = slices.Insert(k.seqs, i, seq)
	}
}

// change takes another state of the session. Only the newest is written.
func (k *keeper) change(now time.Time, s sm.Session) {
	last := k.told
	if k.session != nil {
		last = *k.session
	} else if k.writing == nil {
		last = k.durable
	}
	k.session = &s
	if s.Handled != last.Handled && s.ID == last.ID && s.ID != "" && len(s.ID) <= maxMarkID {
		k.markBuf = appendMark(k.markBuf[:0], s)
		k.journal.SetMark(k.markBuf)
	}
	last.Acked = s.Acked
	k.want(now, last != s)
}

// want adds changes to what waits.
func (k *keeper) want(now time.Time, urgent bool, changes ...Change) {
	k.waiting = append(k.waiting, changes...)
	k.urgent = k.urgent || urgent
	if k.due.IsZero() {
		k.due = now.Add(keepLater)
	}
}

// flush begins a write, if none is under way and it is time for one.
func (k *keeper) flush(now time.Time) {
	if at := k.next(); at.IsZero() || now.Before(at) {
		return
	}
	changes := k.waiting
	k.told = k.durable
	if k.session != nil {
		k.told = *k.session
		changes = append(changes, sessionChange(*k.session))
	}
	k.toldRows = len(k.seqs)
	k.writing, k.waiting, k.session, k.urgent, k.due = changes, nil, nil, false, time.Time{}
	k.started++
	k.journal.Write(changes, func(err error) { k.results <- err })
}

// next is when flush has something to do; zero: not before something happens.
func (k *keeper) next() time.Time {
	switch {
	case k.journal == nil || k.writing != nil || len(k.waiting) == 0 && k.session == nil:
		return time.Time{}
	case k.err != nil:
		return k.retryAt
	case k.urgent:
		return time.Unix(0, 0) // at once
	}
	return k.due
}

// wrote takes the outcome of a write. What could not be written waits again.
func (k *keeper) wrote(now time.Time, err error) {
	changes := k.writing
	k.writing, k.err = nil, err
	if err == nil {
		k.durable, k.durableRows, k.done = k.told, k.toldRows, k.started
		return
	}
	if k.session == nil { // else there is a newer one
		told := k.told
		k.session = &told
	}
	k.waiting = append(changes, k.waiting...)
	k.urgent, k.retryAt = true, now.Add(keepRetry)
}

// mark names everything that was added so far, for isDurable. Somebody waits
// for it.
func (k *keeper) mark() uint64 {
	if k.journal == nil {
		return 0
	}
	if len(k.waiting) > 0 || k.session != nil {
		k.urgent = true
		return k.started + 1
	}
	return k.started
}

// isDurable reports whether everything up to the mark is.
func (k *keeper) isDurable(mark uint64) bool { return mark <= k.done }

// kept says which stanzas are durable.
func (k *keeper) kept() func(seq uint64) bool {
	not := make(map[uint64]bool)
	for _, c := range slices.Concat(k.writing, k.waiting) {
		if s, ok := parseStanza(c.Key, c.Value); ok {
			not[s.Seq] = true
		}
	}
	return func(seq uint64) bool { return k.journal != nil && !not[seq] }
}
