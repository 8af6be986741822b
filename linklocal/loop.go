package linklocal

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"meshgate/internal/alarm"
	"meshgate/internal/iconcache"
	"meshgate/linklocal/mdns"
)

// A loop owns all state of a running Service: contacts, roster, streams. Its
// fields and methods belong to the one goroutine that is in run, but for
// those that say otherwise.
type loop struct {
	*Service
	handler Handler

	contacts map[ContactID]*contact
	names    map[string]*contact // by Instance.Key: the names that we hold
	roster   *roster
	conns    map[*conn]struct{}
	callers  int                // conns that peers have opened
	late     int                // readers that still deliver what was said on conns that are gone
	perAddr  map[netip.Addr]int // of them, by address
	pairs    map[pairKey]*pair
	icons    *iconBook             // of the peers
	cache    *iconcache.Cache      // of icons; from any goroutine
	fits     chan struct{}         // one token: one icon is decoded at a time
	dials    chan struct{}         // one token for each connecting that may go on at once
	searches map[searchKey]*search // for callers
	news     []ContactPublished    // not told yet, one per contact
	openings []opening             // not told yet, each once
	pinning  map[string][]byte     // keys that are being kept, by Instance.Key
	warned   time.Time             // about keys

	calls chan func(now time.Time) // other goroutines come in here
	tell  chan telling             // to the courier
	quit  chan struct{}            // closed: the loop takes no calls any more
	// spawn starts a goroutine that run waits for. Its context ends when the
	// loop has ended, or when cancel is called.
	spawn func(f func(ctx context.Context)) (cancel func())
	// linger is spawn for readers: the context lasts Config.CloseTimeout
	// longer, so that what the peers have said is still delivered.
	linger func(f func(ctx context.Context)) (cancel func())
	wakeAt time.Time // nothing is due before; zero: nothing is due
	stopAt time.Time // not zero: stopping, and over by then
}

// A telling is an event for the courier, and what to close once it is told.
type telling struct {
	ev   Event
	told chan struct{}
}

func newLoop(s *Service, h Handler) *loop {
	return &loop{
		Service: s, handler: h,
		contacts: make(map[ContactID]*contact),
		names:    make(map[string]*contact),
		pinning:  make(map[string][]byte),
		roster:   newRoster(s.cfg.MaxPeers),
		conns:    make(map[*conn]struct{}),
		perAddr:  make(map[netip.Addr]int),
		pairs:    make(map[pairKey]*pair),
		icons:    newIconBook(s.cfg.MaxPeers),
		fits:     make(chan struct{}, 1),
		dials:    make(chan struct{}, maxDials),
		searches: make(map[searchKey]*search),
		calls:    make(chan func(time.Time)),
		tell:     make(chan telling),
		quit:     make(chan struct{}),
	}
}

func (l *loop) run(ctx context.Context) error {
	var wg sync.WaitGroup
	spawner := func(ctx context.Context) func(func(context.Context)) func() {
		return func(f func(context.Context)) func() {
			ctx, cancel := context.WithCancel(ctx)
			wg.Go(func() { defer cancel(); f(ctx) })
			return cancel
		}
	}
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	deliveries, endDeliveries := context.WithCancel(context.WithoutCancel(ctx))
	l.spawn, l.linger = spawner(work), spawner(deliveries)

	l.cache = iconcache.Open(iconcache.Config{Dir: l.cfg.IconCache, Log: l.log}, time.Now())
	defer l.cache.Close()
	l.spawn(l.courier)
	if l.cfg.Discover {
		stop := l.spawn(l.discover)
		defer context.AfterFunc(ctx, stop)()
	}
	l.serve(ctx.Done())
	l.finishAll()
	close(l.quit)
	endWork()
	defer time.AfterFunc(l.cfg.CloseTimeout, endDeliveries).Stop()
	wg.Wait()
	endDeliveries()
	return nil
}

// serve is the loop.
func (l *loop) serve(stop <-chan struct{}) {
	var wake alarm.Alarm
	defer wake.Stop()
	var news telling
	for l.stopAt.IsZero() || len(l.conns) > 0 {
		var tell chan telling
		if news.ev == nil {
			news = l.nextNews()
		}
		if news.ev != nil {
			tell = l.tell
		}
		wake.Set(l.wakeAt)
		select {
		case call := <-l.calls:
			call(time.Now())
		case <-l.commands.C():
			l.handleCommands(time.Now())
		case <-l.inbox.C():
			for _, ev := range l.inbox.Take() {
				l.handleMDNS(time.Now(), ev)
			}
		case tell <- news:
			news = telling{}
		case <-wake.C():
			if l.handleTimeout(time.Now()) {
				return
			}
		case <-stop:
			stop = nil
			l.stop(time.Now())
		}
	}
}

// call runs f in the loop. It may be called from any goroutine but the loop's
// own. It reports false if the loop has ended: f will not run.
func (l *loop) call(f func(now time.Time)) bool {
	select {
	case l.calls <- f:
		return true
	case <-l.quit:
		return false
	}
}

// courier tells the handler the news, outside of the loop: it may block.
func (l *loop) courier(ctx context.Context) {
	for {
		select {
		case t := <-l.tell:
			l.handler.HandleLAN(ctx, t.ev)
			if t.told != nil {
				close(t.told)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (l *loop) nextNews() telling {
	if len(l.news) > 0 {
		ev := l.news[0]
		l.news = l.news[1:]
		return telling{ev: ev}
	}
	if len(l.openings) > 0 && l.roster.told(l.openings[0].ev.Peer) {
		o := l.openings[0]
		l.openings = l.openings[1:]
		return telling{o.ev, o.told}
	}
	ev, told, _ := l.roster.next()
	return telling{ev, told}
}

// An opening is a StreamOpened that the handler has not been told. It waits
// until the handler knows the peer.
type opening struct {
	ev   StreamOpened
	told chan struct{}
}

// announceStream has the handler told that a stream is open. However often a
// peer opens one, it waits to be told once.
func (l *loop) announceStream(c *conn) {
	ev := StreamOpened{Contact: c.contact.ID, Peer: c.stream.cfg.peer, TLS: c.stream.secure}
	if ev.TLS {
		l.count.secured.Add(1)
	}
	i := slices.IndexFunc(l.openings, func(o opening) bool { return o.ev == ev })
	if i < 0 {
		i = len(l.openings)
		l.openings = append(l.openings, opening{ev, make(chan struct{})})
	}
	c.told = l.openings[i].told
}

// announce has the handler told which name a contact holds. What it has not
// been told about that contact before need not be told any more.
func (l *loop) announce(ev ContactPublished) {
	l.news = slices.DeleteFunc(l.news, func(old ContactPublished) bool { return old.ID == ev.ID })
	l.news = append(l.news, ev)
}

// due sees to it that handleTimeout is called then, or earlier: there it
// looks for what is due, so that nobody need look at every stream each time.
func (l *loop) due(at time.Time) {
	if !at.IsZero() && (l.wakeAt.IsZero() || at.Before(l.wakeAt)) {
		l.wakeAt = at
	}
}

// handleTimeout reports whether the time for stopping is over.
func (l *loop) handleTimeout(now time.Time) (over bool) {
	l.wakeAt = time.Time{}
	for c := range l.conns {
		if at := c.stream.nextTimeout(); !at.IsZero() && !now.Before(at) {
			c.stream.handleTimeout(now)
			l.carry(now, c)
		}
		l.due(c.stream.nextTimeout())
		if !c.doubtTill.IsZero() {
			l.pump(now, c)
		}
	}
	for _, ct := range l.contacts {
		if !ct.retry.IsZero() && !now.Before(ct.retry) {
			l.establish(now, ct)
		}
		l.due(ct.retry)
	}
	for _, s := range l.searches {
		l.endSearch(now, s)
	}
	for _, p := range l.pairs {
		l.flush(now, p)
	}
	l.fetchIcons(now)
	l.due(l.stopAt)
	return !l.stopAt.IsZero() && !now.Before(l.stopAt)
}

func (l *loop) handleCommands(now time.Time) {
	for _, c := range l.commands.Take() {
		switch c := c.(type) {
		case Contact:
			l.publish(now, c)
		case withdrawal:
			if ct := l.contacts[ContactID(c)]; ct != nil {
				l.withdraw(now, ct)
			}
		case *outgoing:
			l.send(now, c)
		case asking:
			c.answer <- l.snapshot()
		}
	}
}

func (l *loop) handleMDNS(now time.Time, ev mdns.Event) {
	switch ev := ev.(type) {
	case mdns.Established:
		l.established(now, ev.ID, Instance(ev.Instance))
	case mdns.Renaming:
		l.established(now, ev.ID, "")
	case mdns.Appeared:
		l.peerIs(now, ev.Entry)
	case mdns.Changed:
		l.peerIs(now, ev.Entry)
	case mdns.Vanished:
		l.peerGone(now, Instance(ev.Instance))
	}
}

// peerIs notes what mDNS says of a peer.
//
// "The replies will include a record corresponding the client itself; the
// client MUST filter out this result." XEP-0174 v0.9 (Discovering Other Users)
func (l *loop) peerIs(now time.Time, e mdns.Entry) {
	p := peerOf(e)
	if l.names[p.Instance.Key()] != nil {
		return
	}
	if !l.roster.see(now, p, e.Links) {
		l.count.peersIgnored.Add(1)
		return
	}
	l.count.peers.Store(int64(l.roster.size()))
	l.recheck(now, p.Instance)
	l.letIn(now)
	l.wantIcon(now, p)
}

// peerGone notes a goodbye, or that the records ran out.
func (l *loop) peerGone(now time.Time, i Instance) {
	l.roster.remove(i)
	l.count.peers.Store(int64(l.roster.size()))
	l.recheck(now, i)
	l.icons.gone(now, i)
	l.fetchIcons(now)
}

// recheck ends the streams of a peer that is not where it was.
func (l *loop) recheck(now time.Time, i Instance) {
	p := l.roster.get(i)
	for c := range l.conns {
		if c.stream.cfg.peer.Key() == i.Key() && (p == nil || !hasAddr(p.Addrs, c.remote)) {
			c.stream.end(now)
			l.carry(now, c)
		}
	}
	if p == nil {
		l.failWaiting(i, ErrNoPeer)
	}
}

func peerOf(e mdns.Entry) Peer {
	return Peer{Instance: Instance(e.Instance), Presence: ParseTXT(e.Text), Host: e.Host, Addrs: e.Addrs, Port: e.Port}
}

// stop withdraws everything and lets the streams end in order.
func (l *loop) stop(now time.Time) {
	l.stopped.Store(true)
	l.stopAt = now.Add(l.cfg.CloseTimeout)
	l.due(l.stopAt)
	l.handleCommands(now)
	for _, ct := range l.contacts {
		l.withdraw(now, ct)
	}
}

// finishAll cuts what is left.
func (l *loop) finishAll() {
	for c := range l.conns {
		l.drop(c)
		for _, p := range append(c.inFlight, c.queue...) {
			if p.out != nil {
				l.finish(p.out, ErrStopped)
			}
		}
		for _, o := range c.unsent {
			l.finish(o, ErrStopped)
		}
	}
	for _, p := range l.pairs {
		l.abandon(p, ErrStopped)
	}
	l.failCommands()
}
