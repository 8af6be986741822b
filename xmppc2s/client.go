package xmppc2s

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"meshgate/internal/iconcache"
	"meshgate/internal/mailbox"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// A Client is one account's session. Its methods are safe from any goroutine.
type Client struct {
	cfg    Config
	log    *slog.Logger
	dns    resolver
	prefix string // of ids given to stanzas that have none
	ids    atomic.Uint64

	inbox *mailbox.Mailbox[outgoing] // from Send and from the outer session
	dones *mailbox.Mailbox[sm.Mark]
	calls chan func(*loop)
	ended chan struct{} // closed when the loop takes no more calls
	poke  chan struct{} // see wakeLoop
	moved chan struct{} // the network may have
	alone chan struct{} // see ConflictOver
	own   atomic.Pointer[ownPresence]

	caught   *mailbox.Mailbox[uint64]   // messages that are done, for the archive's desk
	archived atomic.Pointer[archiveRow] // to be kept; nil: it is

	roomOrders *roomOrders
	roomDones  *mailbox.Mailbox[roomLine] // for the rooms' desk

	avatar  atomic.Pointer[*Avatar] // as SetAvatar said; nil: it was never called
	repaint chan struct{}           // avatar has changed

	queued, queuedBytes atomic.Int64 // in inbox and in the engine
	undone              atomic.Int64 // taken from the loop, and neither done nor parked at the archive's desk
	passed              atomic.Int64 // passed on, and not done
	full                atomic.Bool  // the disk
	closing             atomic.Bool  // see CloseOnStop
	counts              counters

	mu      sync.RWMutex
	stopped bool // guarded by mu: what gets in before it is set is accounted for
}

// outgoing is one whole stanza on its way to the engine.
type outgoing struct {
	data []byte
	at   time.Time
}

// New makes a client. It starts nothing.
func New(cfg Config) *Client {
	cfg = cfg.withDefaults()
	c := &Client{
		cfg: cfg, log: cfg.Log, dns: net.DefaultResolver, prefix: strconv.FormatInt(time.Now().UnixNano(), 36) + "-",
		inbox:  mailbox.New[outgoing](cfg.QueueLimit + queueReserve),
		dones:  mailbox.New[sm.Mark](cfg.MaxUndone + queueReserve),
		caught: mailbox.New[uint64](cfg.MaxUndone + archivePage + queueReserve),
		calls:  make(chan func(*loop)), ended: make(chan struct{}),
		poke: make(chan struct{}, 1), moved: make(chan struct{}, 1), alone: make(chan struct{}, 1), repaint: make(chan struct{}, 1),
		roomOrders: newRoomOrders(), roomDones: mailbox.New[roomLine](cfg.MaxUndone + maxRooms*maxRoomLines + queueReserve),
	}
	c.own.Store(&ownPresence{})
	c.closing.Store(cfg.CloseOnStop)
	return c
}

// Run keeps the session up and tells h what happens, until ctx ends. Then what
// waits is sent if that takes no longer than StopTimeout, the stream is left
// as CloseOnStop says, and every message that the server has not acknowledged
// and that is not in the Journal is reported as Undelivered. All goroutines are gone when Run returns. It is
// called once.
func (c *Client) Run(ctx context.Context, h Handler) error {
	cache := iconcache.Open(iconcache.Config{Dir: c.cfg.AvatarCache, Log: c.log}, time.Now())
	defer cache.Close()
	t := newTeller(h, newAvatarDesk(c.cfg.JID, c.cfg.Contacts, cache, c.log), newArchiveDesk(&c.cfg), newMUCDesk(&c.cfg))
	t.desk.ids = uint64(time.Now().UnixMilli()) // answers to the process before may still come
	t.archive.ids, t.rooms.ids = t.desk.ids, t.desk.ids
	var teller sync.WaitGroup
	teller.Go(func() { t.run(ctx) })
	l := newLoop(c, &connector{cfg: &c.cfg, dns: c.dns, cache: tls.NewLRUClientSessionCache(0)}, t)
	l.run(ctx)
	close(t.events)
	teller.Wait()
	return nil
}

// Send queues a stanza. It never blocks: while there is no session the stanza
// waits. The server sets from. A message without id gets one.
func (c *Client) Send(st *stanza.Element) error {
	switch {
	case st.Is(stanza.NSClient, "message"):
		if st.Attr("id") == "" {
			st = st.WithAttr("id", c.prefix+strconv.FormatUint(c.ids.Add(1), 36))
		}
	case !st.Is(stanza.NSClient, "presence") && !st.Is(stanza.NSClient, "iq"):
		return ErrNotStanza
	}
	b := stanza.Append(nil, st.WithAttr("from", ""), stanza.NSClient)
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch {
	case c.stopped:
		return ErrStopped
	case c.full.Load():
		c.counts.refused.Add(1)
		return ErrNoRoom
	}
	if !c.queue(b, c.cfg.QueueLimit, c.cfg.QueueBytes) {
		c.counts.refused.Add(1)
		return ErrQueueFull
	}
	c.counts.sent.Add(1)
	return nil
}

// CloseOnStop has the stream be closed when Run ends, whatever Config.CloseOnStop says.
// It is safe from any goroutine.
func (c *Client) CloseOnStop() { c.closing.Store(true) }

// stop makes everything be refused from now on.
func (c *Client) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	close(c.ended)
}

// queue hands a stanza to the loop, unless the queue is longer than that.
func (c *Client) queue(b []byte, stanzas, bytes int) bool {
	size := int64(len(b))
	n, total := c.queued.Add(1), c.queuedBytes.Add(size)
	if n <= int64(stanzas) && total <= int64(bytes) && c.inbox.Put(outgoing{b, time.Now()}) {
		return true
	}
	c.queued.Add(-1)
	c.queuedBytes.Add(-size)
	return false
}

// queueOwn queues what the client itself has to say. The queue may be longer
// for that than for others, but not without end: who asks faster than the
// server takes the answers gets none.
func (c *Client) queueOwn(b []byte) bool {
	ok := c.queue(b, c.cfg.QueueLimit+queueReserve, c.cfg.QueueBytes+queueReserveBytes)
	if !ok {
		c.counts.unsaid.Add(1)
		c.log.Debug("own stanza dropped: the queue is full", "bytes", len(b))
	}
	return ok
}

// wakeLoop has the loop look at what others have left for it. It never blocks.
func (c *Client) wakeLoop() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// notPassedOn says that the outer session has finished with a stanza itself.
func (c *Client) notPassedOn(in sm.Inbound) {
	c.forget(in)
	c.markDone(in.Mark)
}

// forget says that the outer session will do nothing about a stanza.
func (c *Client) forget(in sm.Inbound) {
	if in.Kind == sm.Message {
		c.undone.Add(-1)
	}
}

// markDone says that an inbound stanza has been handled.
func (c *Client) markDone(m sm.Mark) {
	if !c.dones.Put(m) {
		panic("xmppc2s: more stanzas done than were taken")
	}
}
