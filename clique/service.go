package clique

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"meshgate/clique/rmulticast"
	"meshgate/internal/mailbox"
	"meshgate/internal/multicast"
	"meshgate/internal/stanza"
	"meshgate/linklocal/mdns"
)

// ServiceType is the DNS-SD type of rooms, to be browsed for (mdns.ConnConfig.Browse).
const ServiceType = "_clique._udp"

// stopLimit is for how long Run stops at most: the last goodbye of a room is said
// after a second, and for half a second more who missed it is answered.
const stopLimit = 2 * time.Second

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
	cfg    Config
	dns    DNS
	count  counters
	listen func(multicast.Config) (packetConn, error)
	inbox  *mailbox.Latest[string, mdns.Event]
	joins  *mailbox.Mailbox[*room]
	dawn   chan struct{} // a token: there may be something to tell of adverts
	leaves atomic.Bool   // see LeaveOnStop

	mu      sync.Mutex // guards what follows
	name    string
	rand    *rand.Rand
	adverts *adverts
	rooms   map[string]*room // by name
	stopped bool
}

// New makes a Service. It starts nothing: see Run.
func New(cfg Config, dns DNS) *Service {
	cfg = cfg.withDefaults()
	return &Service{
		cfg: cfg, dns: dns,
		listen:  func(c multicast.Config) (packetConn, error) { return multicast.Listen(c) },
		inbox:   mailbox.NewLatest[string, mdns.Event](2*maxAdverts + cfg.MaxRooms),
		dawn:    make(chan struct{}, 1),
		name:    cfg.Name,
		joins:   mailbox.New[*room](2 * cfg.MaxRooms),
		rand:    cfg.Rand,
		adverts: newAdverts(cfg.IPv6),
		rooms:   map[string]*room{},
	}
}

// Run is in the rooms until ctx ends: then it leaves them, which takes a second
// and a half, unless Config.Resumable says otherwise, and returns nil. It must be called once. All that there is to tell
// goes to h, from goroutines that Run owns. An error is the configuration's fault.
//
// The adverts are taken back by the mDNS responder, which has to end later.
func (s *Service) Run(ctx context.Context, h Handler) error {
	if err := checkPresence(s.cfg.Name); err != nil {
		return err
	}
	d := &desk{Service: s, handler: h, tell: make(chan Event)}
	return d.run(ctx)
}

// LeaveOnStop has the rooms be left when Run ends, whatever Config.Resumable says: nobody
// will go on in them.
func (s *Service) LeaveOnStop() { s.leaves.Store(true) }

// SetName changes what we are called, Config.Name: when the LAN knows us by another
// presence name, because somebody has ours. Two of one name would drive each other
// out of every room. The rooms that we are in are left and entered again.
func (s *Service) SetName(name string) error {
	if err := checkPresence(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = name
	for _, r := range s.rooms {
		signal(r.review)
	}
	return nil
}

func (s *Service) ourName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}

// HandleMDNS takes an event of the mDNS responder. It may be called before Run and
// after it; other service types are ignored.
func (s *Service) HandleMDNS(ev mdns.Event) {
	key := ""
	switch ev := ev.(type) {
	case mdns.Established:
		key = ownKey(ev.ID)
	case mdns.Renaming:
		key = ownKey(ev.ID)
	case mdns.Appeared:
		key = roomKey(ev.Type, ev.Instance)
	case mdns.Changed:
		key = roomKey(ev.Type, ev.Instance)
	case mdns.Vanished:
		key = roomKey(ev.Type, ev.Instance)
	}
	if key != "" && !s.inbox.Put(key, ev) {
		s.count.advertsIgnored.Add(1)
	}
}

// idPrefix tells our adverts from what others have published.
const idPrefix = "clique/"

func ownKey(id mdns.ServiceID) string {
	if !strings.HasPrefix(string(id), idPrefix) {
		return ""
	}
	return "own " + string(id)
}

func roomKey(typ, instance string) string {
	if typ != ServiceType {
		return ""
	}
	return "room " + foldName(instance)
}

// Join enters a room, makes it, or looks for it. What becomes of it comes as events.
func (s *Service) Join(r Room) error {
	if err := checkName(r.Name); err != nil {
		return err
	}
	if r.Group != (netip.AddrPort{}) {
		if err := checkGroup(r.Group); err != nil {
			return err
		}
		if r.Group.Addr().Is6() && !s.cfg.IPv6 {
			return errIPv6
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return ErrStopped
	case s.rooms[r.Name] != nil:
		return ErrJoined
	case len(s.rooms) >= s.cfg.MaxRooms:
		return ErrTooMany
	}
	room := newRoom(r, s.cfg)
	if !s.joins.Put(room) {
		return ErrTooMany
	}
	s.rooms[r.Name] = room
	if !s.isClaimed(room, r.Group) {
		room.group = r.Group // before somebody advertises another room there
	}
	return nil
}

// Leave leaves a room: Closed says when it is done.
func (s *Service) Leave(name string) {
	if r := s.room(name); r != nil {
		r.leave()
	}
}

func (s *Service) room(name string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[name]
}

// Send says a message in a room: its to and from are set. Its done, if not nil, is
// called once, from any goroutine and without blocking: with nil when the packets
// have been handed out, and the room has the message as far as it depends on us.
// Messages of a room leave in the order in which they were given.
func (s *Service) Send(room string, st *stanza.Element, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	if err := s.send(room, st, done); err != nil {
		s.count.sendsFailed.Add(1)
		done(err)
	}
}

func (s *Service) send(name string, st *stanza.Element, done func(error)) error {
	if !st.Is(stanza.NSClient, "message") {
		return errMessage
	}
	r := s.room(name)
	if r == nil {
		return ErrNoRoom
	}
	doc := appendDocument(nil, s.ourName(), r.address(), st)
	if len(doc) > s.cfg.MaxStanza {
		return ErrTooLarge
	}
	return r.put(&outgoing{data: doc, done: done})
}

// SendData sends data on a stream that OpenTube has given. The data must not be
// changed afterwards.
func (s *Service) SendData(room string, stream rmulticast.StreamID, data []byte) error {
	r := s.room(room)
	switch {
	case r == nil:
		return ErrNoRoom
	case !r.hasStream(stream):
		return ErrStream
	case len(data) == 0 || len(data) > r.maxMessage:
		return ErrTooLarge
	}
	return r.put(&outgoing{stream: stream, data: data, done: func(error) {}})
}

// OpenTube announces a tube of ours of type "dbus" and gives it a stream, of 1 to
// 65535. Whoever comes later is told of it, too.
func (s *Service) OpenTube(room string, t Tube) (rmulticast.StreamID, error) {
	r := s.room(room)
	if r == nil {
		return 0, ErrNoRoom
	}
	if t.Service == "" || t.ID < 1 || t.ID > maxTubeID {
		return 0, errTube
	}
	t.Type = "dbus"
	return r.openTube(t)
}

// CloseTube takes a tube back and releases its stream.
func (s *Service) CloseTube(room string, stream rmulticast.StreamID) error {
	r := s.room(room)
	if r == nil {
		return ErrNoRoom
	}
	return r.closeTube(stream)
}

// Rooms lists all rooms that we know of, by name.
func (s *Service) Rooms() (list []RoomInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := map[string]bool{}
	for _, r := range s.rooms {
		info := r.snapshot()
		ours[foldName(info.Name)] = true
		if ad := s.adverts.all[foldName(info.Name)]; ad != nil {
			info.Advertised = ad.group().IsValid()
		}
		list = append(list, info)
	}
	for key, ad := range s.adverts.all {
		if g := ad.group(); g.IsValid() && !ours[key] {
			list = append(list, RoomInfo{Name: ad.name, Group: g, Advertised: true, State: "advertised"})
		}
	}
	slices.SortFunc(list, func(a, b RoomInfo) int { return strings.Compare(a.Name, b.Name) })
	return list
}
