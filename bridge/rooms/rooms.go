package rooms

import (
	"context"

	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/xmppc2s"
)

// Rooms own all joined rooms. Their methods are safe from any goroutine.
type Rooms struct {
	cfg   Config
	parts Parts
	done  chan struct{}
}

// New prepares the rooms. Nothing happens before Run. What is wrong with cfg is
// for its Validate to say.
func New(cfg Config, parts Parts) *Rooms {
	return &Rooms{cfg: cfg.withDefaults(), parts: parts, done: make(chan struct{})}
}

// Run owns the rooms until ctx ends. It must be called once.
func (r *Rooms) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// HandleClique takes an event of a Clique room; others are ignored. It blocks
// while the rooms are busy, and returns early when ctx or Run ends.
func (r *Rooms) HandleClique(ctx context.Context, ev clique.Event) {}

// HandleServer takes an event of the network: Online, Offline, Acknowledged,
// Undelivered and RoomEvents; all others, and those of rooms that are not joined,
// are ignored (a RoomInvited belongs to the hub, and must not be given to both). It
// blocks while the rooms are busy, and returns early when ctx or Run ends.
func (r *Rooms) HandleServer(ctx context.Context, ev xmppc2s.Event) {}

// List is all rooms, by name.
func (r *Rooms) List() []Info { return nil }

// ByName is the room of a Clique room; ByMUC that of a MUC.
func (r *Rooms) ByName(name string) (Info, bool) { return Info{}, false }

func (r *Rooms) ByMUC(muc jid.JID) (Info, bool) { return Info{}, false }

// Stats are the counters as of the last event that is done with.
func (r *Rooms) Stats() Stats { return Stats{} }
