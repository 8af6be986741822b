package clique

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"meshgate/linklocal/mdns"
)

// A desk is what Run does beside the rooms: it follows what is advertised, lets
// rooms begin, and waits for them. It belongs to one goroutine.
type desk struct {
	*Service
	handler Handler
	wg      sync.WaitGroup // rooms and couriers
	tell    chan Event     // to the desk's courier
}

func (d *desk) run(ctx context.Context) error {
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer d.wg.Wait()
	defer endWork()
	courier, endCourier := context.WithCancel(work)
	d.wg.Go(func() { d.courier(courier) })
	var rooms sync.WaitGroup
	d.serve(ctx, func(r *room) {
		rooms.Go(func() { d.be(ctx, work, r) })
	})
	endCourier()
	defer time.AfterFunc(stopLimit, endWork).Stop()
	rooms.Wait()
	return nil
}

func (d *desk) serve(ctx context.Context, begin func(*room)) {
	var news Event
	for {
		if news == nil {
			news = d.nextNews()
		}
		var tell chan Event
		if news != nil {
			tell = d.tell
		}
		select {
		case <-d.inbox.C():
			for _, ev := range d.inbox.Take() {
				d.handleMDNS(ev)
			}
		case <-d.joins.C():
			for _, r := range d.joins.Take() {
				begin(r)
			}
		case <-d.dawn:
		case tell <- news:
			news = nil
		case <-ctx.Done():
			d.close()
			for _, r := range d.joins.Take() {
				begin(r) // it ends at once, and says so
			}
			return
		}
	}
}

// close lets nobody in any more.
func (s *Service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

// courier tells the handler what is advertised, outside of the desk: it may block.
func (d *desk) courier(ctx context.Context) {
	for {
		select {
		case ev := <-d.tell:
			d.handler.HandleClique(ctx, ev)
		case <-ctx.Done():
			return
		}
	}
}

func (d *desk) nextNews() Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.adverts.next()
}

// be is in a room until that is over. What is still to be told then is told while
// work lasts.
func (d *desk) be(ctx, work context.Context, r *room) {
	var courier sync.WaitGroup
	courier.Go(func() { r.news.deliver(work, d.handler) })
	l := newRoomLoop(d.Service, r)
	l.run(ctx)
	r.news.end()
	courier.Wait()
}

// seed is for a room's own randomness.
func (s *Service) seed() *rand.Rand {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rand.New(rand.NewPCG(s.rand.Uint64(), s.rand.Uint64()))
}

func (d *desk) handleMDNS(ev mdns.Event) {
	switch ev := ev.(type) {
	case mdns.Appeared:
		d.advertised(ev.Instance, func() bool { return d.adverts.see(ev.Entry) })
	case mdns.Changed:
		d.advertised(ev.Instance, func() bool { return d.adverts.see(ev.Entry) })
	case mdns.Vanished:
		d.advertised(ev.Instance, func() bool { d.adverts.vanish(ev.Instance); return true })
	case mdns.Renaming:
		d.named(ev.ID, "")
	case mdns.Established:
		d.named(ev.ID, ev.Instance)
	}
}

// advertised notes what becomes of an advert, and tells the rooms of that name.
func (d *desk) advertised(name string, note func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !note() {
		d.count.advertsIgnored.Add(1)
	}
	for _, r := range d.rooms {
		if foldName(r.Name) == foldName(name) {
			signal(r.review)
		}
	}
}

// named notes by which name our advert of a room is known now; "": none.
func (d *desk) named(id mdns.ServiceID, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.rooms {
		if r.id() == id {
			r.named(name)
		}
	}
}

// signal puts a token, if there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// theirs is what others advertise of a name, and how they spell it.
func (s *Service) theirs(name string) (string, []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.adverts.theirs(name)
}

// own notes what we advertise of a name; zero: nothing.
func (s *Service) own(name string, g netip.AddrPort) {
	s.mu.Lock()
	s.adverts.own(name, g)
	s.mu.Unlock()
	signal(s.dawn)
}

// claim gives a room a group, for itself among ours; a zero one: a new one that
// nobody has. False: another room of ours has it.
func (s *Service) claim(r *room, g netip.AddrPort) (netip.AddrPort, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !g.IsValid() {
		for g = randomGroup(s.rand); s.adverts.has(g) || s.isClaimed(r, g); {
			g = randomGroup(s.rand)
		}
	}
	if s.isClaimed(r, g) {
		return g, false
	}
	r.group = g
	return g, true
}

// isClaimed reports whether a group is another room's of ours. The caller has the
// mutex.
func (s *Service) isClaimed(r *room, g netip.AddrPort) bool {
	for _, o := range s.rooms {
		if o != r && o.group == g && g.IsValid() {
			return true
		}
	}
	return false
}

// inUse is isClaimed for those who have not.
func (s *Service) inUse(r *room, g netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isClaimed(r, g)
}

// remove forgets a room that is over.
func (s *Service) remove(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[r.Name] == r {
		delete(s.rooms, r.Name)
	}
}
