package bridge

import (
	"context"
	"errors"
	"sync"
	"time"

	"meshgate/internal/alarm"
	"meshgate/internal/mailbox"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// A Hub joins the mesh and the network. Its handlers may be called from any
// goroutine.
type Hub struct {
	cfg     Config
	lan     LAN
	server  Server
	notes   Notes
	past    Past
	marks   Marks // nil: none are kept
	rooms   Rooms
	painter *painter
	auditor *auditor
	fromLAN chan linklocal.Event // unbuffered: what was not taken was not accepted
	fromSrv chan xmppc2s.Event
	results *mailbox.Mailbox[result]
	calls   chan func(*engine) // unbuffered
	done    chan struct{}

	mu    sync.Mutex
	stats Stats

	ended    *engine    // when done is closed
	lateness sync.Mutex // of ended
}

// A result is what became of a stanza to a peer.
type result struct {
	token uint64
	err   error
}

// Parts are what a hub commands.
type Parts struct {
	LAN    LAN
	Server Server
	Notes  Notes // nil: none are kept
	Past   Past  // nil: it forgets
	Marks  Marks // nil: none are kept
	Queue  Queue // of the Server; nil: it cannot be asked
	Rooms  Rooms // nil: there are none
}

// New prepares a hub. Nothing happens before Run. What is wrong with cfg is
// for its Validate to say.
func New(cfg Config, parts Parts) *Hub {
	cfg = cfg.withDefaults()
	if parts.Notes == nil {
		parts.Notes = noNotes{}
	}
	if parts.Past == nil {
		parts.Past = noPast{}
	}
	if parts.Rooms == nil {
		parts.Rooms = noRooms{}
	}
	h := &Hub{
		cfg: cfg, lan: parts.LAN, server: parts.Server, notes: parts.Notes, past: parts.Past, marks: parts.Marks, rooms: parts.Rooms,
		fromLAN: make(chan linklocal.Event),
		fromSrv: make(chan xmppc2s.Event),
		// Each result answers a pending delivery or a warning: there is always room.
		results: mailbox.New[result](cfg.Limits.PendingToLAN + maxWarning),
		calls:   make(chan func(*engine)),
		done:    make(chan struct{}),
	}
	h.painter = newPainter(h)
	h.auditor = newAuditor(h, parts.Queue)
	return h
}

// HandleLAN takes an event of the mesh. It blocks while the hub is busy, and
// returns early when ctx or the hub ends.
func (h *Hub) HandleLAN(ctx context.Context, ev linklocal.Event) {
	select {
	case h.fromLAN <- ev:
	case <-h.done:
	case <-ctx.Done():
	}
}

// HandleServer takes an event of the network. It blocks while the hub is
// busy, and returns early when ctx or the hub ends.
func (h *Hub) HandleServer(ctx context.Context, ev xmppc2s.Event) {
	switch m := ev.(type) { // done is whoever is first: outgoing's, or the engine
	case xmppc2s.Message:
		m.Done = sync.OnceFunc(m.Done)
		ev = m
	case xmppc2s.RoomInvited:
		m.Done = sync.OnceFunc(m.Done)
		ev = m
	}
	select {
	case h.fromSrv <- ev:
	case <-h.done:
		h.late(ev)
	case <-ctx.Done():
	}
}

// ErrEnded says that the hub does not run any more.
var ErrEnded = errors.New("bridge: the hub has ended")

// Ping returns nil as soon as the hub has done with what came before, or an
// error if ctx or the hub ends first. It may be called from any goroutine.
func (h *Hub) Ping(ctx context.Context) error { return h.call(ctx, func(*engine) {}) }

// call has the hub's goroutine call f. It returns when that takes it up, or
// with an error, if ctx or the hub ends first; then f is not called.
func (h *Hub) call(ctx context.Context, f func(*engine)) error {
	select {
	case h.calls <- f:
		return nil
	case <-h.done:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats are the counters as of the last event that is completely done with.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

// Run owns the bridge's state until ctx ends. It must be called once.
//
// A message of the network whose delivery has not ended by then is not
// finished: it does not count as handled, and the server keeps it.
func (h *Hub) Run(ctx context.Context) error {
	defer close(h.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { h.painter.run(ctx) })
	wg.Go(func() { h.auditor.run(ctx) })
	e := newEngine(time.Now(), h.cfg, h.notes.All())
	e.rooms = h.rooms
	h.ended = e
	h.recall(e)
	var wake alarm.Alarm
	defer wake.Stop()
	for {
		h.carryOut(e)
		wake.Set(e.nextTimeout())
		select {
		case ev := <-h.fromLAN:
			e.handleLAN(time.Now(), ev)
		case ev := <-h.fromSrv:
			h.takeResults(e) // the server may have sent it because there is room again
			e.handleServer(time.Now(), ev)
		case <-h.results.C():
			h.takeResults(e)
		case f := <-h.calls:
			f(e)
		case <-wake.C():
			e.handleTimeout(time.Now())
		case <-ctx.Done():
			h.drain(e)
			return nil
		}
	}
}

// maxDrain bounds the events that are still taken after the end was asked for.
const maxDrain = 1000

// drain takes what stands at the door, so that what a peer has written is not lost.
func (h *Hub) drain(e *engine) {
	for range maxDrain {
		select {
		case ev := <-h.fromLAN:
			e.handleLAN(time.Now(), ev)
		case <-h.results.C():
			h.takeResults(e)
		default:
			return
		}
		h.carryOut(e)
	}
}

func (h *Hub) takeResults(e *engine) {
	for _, r := range h.results.Take() {
		if r.err != nil {
			h.cfg.Log.Info("message did not reach its peer", "err", r.err)
		}
		e.handleSent(time.Now(), r.token, r.err)
	}
}

// carryOut does what the engine wants done. A stanza that the server session
// does not take goes back to the engine, which tells whoever wrote it.
func (h *Hub) carryOut(e *engine) {
	for actions := e.takeActions(); len(actions) > 0; actions = e.takeActions() {
		for _, a := range actions {
			h.do(e, a)
		}
	}
	h.setStats(e)
}

func (h *Hub) setStats(e *engine) {
	h.mu.Lock()
	h.stats = e.stats()
	h.mu.Unlock()
}

func (h *Hub) do(e *engine, a action) {
	switch a := a.(type) {
	case publish:
		if err := h.lan.Publish(a.contact); err != nil {
			h.cfg.Log.Warn("contact not published", "contact", a.contact.ID, "err", err)
			e.publishFailed(time.Now(), a.contact.ID)
		}
	case withdraw:
		h.lan.Withdraw(a.id)
	case toLAN:
		h.lan.Send(h.outgoing(a))
	case toServer:
		if err := h.server.Send(a.stanza); err != nil {
			h.cfg.Log.Warn("stanza not taken by the server session", "to", a.stanza.Attr("to"), "err", err)
			e.handleServer(time.Now(), xmppc2s.Undelivered{Stanza: a.stanza, Err: err})
		}
	case setPresence:
		h.server.SetPresence(a.show, a.status)
	case setAvatar:
		if !h.painter.jobs.Put(a.of) {
			h.cfg.Log.Error("the account's picture stays as it is, too much waits to be painted")
		}
	case keepNote:
		h.notes.Keep(a.text)
	case dropNote:
		h.notes.Drop(a.text)
	case shelve:
		h.past.Write(a...)
	case lookUp:
		h.lookUp(time.Now(), e, a)
	case sweep:
		h.sweep(a.before)
	case audit:
		h.auditor.ask()
	case finish:
		a.done()
	case note:
		h.cfg.Log.Debug("message", "way", a.direction, "outcome", a.outcome.String(), "peer", a.peer, "contact", a.contact)
	}
}

func (h *Hub) outgoing(a toLAN) linklocal.Outgoing {
	out := linklocal.Outgoing{From: a.from, To: a.to, Stanza: a.stanza, OpenOnly: a.open}
	if a.token != 0 {
		out.Mark = markDelivered(h.marks, a.keys)
		out.Done = func(err error) {
			h.results.Put(result{a.token, err})
			if err == nil && a.done != nil {
				a.done() // at once: if we are killed now it shall not come again
			}
		}
	}
	return out
}
