package xmppc2s

import (
	"log/slog"
	"strconv"
	"time"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

const (
	// archivePage is how many messages are asked for at a time: the next ones
	// when all of these are done. COMPAT ejabberd: more than its max_ack_queue
	// end the session; so after a session that was lost while they came it is a
	// quarter, and behind each page that came it is twice as many again.
	archivePage = 50
	// archiveWait is how long the server may say nothing of what it was asked.
	archiveWait = time.Minute
	// archiveHold is how long what arrives by itself waits for the archive to
	// say something of what came before it, and archiveHoldMost for all that it
	// has to say. COMPAT Prosody 0.12: its archive may be slow.
	archiveHold     = 30 * time.Second
	archiveHoldMost = 5 * time.Minute
	// archiveSettle is how long a server may still put into the archive what it
	// sends into a session that is lost.
	archiveSettle = 10 * time.Second
	// archiveMargin is how far clocks may be apart when only a time is known:
	// what comes again is recognised.
	archiveMargin = time.Minute
	// archiveLooks is how many messages of an archive are looked at for each
	// that may be passed on: our own are in it, too.
	archiveLooks = 10
)

// archiveRetries are the pauses behind questions that brought nothing, the
// last one for all further ones.
var archiveRetries = [...]time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

// An archiveDesk gets from the account's archive (XEP-0313) what came while
// there was no session, and remembers how far we have come in it. It is pure,
// outlives sessions, and belongs to the teller's goroutine.
//
//	        fresh session             archive          that was all             all are done
//	resting ─────────────▶ exploring ────────▶ asking ─────────────▶ finishing ─────────────▶ resting
//	                         │  ▲ ▼  no answer  ▲ ▼ │ ▲                  ▲
//	                         │  pausing      pausing ▼ │ all are done      │
//	                         │                  reading                  │
//	                         └───────────────────────────────────────────┘
//	                                         no archive
//
//	        enough of ours is sent, and a while later         last id
//	resting ────────────────────────────────────────▶ looking ───────▶ resting
//
// Until it is finishing, what arrives by itself is held back for a while, so
// that the order is kept.
type archiveDesk struct {
	own      string        // bare address
	age      time.Duration // of what is fetched, at most; 0: nothing is
	messages int           // that are fetched, at most
	maxHeld  int
	log      *slog.Logger
	mark     archiveMark
	told     archiveRow // of mark, in an output

	state  archiveState
	online bool
	asked  string    // id of the open question; "": none
	until  time.Time // of the answer, or of the pause
	paused archiveState
	tries  int
	page   int // messages to ask for
	ids    uint64

	doubt   bool // what a session without stream management was sent may still come to the archive
	again   bool // it has been looked for that
	first   bool // there was no mark before this session
	byTime  bool // the server does not know our id
	query   archiveQuery
	last    string                        // of the page
	results int                           // in the page
	looked  int                           // in all
	news    int                           // passed on
	over    bool                          // there were more than that may be
	had     map[archiveName]*archiveEntry // nil: left out

	ahead lookAhead
	every int // messages of ours behind which it looks

	held        []passing // the oldest first
	parked      int       // of them
	parkedBytes int
	holdUntil   time.Time // zero: what is held is only to be passed on
	holdMost    time.Time
	lateUntil   time.Time // what has a delay was sent while there was no connection
	out         archiveOutput
}

type archiveState int

const (
	archiveResting archiveState = iota
	archiveExploring
	archiveAsking
	archiveReading
	archivePausing
	archiveFinishing
	archiveLooking
)

func (s archiveState) String() string {
	return [...]string{"resting", "exploring", "asking", "reading", "pausing", "finishing", "looking"}[s]
}

// A passing is a message that is to be passed on.
type passing struct {
	stanza *stanza.Element
	at     time.Time
	live   bool // it arrived by itself, and has a mark
	mark   sm.Mark
	id     string // in the archive; "": unknown
	missed bool
	number uint64 // for done; 0: nobody wants to know
	size   int    // bytes of it, when it arrived
	parked bool
}

// An archiveOutput is what is to be done, in this order. The row is durable
// before the question leaves.
type archiveOutput struct {
	row  *archiveRow
	send *stanza.Element
	pass []passing
	// parked is how many have come to be parked, and do not count as undone any
	// more; negative: how many do again.
	parked int

	fetched, strays uint64
}

func newArchiveDesk(cfg *Config) *archiveDesk {
	return &archiveDesk{
		own: cfg.JID.Bare().String(), age: cfg.CatchUp, messages: cfg.CatchUpMessages, page: archivePage, maxHeld: cfg.MaxUndone / 2, log: cfg.Log,
		mark: newArchiveMark(), every: max(1, cfg.CatchUpMessages),
	}
}

// restore takes what was kept by the process before this one. It comes first.
// If it is of another account, or nothing is to be fetched any more, so that it
// would grow old, it is forgotten.
func (d *archiveDesk) restore(r archiveRow) {
	d.told, d.mark.row.Turn = r, r.Turn
	if d.age > 0 && r.Of == d.own {
		d.mark.row, d.mark.known = r, true
	}
}

// fresh begins a session that is new to this process: a bound one, in which
// something may be missing, or one that another process had.
func (d *archiveDesk) fresh(now time.Time, bound bool) {
	d.lookAway()
	if d.age <= 0 || !bound && d.mark.known && !d.mark.row.Open {
		return
	}
	if d.first = !d.mark.known || d.mark.row.At.IsZero(); d.first {
		d.mark.row = archiveRow{Of: d.own, At: now, Turn: d.mark.row.Turn} // what was before is others' past
		d.mark.known = true
	}
	d.byTime, d.again, d.tries = false, false, 0
	d.looked, d.news, d.over, d.had = 0, 0, false, d.mark.open()
	d.query = archiveQuery{}
	d.holdUntil, d.holdMost = now.Add(archiveHold), now.Add(archiveHoldMost)
	d.explore(now)
}

// become enters a state without open question.
func (d *archiveDesk) become(s archiveState) { d.state, d.asked, d.until = s, "", time.Time{} }

// connected notes whether answers can come at all.
func (d *archiveDesk) connected(now time.Time, online bool) {
	d.online = online
	if online {
		d.lateUntil = now.Add(lateFor)
	}
	if d.asked != "" {
		d.until = now.Add(archiveWait)
	}
}

// ask asks the account a question.
func (d *archiveDesk) ask(now time.Time, s archiveState, typ string, payload func(id string) *stanza.Element) {
	d.become(s)
	d.ids++
	d.asked, d.until = "archive-"+strconv.FormatUint(d.ids, 10), now.Add(archiveWait)
	d.out.send = stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: typ},
		stanza.Attr{Name: "id", Value: d.asked}, stanza.Attr{Name: "to", Value: d.own}, payload(d.asked))
}

// explore asks whether there is an archive.
func (d *archiveDesk) explore(now time.Time) {
	d.ask(now, archiveExploring, "get", func(string) *stanza.Element { return stanza.New(stanza.NSDisco, "query") })
}

// next asks for a page.
func (d *archiveDesk) next(now time.Time) {
	d.last, d.results, d.query.max = "", 0, d.page
	d.askPage(now, archiveAsking)
}

// askPage asks what the query says.
func (d *archiveDesk) askPage(now time.Time, s archiveState) {
	d.ask(now, s, "set", func(id string) *stanza.Element {
		d.query.id = id
		return d.query.element()
	})
}

// start asks for the first page: behind the id that is known, unless that is
// older than all that is wanted.
func (d *archiveDesk) start(now time.Time) {
	row, oldest := d.mark.row, now.Add(-d.age)
	d.query.after, d.query.start = "", oldest
	switch {
	case row.At.Before(oldest):
	case row.ID != "" && !d.byTime:
		d.query.after, d.query.start = row.ID, time.Time{}
	case row.ID == "" && row.IDs: // nothing has come since the first session began
		d.query.start = row.At
	default:
		d.query.start = row.At.Add(-archiveMargin)
	}
	d.log.Debug("catching up with the archive", "id", d.query.after, "since", d.query.start, "page", d.page)
	d.next(now)
}

// answer takes a result or an error. It reports whether that is for us.
func (d *archiveDesk) answer(now time.Time, iq *stanza.Element) bool {
	if d.asked == "" || iq.Attr("id") != d.asked || iq.Attr("from") != d.own {
		return false
	}
	switch {
	case d.state == archiveLooking && iq.Attr("type") == "error":
		d.lookAway()
	case d.state == archiveLooking:
		d.sawEnd()
	case iq.Attr("type") == "error":
		d.refused(now, stanza.ParseError(iq))
	case d.state == archiveExploring:
		d.explored(now, parseServerArchive(iq.Child(stanza.NSDisco, "query")))
	default:
		d.fin(now, iq.Child(stanza.NSMAM, "fin"))
	}
	return true
}

// heard notes that the archive has said something to the question.
func (d *archiveDesk) heard(now time.Time) {
	d.tries = 0
	if until := now.Add(archiveHold); !d.holdUntil.IsZero() && until.Before(d.holdMost) {
		d.holdUntil = until
	}
}

func (d *archiveDesk) explored(now time.Time, a serverArchive) {
	d.heard(now)
	d.mark.row.IDs = a.there && a.ids
	switch {
	case !a.there:
		d.mark.row = archiveRow{Of: d.own, Turn: d.mark.row.Turn}
		d.finish()
	case d.first:
		d.finish()
	default:
		d.start(now)
	}
}

// fin takes the end of a page. XEP-0313 §4.3
func (d *archiveDesk) fin(now time.Time, fin *stanza.Element) {
	d.heard(now)
	if last := fin.Child(stanza.NSRSM, "set").Child(stanza.NSRSM, "last").Text(); last != "" && len(last) <= maxArchiveID {
		d.last = last
	}
	d.looked++ // even if there was nothing
	switch {
	case d.over:
		d.giveUp("more was missed than may be fetched")
	case fin.Attr("complete") == "true" || d.last == "" && d.results == 0:
		d.reached(now)
	case d.last == "" || d.last == d.query.after || d.looked > archiveLooks*d.messages:
		d.giveUp("its pages do not end")
	default:
		d.query.after, d.page = d.last, min(2*d.page, archivePage)
		d.become(archiveReading)
	}
}

// reached is the end of the archive: for now, if there is doubt. What arrives by
// itself waits no longer, but the mark does.
//
// COMPAT ejabberd: a session that is lost goes through what it had still to be
// sent, and archives it, while the next one has begun and asked.
func (d *archiveDesk) reached(now time.Time) {
	if !d.doubt || d.again {
		d.finish()
		return
	}
	d.again = true
	if d.last != "" {
		d.query.after = d.last
	}
	d.release()
	d.become(archiveReading)
	d.until = now.Add(archiveSettle)
}

// refused takes an error. An id that the server does not know may have been
// too old for its archive.
func (d *archiveDesk) refused(now time.Time, err *stanza.Error) {
	switch {
	case d.state == archiveAsking && d.mark.row.ID != "" && !d.byTime && (err.Condition == stanza.ItemNotFound || err.Condition == stanza.BadRequest):
		d.byTime = true
		d.start(now)
	case err.Type == "wait" || err.Condition == stanza.InternalServerError:
		d.pause(now, err)
	default:
		d.giveUp(err.Error())
	}
}

// pause asks the same again later.
func (d *archiveDesk) pause(now time.Time, err error) {
	d.paused = d.state
	d.become(archivePausing)
	d.until = now.Add(archiveRetries[min(d.tries, len(archiveRetries)-1)])
	d.tries++
	d.log.Warn("the server's archive does not answer; it is asked again", "err", err)
}

// giveUp leaves what is still in the archive there.
func (d *archiveDesk) giveUp(why string) {
	d.log.Warn("what was written while there was no session may be missing: the archive does not give all of it", "reason", why, "fetched", d.news)
	d.finish()
}

// finish ends the catching up. The mark stays open until all is done.
func (d *archiveDesk) finish() {
	if d.news > 0 {
		d.log.Info("fetched from the archive what came while there was no session", "messages", d.news)
	}
	d.become(archiveFinishing)
	d.release()
}

// done says which messages are.
func (d *archiveDesk) done(numbers ...uint64) {
	for _, n := range numbers {
		d.mark.done(n)
	}
}

// advance does what is due. It is called after every input. Room is how many
// messages may be passed on, beside those of the archive.
func (d *archiveDesk) advance(now time.Time, room int) {
	if !d.holdUntil.IsZero() && !now.Before(d.holdUntil) {
		d.release()
	}
	d.drain(room - len(d.out.pass))
	due := d.online && !d.until.IsZero() && !now.Before(d.until)
	if due && d.state == archiveReading {
		d.until, due = time.Time{}, false
	}
	switch {
	case d.state == archiveReading && d.until.IsZero() && d.mark.fetched == 0:
		d.next(now)
	case d.state == archiveFinishing && d.mark.fetched == 0 && len(d.held) == 0 && !d.mark.owes():
		d.mark.close()
		d.had, d.page = nil, archivePage
		d.become(archiveResting)
	case d.state == archivePausing && due && d.paused == archiveExploring:
		d.explore(now)
	case d.state == archivePausing && due:
		d.next(now)
	case due && d.state == archiveLooking:
		d.lookAway()
	case due:
		d.pause(now, errNoAnswer)
	case d.wantsLook(now):
		d.look(now)
	}
	d.tell()
}

// tell has the row kept, if it has changed.
func (d *archiveDesk) tell() {
	if d.mark.row == d.told {
		return
	}
	d.mark.row.Turn++
	row := d.mark.row
	d.told, d.out.row = row, &row
}

// nextTimeout is when advance has something to do; zero: never.
func (d *archiveDesk) nextTimeout() (at time.Time) {
	times := [3]time.Time{d.holdUntil}
	if d.online {
		times[1] = d.until
	}
	if d.online && d.state == archiveResting && d.ahead.id != "" {
		times[2] = d.ahead.at.Add(archiveSettle)
	}
	for _, t := range times {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

func (d *archiveDesk) takeOutput() archiveOutput {
	out := d.out
	d.out = archiveOutput{}
	return out
}
