package sm

import (
	"errors"
	"fmt"
	"time"
)

// A Session is what the two ends of a session know of each other, without the
// stanzas. The zero Session is none: what has been bound cannot be resumed.
type Session struct {
	Dialect  Dialect
	ID       string
	JID      string        // the full address
	Location string        // where the server prefers to be reached; "": not said
	Max      time.Duration // how long it keeps a lost session; 0: not said
	Handled  uint32        // our h
	Acked    uint64        // the server's h; on the wire it wraps at 2^32
	Stanzas  int           // what the server wants between requests (sm:1); 0: not said
	Reached  Request       // what stands for our h in sm:1
}

// A Stanza is one that the server has not acknowledged. Seq puts stanzas in
// order and names each as long as it waits.
type Stanza struct {
	Seq  uint64
	At   time.Time // queued
	Data []byte    // never changed
	// Strikes is what speaks against the stanza: 0 is nothing, 1 that it was in
	// flight among others when the server refused to go on, and each more that
	// it was alone then.
	Strikes uint8
}

// A Snapshot is all that has to survive a process for the next one to resume
// its session, or to send again what was not acknowledged: the session and the
// unacknowledged stanzas in order. The first of them has the number Acked+1 at
// the server, whether it has been written or not.
type Snapshot struct {
	Session Session
	Queue   []Stanza
}

// A Record is one change of the Snapshot.
type Record struct {
	Kind    RecordKind
	Stanza  Stanza  // Enqueued; of Acked and Dropped only Seq
	Session Session // Changed
}

// A RecordKind says what a Record does to a Snapshot.
type RecordKind uint8

const (
	Enqueued RecordKind = iota // the stanza waits, or it replaces the one of the same Seq
	Acked                      // every stanza up to Seq is gone: the server has it
	Dropped                    // the stanza Seq is gone: it was given up
	Changed                    // the session is this one now
)

func (k RecordKind) String() string { return [...]string{"enqueued", "acked", "dropped", "changed"}[k] }

// firstSeq leaves room below for stanzas that go ahead of the queue.
const firstSeq = 1 << 32

// journal is what has changed since records were taken last.
type journal struct {
	records []Record
	session Session // as of the last record
}

func (e *Engine) record(k RecordKind, s Stanza) {
	if e.pol.Journal {
		e.log.records = append(e.log.records, Record{Kind: k, Stanza: s})
	}
}

// AppendRecords appends what has changed since it was called last, if the
// Policy wants a Journal. It is called after AppendWrite: all records together
// are to be durable, or none, before the bytes of that write leave, and before
// what Resumption returned is used. So no number that the server has seen is
// ever forgotten.
func (e *Engine) AppendRecords(records []Record) []Record {
	if !e.pol.Journal {
		return records
	}
	records = append(records, e.log.records...)
	clear(e.log.records)
	e.log.records = e.log.records[:0]
	if s := e.Session(); s != e.log.session {
		e.log.session = s
		records = append(records, Record{Kind: Changed, Session: s})
	}
	return records
}

// Session is the session that could be resumed, if there is one.
func (e *Engine) Session() Session {
	if e.id.id == "" {
		return Session{}
	}
	return Session{
		Dialect: e.id.dialect, ID: e.id.id, JID: e.id.jid, Location: e.id.location, Max: e.id.max,
		Handled: e.in.handled, Acked: e.out.acked, Stanzas: e.id.stanzas, Reached: e.in.reached,
	}
}

// Snapshot is what the records so far add up to.
func (e *Engine) Snapshot() Snapshot {
	s := Snapshot{Session: e.Session()}
	for _, it := range e.out.q {
		s.Queue = append(s.Queue, it.Stanza)
	}
	return s
}

var errRestore = errors.New("sm: no snapshot to begin with")

// Restore gives a new engine what an earlier one has left. Whatever it had
// queued it may have written, too; so what the server turns out to have is not
// sent again, and all else is sent as delayed if a new session has to be bound.
func (e *Engine) Restore(s Snapshot) error {
	if e.id.epoch > 0 || len(e.out.q) > 0 {
		return fmt.Errorf("%w: the engine is in use", errRestore)
	}
	o := outbound{seq: firstSeq, acked: s.Session.Acked, tried: len(s.Queue)}
	last := uint64(0)
	for _, st := range s.Queue {
		k := KindOf(st.Data)
		if k == Nonza || st.Seq <= last {
			return fmt.Errorf("%w: stanza %d after %d: %.40q", errRestore, st.Seq, last, st.Data)
		}
		last = st.Seq
		o.q = append(o.q, item{Stanza: st, kind: k})
		o.bytes += len(st.Data)
	}
	o.seq = max(o.seq, last)
	e.out, e.log.session = o, s.Session
	e.in = inbound{handled: s.Session.Handled, reached: s.Session.Reached}
	e.id = identity{
		dialect: s.Session.Dialect, id: s.Session.ID, jid: s.Session.JID,
		location: s.Session.Location, max: s.Session.Max, stanzas: s.Session.Stanzas, epoch: 1,
	}
	return nil
}
