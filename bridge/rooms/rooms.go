package rooms

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/internal/alarm"
	"meshgate/internal/mailbox"
	"meshgate/xmppc2s"
)

// Rooms own all joined rooms. Their methods are safe from any goroutine.
type Rooms struct {
	cfg     Config
	parts   Parts
	fromLAN chan clique.Event // unbuffered: what was not taken was not accepted
	fromSrv chan xmppc2s.Event
	results *mailbox.Mailbox[result]
	done    chan struct{}
	writing atomic.Int64 // what the disk was given and has not got yet
	failed  atomic.Int64 // rows of lines that it has not taken, of which the engines may not know …
	lacking atomic.Int64 // … and those that they know of and that are not being written
	known   int64        // of failed the engines have come to know of so many; belongs to Run

	mu    sync.Mutex
	infos []Info
	stats Stats
}

// A result is what became of something that an engine wanted done.
type result struct {
	room  *engine
	token uint64
	err   error
	sent  bool     // to the LAN; or else written
	due   *lanLine // whose row was not written
}

// New prepares the rooms. Nothing happens before Run. What is wrong with cfg is
// for its Validate to say.
func New(cfg Config, parts Parts) *Rooms {
	cfg = cfg.withDefaults()
	if parts.Past == nil {
		parts.Past = noPast{}
	}
	if parts.Marks == nil {
		parts.Marks = noMarks{}
	}
	if parts.Snapshots == nil {
		parts.Snapshots = noSnapshots{}
	}
	r := &Rooms{
		cfg: cfg, parts: parts,
		fromLAN: make(chan clique.Event), fromSrv: make(chan xmppc2s.Event),
		// Each result answers a line that is on its way or being written: there is always room.
		results: mailbox.New[result](len(cfg.Rooms) * 2 * (cfg.Limits.Window + cfg.Limits.Held + cfg.Limits.Due)),
		done:    make(chan struct{}),
	}
	for _, room := range cfg.Rooms {
		r.infos = append(r.infos, Info{Name: room.Name, MUC: room.MUC, Group: room.Group, State: unable.String()})
	}
	slices.SortFunc(r.infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return r
}

// HandleClique takes an event of a Clique room; others are ignored. It blocks
// while the rooms are busy, and returns early when ctx or Run ends.
func (r *Rooms) HandleClique(ctx context.Context, ev clique.Event) {
	handle(ctx, r, r.fromLAN, ev)
	if s, ok := ev.(clique.Snapshot); ok {
		r.keep(ctx, s)
	}
}

// keep returns when a snapshot is kept: what the Clique room sends next is known to the
// others, and has to be known to a run that comes after a kill. What was told before it is
// not told again then, so lines that the loop has taken have to be on the disk. If they do not
// get there, the one before stays, until they do.
func (r *Rooms) keep(ctx context.Context, s clique.Snapshot) {
	if r.writing.Load() > 0 && !r.written(ctx) || r.failed.Load() > 0 || r.lacking.Load() > 0 {
		return
	}
	if err := r.parts.Snapshots.Set(s.Room, s.Data); err != nil {
		r.cfg.Log.Debug("how things stand in a Clique room was not written", "room", s.Room, "err", err) // it comes with each line
		r.unwritten()
	}
}

// written waits for the disk to have what it was given. It reports false if that did not
// come about.
func (r *Rooms) written(ctx context.Context) bool {
	done := make(chan error, 1)
	r.parts.Past.Write(func(err error) { done <- err })
	select {
	case err := <-done:
		return err == nil
	case <-r.done:
	case <-ctx.Done():
	}
	return false
}

// HandleServer takes an event of the network: Online, Offline, Acknowledged,
// Undelivered and RoomEvents; all others, and those of rooms that are not joined,
// are ignored (RoomInvited and RoomDeclined belong to the hub, and must not be given to
// both). It blocks while the rooms are busy, and returns early when ctx or Run ends.
func (r *Rooms) HandleServer(ctx context.Context, ev xmppc2s.Event) { handle(ctx, r, r.fromSrv, ev) }

func handle[T any](ctx context.Context, r *Rooms, door chan T, ev T) {
	select {
	case door <- ev:
	case <-r.done:
	case <-ctx.Done():
	}
}

// Run owns the rooms until ctx ends. It must be called once.
//
// A line of a MUC that is neither on the LAN nor on our disk by then is not done:
// the server, or its archive, gives it to the next run.
func (r *Rooms) Run(ctx context.Context) error {
	defer close(r.done)
	rooms := r.begin(time.Now())
	var wake alarm.Alarm
	defer wake.Stop()
	for {
		wake.Set(r.settle(rooms))
		select {
		case ev := <-r.fromLAN:
			for _, room := range rooms {
				if re, ok := ev.(clique.RoomEvent); ok && re.RoomName() == room.room.Name {
					room.handleClique(time.Now(), ev)
				}
			}
		case ev := <-r.fromSrv:
			r.takeResults()
			for _, room := range rooms {
				if re, ok := ev.(xmppc2s.RoomEvent); !ok || re.RoomJID().Bare().Equal(room.room.MUC) {
					room.handleServer(time.Now(), ev)
				}
			}
		case <-r.results.C():
			r.takeResults()
		case <-wake.C():
			now := time.Now()
			r.listen(now, rooms)
			for _, room := range rooms {
				if due := room.nextTimeout(); !due.IsZero() && !now.Before(due) {
					room.handleTimeout(now)
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// begin makes the engines of what former runs have left, and has both sides enter.
func (r *Rooms) begin(now time.Time) (rooms []*engine) {
	past := make(map[string]*saved)
	for _, room := range r.cfg.Rooms {
		past[room.Name] = &saved{}
	}
	var gone []Change // of rooms that are not joined any more
	site := r.cfg.Site
	for key, value := range r.parts.Past.All() {
		name, rest, ok := strings.Cut(string(key), "\x00")
		if string(key) == siteKey && site == "" {
			site = string(value)
		} else if s := past[name]; ok && s != nil {
			s.add([]byte(rest), value)
		} else if name != "" {
			gone = append(gone, Change{Key: slices.Clone(key)})
		}
	}
	if len(gone) > 0 {
		r.parts.Past.Later(gone...)
	}
	before := make(map[mark]bool)
	for m := range r.parts.Marks.All() {
		before[m] = true
	}
	for i, room := range r.cfg.Rooms {
		e := newEngine(now, &r.cfg, room, site, before)
		if site == "" && i == 0 {
			site = "site-" + e.newID()
			e.site = site
			r.parts.Past.Later(Change{[]byte(siteKey), []byte(site)})
		}
		s := past[room.Name]
		e.restore(now, *s)
		rooms = append(rooms, e)
		r.enter(e)
	}
	return rooms
}

// enter has both sides enter a room.
func (r *Rooms) enter(e *engine) {
	room := e.room
	err := r.parts.LAN.Join(clique.Room{
		Name: room.Name, Group: room.Group, Make: room.Make, Private: room.Private, Resume: r.parts.Snapshots.Get(room.Name),
	})
	if err != nil {
		r.cfg.Log.Error("the Clique room cannot be entered", "room", room.Name, "err", err)
	}
	r.parts.Server.EnterRoom(e.mucRoom())
}

// listen tells the engines that want to know whether anybody is heard on the LAN.
func (r *Rooms) listen(now time.Time, rooms []*engine) {
	heard := make(map[string]uint64)
	if slices.ContainsFunc(rooms, (*engine).watchesLAN) {
		for _, i := range r.parts.LAN.Rooms() {
			heard[i.Name] = i.Packets.Others
		}
	}
	for _, room := range rooms {
		room.count(now, heard[room.room.Name])
	}
}

// takeResults tells the engines what became of what they wanted.
func (r *Rooms) takeResults() {
	for _, res := range r.results.Take() {
		switch {
		case res.due != nil:
			res.room.notWritten(time.Now(), res.due)
			r.known++
		case res.sent:
			res.room.handleSent(time.Now(), res.token, res.err)
		default:
			res.room.handleWritten(time.Now(), res.token, res.err)
		}
	}
}

// settle does what the engines want done, and returns when one of them wants to be
// called; zero: never.
func (r *Rooms) settle(rooms []*engine) (next time.Time) {
	for _, room := range rooms {
		for actions := room.takeActions(); len(actions) > 0; actions = room.takeActions() {
			for _, a := range actions {
				r.do(room, a)
			}
		}
		if at := room.nextTimeout(); next.IsZero() || !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	r.reckon(rooms)
	r.show(rooms)
	return next
}

// reckon lets keep know what the disk lacks, now that what is written again counts as being
// written.
func (r *Rooms) reckon(rooms []*engine) {
	lacking := int64(0)
	for _, room := range rooms {
		lacking += room.due.lacking()
	}
	r.lacking.Store(lacking)
	r.failed.Add(-r.known)
	r.known = 0
}

func (r *Rooms) do(room *engine, a action) {
	log := r.cfg.Log.With("room", room.room.Name)
	switch a := a.(type) {
	case sendLAN:
		r.parts.LAN.Send(room.room.Name, a.stanza, r.sent(room, a))
	case sendMUC:
		if err := r.parts.Server.Send(a.stanza); err != nil {
			log.Warn("a line was not taken by the server session", "err", err)
			room.notSent(time.Now(), a.stanza)
		}
	case write:
		r.writing.Add(1)
		r.parts.Past.Write(func(err error) {
			if err != nil {
				log.Warn("a line was not written", "err", err)
				r.unwritten()
				if a.due != nil {
					r.failed.Add(1)
					r.results.Put(result{room: room, due: a.due})
				}
			}
			r.writing.Add(-1)
			if a.token != 0 {
				r.results.Put(result{room: room, token: a.token, err: err})
			}
		}, a.changes...)
	case later:
		r.parts.Past.Later(a...)
	case remember:
		r.parts.Marks.Add(a.mark)
	case finish:
		for _, done := range a {
			done()
		}
	case setStatus:
		r.parts.Server.SetRoomStatus(room.room.MUC, a.text)
	case tell:
		if r.parts.Tell != nil {
			r.parts.Tell(a.peer, a.text)
		}
	case note:
		log.Info(a.text, a.args...)
	}
}

// sent is what is to be called when a line was given to the LAN: if we are killed
// now it shall not be given again. nil: nothing is.
func (r *Rooms) sent(room *engine, a sendLAN) func(error) {
	if a.token == 0 {
		return nil
	}
	return func(err error) {
		if err == nil {
			r.parts.Marks.Add(a.mark)
		}
		r.results.Put(result{room: room, token: a.token, err: err, sent: true})
	}
}

func (r *Rooms) unwritten() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Unwritten++
}

// show makes the state of all rooms known to whoever asks.
func (r *Rooms) show(rooms []*engine) {
	infos := make([]Info, 0, len(rooms))
	var s Stats
	for _, room := range rooms {
		infos = append(infos, room.info(time.Now()))
		lan, muc := room.stats()
		s.FromLAN.add(lan)
		s.FromMUC.add(muc)
		s.TakenOver += room.takenOver
		s.Notices += room.noticed
		s.Rooms++
		if room.gates.duty == carrying {
			s.Carried++
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Unwritten = r.stats.Unwritten
	r.infos, r.stats = infos, s
}

// List is all rooms, by name.
func (r *Rooms) List() []Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.infos)
}

// ByName is the room of a Clique room.
func (r *Rooms) ByName(name string) (Info, bool) {
	return r.find(func(i Info) bool { return i.Name == name })
}

// ByMUC is the room of a MUC.
func (r *Rooms) ByMUC(muc jid.JID) (Info, bool) {
	return r.find(func(i Info) bool { return i.MUC.Equal(muc.Bare()) })
}

func (r *Rooms) find(is func(Info) bool) (Info, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.infos, is); i >= 0 {
		return r.infos[i], true
	}
	return Info{}, false
}

// Stats are the counters as of the last event that is done with.
func (r *Rooms) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}
