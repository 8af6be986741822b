package clique

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"meshgate/clique/rmulticast"
	"meshgate/internal/mailbox"
	"meshgate/linklocal/mdns"
)

const (
	maxOutgoing    = 4096     // documents and data of one room that are not handed out
	defaultQueue   = 8 << 20  // rmulticast's, and how many bytes of them
	defaultMessage = 16 << 20 // rmulticast's
)

// A room is what others share with the loop of a room that we are told to be in.
// Its methods are safe to call from any goroutine, and do not block.
type room struct {
	Room
	maxMessage int   // bytes
	maxWaiting int64 // bytes
	news       *news
	sends      *mailbox.Mailbox[*outgoing]
	review     chan struct{} // a token: adverts or tubes are others
	quit       chan struct{} // closed: leave
	quitOnce   sync.Once
	waiting    atomic.Int64 // outgoing that are not done
	bytes      atomic.Int64 // of them
	over       atomic.Bool

	group netip.AddrPort // guarded by the Service's mutex

	mu    sync.Mutex // guards what follows
	wire  string     // its name as documents have it
	lost  bool       // the name of our advert is somebody else's
	tubes ownTubes
	told  []Tube // of them, to others
	info  RoomInfo
}

// An outgoing is a document or data on its way into a room.
type outgoing struct {
	stream rmulticast.StreamID
	data   []byte
	done   func(error)
}

func newRoom(r Room, cfg Config) *room {
	lim := cfg.Limits
	if lim.Message <= 0 {
		lim.Message = defaultMessage
	}
	if lim.Queue <= 0 {
		lim.Queue = defaultQueue
	}
	return &room{
		Room: r, maxMessage: lim.Message, maxWaiting: int64(lim.Queue), wire: r.Name, news: newNews(cfg.MaxQueued),
		sends: mailbox.New[*outgoing](maxOutgoing), review: make(chan struct{}, 1), quit: make(chan struct{}),
		info: RoomInfo{Name: r.Name, Ours: true, State: "not begun"},
	}
}

// id is the key of our advert.
func (r *room) id() mdns.ServiceID { return mdns.ServiceID(idPrefix + r.Name) }

func (r *room) leave() { r.quitOnce.Do(func() { close(r.quit) }) }

// address is what documents of the room are addressed to.
func (r *room) address() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wire
}

// addressed changes that: DNS knows names in any spelling, documents do not.
func (r *room) addressed(wire string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wire = wire
}

// named notes by which name our advert is known now; "": none yet, but another.
func (r *room) named(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = foldName(name) != foldName(r.wire)
	signal(r.review)
}

// takeLost reports whether the name of our advert was lost, once.
func (r *room) takeLost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := r.lost
	r.lost = false
	return lost
}

// put queues something to be sent.
func (r *room) put(o *outgoing) error {
	n, size := r.waiting.Add(1), r.bytes.Add(int64(len(o.data)))
	if n > maxOutgoing || size > r.maxWaiting && n > 1 || !r.sends.Put(o) {
		r.settle(o)
		return ErrQueueFull
	}
	if r.over.Load() {
		r.failSends(ErrNoRoom) // the loop may have looked for the last time already
	}
	return nil
}

// settle makes room for others.
func (r *room) settle(o *outgoing) {
	r.waiting.Add(-1)
	r.bytes.Add(int64(-len(o.data)))
}

func (r *room) finish(o *outgoing, err error) {
	r.settle(o)
	o.done(err)
}

// failSends tells those whose messages nobody will take that it is so.
func (r *room) failSends(err error) {
	for _, o := range r.sends.Take() {
		r.finish(o, err)
	}
}

func (r *room) hasStream(id rmulticast.StreamID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tubes.has(id)
}

func (r *room) openTube(t Tube) (rmulticast.StreamID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, err := r.tubes.open(t)
	signal(r.review)
	return t.Stream, err
}

func (r *room) closeTube(id rmulticast.StreamID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.tubes.close(id) {
		return ErrStream
	}
	signal(r.review)
	return nil
}

// ownTubes are those that we have, and whether others know it.
func (r *room) ownTubes() (list []Tube, told bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	told = slices.EqualFunc(r.tubes.list, r.told, func(a, b Tube) bool { return a.Stream == b.Stream && a.ID == b.ID })
	return slices.Clone(r.tubes.list), told
}

// tellTubes notes what others know of our tubes.
func (r *room) tellTubes(list []Tube) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = list
}

func (r *room) snapshot() RoomInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.info
}

func (r *room) show(info RoomInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info = info
}
