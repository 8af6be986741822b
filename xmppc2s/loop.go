package xmppc2s

import (
	"context"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/alarm"
	"meshgate/xmppc2s/outbox"
	"meshgate/xmppc2s/sm"
)

// A loop is the one goroutine that owns a client's engine, its connection and
// its plans. All other goroutines (one that connects, two of the connection,
// the teller) meet it in the select of step.
type loop struct {
	c      *Client
	cfg    *Config
	box    *outbox.Box // waits for the engine
	engine *sm.Engine
	wg     sync.WaitGroup // connecting

	// Connecting: either dialing, or waiting for retryAt, or tr is there.
	connector *connector
	dialing   bool
	verdicts  chan verdict
	retryAt   time.Time
	pacer     *pacer
	sent      *redirection // for the next attempt; nil: the server has not sent us on
	hangUp    func()       // ends the attempt under way …
	hungUp    bool         // … as it was
	triedAt   time.Time    // the last attempt
	again     bool         // it may have gone the wrong way
	offErr    error        // why there was none, or the connection ended

	acked                 uint64 // messages, since this process began
	counted, countedBytes int    // of what Client counts as queued: in the box and in the engine

	tr         *transport
	buf        []byte // being written, or for the next write
	gate       floodgate
	atUp       sm.Stats // when the connection came up …
	messagesUp uint64   // … and messages then
	online     bool     // Online has been said for this connection
	resumed    bool
	rotating   bool // a stream that we have closed ourselves

	outer   *outer
	full    jid.JID      // of the session that the outer session is for
	book    *contactBook // of that session
	bound   bool         // that session, by this process
	opened  bool         // it has opened the archive's row, and the teller does not know of it
	own     ownSender
	teller  *teller
	pending []Event // for the teller, in order
	unsure  []unsure
	alarm   alarm.Alarm

	keeper    *keeper
	recordBuf []sm.Record
	mark      uint64    // of keeper: buf may be written when everything up to it is durable
	attempt   *attempt  // waits for keeper; nil: none does
	lostAt    time.Time // the connection
	calmAt    time.Time // when the server is through with what it had read of that
	expireAt  time.Time // when to look for messages that have waited too long
}

func newLoop(c *Client, con *connector, t *teller) *loop {
	box := outbox.New(outbox.Config{Journal: c.cfg.Journal != nil})
	return &loop{
		c: c, cfg: &c.cfg, box: box, engine: sm.New(c.cfg.SM), connector: con, verdicts: make(chan verdict, 1), keeper: newKeeper(c.cfg.Journal, box),
		pacer: newPacer(c.cfg.Backoff), teller: t,
	}
}

// run works until ctx ends and then takes leave. Nothing that it started is
// left when it returns, but for the teller.
func (l *loop) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer l.alarm.Stop()
	l.retryAt = time.Now()
	l.restore(l.retryAt)
	for ctx.Err() == nil {
		l.prepare(ctx, time.Now())
		l.step(ctx)
	}
	l.c.stop()
	l.leave()
	cancel()
	if l.outer != nil {
		l.stopOuter()
		<-l.outer.done
	}
	l.wg.Wait()
	l.discardVerdict()
	l.reportLeft()
}

// prepare does what is due: it takes in what others left for the loop, starts
// an attempt, writes, and sets the alarm for what will be due.
func (l *loop) prepare(ctx context.Context, now time.Time) {
	l.collect(now)
	if l.tr == nil && !l.dialing && !now.Before(l.retryAt) {
		l.dial(ctx, now)
	}
	l.showPresence(now)
	if !now.Before(l.expireAt) {
		l.expire(now)
	}
	l.enable(now)
	l.write(now)
	l.startOuter()
	l.gauge()
	l.alarm.Set(l.nextAlarm(now))
}

// step waits for one thing and deals with it.
func (l *loop) step(ctx context.Context) {
	offer, inbound, messages := l.offer()
	say, event := l.say()
	select {
	case <-ctx.Done():
	case <-l.c.inbox.C():
	case <-l.c.dones.C():
	case call := <-l.c.calls:
		call(l)
	case <-l.c.poke:
	case <-l.c.moved:
		l.networkChanged(time.Now())
	case <-l.c.alone:
		l.conflictOver(time.Now())
	case v := <-l.verdicts:
		l.connected(time.Now(), v)
	case a := <-l.arrivals():
		l.arrived(time.Now(), a)
	case err := <-l.written():
		l.wrote(time.Now(), err)
	case offer <- inbound:
		l.engine.Take(len(inbound))
		l.c.undone.Add(messages)
	case say <- event:
		l.pending = l.pending[1:]
	case err := <-l.keeper.results:
		l.keptRecords(time.Now(), err)
	case <-l.outerDone():
		l.outer = nil
	case <-l.alarm.C():
		l.timeout(time.Now())
	}
}

// write sends what is to be written, when the journal knows of it. Meanwhile
// what comes is for the next write.
func (l *loop) write(now time.Time) {
	if l.tr == nil || l.tr.busy || l.rotating {
		l.records(now)
		return
	}
	if len(l.buf) == 0 {
		l.release(now)
		l.buf = l.engine.AppendWrite(now, l.buf[:0])
		l.records(now)
		if len(l.buf) > 0 {
			l.mark = l.keeper.mark()
		}
	}
	l.records(now)
	if len(l.buf) > 0 && l.keeper.isDurable(l.mark) {
		l.tr.send(l.buf)
	}
}

// showPresence queues our presence if it has changed.
func (l *loop) showPresence(now time.Time) {
	want := l.c.own.Load()
	if at := l.own.due(want); l.online && !at.IsZero() && !now.Before(at) {
		l.own.at = now
		if l.c.queueOwn(want.bytes(l.cfg)) {
			l.sentOwn(now, want)
		}
		l.collect(now)
	}
}

func (l *loop) nextAlarm(now time.Time) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if l.tr == nil && !l.dialing && l.attempt == nil {
		sooner(l.retryAt)
	}
	if l.tr != nil && !l.tr.busy { // a write has its own deadline
		sooner(l.engine.NextTimeout())
	} else if l.tr != nil {
		sooner(l.engine.ProbeEnds())
	}
	if at := l.enableAt(); at.After(now) { // else what makes it quiet wakes us
		sooner(at)
	}
	if l.online {
		sooner(l.own.due(l.c.own.Load()))
	}
	if l.counted > 0 || l.box.AsideLen() > 0 {
		sooner(l.expireAt)
	}
	sooner(l.keeper.next())
	return at
}

func (l *loop) timeout(now time.Time) {
	if l.tr == nil {
		return
	}
	if err := l.engine.HandleTimeout(now); err != nil {
		l.lost(now, &Error{Problem: Unreachable, Text: "the server no longer answers", Err: err}, sm.Silent)
	}
}

// arrivals is where frames come from, unless there are too many already.
func (l *loop) arrivals() <-chan arrival {
	if l.tr == nil || l.engine.InboundFull() {
		return nil
	}
	return l.tr.arrived
}

func (l *loop) written() <-chan error {
	if l.tr == nil {
		return nil
	}
	return l.tr.wrote
}

// wrote notes that the writer is free again.
func (l *loop) wrote(now time.Time, err error) {
	l.tr.busy, l.buf = false, l.buf[:0]
	l.engine.Written(now)
	switch {
	case err != nil:
		l.lost(now, explain(err, l.cfg, l.tr.link.addr), sm.Broken)
	case l.rotating:
		l.lost(now, &Error{Text: "the session is replaced: its counters have come far"}, sm.Broken)
	}
}

// offer is the next stanzas for the outer session, if it may have any, and how
// many of them are messages: each is undone until its Done, or until it turns
// out to be none. Reading pauses while too many are undone. It does not pause
// while our own queue is full: the acknowledgements that empty it come behind
// stanzas.
func (l *loop) offer() (to chan<- []sm.Inbound, batch []sm.Inbound, messages int64) {
	if l.outer == nil || !l.online || len(l.pending) > 0 || l.outer.ending || l.keeper.err != nil {
		return nil, nil, 0
	}
	batch = l.engine.Waiting(l.cfg.MaxUndone - int(l.c.undone.Load()))
	if len(batch) == 0 {
		return nil, nil, 0
	}
	for _, in := range batch {
		if in.Kind == sm.Message {
			messages++
		}
	}
	return l.outer.next, batch, messages
}

// say is the next event of the loop's own.
func (l *loop) say() (chan<- Event, Event) {
	if len(l.pending) == 0 {
		return nil, nil
	}
	return l.teller.events, l.pending[0]
}

// tell queues an event. An Offline replaces what nobody has taken yet and what
// is over with it: an Offline before it, and a resumption between the two; and
// with a session that has come and gone, one that did so right before it. So a
// handler that hangs does not make the queue grow.
func (l *loop) tell(ev Event) {
	if _, ok := ev.(Offline); ok {
		n := len(l.pending)
		if n >= 2 && isResumption(l.pending[n-1]) && isOffline(l.pending[n-2]) {
			n--
		}
		if n >= 1 && isOffline(l.pending[n-1]) {
			l.pending = l.pending[:n-1]
		}
	}
	l.pending = append(l.pending, ev)
	if n := len(l.pending); n >= 4 && cameAndWent(l.pending[n-4:n-2]) && cameAndWent(l.pending[n-2:]) {
		l.pending = slices.Delete(l.pending, n-4, n-2)
	}
}

// cameAndWent reports whether two events are all there is to say of a session.
func cameAndWent(evs []Event) bool {
	on, ok := evs[0].(Online)
	return ok && !on.Resumed && isOffline(evs[1])
}

func isOffline(ev Event) bool { _, ok := ev.(Offline); return ok }

func isResumption(ev Event) bool { on, ok := ev.(Online); return ok && on.Resumed }
