package clique

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"meshgate/clique/rmulticast"
	"meshgate/internal/alarm"
)

const (
	linkPoll  = time.Second      // how often the links are looked at
	complains = time.Minute      // how often about members that say nonsense
	retryName = 30 * time.Second // after which a name that was lost is tried again
	restMove  = 30 * time.Second // between two moves of a room
)

// A roomLoop is in one room, or looks for it. It owns the engine and the sockets,
// and belongs to one goroutine.
type roomLoop struct {
	s    *Service
	r    *room
	log  *slog.Logger
	wake alarm.Alarm

	engine *rmulticast.Engine // nil: the room is not found yet
	name   string             // ours there
	radio  *radio
	group  netip.AddrPort
	at     place
	over   bool

	resume   []byte         // of the run before, until it is used
	looked   time.Time      // when we did so last
	lookTill time.Time      // zero: there has been no link yet
	moveTo   netip.AddrPort // once we have left
	moved    time.Time
	trouble  string // in words: why we are not further

	published bool
	lost      bool // the name of our advert, until retry
	retry     time.Time

	members    map[rmulticast.SenderID]*member
	sends      []*outgoing // that the engine has
	sent       uint64      // what of what the engine has sent is handed out
	parcels    []parcel    // packets that wait
	changed    bool        // since the last snapshot
	snapshots  uint64      // told …
	toldAt     time.Time   // … and when the last was
	complained time.Time
	frozen     bool
}

// A place is how far a room is.
type place uint8

const (
	looking place = iota // for its advert
	waiting              // for a link on which its group is
	entering
	inside
	leaving
)

func (p place) String() string {
	return [...]string{"looking for its advert", "waiting for a link", "entering", "in the room", "leaving"}[p]
}

// A member is somebody else in the room.
type member struct {
	name  string
	tubes []Tube
}

func newRoomLoop(s *Service, r *room) *roomLoop {
	return &roomLoop{
		s: s, r: r, resume: r.Resume, log: s.cfg.Log.With("room", r.Name), members: map[rmulticast.SenderID]*member{},
	}
}

// run is in the room until the room is left or ctx ends. Then it leaves in order.
func (l *roomLoop) run(ctx context.Context) {
	defer l.finish()
	defer l.wake.Stop()
	poll := time.NewTicker(linkPoll)
	defer poll.Stop()
	stop, quit := ctx.Done(), l.r.quit
	l.check(time.Now())
	for l.flush(); !l.over; l.flush() {
		l.wake.Set(l.next())
		packets, floods, broken := l.hearing()
		select {
		case list := <-packets:
			l.take(list)
		case <-l.r.sends.C():
			l.handIn(time.Now())
		case <-l.wake.C():
			l.timeout(time.Now())
		case <-poll.C:
			l.check(time.Now())
		case <-l.r.review:
			l.check(time.Now())
		case <-l.r.news.drain: // packets may be heard, or sent, again
		case f := <-floods:
			l.complainOfFlood(f)
		case conn := <-broken:
			l.radio.readerEnded(conn)
		case <-stop:
			stop = nil
			l.stop(time.Now())
		case <-quit:
			quit = nil
			l.leave(time.Now())
		}
	}
}

// hearing is what comes from the network: nothing while there is none, and no
// packets while the handler is behind. Then others repeat them, as they do what is
// lost, and deadlines go on.
func (l *roomLoop) hearing() (packets <-chan [][]byte, floods <-chan flood, broken <-chan packetConn) {
	if l.radio == nil {
		return nil, nil, nil
	}
	if !l.r.news.full() {
		packets = l.radio.packets
	}
	return packets, l.radio.floods, l.radio.broken
}

// next is when timeout is to be called.
func (l *roomLoop) next() time.Time {
	switch {
	case l.engine == nil && l.r.Make && l.looked.Before(l.lookTill):
		return l.lookTill
	case l.engine == nil:
		return time.Time{}
	}
	at := l.engine.NextTimeout()
	if len(l.parcels) > 0 {
		if held := l.parcels[0].at.Add(holdLimit); at.IsZero() || held.Before(at) {
			at = held
		}
	}
	return at
}

func (l *roomLoop) timeout(now time.Time) {
	if l.engine != nil {
		l.engine.HandleTimeout(now)
	} else {
		l.check(now)
	}
}

// take gives the engine packets that have come together.
func (l *roomLoop) take(packets [][]byte) {
	now := time.Now()
	for _, b := range packets {
		l.engine.HandlePacket(now, b)
	}
}

// check looks at the links and at what is advertised, and goes on from there.
func (l *roomLoop) check(now time.Time) {
	links := l.s.dns.Links()
	if l.at == looking {
		l.look(now, len(links) > 0)
	}
	if l.radio != nil {
		if err := l.radio.follow(links); err != nil {
			l.cannotListen(now, err)
		}
	}
	if l.at == waiting && l.radio.on() {
		l.at, l.trouble = entering, ""
		if err := l.engine.Join(now); err != nil {
			panic(err) // the name was checked, and the engine is new
		}
	}
	l.reviewName(now)
	l.reviewAdvert(now)
	l.tellTubes(now, false)
	l.show()
}

// look finds out where the room is: where it is told to be, where others say that
// it is, or, if nobody has said so for long enough, anywhere.
//
// "Keep waiting for the resolution": Salut makes a second room of the same name if
// the first one's address is not there yet.
func (l *roomLoop) look(now time.Time, linked bool) {
	l.looked = now
	if l.r.Group.IsValid() {
		l.enter(l.r.Group)
		return
	}
	if g, _ := parseResume(l.resume); g.IsValid() { // we were a member there a moment ago
		l.enter(g)
		return
	}
	if name, theirs := l.s.theirs(l.r.Name); len(theirs) > 0 {
		l.r.addressed(name)
		l.enter(theirs[0])
		return
	}
	switch {
	case !linked:
		l.lookTill = time.Time{}
	case l.lookTill.IsZero():
		l.lookTill = now.Add(l.s.cfg.FindFor)
		l.s.dns.Learn(l.r.Name, ServiceType)
	case l.r.Make && !now.Before(l.lookTill):
		l.enter(netip.AddrPort{})
	}
}

// enter begins to be in a room: at a new group if it is zero.
func (l *roomLoop) enter(g netip.AddrPort) {
	g, ok := l.s.claim(l.r, g)
	if !ok {
		l.complain("its group is that of another room that we are in")
		return
	}
	l.group, l.at = g, waiting
	l.radio = l.s.newRadio(g, l.log)
	l.name = l.s.ourName()
	l.engine = rmulticast.New(rmulticast.Config{
		Name: l.name, Rand: l.s.seed(), Limits: l.s.cfg.Limits, Resume: l.takeResume(g),
	})
	l.log.Debug("entering", "group", g)
}

// takeResume is the engine's part of what the run before has left, if that was at
// this group. It is used once.
func (l *roomLoop) takeResume(g netip.AddrPort) []byte {
	was, engine := parseResume(l.resume)
	l.resume = nil
	if was != g {
		return nil
	}
	return engine
}

// cannotListen: the group's port is not to be had. Of a room that is not made yet
// another may be.
func (l *roomLoop) cannotListen(now time.Time, err error) {
	l.complain("cannot listen at its port: " + err.Error())
	if l.at == waiting && !l.r.Group.IsValid() && l.r.Make {
		l.drop()
		l.at = looking
	}
}

// complain says once why we are not further.
func (l *roomLoop) complain(text string) {
	if l.trouble != text {
		l.trouble = text
		l.log.Warn("trouble with the room", "reason", text)
	}
}

// leave leaves the room for good.
func (l *roomLoop) leave(now time.Time) {
	l.moveTo = netip.AddrPort{}
	l.withdraw()
	switch l.at {
	case looking, waiting:
		l.over = true
	case entering, inside:
		l.at = leaving
		l.engine.Leave(now)
	}
	l.show()
}

// stop ends with the service.
func (l *roomLoop) stop(now time.Time) {
	if l.s.cfg.Resumable && !l.s.leaves.Load() && (l.at == entering || l.at == inside) {
		l.fallSilent(now)
	} else {
		l.leave(now)
	}
}

// move leaves the room for another group, or for the same under another name.
func (l *roomLoop) move(now time.Time, g netip.AddrPort) {
	l.withdraw()
	l.moveTo, l.at = g, leaving
	l.engine.Leave(now)
}

// reviewName enters the room again if we are called something else now.
func (l *roomLoop) reviewName(now time.Time) {
	if name := l.s.ourName(); l.at == inside && name != l.name {
		l.log.Info("entering again under another name", "old", l.name, "new", name)
		l.move(now, l.group)
	}
}

// drop forgets where we were.
func (l *roomLoop) drop() {
	if l.radio != nil {
		l.radio.close()
	}
	err := ErrNotYet
	if l.over {
		err = ErrNoRoom
	}
	l.failSends(err)
	clear(l.members)
	l.engine, l.radio, l.parcels, l.changed, l.frozen = nil, nil, nil, false, false
}

// finish ends what there is of the room. Closed is told when another may be joined
// in its place.
func (l *roomLoop) finish() {
	l.drop()
	l.r.over.Store(true)
	l.r.failSends(ErrNoRoom)
	l.s.remove(l.r)
	l.r.news.put(Closed{Room: l.r.Name})
}

// show lets others see how things stand.
func (l *roomLoop) show() {
	info := RoomInfo{Name: l.r.Name, Group: l.group, Ours: true, State: l.at.String(), Members: l.names()}
	switch {
	case l.trouble != "":
		info.State += ": " + l.trouble
	case l.frozen:
		info.State += ", whose members are agreeing on who is one"
	}
	if l.engine != nil {
		info.Packets = l.engine.Stats()
	}
	l.r.show(info)
}

// names are the members', sorted.
func (l *roomLoop) names() (list []string) {
	for _, m := range l.members {
		list = append(list, m.name)
	}
	slices.Sort(list)
	return list
}
