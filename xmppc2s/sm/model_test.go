package sm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

// world is an engine with a disk, a server, and a connection between them that
// may break behind any byte.
type world struct {
	*rapid.T
	s    *server
	e    *Engine
	disk disk
	now  time.Time

	up         bool
	toServer   []byte
	serverSide *xmlframe.Framer
	clientSide *xmlframe.Framer

	submitted []string // by the client's application
	pushed    []string // by the server
	delivered []string // to the client's application
	undone    []Inbound
	crashes   int
	window    int
	gone      []string // given up by the engine: the server seemed to die of it
}

var modelPolicy = Policy{AnswerEvery: 7, RequestEvery: 5, MaxBatch: 300, MaxInbound: 20, Journal: true}

func newWorld(t *rapid.T, d Dialect, base uint32) *world {
	return &world{T: t, s: &server{T: t, dialect: d, base: base}, now: time.Unix(1000, 0), e: New(modelPolicy)}
}

func anyDialect(t *rapid.T) Dialect {
	return rapid.SampledFrom([]Dialect{V3, V2, V1}).Draw(t, "dialect")
}

func message(s string) string { return "<message id='" + s + "'><body>" + s + "</body></message>" }

func (w *world) commit() { w.disk.write(w.e.AppendRecords(nil)) }

// connect resumes, or binds a new session.
func (w *world) connect() {
	if w.up {
		return
	}
	w.now = w.now.Add(time.Second)
	w.up, w.toServer, w.s.out = true, nil, nil
	w.serverSide, w.clientSide = xmlframe.NewOpen(0), xmlframe.NewOpen(0)
	r, ok := w.e.Resumption()
	w.commit()
	if ok && w.s.known {
		err := w.e.Resumed(w.now, r, w.s.resume(r), Limits{Window: w.window})
		if w.up = err == nil; !w.up && !errors.Is(err, ErrPoisoned) {
			w.Fatalf("resumption refused: %v", err)
		}
		return
	}
	if ok && w.s.dialect != V1 {
		h, _ := w.s.h()
		w.e.Refused(&h)
	}
	gone := w.e.Bound(w.now, Binding{Dialect: w.s.dialect, JID: "a@b/c", Stanzas: 3, Limits: Limits{Window: w.window}})
	w.commit()
	for _, g := range gone {
		if g.Kind == Message {
			w.gone = append(w.gone, w.id(g.Bytes))
		}
	}
	w.s.forget()
}

// push has the server send a stanza. It waits until the session counts: before
// that nothing is protected.
func (w *world) push() {
	if w.up && !w.s.enabled {
		return
	}
	id := fmt.Sprintf("s%d", len(w.pushed))
	w.pushed = append(w.pushed, id)
	if w.s.enabled || w.s.known {
		w.s.sent = append(w.s.sent, id)
	}
	if w.up {
		w.s.out = append(w.s.out, message(id)...)
	} else if !w.s.known {
		w.s.lost = append(w.s.lost, id)
	}
}

// submit is what the application hands over: it is on disk then.
func (w *world) submit() {
	id := fmt.Sprintf("c%d", len(w.submitted))
	w.submitted = append(w.submitted, id)
	if _, err := w.e.Enqueue(w.now, []byte(message(id))); err != nil {
		w.Fatal(err)
	}
	w.commit()
}

// flush is the client's writer: the records are durable before the bytes leave.
func (w *world) flush() {
	if w.up {
		b := w.e.AppendWrite(w.now, nil)
		w.commit()
		w.toServer = append(w.toServer, b...)
	}
}

// deliver moves up to n bytes in each direction.
func (w *world) deliver(n int) {
	if !w.up {
		return
	}
	for _, f := range w.feed(w.serverSide, &w.toServer, n) {
		enabling := !w.s.enabled
		w.s.handle(f.Bytes)
		if enabling && w.s.enabled && w.s.dialect != V1 { // the engine's counters begin at base, too
			w.e.out.acked, w.e.in.handled, w.e.in.told = uint64(w.s.base), w.s.base, w.s.base
		}
	}
	if w.e.InboundFull() {
		return
	}
	for _, f := range w.feed(w.clientSide, &w.s.out, n) {
		if err := w.e.HandleFrame(w.now, f.Bytes); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) feed(to *xmlframe.Framer, from *[]byte, n int) []xmlframe.Frame {
	n = min(n, len(*from))
	frames, err := to.Feed((*from)[:n])
	*from = (*from)[n:]
	if err != nil {
		w.Fatal(err)
	}
	return frames
}

// take moves stanzas from the engine to the application. What it had before a
// crash it knows again, as those do who store what they have done.
func (w *world) take() {
	batch := w.e.Waiting(rapid.IntRange(1, 3).Draw(w.T, "messages"))
	w.e.Take(len(batch))
	for _, in := range batch {
		if id := w.id(in.Bytes); w.crashes == 0 || !slices.Contains(w.delivered, id) {
			w.delivered = append(w.delivered, id)
		}
		w.undone = append(w.undone, in)
	}
}

func (w *world) id(b []byte) string {
	el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
	if err != nil {
		w.Fatal(err)
	}
	return el.Attr("id")
}

// finish has the application say Done for the ith stanza that waits for it.
func (w *world) finish(i int) {
	if len(w.undone) > 0 {
		i %= len(w.undone)
		w.e.Done(w.undone[i].Mark)
		w.undone = slices.Delete(w.undone, i, i+1)
	}
}

func (w *world) cut(how Loss) {
	if w.up {
		w.e.Lost(how)
		w.up = false
		if !w.s.enabled { // the server had not begun to count
			w.s.known = false
		}
	}
}

// die has the server end streams as soon as it is sent anything.
func (w *world) die() {
	for range 3 {
		w.connect()
		w.flush()
		if w.up && w.e.State() == Enabling {
			w.deliver(1 << 20)
			w.flush()
		}
		w.cut(Refusal)
	}
}

// crash is the end of the client's process and the beginning of the next.
func (w *world) crash() {
	w.cut(Broken)
	w.crashes++
	w.undone = nil
	w.e = New(modelPolicy)
	if err := w.e.Restore(w.disk.snapshot()); err != nil {
		w.Fatal(err)
	}
}

func (w *world) tick(d time.Duration) {
	w.now = w.now.Add(d)
	if w.up {
		if err := w.e.HandleTimeout(w.now); err != nil {
			w.cut(Silent)
		}
	}
}

// settle lets everything come to its end.
func (w *world) settle() {
	for range 10000 {
		w.connect()
		w.flush()
		w.deliver(1 << 20)
		w.take()
		w.finish(0)
		w.now = w.now.Add(10 * time.Millisecond)
		n, _ := w.e.Queued()
		if n+len(w.s.out)+len(w.toServer)+len(w.undone)+len(w.s.sent)+len(w.e.Waiting(1)) == 0 {
			return
		}
		if len(w.s.sent) > 0 && len(w.s.out) == 0 && n == 0 {
			w.s.request()
		}
	}
	w.Fatalf("does not settle: %+v %+v", w.e.out, w.e.in)
}

// check is what holds at every moment.
func (w *world) check() {
	if done := uint64(w.e.in.handled - w.s.base); w.s.enabled && w.s.dialect != V1 && w.e.State() == Active && done-w.s.acked > uint64(len(w.s.sent)) {
		w.Fatalf("h=%d, acknowledged %d, sent %d after it", done, w.s.acked, len(w.s.sent))
	}
	if w.up && w.e.NextTimeout().IsZero() {
		w.Fatal("nothing would ever happen again")
	}
}

func (w *world) actions(names ...string) map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"submit":  func(*rapid.T) { w.submit() },
		"push":    func(*rapid.T) { w.push() },
		"take":    func(*rapid.T) { w.take() },
		"done":    func(t *rapid.T) { w.finish(rapid.IntRange(0, 50).Draw(t, "which")) },
		"flush":   func(*rapid.T) { w.flush() },
		"deliver": func(t *rapid.T) { w.deliver(rapid.IntRange(1, 400).Draw(t, "bytes")) },
		"request": func(*rapid.T) {
			if w.up && w.s.enabled {
				w.s.request()
			}
		},
		"cut":     func(*rapid.T) { w.cut(Broken) },
		"connect": func(*rapid.T) { w.connect() },
		"tick":    func(t *rapid.T) { w.tick(time.Duration(rapid.IntRange(1, 100).Draw(t, "ms")) * time.Millisecond) },
		"":        func(*rapid.T) { w.check() },
	}
	for _, name := range names {
		all[name] = map[string]func(*rapid.T){
			"crash": func(*rapid.T) { w.crash() },
			"die":   func(*rapid.T) { w.die() },
			"end":   func(t *rapid.T) { w.cut(rapid.SampledFrom([]Loss{Silent, Refusal, Ended}).Draw(t, "how")) },
			"forget": func(*rapid.T) {
				if !w.up {
					w.s.forget()
				}
			},
		}[name]
	}
	return all
}

// begin brings up the first session.
func (w *world) begin() {
	w.connect()
	w.flush()
	w.deliver(1 << 20)
}

func (w *world) wantOnceAndInOrder() {
	if w.s.sessions != 1 {
		w.Fatalf("%d sessions", w.s.sessions)
	}
	if !slices.Equal(w.s.arrived, w.submitted) {
		w.Fatalf("at the server: %v\nsubmitted:     %v", w.s.arrived, w.submitted)
	}
	if !slices.Equal(w.delivered, w.pushed) {
		w.Fatalf("delivered: %v\npushed:    %v", w.delivered, w.pushed)
	}
}

// SM-03, SM-04, SM-06, SM-07, SM-10: whatever breaks, as long as the session
// lives every stanza arrives once and in order, in both directions and all
// dialects, also where the counters wrap around.
func TestEveryStanzaArrivesOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, anyDialect(t), rapid.SampledFrom([]uint32{0, math.MaxUint32, math.MaxUint32 - 9, 1 << 31}).Draw(t, "base"))
		w.begin()
		t.Repeat(w.actions())
		w.settle()
		w.wantOnceAndInOrder()
	})
}

// SM-12: so it is over any number of processes, if the application knows again
// what it has done.
func TestEveryStanzaArrivesOnceAndInOrderOverRestarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, anyDialect(t), rapid.SampledFrom([]uint32{0, math.MaxUint32 - 9}).Draw(t, "base"))
		w.begin()
		w.commit()
		t.Repeat(w.actions("crash"))
		w.settle()
		w.wantOnceAndInOrder()
	})
}

// SM-09, SM-11: with a server that forgets sessions but says how far it got,
// and ends streams for whatever reason, what we send still arrives once and in
// order, or is given up and has not arrived; what it sent us is either delivered
// or known to the server as not acknowledged.
func TestForgottenSessionsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.SampledFrom([]Dialect{V3, V2}).Draw(t, "dialect"), 0)
		w.window = rapid.SampledFrom([]int{0, 1, 200}).Draw(t, "window")
		t.Repeat(w.actions("forget", "crash", "end", "die"))
		w.settle()
		sent := slices.DeleteFunc(w.submitted, func(id string) bool { return slices.Contains(w.gone, id) })
		if !slices.Equal(w.s.arrived, sent) {
			t.Fatalf("at the server: %v\nsubmitted:     %v, but for %v", w.s.arrived, sent, w.gone)
		}
		w.wantNothingLost()
	})
}

// SM-09, SM-11: a server of sm:1 does not say how far it got. Then what was not
// acknowledged may arrive twice, and nothing else may.
func TestForgottenLegacySessionsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, V1, 0)
		t.Repeat(w.actions("forget", "crash"))
		w.settle()
		var first []string
		for _, id := range w.s.arrived {
			if !slices.Contains(first, id) {
				first = append(first, id)
			}
		}
		if !slices.Equal(first, w.submitted) {
			t.Fatalf("at the server: %v\nsubmitted:     %v", w.s.arrived, w.submitted)
		}
		w.wantNothingLost()
	})
}

func (w *world) wantNothingLost() {
	for _, id := range w.pushed {
		if !slices.Contains(w.delivered, id) && !slices.Contains(w.s.lost, id) {
			w.Fatalf("%s is lost and the server does not know; delivered %v, known %v", id, w.delivered, w.s.lost)
		}
	}
}
