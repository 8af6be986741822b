package sm

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

// world is an engine and a server that is as dumb as XEP-0198 allows, with a
// connection between them that may break behind any byte.
type world struct {
	*rapid.T
	e   *Engine
	now time.Time

	// the connection
	up         bool
	toServer   []byte
	toClient   []byte
	serverSide *xmlframe.Framer
	clientSide *xmlframe.Framer

	// the server
	base     uint32 // both counters of every session begin here
	session  bool   // the server remembers one
	enabled  bool
	got      uint32   // its h
	sent     []string // unacknowledged by the client
	acked    uint32   // the client's last h
	lostSent []string // of sessions that it has forgotten

	// what must come true
	submitted []string // by the client's application
	arrived   []string // at the server
	pushed    []string // by the server
	delivered []string // to the client's application
	undone    []Inbound
	sessions  int
}

const sessionID = "id<'"

func newWorld(t *rapid.T, base uint32) *world {
	w := &world{T: t, base: base, now: time.Unix(1000, 0), e: New(Policy{AnswerEvery: 7, RequestEvery: 5, MaxBatch: 300, MaxInbound: 20})}
	return w
}

func message(s string) string { return "<message id='" + s + "'><body>" + s + "</body></message>" }

// connect resumes, or binds a new session. refusal says what a server that has
// lost the session answers: with its h or without.
func (w *world) connect() {
	if w.up {
		return
	}
	w.now = w.now.Add(time.Second)
	w.up, w.toServer, w.toClient = true, nil, nil
	w.serverSide, w.clientSide = xmlframe.NewOpen(0), xmlframe.NewOpen(0)
	r, ok := w.e.Resumption()
	if ok && w.session {
		w.serverResumes(r)
		return
	}
	if ok {
		h := w.got
		w.e.Refused(&h)
	}
	w.e.Bound(w.now, Binding{Dialect: V3, JID: "a@b/c"})
	w.lostSent = append(w.lostSent, w.sent...)
	w.session, w.enabled, w.sent = false, false, nil
}

func (w *world) serverResumes(r Resumption) {
	if r.ID != sessionID {
		w.Fatalf("resumes %q", r.ID)
	}
	w.serverAcked(r.H)
	if err := w.e.Resumed(w.now, r, w.got, 0); err != nil {
		w.Fatalf("resumption refused: %v", err)
	}
	for _, s := range w.sent {
		w.toClient = append(w.toClient, message(s)...)
	}
}

func (w *world) serverAcked(h uint32) {
	n := h - w.acked
	if uint64(n) > uint64(len(w.sent)) {
		w.Fatalf("the client acknowledges %d of %d", n, len(w.sent))
	}
	w.acked = h
	w.sent = w.sent[n:]
}

// push has the server send a stanza. It waits until the session counts: before
// that nothing is protected.
func (w *world) push() {
	if w.up && !w.enabled {
		return
	}
	s := fmt.Sprintf("s%d", len(w.pushed))
	w.pushed = append(w.pushed, s)
	if w.enabled || w.session {
		w.sent = append(w.sent, s)
	}
	if w.up {
		w.toClient = append(w.toClient, message(s)...)
	} else if !w.session {
		w.lostSent = append(w.lostSent, s)
	}
}

func (w *world) submit() {
	s := fmt.Sprintf("c%d", len(w.submitted))
	w.submitted = append(w.submitted, s)
	if _, err := w.e.Enqueue(w.now, []byte(message(s))); err != nil {
		w.Fatal(err)
	}
}

// flush is the client's writer.
func (w *world) flush() {
	if w.up {
		w.toServer = w.e.AppendWrite(w.now, w.toServer)
	}
}

// deliver moves up to n bytes in each direction.
func (w *world) deliver(n int) {
	if !w.up {
		return
	}
	k := min(n, len(w.toServer))
	frames, err := w.serverSide.Feed(w.toServer[:k])
	w.toServer = w.toServer[k:]
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range frames {
		w.serverHandles(f.Bytes)
	}
	if w.e.InboundFull() {
		return
	}
	k = min(n, len(w.toClient))
	frames, err = w.clientSide.Feed(w.toClient[:k])
	w.toClient = w.toClient[k:]
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range frames {
		if err := w.e.HandleFrame(w.now, f.Bytes); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) serverHandles(b []byte) {
	el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
	if err != nil {
		w.Fatal(err)
	}
	switch el.Name.Local {
	case "message":
		w.arrived = append(w.arrived, el.Attr("id"))
		if !w.enabled {
			w.Fatal("a stanza before <enabled/>")
		}
		w.got++
	case "enable":
		w.session, w.enabled, w.got, w.acked = true, true, w.base, w.base
		w.sessions++
		w.toClient = append(w.toClient, fmt.Sprintf("<enabled xmlns='urn:xmpp:sm:3' id=\"%s\" resume='true' max='600'/>", stanza.Escape(sessionID))...)
		w.rebase()
	case "r":
		w.toClient = append(w.toClient, fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", w.got)...)
	case "a":
		h, err := ParseH(el)
		if err != nil {
			w.Fatal(err)
		}
		w.serverAcked(h)
	}
}

// rebase lets the engine's counters begin at base too.
func (w *world) rebase() {
	w.e.out.acked = uint64(w.base)
	w.e.in.handled, w.e.in.told = w.base, w.base
}

// take moves a stanza from the engine to the application.
func (w *world) take() {
	batch := w.e.Waiting(rapid.IntRange(1, 3).Draw(w.T, "messages"))
	w.e.Take(len(batch))
	for _, in := range batch {
		el, err := stanza.Parse(in.Bytes, stanza.NSClient, stanza.Limits{})
		if err != nil {
			w.Fatal(err)
		}
		w.delivered = append(w.delivered, el.Attr("id"))
		w.undone = append(w.undone, in)
	}
}

// finish has the application say Done for the ith stanza that waits for it.
func (w *world) finish(i int) {
	if len(w.undone) > 0 {
		i %= len(w.undone)
		w.e.Done(w.undone[i].Mark)
		w.undone = slices.Delete(w.undone, i, i+1)
	}
}

func (w *world) cut() {
	if w.up {
		w.e.Lost(Broken)
		w.up = false
		if !w.enabled { // the server had not begun to count
			w.session = false
		}
	}
}

func (w *world) tick(d time.Duration) {
	w.now = w.now.Add(d)
	if w.up {
		if err := w.e.HandleTimeout(w.now); err != nil {
			w.cut()
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
		if waiting := len(w.e.Waiting(1)) > 0; n == 0 && len(w.toClient)+len(w.toServer)+len(w.undone)+len(w.sent) == 0 && !waiting {
			return
		}
		if len(w.sent) > 0 && len(w.toClient) == 0 && n == 0 {
			w.toClient = append(w.toClient, "<r xmlns='urn:xmpp:sm:3'/>"...)
		}
	}
	w.Fatalf("does not settle: %+v", w.e.out)
}

func (w *world) actions(forget bool) map[string]func(*rapid.T) {
	m := map[string]func(*rapid.T){
		"submit":  func(*rapid.T) { w.submit() },
		"push":    func(*rapid.T) { w.push() },
		"take":    func(*rapid.T) { w.take() },
		"done":    func(t *rapid.T) { w.finish(rapid.IntRange(0, 50).Draw(t, "which")) },
		"flush":   func(*rapid.T) { w.flush() },
		"deliver": func(t *rapid.T) { w.deliver(rapid.IntRange(1, 400).Draw(t, "bytes")) },
		"request": func(*rapid.T) {
			if w.up && w.enabled {
				w.toClient = append(w.toClient, "<r xmlns='urn:xmpp:sm:3'/>"...)
			}
		},
		"cut":     func(*rapid.T) { w.cut() },
		"connect": func(*rapid.T) { w.connect() },
		"tick":    func(t *rapid.T) { w.tick(time.Duration(rapid.IntRange(1, 100).Draw(t, "ms")) * time.Millisecond) },
		"": func(t *rapid.T) {
			if done := w.e.in.handled; w.enabled && uint64(done-w.acked) > uint64(len(w.sent)) {
				t.Fatalf("h=%d, acknowledged %d, sent %d after it", done, w.acked, len(w.sent))
			}
		},
	}
	if forget {
		m["forget"] = func(*rapid.T) {
			if !w.up {
				w.session, w.enabled = false, false
				w.lostSent = append(w.lostSent, w.sent...)
				w.sent = nil
			}
		}
	}
	return m
}

// SM-03, SM-04, SM-07, SM-10: whatever breaks, as long as the session lives
// every stanza arrives once and in order, in both directions, also where the
// counters wrap around.
func TestEveryStanzaArrivesOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.SampledFrom([]uint32{0, math.MaxUint32, math.MaxUint32 - 9, 1 << 31}).Draw(t, "base"))
		w.connect()
		w.flush()
		w.deliver(1 << 20)
		t.Repeat(w.actions(false))
		w.settle()
		if w.sessions != 1 {
			t.Fatalf("%d sessions", w.sessions)
		}
		if !slices.Equal(w.arrived, w.submitted) {
			t.Fatalf("at the server: %v\nsubmitted:     %v", w.arrived, w.submitted)
		}
		if !slices.Equal(w.delivered, w.pushed) {
			t.Fatalf("delivered: %v\npushed:    %v", w.delivered, w.pushed)
		}
	})
}

// SM-09, SM-11: with a server that forgets sessions but says how far it got,
// what we send still arrives once and in order; what it sent us is either
// delivered or known to the server as not acknowledged.
func TestForgottenSessionsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, 0)
		t.Repeat(w.actions(true))
		w.settle()
		if !slices.Equal(w.arrived, w.submitted) {
			t.Fatalf("at the server: %v\nsubmitted:     %v", w.arrived, w.submitted)
		}
		for _, s := range w.pushed {
			if !slices.Contains(w.delivered, s) && !slices.Contains(w.lostSent, s) {
				t.Fatalf("%s is lost and the server does not know; delivered %v, known %v", s, w.delivered, w.lostSent)
			}
		}
	})
}
