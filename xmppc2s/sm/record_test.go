package sm

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A disk is what a journal keeps of the records.
type disk struct {
	session Session
	rows    []Stanza // by Seq
}

// write carries out all records or, as a disk must, none.
func (d *disk) write(records []Record) {
	for _, r := range records {
		i, found := slices.BinarySearchFunc(d.rows, r.Stanza.Seq, func(s Stanza, seq uint64) int {
			return int(int64(s.Seq) - int64(seq))
		})
		switch {
		case r.Kind == Changed:
			d.session = r.Session
		case r.Kind == Enqueued && !found:
			d.rows = slices.Insert(d.rows, i, r.Stanza)
		case r.Kind == Enqueued:
			d.rows[i] = r.Stanza
		case r.Kind == Dropped && found:
			d.rows = slices.Delete(d.rows, i, i+1)
		case r.Kind == Acked && found:
			i++
			fallthrough
		case r.Kind == Acked:
			d.rows = slices.Delete(d.rows, 0, i)
		}
	}
}

// snapshot is what the next process finds.
func (d *disk) snapshot() Snapshot {
	return Snapshot{Session: d.session, Queue: append([]Stanza(nil), d.rows...)}
}

// differs shows where the disk is not what the engine is.
func (d *disk) differs(e *Engine) string {
	if reflect.DeepEqual(e.Snapshot(), d.snapshot()) {
		return ""
	}
	return cmp.Diff(e.Snapshot(), d.snapshot())
}

func wantSnapshot(t *testing.T, why string, e *Engine, d *disk) {
	t.Helper()
	d.write(e.AppendRecords(nil))
	if diff := d.differs(e); diff != "" {
		t.Errorf("%s: engine and disk differ:\n%s", why, diff)
	}
}

// restored is what a new process makes of it.
func restored(t *testing.T, d *disk) *Engine {
	t.Helper()
	e := New(Policy{Journal: true})
	if err := e.Restore(d.snapshot()); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestRecordsAddUpToTheSnapshot(t *testing.T) {
	var d disk
	e := active(t, Policy{Journal: true, AnswerEvery: 1}, 0)
	wantSnapshot(t, "session begun", e, &d)
	if d.session.ID != "x" || d.session.Location != "[::1]:5222" || d.session.Max != 300*time.Second || d.session.JID != "a@b/c" {
		t.Errorf("%+v", d.session)
	}
	enqueue(t, e, t0, m(1), "<presence/>", m(2), "<iq type='get'/>", m(3))
	wantSnapshot(t, "queued", e, &d)
	e.AppendWrite(t0, nil)
	feed(t, e, t0, a(1), m(9))
	e.Done(e.Waiting(1)[0].Mark)
	wantSnapshot(t, "one acknowledged, one handled", e, &d)
	if len(d.rows) != 4 || d.session.Acked != 1 || d.session.Handled != 1 {
		t.Errorf("%+v", d)
	}
	e.Lost(Broken)
	e.Refused(nil)
	wantSnapshot(t, "session lost", e, &d)
	if d.session != (Session{}) {
		t.Errorf("%+v", d.session)
	}
	for range 3 { // what goes ahead takes the places of what went ahead before
		e.Bound(at(time.Hour), Binding{Dialect: V3, First: [][]byte{[]byte("<iq/>"), []byte("<presence/>")}})
		wantSnapshot(t, "bound afresh", e, &d)
		if len(d.rows) != 4 || !strings.Contains(string(d.rows[2].Data), "stamp='2026-01-02T03:04:05.000Z'") {
			t.Errorf("%v", d.rows)
		}
		e.Lost(Broken)
	}
	e.Bound(at(time.Hour), Binding{Dialect: None})
	e.AppendWrite(t0, nil)
	e.AppendWrite(t0, nil)
	wantSnapshot(t, "forgotten where nobody acknowledges", e, &d)
	enqueue(t, e, t0, m(4))
	e.Drain()
	wantSnapshot(t, "drained", e, &d)
	if len(d.rows) != 0 {
		t.Errorf("%v", d.rows)
	}
}

// SM-12, SM-07: the next process resumes the very session with the h of the
// one before and sends what that had not got acknowledged, once.
func TestANewProcessResumesTheSession(t *testing.T) {
	var d disk
	e := active(t, Policy{Journal: true}, 0)
	enqueue(t, e, t0, m(1), m(2), m(3))
	e.AppendWrite(t0, nil)
	feed(t, e, t0, a(1), m(7), m(8))
	e.Done(e.Waiting(1)[0].Mark)
	enqueue(t, e, t0, m(4)) // never written
	d.write(e.AppendRecords(nil))

	e = restored(t, &d)
	if again := e.AppendRecords(nil); len(again) != 0 {
		t.Errorf("recorded although nothing has changed: %+v", again)
	}
	r, ok := e.Resumption()
	if want := "<resume xmlns='urn:xmpp:sm:3' previd='x' h='1'/>"; !ok || string(r.AppendResume(nil)) != want || r.JID != "a@b/c" {
		t.Fatalf("%v %+v", ok, r)
	}
	if e.Location() != "[::1]:5222" {
		t.Errorf("location %q", e.Location())
	}
	h := uint64(2)
	if err := e.Resumed(t0, r, &h, Limits{}); err != nil {
		t.Fatal(err)
	}
	wantWrite(t, "what the server lacks, in order", e, t0, m(3)+m(4))
	feed(t, e, t0, m(8), request) // handled is 1: this is the second
	e.Done(e.Waiting(1)[0].Mark)
	wantWrite(t, "h goes on", e, t0, a(2))
	enqueue(t, e, t0, m(5))
	wantSnapshot(t, "in the new process", e, &d)
	if n := len(d.rows); n != 3 || d.rows[0].Seq >= d.rows[1].Seq || d.rows[1].Seq >= d.rows[2].Seq {
		t.Errorf("%v", d.rows)
	}
}

// SM-12, SM-09, SM-11: where the session is gone the messages are not.
func TestANewProcessSendsAsDelayedWhatItFinds(t *testing.T) {
	var d disk
	e := active(t, Policy{Journal: true}, 0)
	enqueue(t, e, t0, m(1), "<presence/>", m(2))
	d.write(e.AppendRecords(nil))
	e = restored(t, &d)
	h := uint64(1) // it had been written although that is nowhere recorded
	e.Refused(&h)
	gone := e.Bound(at(time.Hour), Binding{Dialect: V3, JID: "a@b/c"})
	if len(gone) != 1 || gone[0].Kind != Presence {
		t.Errorf("given up: %v", gone)
	}
	e.AppendWrite(at(time.Hour), nil)
	feed(t, e, at(time.Hour), "<enabled xmlns='urn:xmpp:sm:3'/>")
	wantWrite(t, "the rest", e, at(time.Hour),
		"<message id='2'><body/><delay xmlns='urn:xmpp:delay' stamp='2026-01-02T03:04:05.000Z'/></message>")
}

func TestNothingIsRestoredOverSomethingElse(t *testing.T) {
	good := Snapshot{Queue: []Stanza{{Seq: 5, Data: []byte(m(1))}}}
	used := New(Policy{})
	enqueue(t, used, t0, m(1))
	if used.Restore(good) == nil {
		t.Error("over a queue")
	}
	if active(t, Policy{}, 0).Restore(good) == nil {
		t.Error("over a session")
	}
	for why, q := range map[string][]Stanza{
		"not a stanza": {{Seq: 5, Data: []byte("<r/>")}},
		"out of order": {{Seq: 5, Data: []byte(m(1))}, {Seq: 5, Data: []byte(m(2))}},
	} {
		if New(Policy{}).Restore(Snapshot{Queue: q}) == nil {
			t.Error(why)
		}
	}
}

func TestNoRecordsAreKeptThatNobodyWants(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1))
	if r := e.AppendRecords(nil); len(r) != 0 || len(e.log.records) != 0 {
		t.Error(r)
	}
}
