package xmppc2s

import (
	"slices"
	"time"

	"meshgate/xmppc2s/outbox"
	"meshgate/xmppc2s/sm"
)

// A keeper writes what changes in the engine and in the box to the journal, one
// write at a time: what comes meanwhile is the next one. What has come to the
// box and left it again meanwhile is in none. It belongs to the loop. Without
// a journal everything counts as durable.
type keeper struct {
	journal Journal
	box     *outbox.Box
	results chan error // of the write under way

	seqs                  []uint64 // of the engine's stanzas that are kept or will be, sorted
	waiting               []Change
	session               *sm.Session // to be written with them
	archive               archiveRow  // as it is, or will be …
	archiveNew            bool        // … to be written, too
	urgent                bool        // somebody waits for them
	due                   time.Time   // when they are written though nobody does
	boxDue                time.Time   // when what has come to the box is; zero: not before expectBox
	writing               []Change    // under way; nil: nothing is
	told                  sm.Session  // what writing makes durable …
	durable               sm.Session  // … and what is
	toldUpTo              uint64      // of the box, likewise
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
	// keepSoon is how long what has come to the box may wait for another write
	// while there is a session: as a rule it is on its way by then, and needs no
	// row but that of the engine.
	keepSoon = 3 * time.Millisecond
	// keepRetry is the pause after a write that failed.
	keepRetry = time.Second
)

func newKeeper(j Journal, box *outbox.Box) *keeper {
	return &keeper{journal: j, box: box, results: make(chan error, 1)}
}

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
			s := r.Stanza
			k.want(now, true, rowChange(rowKey(sentKey, s.Seq), s.At, s.Strikes, s.Data))
		case sm.Acked:
			n, _ := slices.BinarySearch(k.seqs, r.Stanza.Seq+1)
			for _, seq := range k.seqs[:n] {
				k.want(now, false, Change{Key: rowKey(sentKey, seq)})
			}
			k.seqs = k.seqs[n:]
		case sm.Dropped:
			if i, found := slices.BinarySearch(k.seqs, r.Stanza.Seq); found {
				k.seqs = slices.Delete(k.seqs, i, i+1)
			}
			k.want(now, false, Change{Key: rowKey(sentKey, r.Stanza.Seq)})
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
	last := k.latest()
	k.session = &s
	if s.Handled != last.Handled && s.ID == last.ID && s.ID != "" {
		k.setMark()
	}
	last.Acked = s.Acked
	k.want(now, last != s)
}

// latest is the session as it is, or will be, on the disk.
func (k *keeper) latest() sm.Session {
	switch {
	case k.session != nil:
		return *k.session
	case k.writing != nil:
		return k.told
	}
	return k.durable
}

// catchUp takes how far we have come in the archive. Only the newest is written.
func (k *keeper) catchUp(now time.Time, r archiveRow) {
	if k.journal == nil {
		return
	}
	news := r.ID != k.archive.ID
	k.archive, k.archiveNew = r, true
	if news {
		k.setMark()
	}
	k.want(now, false)
}

func (k *keeper) setMark() {
	k.markBuf = appendMark(k.markBuf[:0], k.latest(), k.archive)
	k.journal.SetMark(k.markBuf)
}

// want adds changes to what waits.
func (k *keeper) want(now time.Time, urgent bool, changes ...Change) {
	k.waiting = append(k.waiting, changes...)
	k.urgent = k.urgent || urgent
	if k.due.IsZero() {
		k.due = now.Add(keepLater)
	}
}

// expectBox gives what has come to the box so much time to leave it again.
func (k *keeper) expectBox(now time.Time, wait time.Duration) {
	switch {
	case k.writing != nil || !k.box.Changed():
		k.boxDue = time.Time{}
	case k.boxDue.IsZero() || wait == 0:
		k.boxDue = now.Add(wait)
	}
}

// pending reports whether there is something to write.
func (k *keeper) pending() bool {
	return len(k.waiting) > 0 || k.session != nil || k.archiveNew || k.box.Changed()
}

// flush begins a write, if none is under way and it is time for one.
func (k *keeper) flush(now time.Time) {
	if at := k.next(); at.IsZero() || now.Before(at) {
		return
	}
	changes := k.takeWaiting()
	k.told = k.durable
	if k.session != nil {
		k.told = *k.session
		changes = append(changes, sessionChange(*k.session))
	}
	waiting, _ := k.box.Len()
	k.toldRows = len(k.seqs) + waiting
	k.writing, k.session, k.urgent, k.due, k.boxDue = changes, nil, false, time.Time{}, time.Time{}
	k.started++
	k.journal.Write(changes, func(err error) { k.results <- err })
}

// takeWaiting returns all changes but those of the session.
func (k *keeper) takeWaiting() []Change {
	list, upTo := k.box.AppendChanges(nil)
	k.toldUpTo = upTo
	changes := slices.Grow(k.waiting, len(list)+2)
	for _, c := range list {
		if key := entryKey(c.Entry); c.Remove {
			changes = append(changes, Change{Key: key})
		} else {
			changes = append(changes, rowChange(key, c.Entry.At, 0, c.Entry.Data))
		}
	}
	if k.archiveNew {
		changes, k.archiveNew = append(changes, archiveChange(k.archive)), false
	}
	k.waiting = nil
	return changes
}

// next is when flush has something to do; zero: not before something happens.
func (k *keeper) next() time.Time {
	switch {
	case k.journal == nil || k.writing != nil || !k.pending():
		return time.Time{}
	case k.err != nil:
		return k.retryAt
	case k.urgent:
		return time.Unix(0, 0) // at once
	case k.due.IsZero() || !k.boxDue.IsZero() && k.boxDue.Before(k.due):
		return k.boxDue
	}
	return k.due
}

// wrote takes the outcome of a write. What could not be written waits again.
func (k *keeper) wrote(now time.Time, err error) {
	changes := k.writing
	k.writing, k.err = nil, err
	if err == nil {
		k.durable, k.durableRows, k.done = k.told, k.toldRows, k.started
		k.box.Durable(k.toldUpTo)
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
	if k.pending() {
		k.urgent = true
		return k.started + 1
	}
	return k.started
}

// isDurable reports whether everything up to the mark is.
func (k *keeper) isDurable(mark uint64) bool { return mark <= k.done }

// unkept are the keys of the rows that are not durable.
func (k *keeper) unkept() map[string]bool {
	keys := make(map[string]bool)
	k.waiting = k.takeWaiting()
	for _, c := range slices.Concat(k.writing, k.waiting) {
		if c.Value != nil {
			keys[string(c.Key)] = true
		}
	}
	return keys
}
