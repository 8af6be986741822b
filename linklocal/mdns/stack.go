package mdns

import (
	"cmp"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// linkGrace is how long what was seen on a link that is gone stays: a new lease
// or a cable that was trodden on is no news about people.
const linkGrace = 2 * time.Second

// A Stack is the pure state machine of one mDNS stack on several links: an
// [Engine] for each, under one set of names. Who is on more than one link is
// one entry. It has the contract of an Engine; every name given to a link is
// that of an interface.
//
// A name that is refused on one link is given up on all. It is ours once it
// holds on every link that is up.
type Stack struct {
	cfg  Config
	self *self
	host naming
	out  Output

	links    []*stackLink // by name
	services map[ServiceID]*publication
	order    []*publication        // of registration
	names    map[name]*publication // folded
	closing  bool

	entries   map[name]*merged // of others
	queries   []*stackQuery
	lastQuery uint64

	past Stats // of links that are gone
}

// A stackLink is one link and its engine.
type stackLink struct {
	name    string
	e       *Engine
	goneAt  time.Time // not zero: gone, and forgotten then
	queries map[uint64]*stackQuery
}

func (l *stackLink) up() bool { return len(l.e.addrs) > 0 }

// NewStack returns a stack without links.
func NewStack(now time.Time, cfg Config) *Stack {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.New(rand.NewPCG(uint64(now.UnixNano()), 0))
	}
	return &Stack{
		cfg: cfg, self: newSelf(), host: naming{label: hostLabel(cfg.Host)},
		services: map[ServiceID]*publication{}, names: map[name]*publication{}, entries: map[name]*merged{},
	}
}

// SetLink says that a link is there, with these addresses of ours, which of
// ours to publish on it, and by how many families multicasts leave on it. A new
// link, and one that comes back, starts with probing; see [Engine.SetAddrs].
func (s *Stack) SetLink(now time.Time, link string, addrs, published []netip.Addr, families int) {
	if len(addrs) == 0 {
		s.RemoveLink(now, link)
		return
	}
	l := s.link(link)
	if l == nil {
		l = s.addLink(now, link)
	}
	l.e.copies = max(families, 1)
	l.e.setAddrs(now, addrs, published)
	if !l.goneAt.IsZero() {
		l.goneAt = time.Time{}
		l.e.monitor.doubtAll(now)
	}
	s.settle(now)
}

// RemoveLink says that a link is gone.
func (s *Stack) RemoveLink(now time.Time, link string) {
	l := s.link(link)
	if l == nil || !l.goneAt.IsZero() {
		return
	}
	l.e.SetAddrs(now, nil)
	l.goneAt = now.Add(linkGrace)
	s.settle(now)
	for _, p := range s.order {
		s.tellIfHeld(p)
	}
}

// StartOver treats all links as new: we have slept, say.
func (s *Stack) StartOver(now time.Time) {
	for _, l := range s.links {
		if l.up() {
			l.e.startOver(now)
		}
	}
	s.settle(now)
}

func (s *Stack) link(name string) *stackLink {
	i, ok := slices.BinarySearchFunc(s.links, name, func(l *stackLink, name string) int { return cmp.Compare(l.name, name) })
	if !ok {
		return nil
	}
	return s.links[i]
}

// addLink makes the engine of a new link and gives it all that we publish,
// under the names of the other links.
func (s *Stack) addLink(now time.Time, name string) *stackLink {
	cfg := s.cfg
	cfg.Zone, cfg.Log = name, cfg.Log.With("interface", name)
	l := &stackLink{name: name, e: newEngine(now, cfg, s.self), queries: map[uint64]*stackQuery{}}
	l.e.takeName(now, l.e.host, s.host)
	for _, p := range s.order {
		l.e.add(now, *p.svc, naming{p.label, p.renames})
	}
	for _, q := range s.queries {
		s.askOn(now, q, l)
	}
	s.links = append(s.links, l)
	slices.SortFunc(s.links, func(a, b *stackLink) int { return cmp.Compare(a.name, b.name) })
	return l
}

// forgetLink drops a link and what was seen on it alone.
func (s *Stack) forgetLink(now time.Time, l *stackLink) {
	s.links = remove(s.links, l)
	s.past.add(l.e.stats)
	s.abandon(l)
	for _, key := range slices.Sorted(maps.Keys(l.e.monitor.instances)) {
		switch inst := l.e.monitor.instances[key]; {
		case inst.reported != nil:
			s.review(nil, key)
		case inst.learned:
			s.vanished(l, Vanished{Instance: inst.label, Type: inst.typ.typeString()})
		}
	}
}

// Shutdown says goodbye for everything. The stack is done when Done says so.
func (s *Stack) Shutdown(now time.Time) {
	s.closing = true
	for _, l := range s.links {
		l.e.Shutdown(now)
	}
	s.settle(now)
	s.abandonAll()
}

// Done reports whether a shutdown is over: all goodbyes are said.
func (s *Stack) Done() bool {
	return s.closing && !slices.ContainsFunc(s.links, func(l *stackLink) bool { return !l.e.Done() })
}

// HandlePacket takes a datagram received on a link.
func (s *Stack) HandlePacket(now time.Time, link string, p Packet) {
	if l := s.link(link); l != nil && l.up() {
		l.e.HandlePacket(now, p)
		s.settle(now)
	}
}

// HandleTimeout lets time pass. Calling it early or late is harmless.
func (s *Stack) HandleTimeout(now time.Time) {
	for _, l := range slices.Clone(s.links) {
		if due(l.goneAt, now) {
			s.forgetLink(now, l)
			continue
		}
		l.e.HandleTimeout(now)
		s.settle(now) // one by one: each knows then what the others have said
	}
	s.expireQueries(now)
}

// NextTimeout is when to call HandleTimeout; it may be past; zero: never.
func (s *Stack) NextTimeout() (at time.Time) {
	for _, l := range s.links {
		at = earliest(at, earliest(l.e.NextTimeout(), l.goneAt))
	}
	for _, q := range s.queries {
		if q.open == 0 {
			at = earliest(at, q.deadline)
		}
	}
	return at
}

// TakeOutput returns what is to be done, and forgets it.
func (s *Stack) TakeOutput() Output {
	out := s.out
	s.out = Output{}
	return out
}

// Stats returns the counters, of all links together.
func (s *Stack) Stats() Stats {
	sum := s.past
	for _, l := range s.links {
		sum.add(l.e.Stats())
	}
	sum.Services, sum.Instances = len(s.services), len(s.entries)
	return sum
}

func (s *Stack) event(ev Event) { s.out.Events = append(s.out.Events, ev) }

// settle gathers what the engines have to say until there is nothing more:
// what one says may concern the others.
func (s *Stack) settle(now time.Time) {
	for again := true; again; {
		again = false
		for _, l := range s.links {
			out := l.e.TakeOutput()
			for _, ev := range out.Events {
				s.heard(now, l, ev)
			}
			for _, d := range out.Datagrams {
				d.Link = l.name
				s.out.Datagrams = append(s.out.Datagrams, d)
			}
			again = s.followHost(now, l) || again || len(out.Events) > 0
		}
	}
}

// heard takes an event of one link.
func (s *Stack) heard(now time.Time, l *stackLink, ev Event) {
	switch ev := ev.(type) {
	case Established:
		if p := s.services[ev.ID]; p != nil {
			s.review(l, p.key) // by this name we know ourselves now
			s.tellIfHeld(p)
		}
	case Renaming:
		s.follow(now, l, ev.ID)
	case Appeared:
		s.review(l, ev.key())
	case Changed:
		s.review(l, ev.key())
	case Vanished:
		s.vanished(l, ev)
	case Resolved:
		s.answered(l, ev.Query, ev.OK, ev)
	case NullResolved:
		s.answered(l, ev.Query, ev.OK, ev)
	}
}
