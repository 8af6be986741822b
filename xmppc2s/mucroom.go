package xmppc2s

import (
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

type mucState int

const (
	mucAway mucState = iota
	mucExploring
	mucEntering
	mucIn
)

func (s mucState) String() string { return [...]string{"away", "exploring", "entering", "in"}[s] }

// mucStatusPace is the least time between two of our presences in a room: all
// that are in it get them.
const mucStatusPace = 5 * time.Second

// A mucRoom is one room of a mucDesk.
type mucRoom struct {
	desk *mucDesk
	key  string // bare address
	jid  jid.JID
	want Room // as it was ordered

	state mucState
	at    time.Time // away: of the next attempt; entering: the room has said nothing until then
	asked *mucQuestion
	about mucFeatures

	nicks     mucNicks
	occupants map[string]jid.JID // by nick, without us
	more      int
	again     bool // we were renamed in entering: the list of occupants may be missing
	agains    int  // times we have entered again for that
	entered   bool // once, by this desk
	since     time.Time

	end   RoomEnd // away: why
	tries int     // losses in a row
	check mucCheck

	privateAt time.Time // a private message was refused

	shown    string // status
	statusAt time.Time

	mark    archiveMark
	held    []mucHeld
	holding bool      // what arrives waits for what came before it
	hold    time.Time // until then
	settled bool      // the subject came, and with it the end of the history
	catchUp mucCatchUp
}

// A mucHeld is a message that waits for what came before it.
type mucHeld struct {
	el   *stanza.Element
	nick string
	mark sm.Mark
	at   time.Time
}

func newMUCRoom(d *mucDesk, key string, want Room) *mucRoom {
	r := &mucRoom{desk: d, key: key, jid: want.JID, mark: newArchiveMark()}
	r.setWant(want)
	r.nicks.want(r.want.Nick)
	if len(want.After) <= maxArchiveID {
		r.mark.row.ID = want.After
	}
	r.mark.row.At = want.Since
	return r
}

func (r *mucRoom) setWant(want Room) {
	orDefault(&want.Nick, "meshgate")
	orDefault(&want.Lines, defaultRoomLines)
	want.Lines = min(max(want.Lines, 1), maxRoomLines)
	r.want = want
}

// change takes another order for a room. What did not work is tried at once.
func (r *mucRoom) change(now time.Time, want Room) {
	before := r.want.Nick
	r.setWant(want)
	if r.want.Nick != before {
		r.nicks.want(r.want.Nick)
		r.nicks.freeAt, r.nicks.askedAt = now, time.Time{}
	}
	if r.state == mucAway {
		r.at, r.end = now, RoomGone // also one that was destroyed: somebody wants it
	}
}

// become enters a state in which no question is open.
func (r *mucRoom) become(s mucState, until time.Time) {
	r.drop(&r.asked)
	r.state, r.at = s, until
}

// drop lets an answer be nobody's.
func (r *mucRoom) drop(q **mucQuestion) {
	if *q != nil {
		delete(r.desk.open, (*q).id)
		*q = nil
	}
}

// leave takes us out of the room for good.
func (r *mucRoom) leave() {
	if r.state >= mucEntering || r.desk.takeover && !r.entered {
		r.desk.out.send = append(r.desk.out.send, presenceTo(r.address(r.nicks.now), "unavailable"))
	}
	for _, h := range r.held {
		r.desk.out.drop = append(r.desk.out.drop, h.mark)
	}
	r.stopHolding()
	r.outOf(mucAway, time.Time{})
}

// outOf ends what was under way in the room.
func (r *mucRoom) outOf(s mucState, until time.Time) {
	r.become(s, until)
	r.drop(&r.check.asked)
	r.drop(&r.catchUp.asked)
	r.check, r.catchUp = mucCheck{}, mucCatchUp{}
	r.occupants, r.more, r.settled, r.again = nil, 0, false, false
}

// sessionEnded: another session follows. We are in no room then, unless it is
// one that somebody else has begun.
func (r *mucRoom) sessionEnded(now time.Time) {
	was := r.state
	switch {
	case was == mucAway && !r.end.passing():
		return
	case was == mucIn:
		r.desk.tell(RoomLost{Room: r.jid, Why: RoomSessionLost, Err: RoomSessionLost.words("")})
	}
	r.outOf(mucAway, now)
}

// connected: what was asked may be answered again, and what was not asked be
// other than it was.
func (r *mucRoom) connected(now time.Time) {
	switch r.state {
	case mucEntering:
		r.at = now.Add(mucWait)
	case mucIn:
		r.check.doubt(now)
	}
}

// advance does what is due.
func (r *mucRoom) advance(now time.Time) {
	d := r.desk
	if r.holding && !r.hold.IsZero() && !now.Before(r.hold) {
		r.release()
	}
	if !d.online {
		return
	}
	if q := r.asked; q != nil && !now.Before(q.until) {
		r.drop(&r.asked)
		q.take(now, nil)
	}
	switch {
	case r.state == mucAway && !now.Before(r.at) && d.turn(now):
		r.explore(now)
	case r.state == mucEntering && !now.Before(r.at):
		r.lose(now, loss{why: RoomUnreachable, text: "the room does not answer"})
	case r.state == mucIn:
		r.look(now)
		r.nicks.advance(now, r)
		r.show(now)
		r.read(now)
	}
}

// nextTimeout is when advance has something to do; zero: never.
func (r *mucRoom) nextTimeout() (at time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if r.holding {
		sooner(r.hold)
	}
	if !r.desk.online {
		return at
	}
	if r.asked != nil {
		sooner(r.asked.until)
	}
	switch r.state {
	case mucAway:
		sooner(later(r.at, r.desk.paceAt))
	case mucEntering:
		sooner(r.at)
	case mucIn:
		sooner(r.check.next(r.desk.paceAt))
		sooner(r.nicks.next())
		if r.shown != r.want.Status {
			sooner(r.statusAt.Add(mucStatusPace))
		}
		sooner(r.catchUp.next())
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// show shows our status.
func (r *mucRoom) show(now time.Time) {
	if r.shown == r.want.Status || now.Before(r.statusAt.Add(mucStatusPace)) {
		return
	}
	r.shown, r.statusAt = r.want.Status, now
	r.desk.out.send = append(r.desk.out.send, r.ownPresence(r.nicks.now, nil))
}

// address is that of an occupant.
func (r *mucRoom) address(nick string) string { return r.key + "/" + nick }

// ownPresence is a presence of ours, with x if we enter.
func (r *mucRoom) ownPresence(nick string, x *stanza.Element) *stanza.Element {
	var status *stanza.Element
	if r.shown != "" {
		status = stanza.New(stanza.NSClient, "status", stanza.Text(r.shown))
	}
	return stanza.New(stanza.NSClient, "presence", stanza.Attr{Name: "id", Value: r.desk.nextID()},
		stanza.Attr{Name: "to", Value: r.address(nick)}, status, r.desk.caps, x)
}
