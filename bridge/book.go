package bridge

import (
	"cmp"
	"crypto/sha256"
	"time"

	"meshgate/bridge/internal/bounds"
	"meshgate/bridge/rewrite"
	"meshgate/xmppc2s"
)

// A book is the part of the ledger that is in memory: which messages are
// pending, and the rows that were used last. Of a message that waits for the
// server it holds no more than a hash of its id; the rest is on the disk.
type book struct {
	waiting map[waitKey]bool                 // mesh to network; true: carried over from before the start
	carried int                              // how many of waiting are
	coming  map[string]*entry                // network to mesh, by the key of their row
	marked  map[string]bool                  // network to mesh: keys of what was written to a peer before the start
	archive *bounds.Memory[string, struct{}] // what came in this run, by its id there and whose it is
	recent  *bounds.Memory[string, entry]    // rows that may not be on the disk yet, or are likely to be asked for
}

// A waitKey is the beginning of the SHA-256 of a message's id.
type waitKey [16]byte

func waitKeyOf(id string) waitKey {
	sum := sha256.Sum256([]byte(id))
	return waitKey(sum[:])
}

// maxRecent is how many rows are held in memory.
const maxRecent = 1024

func newBook(kept time.Duration) book {
	return book{
		waiting: make(map[waitKey]bool), coming: make(map[string]*entry),
		archive: bounds.NewMemory[string, struct{}](maxRecent, kept), recent: bounds.NewMemory[string, entry](maxRecent, kept),
	}
}

// ledger is that of the direction of a message.
func (e *engine) ledger(n *entry) *Ledger {
	if n.fromLAN {
		return &e.fromLAN
	}
	return &e.fromNetwork
}

// file puts the row of an entry where it belongs.
func (e *engine) file(now time.Time, n *entry, waited bool) {
	on := n.shelf()
	changes := shelve{{on, []byte(n.key), n.appendRow(nil)}}
	if n.mayBeMarked() {
		changes = append(changes, ShelfChange{Filed, filedKey, []byte(n.key)})
	}
	if waited && on != Waiting {
		changes = append(changes, ShelfChange{On: Waiting, Key: []byte(n.key)})
	}
	if on != Refused {
		e.book.recent.Put(now, n.key, *n)
	}
	e.emit(changes)
}

// wait notes that a message of the mesh waits for the server. It is on the
// disk before the message itself.
func (e *engine) wait(now time.Time, n *entry) {
	e.book.waiting[waitKeyOf(n.key)] = false
	e.file(now, n, false)
}

// takeOver takes the row of a message that waited when the last run ended.
func (e *engine) takeOver(key string, value []byte) {
	if _, _, ok := rowEnd(value); !ok {
		e.emit(shelve{{On: Waiting, Key: []byte(key)}})
		return
	}
	e.fromLAN.carry()
	e.book.waiting[waitKeyOf(key)] = true
	e.book.carried++
}

// restore files a message of the network of which the last run has left no more
// than a mark: that it was delivered.
func (e *engine) restore(now time.Time, key string) {
	at := now.UnixMilli()
	e.file(now, &entry{key: key, end: Delivered, came: at, ended: at, why: wordsMarked}, false)
}

// isRestored reports whether nothing more is known of a message than restore knew.
func (n *entry) isRestored() bool { return !n.fromLAN && n.end == Delivered && n.contact == "" }

// isCarried reports whether the message with that id has waited since before
// the start.
func (e *engine) isCarried(id string) bool { return e.book.waiting[waitKeyOf(id)] }

// waitsNoMore ends a message of before the start that is not in the outbox. If
// the outbox has had it, the server has acknowledged it. The last ones may as
// well have come in the very moment of the kill, and never have got there:
// their senders are told so.
func (e *engine) waitsNoMore(now time.Time, n entry, had bool) {
	e.book.recent.Put(now, n.key, n)
	if n.end != Pending { // by endLate
		if n, ok := e.endSent(now, n.key, n.end, n.why); ok {
			e.tellSender(n, wordsUndelivered(n.text, n.why))
		}
		return
	}
	if had {
		e.endSent(now, n.key, Delivered, wordsUnseen)
		return
	}
	if n, ok := e.endSent(now, n.key, Unsure, ""); ok {
		e.tellSender(n, wordsUnsure(n.text))
	}
}

// end ends a message that does not wait for the server.
func (e *engine) end(now time.Time, n *entry, o Outcome) {
	e.ledger(n).end(o)
	n.end, n.ended = o, now.UnixMilli()
	if e.book.coming[n.key] == n {
		delete(e.book.coming, n.key)
	}
	if !n.worded || o == Echo || o == Ignored {
		return
	}
	if n.key == "" || n.shelf() == Refused { // the key is that of the message it repeats, or may be used again
		n.key = e.newID()
	}
	e.file(now, n, false)
}

// endSent ends a message of the mesh that waits for the server, or gives
// another end to one that was delivered. ok is false if there is none of that
// id, or nothing more is known of it.
func (e *engine) endSent(now time.Time, id string, o Outcome, why string) (n entry, ok bool) {
	n, ok = e.book.recent.Get(now, id)
	ok = ok && n.fromLAN
	switch carried, waits := e.book.waiting[waitKeyOf(id)]; {
	case waits:
		delete(e.book.waiting, waitKeyOf(id))
		if carried {
			e.book.carried--
		}
		e.fromLAN.end(o)
		if !ok { // the row was lost
			e.emit(shelve{{On: Waiting, Key: []byte(id)}})
			return n, false
		}
	case !ok || !n.mayBecome(o):
		return n, false
	default:
		e.fromLAN.move(n.end, o, n.ended >= e.started.UnixMilli())
		if n.end == Delivered {
			n.passed = n.ended
		}
	}
	n.end, n.ended, n.why = o, now.UnixMilli(), rewrite.Line(why, maxEntryWhy)
	e.file(now, &n, true)
	return n, true
}

// endLate notes how a message of the mesh has ended that waits for the server,
// when its peer cannot be told any more. The row stays where it is, and the
// next run tells.
func (e *engine) endLate(now time.Time, id string, err error) {
	n, ok := e.book.recent.Get(now, id)
	if _, waits := e.book.waiting[waitKeyOf(id)]; !ok || !waits {
		return
	}
	n.end, n.ended, n.why = outcomeOf(err), now.UnixMilli(), rewrite.Line(reason(err), maxEntryWhy)
	e.emit(shelve{{Waiting, []byte(n.key), n.appendRow(nil)}})
}

// How often old rows are looked for, at first soon after the start, and whether
// what was carried over waits.
const (
	firstSweep = time.Minute
	sweepEvery = time.Hour
	auditEvery = 3 * time.Second
)

func (e *engine) nextSweep() time.Time { return e.swept.Add(sweepEvery) }

func (e *engine) nextAudit() time.Time {
	if e.book.carried == 0 {
		return time.Time{}
	}
	return e.audited.Add(auditEvery)
}

// knowing has the rows of these keys at hand for f, which is called at once,
// or when they were looked up. An empty key is none.
func (e *engine) knowing(now time.Time, f func(), keys ...string) {
	var missing []string
	for _, k := range keys {
		if _, ok := e.book.recent.Get(now, k); k != "" && len(k) <= maxEntryID && !ok {
			missing = append(missing, k)
		}
	}
	if len(missing) == 0 {
		f()
		return
	}
	e.emit(lookUp{missing, func(now time.Time) {
		f()
		e.settle(now)
	}})
}

// learn takes a row that was looked up; nil: there is none.
func (e *engine) learn(now time.Time, key string, row []byte) {
	if n, ok := parseRow(key, row); ok && now.Sub(n.last()) <= e.cfg.Timing.SentKept {
		e.book.recent.Put(now, key, n)
	}
}

// noted is the entry of a message of the network that enters.
func noted(now time.Time, m xmppc2s.Message, c rewrite.Content, bare string) *entry {
	return &entry{
		key: cmp.Or(seenKey(m.Stanza.Attr("from"), m.Stanza.Attr("id"), m.ArchiveID, c.Body), placeKey(m)), worded: worded(c.Kind), came: now.UnixMilli(),
		contact: bare, id: rewrite.Line(m.Stanza.Attr("id"), maxEntryID), archive: m.ArchiveID,
	}
}

// repeats reports whether the message was delivered before, or is on its way:
// the server has stored it although it has been delivered, because the session
// broke before our acknowledgement arrived, or its archive has it as well. What
// a client says again is said again.
func (e *engine) repeats(now time.Time, n *entry, delayed bool) bool {
	old, ok := e.book.coming[n.key]
	if !ok {
		row, known := e.book.recent.Get(now, n.key)
		old, ok = &row, known && !row.fromLAN && row.end == Delivered
	}
	switch {
	case n.key == "" || !ok:
		return false
	case n.archive != "" && old.archive != "":
		return n.archive == old.archive
	}
	return delayed
}

// cameBefore notes a message by its id in the server's archive, and reports
// whether it came in this run already, whatever became of it: by itself and
// from the archive.
//
// COMPAT ejabberd 23.01: its ids are times in microseconds, and what two people
// send in the same one has the same id.
func (e *engine) cameBefore(now time.Time, in *incoming) bool {
	if in.message.ArchiveID == "" {
		return false
	}
	key := in.message.ArchiveID + "\x00" + in.entry.contact
	_, again := e.book.archive.Get(now, key)
	if !again {
		e.book.archive.Put(now, key, struct{}{})
	}
	return again
}

// seenKey recognises a message that comes again: by its sender, id and words,
// or without an id by that of the archive. It is "" without both.
func seenKey(from, id, archive, body string) string {
	switch {
	case id != "":
		archive = ""
	case archive != "":
		body = ""
	default:
		return ""
	}
	sum := sha256.Sum256([]byte(from + "\x00" + id + "\x00" + archive + "\x00" + rewrite.Line(body, 200)))
	sum[0] &^= placeBit
	return string(sum[:16])
}
