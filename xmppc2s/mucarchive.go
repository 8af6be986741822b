package xmppc2s

import (
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

const (
	// maxMUCFetch is how many bytes of what was missed are in memory at a time,
	// for one room: what is older is left out.
	maxMUCFetch = 4 << 20
	// mucListen is how long the subject, which ends the history, may take.
	mucListen = 30 * time.Second
)

// mucPauses are those behind questions to a room's archive that brought
// nothing. Behind the last one it is given up.
var mucPauses = [...]time.Duration{5 * time.Second, 30 * time.Second}

type mucCatchState int

const (
	mucRead      mucCatchState = iota // all there is to be
	mucListening                      // to the history, until the subject comes
	mucQueueing                       // until other rooms are read
	mucAsking                         // the archive
	mucPausing
)

func (s mucCatchState) String() string {
	return [...]string{"read", "listening", "queueing", "asking", "pausing"}[s]
}

// A mucCatchUp gets what was missed from a room's archive: backwards from its
// end, so that it is the newest lines if there are more than are wanted.
type mucCatchUp struct {
	state mucCatchState
	asked *mucQuestion
	until time.Time // of the pause, or of the history
	tries int
	query archiveQuery
	begun bool   // we only want to know where the archive ends …
	start string // … which is there

	page   []archived // of the answer under way
	seen   int        // in it
	first  string     // of them
	got    []archived // in order
	bytes  int        // in both
	full   bool       // more have come than may be
	looked int
	found  bool // the line up to which all is done
	had    map[string]*archiveEntry
}

// startCatchUp begins behind our entrance.
func (r *mucRoom) startCatchUp(now time.Time) {
	c := &r.catchUp
	if !r.about.archive {
		if r.mark.row.At.IsZero() { // what was before is others' past
			r.mark.row.At = now
		}
		c.state, c.until = mucListening, now.Add(mucListen)
		r.release()
		return
	}
	c.begun = r.mark.row.ID == "" && r.mark.row.At.IsZero()
	r.mark.open()
	c.had = r.mark.since()
	c.state = mucQueueing
	r.holding, r.hold = true, now.Add(archiveHold)
}

// next is when read has something to do; zero: never.
func (c *mucCatchUp) next() time.Time {
	if c.asked != nil {
		return c.asked.until
	}
	return c.until
}

// read does what is due in catching up.
func (r *mucRoom) read(now time.Time) {
	c := &r.catchUp
	due := !c.until.IsZero() && !now.Before(c.until)
	switch {
	case c.state == mucListening && due:
		r.caughtUp()
	case c.state == mucQueueing && r.desk.catching() < maxMUCCatching:
		r.begin(now)
	case c.state == mucAsking && !now.Before(c.asked.until):
		r.drop(&c.asked)
		r.noPage(now, errNoAnswer, true)
	case c.state == mucPausing && due:
		r.nextPage(now)
	}
	if r.mark.row.Open && c.state == mucRead && r.mark.fetched == 0 {
		r.mark.close()
	}
}

func (r *mucRoom) begin(now time.Time) {
	c := &r.catchUp
	c.query = archiveQuery{back: true, max: min(r.want.Lines, archivePage)}
	if c.begun {
		c.query.max = 1
	} else if r.mark.row.ID == "" {
		c.query.start = r.oldest(now)
	} else if r.want.Age > 0 {
		c.query.start = now.Add(-r.want.Age)
	}
	r.nextPage(now)
}

func (r *mucRoom) nextPage(now time.Time) {
	c := &r.catchUp
	c.state, c.until = mucAsking, time.Time{}
	c.dropPage() // an answer may not have come to its end
	c.seen = 0
	c.asked = r.desk.ask(now, "set", r.key, func(id string) *stanza.Element {
		c.query.id = id
		return c.query.element()
	}, r.paged)
}

func (c *mucCatchUp) dropPage() {
	for _, a := range c.page {
		c.bytes -= a.size
	}
	c.page = nil
}

// result takes a message with a result in it. What was not asked for, nobody
// gets.
func (r *mucRoom) result(now time.Time, el *stanza.Element) {
	c := &r.catchUp
	a := parseArchived(el, r.key)
	if c.asked == nil || a.query != c.asked.id || a.id == "" || len(a.id) > maxArchiveID || c.seen >= c.query.max {
		r.desk.out.strays++
		return
	}
	c.seen++
	c.asked.until = now.Add(mucWait)
	if c.seen == 1 {
		c.first = a.id
	}
	if a.id == r.mark.row.ID {
		c.found = true
		c.dropPage() // what is before it is done, too
		return
	}
	if r.isLine(a) {
		a.size = len(stanza.Append(nil, a.message, stanza.NSClient))
		c.bytes += a.size
	} else {
		a.message = nil
	}
	c.page = append(c.page, a)
	for ; c.bytes > maxMUCFetch; c.page = c.page[1:] {
		c.bytes -= c.page[0].size
		c.full = true
	}
}

// isLine reports whether an archived message is one that somebody has said in
// the room.
func (r *mucRoom) isLine(a archived) bool {
	from, err := jid.Parse(a.message.Attr("from"))
	return a.message != nil && err == nil && from.Bare().String() == r.key && a.message.Attr("type") == "groupchat" && !isSubject(a.message)
}

// paged takes the end of a page, or an error.
func (r *mucRoom) paged(now time.Time, iq *stanza.Element) {
	c := &r.catchUp
	c.asked = nil
	if iq.Attr("type") == "error" {
		err := stanza.ParseError(iq)
		r.noPage(now, err, err.Type == "wait" || err.Condition == stanza.InternalServerError)
		return
	}
	if c.begun {
		if c.seen > 0 {
			r.mark.row.ID, c.start = c.first, c.first
		}
		r.mark.row.At = now
		r.finish()
		return
	}
	c.tries = 0
	c.got, c.page = append(c.page, c.got...), nil
	c.looked += 1 + c.seen
	complete := iq.Child(stanza.NSMAM, "fin").Attr("complete") == "true"
	switch {
	case c.found, complete, c.seen == 0:
		r.finish()
	case c.enough(r.want.Lines):
		r.desk.log.Info("more was missed in the room than is fetched", "room", r.key, "lines", r.want.Lines)
		r.finish()
	default:
		c.query.before = c.first
		r.nextPage(now)
	}
}

// enough reports whether no more is to be fetched.
func (c *mucCatchUp) enough(lines int) bool {
	n := 0
	for _, a := range c.got {
		if a.message != nil {
			n++
		}
	}
	return n >= lines || c.full || c.looked > archiveLooks*lines
}

// noPage asks again later, or gives up.
func (r *mucRoom) noPage(now time.Time, err error, passing bool) {
	c := &r.catchUp
	if passing && c.tries < len(mucPauses) {
		c.state, c.until = mucPausing, now.Add(mucPauses[c.tries])
		c.tries++
		return
	}
	r.desk.log.Warn("what was said in the room meanwhile may be missing: its archive does not give it", "room", r.key, "err", err)
	r.finish()
}

// finish tells what was missed, and then what has arrived meanwhile; but what
// the archive has of that stands where it has it.
func (r *mucRoom) finish() {
	c := &r.catchUp
	lines := slices.DeleteFunc(c.got, func(a archived) bool { return a.message == nil || r.tooOld(a) })
	for _, a := range lines[max(0, len(lines)-r.want.Lines):] {
		if e := c.had[a.id]; e != nil { // it is under way, or done
			r.mark.place(e)
		} else if i := slices.IndexFunc(r.held, func(h mucHeld) bool { return stanzaID(h.el, r.key) == a.id }); i >= 0 {
			r.mark.place(r.pass(r.held[i]))
			r.held = slices.Delete(r.held, i, i+1)
			r.desk.held--
		} else {
			r.tellMissed(a)
		}
	}
	r.caughtUp()
}

func (r *mucRoom) tellMissed(a archived) {
	from, _ := jid.Parse(a.message.Attr("from")) // it did in isLine
	ev := r.line(from.Resourcepart(), a.message, a.stamp)
	ev.ID = a.id
	r.desk.out.fetched++
	r.tellLine(mucTelling{event: ev, number: r.mark.fetch(archiveName{id: a.id}, a.stamp).number})
}

// tooOld reports whether a line was done with long ago, by its time alone: the
// line that was done last is not in the archive any more.
func (r *mucRoom) tooOld(a archived) bool {
	return !r.catchUp.found && !r.mark.row.At.IsZero() && a.stamp.Before(r.mark.row.At.Add(-archiveMargin))
}

// caughtUp: what follows is live.
func (r *mucRoom) caughtUp() {
	r.release()
	r.desk.tell(RoomCaughtUp{Room: r.jid, Start: r.catchUp.start})
	r.catchUp = mucCatchUp{}
}
