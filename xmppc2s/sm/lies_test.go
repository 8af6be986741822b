package sm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meshgate/internal/stanza"
)

// liar is an engine with a disk and a server that says what it likes.
type liar struct {
	*rapid.T
	e         *Engine
	disk      disk
	now       time.Time
	dialect   Dialect
	submitted []string
	written   map[string]bool // in this session
	told      uint32
}

// number is one that might hurt: around what is outstanding, or anywhere.
func (l *liar) number() string {
	near := int64(l.e.out.acked) + int64(rapid.IntRange(-3, 8).Draw(l.T, "near"))
	return rapid.SampledFrom([]string{fmt.Sprint(near), fmt.Sprint(uint32(near)), "0", "4294967295", "4294967296", "-1", "", "x"}).Draw(l.T, "number")
}

func (l *liar) frame() {
	format := rapid.SampledFrom([]string{
		"<a xmlns='%s' h='%s'/>", "<r xmlns='%s' u='%s'/>", "<r xmlns='%s' h='%s' u='7'/>", "<a xmlns='%s' u='%s'/>",
		"<enabled xmlns='%s' id='x' resume='true' max='%s'/>", "<failed xmlns='%s' h='%s'/>", "<resumed xmlns='%s' h='%s'/>",
		"<message to='%s' id='%s'/>", "<presence from='%s' to='%s'/>",
	}).Draw(l.T, "frame")
	n := l.number()
	before := slices.Clone(l.e.out.q) // they are cleared
	err := l.e.HandleFrame(l.now, fmt.Appendf(nil, format, string(l.dialect), n))
	for _, it := range before[:len(before)-len(l.e.out.q)] {
		if !l.written[string(it.Data)] {
			l.Fatalf("acknowledged by h=%s, never written: %s", n, it.Data)
		}
	}
	if err != nil {
		l.e.Lost(Broken)
	}
}

func (l *liar) connect() {
	if l.e.State() != Offline {
		return
	}
	if r, ok := l.e.Resumption(); ok {
		answer := rapid.SampledFrom([]string{"<resumed xmlns='%s' h='%s'/>", "<failed xmlns='%s' h='%s'/>"}).Draw(l.T, "answer")
		el, err := stanza.Parse(fmt.Appendf(nil, answer, string(l.dialect), l.number()), stanza.NSClient, stanza.Limits{})
		if err != nil {
			l.Fatal(err)
		}
		a, err := r.ParseAnswer(el)
		if err == nil && a.Resumed {
			_ = l.e.Resumed(l.now, r, a.H, Limits{})
			return
		}
		l.e.Refused(a.H)
	}
	l.e.Bound(l.now, Binding{Dialect: l.dialect, First: [][]byte{[]byte("<presence/>")}})
	clear(l.written)
}

func (l *liar) flush() {
	b := string(l.e.AppendWrite(l.now, nil))
	l.disk.write(l.e.AppendRecords(nil))
	for _, st := range l.e.Snapshot().Queue {
		if strings.Contains(b, string(st.Data)) {
			l.written[string(st.Data)] = true
		}
	}
}

func (l *liar) crash() {
	l.disk.write(l.e.AppendRecords(nil))
	for _, st := range l.disk.rows {
		l.written[string(st.Data)] = true // as far as the next process knows
	}
	l.e = New(Policy{Journal: true, RequestEvery: 2})
	if err := l.e.Restore(l.disk.snapshot()); err != nil {
		l.Fatal(err)
	}
}

func (l *liar) check() {
	l.disk.write(l.e.AppendRecords(nil))
	if diff := l.disk.differs(l.e); diff != "" {
		l.Fatalf("engine and disk differ:\n%s", diff)
	}
	rest := l.submitted
	bytes := 0
	for _, st := range l.disk.rows {
		bytes += len(st.Data)
		if KindOf(st.Data) != Message {
			continue
		}
		i := slices.IndexFunc(rest, func(id string) bool { return strings.Contains(string(st.Data), "'"+id+"'") })
		if i < 0 {
			l.Fatalf("%s is doubled or out of order", st.Data)
		}
		rest = rest[i+1:]
	}
	if n, b := l.e.Queued(); n != len(l.disk.rows) || b != bytes || l.e.Unacked() > n {
		l.Fatalf("%d stanzas, %d bytes, %d unacknowledged; in fact %d, %d", n, b, l.e.Unacked(), len(l.disk.rows), bytes)
	}
	h := l.e.Session().Handled
	if l.e.Session().ID == "" {
		l.told = 0
	}
	if h < l.told {
		l.Fatalf("h goes back from %d to %d", l.told, h)
	}
	l.told = h
}

// SM-10, SM-11: whatever a server says, what was not written is not taken for
// acknowledged, order stays, the disk knows what the engine knows, and h never
// goes back.
func TestALiarTakesNothingThatItWasNotGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &liar{T: t, e: New(Policy{Journal: true, RequestEvery: 2}), now: t0, dialect: anyDialect(t), written: map[string]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"submit": func(*rapid.T) {
				id := fmt.Sprintf("c%d", len(l.submitted))
				l.submitted = append(l.submitted, id)
				_, _ = l.e.Enqueue(l.now, []byte(message(id)))
			},
			"frame":   func(*rapid.T) { l.frame() },
			"more":    func(*rapid.T) { l.frame() },
			"connect": func(*rapid.T) { l.connect() },
			"flush":   func(*rapid.T) { l.flush() },
			"take": func(*rapid.T) {
				for _, in := range l.e.Waiting(1) {
					l.e.Take(1)
					l.e.Done(in.Mark)
				}
			},
			"lost":  func(t *rapid.T) { l.e.Lost(Loss(rapid.IntRange(0, 3).Draw(t, "how"))) },
			"crash": func(*rapid.T) { l.crash() },
			"time": func(*rapid.T) {
				l.now = l.now.Add(time.Minute)
				_ = l.e.HandleTimeout(l.now)
			},
			"": func(*rapid.T) { l.check() },
		})
	})
}
