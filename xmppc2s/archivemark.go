package xmppc2s

import (
	"strings"
	"time"

	"meshgate/internal/stanza"
)

// An archiveRow says how far we have come in the account's archive on the
// server. Everything up to ID is delivered, stored or refused.
type archiveRow struct {
	Of   string    `json:"of"`           // the account: its bare address
	ID   string    `json:"id,omitempty"` // in the archive (XEP-0359); "": only At is known
	At   time.Time `json:"at"`           // nothing of what came later than this may be missing; zero: there is no archive
	Open bool      `json:"open,omitempty"`
	// IDs: the server says the ids of messages, and lets nobody else do so.
	IDs bool `json:"ids,omitempty"`
	// Turn counts the rows, so that of two the later one is known.
	Turn uint64 `json:"turn"`
}

// An archiveMark advances a row over messages as they are done, in their order
// in the archive. While it is open, something between the row and what arrives
// by itself has still to be fetched: that comes first.
type archiveMark struct {
	row     archiveRow
	known   bool // row says something
	entries []*archiveEntry
	behind  []*archiveEntry // arrived by themselves while the mark is open
	waiting map[uint64]*archiveEntry
	fetched int // entries of the archive that are not done
	numbers uint64
	opened  uint64 // number of the last entry then
}

// An archiveEntry is one message that was passed on, or left out.
type archiveEntry struct {
	archiveName
	at      time.Time
	number  uint64
	fetched bool // it stands in entries because the archive has it there
	done    bool
}

// An archiveName tells a message of the archive from all others.
//
// COMPAT ejabberd 23.01: its ids are times in microseconds, and what two people
// send in the same one has the same id.
type archiveName struct {
	id   string
	from string // the bare address of whoever wrote it
}

func nameOf(id string, message *stanza.Element) archiveName {
	from, _, _ := strings.Cut(message.Attr("from"), "/")
	return archiveName{id, from}
}

func newArchiveMark() archiveMark { return archiveMark{waiting: make(map[uint64]*archiveEntry)} }

// open begins a time in which something is missing. It returns what is under
// way: it need not be fetched.
func (m *archiveMark) open() map[archiveName]*archiveEntry {
	m.row.Open, m.opened = true, m.numbers
	had := make(map[archiveName]*archiveEntry)
	for _, e := range m.waiting {
		if e.id != "" {
			had[e.archiveName] = e
		}
	}
	return had
}

// owes reports whether something is under way since before the mark was
// opened: the server may have sent it a second time, which counts for nothing.
func (m *archiveMark) owes() bool {
	for number := range m.waiting {
		if number <= m.opened {
			return true
		}
	}
	return false
}

// arrived notes a message that came by itself. Its number is for done.
func (m *archiveMark) arrived(name archiveName, at time.Time) *archiveEntry {
	e := m.enter(name, at)
	if m.row.Open {
		m.behind = append(m.behind, e)
	} else {
		m.entries = append(m.entries, e)
	}
	return e
}

// fetch notes a message that the archive gave.
func (m *archiveMark) fetch(name archiveName, at time.Time) *archiveEntry {
	e := m.enter(name, at)
	m.place(e)
	return e
}

// place puts an entry where the archive has it, which may have been said before.
func (m *archiveMark) place(e *archiveEntry) {
	m.entries = append(m.entries, e)
	if !e.fetched && !e.done {
		m.fetched++
	}
	e.fetched = true
}

// since are the entries with an id from the mark on, done or not, by their id;
// but for some that are done and have others behind them that are, too.
func (m *archiveMark) since() map[string]*archiveEntry {
	known := make(map[string]*archiveEntry)
	for _, list := range [...][]*archiveEntry{m.entries, m.behind} {
		for _, e := range list {
			if e.id != "" {
				known[e.id] = e
			}
		}
	}
	return known
}

// pass notes that there is nothing to be done up to an id.
func (m *archiveMark) pass(id string, at time.Time) {
	m.entries = append(m.entries, &archiveEntry{archiveName: archiveName{id: id}, at: at, done: true, fetched: true})
	m.settle()
}

func (m *archiveMark) enter(name archiveName, at time.Time) *archiveEntry {
	m.numbers++
	e := &archiveEntry{archiveName: name, at: at, number: m.numbers}
	m.waiting[e.number] = e
	return e
}

// done says that a message is.
func (m *archiveMark) done(number uint64) {
	e := m.waiting[number]
	if e == nil {
		return
	}
	delete(m.waiting, number)
	e.done = true
	if e.fetched {
		m.fetched--
	}
	m.settle()
}

// close ends the time in which what came by itself had to wait for what was
// fetched. It is called when nothing fetched is undone.
func (m *archiveMark) close() {
	m.row.Open = false
	for _, e := range m.behind {
		if !e.fetched {
			m.entries = append(m.entries, e)
		}
	}
	m.behind = nil
	m.settle()
}

// settle advances the row over what is done.
func (m *archiveMark) settle() {
	n := 0
	for ; n < len(m.entries) && m.entries[n].done; n++ {
		e := m.entries[n]
		m.row.ID = e.id
		if !e.at.IsZero() {
			m.row.At = e.at
		}
	}
	m.entries = m.entries[n:]
	if len(m.entries)+len(m.behind) > 2*len(m.waiting)+2 {
		m.entries, m.behind = thin(m.entries), thin(m.behind)
	}
}

// thin keeps of several entries in a row that are done the last one: so there
// are at most twice as many entries as messages that are not done.
func thin(list []*archiveEntry) []*archiveEntry {
	kept := list[:0]
	for i, e := range list {
		if e.done && i+1 < len(list) && list[i+1].done {
			continue
		}
		kept = append(kept, e)
	}
	clear(list[len(kept):])
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// archiveKey is where a journal has an archiveRow.
var archiveKey = []byte("archive")

func archiveChange(r archiveRow) Change { return Change{archiveKey, mustJSON(r)} }
