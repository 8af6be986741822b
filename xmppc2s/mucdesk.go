package xmppc2s

import (
	"log/slog"
	"strconv"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

const (
	// mucPace is the least time between the entrances to two rooms, or two
	// questions whether we are still in them: the session is there for messages.
	mucPace = 500 * time.Millisecond
	// mucWait is how long a room may take to answer.
	mucWait = time.Minute
	// maxMUCCatching bounds how many rooms are caught up with at a time: each
	// may have maxMUCFetch bytes in memory.
	maxMUCCatching = 4
)

// A mucDesk keeps us in rooms (XEP-0045). It is pure, outlives sessions, and
// belongs to the teller's goroutine. Each room is in one of these states:
//
//	away ──────▶ exploring ──────▶ entering ──────▶ in
//	  ▲   at its    │     it is there   │   own        │  thrown out, destroyed, not there any
//	  │   time      │     or may be     │   presence   │  more, the session is lost
//	  └─────────────┴───────────────────┴──────────────┘
//
// In a room the archive is read or the history awaited (mucarchive.go), and
// from time to time the room is asked whether we are in it (muccheck.go).
type mucDesk struct {
	domain       string // of the account
	caps         *stanza.Element
	maxOccupants int
	maxHeld      int
	log          *slog.Logger

	rooms map[string]*mucRoom // by bare address
	list  []*mucRoom          // the same, the oldest first

	online   bool
	takeover bool // the session was another process's
	paceAt   time.Time
	ids      uint64
	open     map[string]*mucQuestion // by id
	held     int                     // messages
	out      mucOutput

	touched bool
	due     time.Time
}

// A mucOutput is what is to be done, in this order.
type mucOutput struct {
	send []*stanza.Element
	drop []sm.Mark // messages that nobody is told of any more
	tell []mucTelling

	fetched, strays, private, crowded, declined uint64
}

// A mucTelling is an event. A RoomMessage has no Done yet.
type mucTelling struct {
	event  RoomEvent
	room   *mucRoom
	number uint64 // of its mark
	live   bool   // it arrived by itself, and has a mark
	mark   sm.Mark
}

// A mucQuestion is an open one to a room.
type mucQuestion struct {
	id    string
	from  string // who answers
	until time.Time
	take  func(now time.Time, iq *stanza.Element) // nil: none came
}

func newMUCDesk(cfg *Config) *mucDesk {
	return &mucDesk{
		domain: cfg.JID.Domain().String(), caps: cfg.capabilities(), maxOccupants: cfg.MaxOccupants, maxHeld: max(1, cfg.MaxUndone/4), log: cfg.Log,
		rooms: make(map[string]*mucRoom), open: make(map[string]*mucQuestion),
	}
}

// fresh begins a session: one that was bound, in which we are in no room, or one
// that another process had, in which we may be in some.
func (d *mucDesk) fresh(now time.Time, bound bool) {
	d.takeover, d.touched = !bound, true
	for _, r := range d.list {
		r.sessionEnded(now)
	}
}

// connected notes whether answers can come. After a resumption each room is
// asked whether we are in it: it may have been restarted meanwhile.
func (d *mucDesk) connected(now time.Time, online bool) {
	d.online, d.touched = online, true
	if !online {
		return
	}
	for _, q := range d.open {
		q.until = now.Add(mucWait)
	}
	for _, r := range d.list {
		r.connected(now)
	}
}

// order takes what is to be done about a room.
func (d *mucDesk) order(now time.Time, key string, o roomOrder) {
	d.touched = true
	r := d.rooms[key]
	switch {
	case o.leave && r != nil:
		r.leave()
		delete(d.rooms, key)
		d.list = without(d.list, r)
	case o.enter != nil && r != nil:
		r.change(now, *o.enter)
	case o.enter != nil && len(d.list) >= maxRooms:
		d.log.Error("a room is not entered: there are too many", "room", key, "limit", maxRooms)
	case o.enter != nil:
		r = newMUCRoom(d, key, *o.enter)
		d.rooms[key], d.list = r, append(d.list, r)
	}
	if o.status != nil && r != nil {
		r.want.Status = *o.status
	}
}

func without(list []*mucRoom, r *mucRoom) (rest []*mucRoom) {
	for _, other := range list {
		if other != r {
			rest = append(rest, other)
		}
	}
	return rest
}

// advance does what is due. It is called after every input.
func (d *mucDesk) advance(now time.Time) {
	if !d.touched && (d.due.IsZero() || now.Before(d.due)) {
		return
	}
	d.touched, d.due = false, time.Time{}
	for _, r := range d.list {
		r.advance(now)
	}
	for _, r := range d.list {
		d.sooner(r.nextTimeout())
	}
}

func (d *mucDesk) sooner(t time.Time) {
	if !t.IsZero() && (d.due.IsZero() || t.Before(d.due)) {
		d.due = t
	}
}

// nextTimeout is when advance has something to do; zero: never.
func (d *mucDesk) nextTimeout() time.Time { return d.due }

// turn reports whether something that is paced may be done now.
func (d *mucDesk) turn(now time.Time) bool {
	if now.Before(d.paceAt) {
		return false
	}
	d.paceAt = now.Add(mucPace)
	return true
}

func (d *mucDesk) takeOutput() mucOutput {
	out := d.out
	d.out = mucOutput{}
	return out
}

func (d *mucDesk) nextID() string {
	d.ids++
	return "room-" + strconv.FormatUint(d.ids, 10)
}

// ask asks a room, or an occupant of it, something.
func (d *mucDesk) ask(now time.Time, typ, to string, payload func(id string) *stanza.Element, take func(time.Time, *stanza.Element)) *mucQuestion {
	q := &mucQuestion{id: d.nextID(), from: to, until: now.Add(mucWait), take: take}
	d.open[q.id] = q
	d.out.send = append(d.out.send, stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: typ},
		stanza.Attr{Name: "id", Value: q.id}, stanza.Attr{Name: "to", Value: to}, payload(q.id)))
	return q
}

// answer takes a result or an error. It reports whether that is for us:
// anybody can guess an id.
func (d *mucDesk) answer(now time.Time, iq *stanza.Element) bool {
	q := d.open[iq.Attr("id")]
	if q == nil || iq.Attr("from") != q.from {
		return false
	}
	d.touched = true
	delete(d.open, q.id)
	q.take(now, iq)
	return true
}

// presence takes a presence. It reports whether that is a room's.
func (d *mucDesk) presence(now time.Time, el *stanza.Element) bool {
	r, from := d.roomOf(el)
	if r == nil {
		return false
	}
	d.touched = true
	r.presence(now, from.Resourcepart(), el)
	return true
}

// message takes a message. It reports whether that is a room's; if it is to be
// passed on, it is claimed.
func (d *mucDesk) message(now time.Time, el *stanza.Element, claim func() sm.Mark) bool {
	r, from := d.roomOf(el)
	if r == nil {
		if el.Attr("type") != "groupchat" {
			return false
		}
		d.out.strays++
		return true
	}
	d.touched = true
	return r.message(now, from.Resourcepart(), el, claim)
}

func (d *mucDesk) roomOf(el *stanza.Element) (*mucRoom, jid.JID) {
	if len(d.rooms) == 0 {
		return nil, jid.JID{}
	}
	from, err := jid.Parse(el.Attr("from"))
	if err != nil {
		return nil, jid.JID{}
	}
	return d.rooms[from.Bare().String()], from
}

// done says which line is.
func (d *mucDesk) done(line roomLine) {
	line.room.mark.done(line.number)
	d.touched = true
}

// abandon ends a session. It returns how many of the messages that are held
// come again: those that the server counts. The rest is passed on.
func (d *mucDesk) abandon() (coming int) {
	for _, r := range d.list {
		coming += r.abandon()
	}
	return coming
}

// tell says something of a room.
func (d *mucDesk) tell(ev RoomEvent) { d.out.tell = append(d.out.tell, mucTelling{event: ev}) }

// catching is how many rooms are being caught up with.
func (d *mucDesk) catching() (n int) {
	for _, r := range d.list {
		if r.catchUp.state == mucAsking || r.catchUp.state == mucPausing {
			n++
		}
	}
	return n
}
