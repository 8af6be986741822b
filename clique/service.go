package clique

import (
	"context"

	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
	"meshgate/linklocal/mdns"
)

// ServiceType is the DNS-SD type of rooms, to be browsed for (mdns.ConnConfig.Browse).
const ServiceType = "_clique._udp"

// DNS is what a Service needs of an mDNS responder; *mdns.Conn has it. Its
// methods are called from several goroutines.
type DNS interface {
	Register(mdns.Service) error
	Unregister(mdns.ServiceID)
	Learn(instance, typ string) // there may be an instance: the responder finds out
	Links() []mdns.Link         // where rooms are, too
}

// A Service is in rooms. All of its methods are safe to call from any goroutine,
// and none but Run blocks.
type Service struct {
	cfg Config
	dns DNS
}

// New makes a Service. It starts nothing: see Run.
func New(cfg Config, dns DNS) *Service { return &Service{cfg: cfg.withDefaults(), dns: dns} }

// Run is in the rooms until ctx ends: then it leaves them, which takes a second
// and a half, and returns nil. It must be called once, with what all rooms have to
// tell going to h. An error is the configuration's fault.
func (s *Service) Run(ctx context.Context, h Handler) error { <-ctx.Done(); return nil }

// HandleMDNS takes an event of the mDNS responder. It may be called before Run and
// after it; other service types are ignored.
func (s *Service) HandleMDNS(ev mdns.Event) {}

// Join enters a room, makes it, or looks for it. What becomes of it comes as events.
func (s *Service) Join(r Room) error { return ErrStopped }

// Leave leaves a room: Closed says when it is done.
func (s *Service) Leave(name string) {}

// Send says a message in a room: its to and from are set. Its done, if not nil, is
// called once, from any goroutine and without blocking: with nil when the packets have been handed out, and the room has the
// message as far as it depends on us.
func (s *Service) Send(room string, st *stanza.Element, done func(error)) {}

// SendData sends data on a stream that OpenTube has given.
func (s *Service) SendData(room string, stream rmulticast.StreamID, data []byte) error {
	return ErrNoRoom
}

// OpenTube announces a tube of ours of type "dbus" and gives it a stream.
func (s *Service) OpenTube(room string, t Tube) (rmulticast.StreamID, error) { return 0, ErrNoRoom }

// CloseTube takes a tube back and releases its stream.
func (s *Service) CloseTube(room string, stream rmulticast.StreamID) error { return ErrNoRoom }

// Rooms lists all rooms that we know of, by name.
func (s *Service) Rooms() []RoomInfo { return nil }
