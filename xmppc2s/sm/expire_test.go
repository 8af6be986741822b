package sm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
)

// queueOf is what waits, by the ids of the stanzas.
func queueOf(e *Engine) string {
	var ids []string
	for _, s := range e.Snapshot().Queue {
		_, rest, _ := strings.Cut(string(s.Data), "id='")
		id, _, _ := strings.Cut(rest, "'")
		ids = append(ids, id)
	}
	return strings.Join(ids, " ")
}

// SM-11: what is given up is told, and what has a number in a session that may
// live is not given up.
func TestMessagesExpire(t *testing.T) {
	now := time.Unix(1000, 0)
	e := New(Policy{Journal: true})
	put := func(kind, id string, at time.Time) {
		t.Helper()
		if _, err := e.Enqueue(at, fmt.Appendf(nil, "<%s id='%s'/>", kind, id)); err != nil {
			t.Fatal(err)
		}
	}
	expire := func(want, left string) {
		t.Helper()
		var got []string
		for _, g := range e.Expire(now) {
			if !errors.Is(g.Reason, ErrExpired) {
				t.Errorf("reason %v", g.Reason)
			}
			got = append(got, string(g.Bytes))
		}
		if s := strings.Join(got, ""); s != want || queueOf(e) != left {
			t.Errorf("gone %q, want %q; left %q, want %q", s, want, queueOf(e), left)
		}
		if n, bytes := e.Queued(); n != len(e.out.q) || (n == 0) != (bytes == 0) {
			t.Errorf("%d stanzas of %d bytes", n, bytes)
		}
	}
	old := now.Add(-time.Second)
	put("message", "a", old)
	put("message", "b", now)
	put("presence", "p", old)
	put("message", "c", old)
	expire("<message id='a'/><message id='c'/>", "b p")

	put("message", "d", old)
	e.Bound(now, Binding{Dialect: V3, JID: "a@b/c"})
	if err := e.HandleFrame(now, []byte("<enabled xmlns='"+stanza.NSSM3+"' id='x' resume='true'/>")); err != nil {
		t.Fatal(err)
	}
	e.AppendWrite(now, nil)
	e.AppendWrite(now, nil)
	put("message", "e", old)
	expire("<message id='e'/>", "b p d")
	e.Lost(Broken)
	expire("", "b p d") // the server may have them
	e.Refused(nil)
	expire("<message id='d'/>", "b p")
	if e.Unacked() != 2 {
		t.Errorf("%d are written, want 2", e.Unacked())
	}

	// The journal has followed.
	k := New(Policy{})
	if err := k.Restore(replay(t, e.AppendRecords(nil))); err != nil {
		t.Fatal(err)
	}
	if queueOf(k) != "b p" {
		t.Errorf("on the disk: %s", queueOf(k))
	}
}

func replay(t *testing.T, records []Record) (s Snapshot) {
	t.Helper()
	for _, r := range records {
		var keep []Stanza
		for _, st := range s.Queue {
			if st.Seq != r.Stanza.Seq && (r.Kind != Acked || st.Seq > r.Stanza.Seq) || r.Kind == Changed {
				keep = append(keep, st)
			}
		}
		s.Queue = keep
		switch r.Kind {
		case Enqueued:
			s.Queue = append(s.Queue, r.Stanza)
		case Changed:
			s.Session = r.Session
		}
	}
	return s
}
