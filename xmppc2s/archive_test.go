package xmppc2s

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// An archiveRig is a desk that was in step with its archive, in a session that
// is new, in a time of its own.
type archiveRig struct {
	t      *testing.T
	d      *archiveDesk
	now    time.Time
	asked  string // the payload's namespace; "": nothing was
	passed int
	parked int
	named  int // see archived
	room   int
}

func newArchiveRig(t *testing.T) *archiveRig {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cfg := Config{JID: jid.MustParse("gw@example.org/x"), CatchUp: time.Hour, CatchUpMessages: 100, MaxUndone: 10, Log: slog.New(slog.DiscardHandler)}
	r := &archiveRig{t: t, d: newArchiveDesk(&cfg), now: now, room: cfg.MaxUndone}
	r.d.restore(archiveRow{Of: "gw@example.org", ID: "a", At: now, IDs: true, Turn: 1})
	r.d.connected(now, true)
	r.d.fresh(now, true)
	r.pass(0)
	return r
}

// pass lets time pass and notes what the desk wants.
func (r *archiveRig) pass(d time.Duration) {
	r.now, r.asked = r.now.Add(d), ""
	r.d.advance(r.now, r.room)
	out := r.d.takeOutput()
	if out.send != nil {
		for c := range out.send.Children() {
			r.asked = c.Name.Space
		}
	}
	r.passed += len(out.pass)
	r.parked += out.parked
}

func (r *archiveRig) arrive(n int) {
	for range n {
		r.d.message(r.now, r.words(""), sm.Mark{}, 100)
	}
	r.pass(0)
}

// archived has messages arrive that have an id in the archive.
func (r *archiveRig) archived(n, size int) {
	for range n {
		r.d.message(r.now, r.words(fmt.Sprint("n", r.named)), sm.Mark{}, size)
		r.named++
	}
	r.pass(0)
}

// words is a message; id is that in the archive, if it has any.
func (r *archiveRig) words(id string) *stanza.Element {
	var known *stanza.Element
	if id != "" {
		known = stanza.New(stanza.NSSID, "stanza-id", stanza.Attr{Name: "by", Value: "gw@example.org"}, stanza.Attr{Name: "id", Value: id})
	}
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "from", Value: "bob@example.org/x"},
		stanza.New(stanza.NSClient, "body", stanza.Text("words")), known)
}

func (r *archiveRig) answer(xml string) {
	r.t.Helper()
	el, err := stanza.Parse([]byte(strings.Replace(xml, "<iq ", "<iq from='gw@example.org' id='"+r.d.asked+"' ", 1)), stanza.NSClient, stanza.Limits{})
	if err != nil {
		r.t.Fatal(err)
	}
	if !r.d.answer(r.now, el) {
		r.t.Fatal("it has not waited for an answer")
	}
	r.pass(0)
}

func (r *archiveRig) want(what string, state archiveState, asked string, passed int) {
	r.t.Helper()
	if r.d.state != state || r.asked != asked || r.passed != passed {
		r.t.Errorf("%s: it is %v, asks %q, has passed on %d; want %v, %q, %d", what, r.d.state, r.asked, r.passed, state, asked, passed)
	}
}

const (
	hasArchive = "<iq type='result'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/><feature var='urn:xmpp:sid:0'/></query></iq>"
	somePage   = "<iq type='result'><fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><last>id-%d</last></set></fin></iq>"
	lastPage   = "<iq type='result'><fin xmlns='urn:xmpp:mam:2' complete='true'/></iq>"
	noTime     = "<iq type='error'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
)

// A server that does not answer holds nothing up for long, and is asked again.
// The time in which there is no connection does not count.
func TestAnArchiveThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	r := newArchiveRig(t)
	r.want("at first", archiveExploring, stanza.NSDisco, 0)
	r.arrive(2)
	r.pass(archiveHold - time.Second)
	r.want("while it is waited for", archiveExploring, "", 0)
	r.pass(time.Second)
	r.want("after a while", archiveExploring, "", 2)
	r.pass(archiveWait - archiveHold)
	r.want("without answer", archivePausing, "", 2)
	r.pass(archiveRetries[0])
	r.want("later", archiveExploring, stanza.NSDisco, 2)
	r.d.connected(r.now, false)
	r.pass(time.Hour)
	r.want("without connection", archiveExploring, "", 2)
	r.d.connected(r.now, true)
	r.answer(hasArchive)
	r.want("when it answers", archiveAsking, stanza.NSMAM, 2)
	for _, wait := range archiveRetries {
		r.answer(noTime)
		r.want("when it has no time", archivePausing, "", 2)
		r.pass(wait)
		r.want("after the pause", archiveAsking, stanza.NSMAM, 2)
	}
	r.answer(lastPage)
	r.want("in the end", archiveResting, "", 2)
	if r.d.mark.row.Open {
		t.Error("the mark is still open")
	}
}

// Of what comes again if the session is lost more may be held: it is parked.
// Behind the archive's answers it is passed on as there is room, and what
// arrives meanwhile comes behind it.
func TestWhatIsParkedIsPassedOnAsThereIsRoom(t *testing.T) {
	r := newArchiveRig(t)
	r.answer(hasArchive)
	r.archived(30, 100)
	r.want("all are parked", archiveAsking, "", 0)
	if r.parked != 30 {
		t.Errorf("%d are parked", r.parked)
	}
	r.room = 4
	r.answer(lastPage)
	r.want("the first four", archiveFinishing, "", 4)
	r.room = 0
	r.archived(3, 100)
	r.want("no room", archiveFinishing, "", 4)
	if r.parked != 0 || len(r.d.held) != 29 || !r.d.mark.row.Open {
		t.Errorf("%d are parked, %d held; the mark is open: %t", r.parked, len(r.d.held), r.d.mark.row.Open)
	}
	r.room = 100
	r.pass(0)
	r.want("the rest", archiveResting, "", 33)
	r.archived(1, 100)
	r.want("nothing is held any more", archiveResting, "", 34)
}

// An archive that is slow is waited for as long as it says something, but not
// for ever.
func TestASlowArchiveKeepsTheOrder(t *testing.T) {
	r := newArchiveRig(t)
	r.answer(hasArchive)
	r.archived(1, 100)
	for i := range int(archiveHoldMost / (archiveHold - time.Second)) {
		r.answer(fmt.Sprintf(somePage, i))
		r.pass(archiveHold - time.Second)
		r.want("slow pages", archiveAsking, "", 0)
	}
	r.answer(fmt.Sprintf(somePage, 100))
	r.pass(archiveHold - time.Second)
	r.want("for too long", archiveAsking, "", 1)
}

// What two people have sent may have one id: ejabberd's are times.
func TestAnIDMayNameTwoMessages(t *testing.T) {
	r := newArchiveRig(t)
	r.answer(hasArchive)
	r.archived(1, 100) // n0, bob's
	for _, from := range []string{"carol", "bob", "carol", "dave"} {
		el, err := stanza.Parse([]byte(fromArchive(r.d.asked, "n0", from+"@example.org/x")), stanza.NSClient, stanza.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		r.d.result(r.now, el)
	}
	r.pass(0)
	r.want("carol's, bob's and dave's", archiveAsking, "", 3)
	if len(r.d.held) != 0 || r.d.news != 2 {
		t.Errorf("%d held, %d fetched", len(r.d.held), r.d.news)
	}
}

func fromArchive(query, id, from string) string {
	return fmt.Sprintf("<message from='gw@example.org'><result xmlns='urn:xmpp:mam:2' queryid='%s' id='%s'><forwarded xmlns='urn:xmpp:forward:0'>"+
		"<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T11:59:00Z'/><message xmlns='jabber:client' from='%s'><body>words</body></message></forwarded></result></message>", query, id, from)
}

// What is parked is bounded, too, in number and in bytes.
func TestParkedMessagesAreBounded(t *testing.T) {
	for name, tc := range map[string]struct{ size, held int }{
		"number": {100, maxParked - 1}, "bytes": {maxParkedBytes / 4, 3},
	} {
		r := newArchiveRig(t)
		r.room = 2 * maxParked
		r.answer(hasArchive)
		r.archived(tc.held, tc.size)
		r.want(name, archiveAsking, "", 0)
		r.archived(1, tc.size)
		r.want(name+", one more", archiveAsking, "", tc.held+1)
		if r.parked != 0 || r.d.parked != 0 || r.d.parkedBytes != 0 {
			t.Errorf("%s: %d are parked, the desk says %d, %d bytes", name, r.parked, r.d.parked, r.d.parkedBytes)
		}
	}
}

// What is held is bounded: answers come behind it.
func TestNoMoreIsHeldThanLeavesRoomForTheAnswer(t *testing.T) {
	r := newArchiveRig(t)
	r.arrive(4)
	r.want("four of ten", archiveExploring, "", 0)
	r.arrive(1)
	r.want("half of all", archiveExploring, "", 5)
	r.arrive(1)
	r.want("one more", archiveExploring, "", 6)
}

// A session that was lost while a page came is followed by smaller pages, which
// grow again with each that comes.
func TestPagesThatEndASessionBecomeSmaller(t *testing.T) {
	r := newArchiveRig(t)
	for _, want := range []int{50, 12, 3, 1, 1} {
		r.answer(hasArchive)
		if got := r.d.query.max; got != want {
			t.Errorf("asks for %d, want %d", got, want)
		}
		r.d.abandon()
		r.d.fresh(r.now, true)
		r.pass(0)
	}
	r.answer(hasArchive)
	for i, want := range []int{2, 4, 8, 16, 32, 50, 50} {
		r.answer(fmt.Sprintf(somePage, i))
		if got := r.d.query.max; got != want {
			t.Errorf("asks for %d behind page %d, want %d", got, i, want)
		}
	}
	r.answer(lastPage)
	if r.d.page != archivePage {
		t.Errorf("the next page has %d", r.d.page)
	}
}

// What is held when a session ends comes again, in its order: the server sends
// what it counts, and the archive has what has an id there. The rest does not.
func TestOfWhatIsHeldOnlyWhatDoesNotComeAgainIsPassedOn(t *testing.T) {
	r := newArchiveRig(t)
	r.answer(hasArchive)
	el, err := stanza.Parse([]byte("<message from='bob@example.org/x'><body>words</body><stanza-id xmlns='urn:xmpp:sid:0' by='gw@example.org' id='b'/></message>"), stanza.NSClient, stanza.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r.d.message(r.now, el, sm.Mark{}, 100)
	r.d.message(r.now, el, countedMark(t), 100)
	r.arrive(1)
	if n := r.d.abandon(); n != 2 {
		t.Errorf("%d come again, want 2", n)
	}
	if out := r.d.takeOutput(); len(out.pass) != 1 || out.pass[0].id != "" {
		t.Errorf("passed on: %+v", out.pass)
	}
}

// What a lost session was still to be sent may come to the archive when it has
// been asked already: so it is asked again, and the mark waits for that.
func TestTheArchiveIsAskedAgainWhereASessionLeftDoubts(t *testing.T) {
	r := newArchiveRig(t)
	r.d.doubt = true
	r.arrive(1)
	r.answer(hasArchive)
	r.answer(lastPage)
	r.want("what is held waits no longer", archiveReading, "", 1)
	r.pass(archiveSettle - time.Second)
	r.want("not yet", archiveReading, "", 1)
	if !r.d.mark.row.Open {
		t.Error("the mark has not waited")
	}
	r.pass(time.Second)
	r.want("again", archiveAsking, stanza.NSMAM, 1)
	r.answer(lastPage)
	r.want("that was all", archiveResting, "", 1)
}

// countedMark is the mark of a stanza that the server counts.
func countedMark(t *testing.T) sm.Mark {
	now := time.Unix(0, 0)
	e := sm.New(sm.Policy{})
	e.Bound(now, sm.Binding{Dialect: sm.V3})
	for _, b := range []string{"<enabled xmlns='urn:xmpp:sm:3'/>", "<message/>"} {
		if err := e.HandleFrame(now, []byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	return e.Waiting(1)[0].Mark
}

// Without an archive's use, and for another account, what was kept is forgotten.
func TestAMarkThatGrowsOldIsForgotten(t *testing.T) {
	for name, cfg := range map[string]Config{
		"switched off":    {JID: jid.MustParse("gw@example.org"), CatchUp: 0},
		"another account": {JID: jid.MustParse("other@example.org"), CatchUp: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			d := newArchiveDesk(&cfg)
			d.restore(archiveRow{Of: "gw@example.org", ID: "a", At: time.Unix(1, 0), IDs: true, Turn: 7})
			d.advance(time.Unix(2, 0), 1)
			if out := d.takeOutput(); out.row == nil || out.row.ID != "" || out.row.Turn != 8 {
				t.Errorf("kept: %+v", out.row)
			}
		})
	}
}

// SM-12: the mark is believed if it is later than the row, and has h as well.
func TestTheMarkHasBoth(t *testing.T) {
	s := sm.Session{ID: "session", Handled: 5}
	row := archiveRow{ID: "b", Turn: 3}
	mark := appendMark(nil, s, row)
	s.Handled = 4
	if h := ahead(mark, s); h != 5 {
		t.Errorf("h is %d", h)
	}
	for turn, want := range map[uint64]string{2: "b", 3: "a", 4: "a"} {
		if got := (archiveRow{ID: "a", Turn: turn}).further(mark); got.ID != want {
			t.Errorf("a row of turn %d becomes %+v", turn, got)
		}
	}
	for n := range mark {
		_, _ = ahead(mark[:n], s), row.further(mark[:n])
	}
	long := strings.Repeat("x", maxMark)
	if n := len(appendMark(nil, sm.Session{ID: long}, archiveRow{ID: long})); n > maxMark {
		t.Errorf("%d bytes", n)
	}
}

// Whatever a server says to the desk, nothing of it breaks it, and what it
// passes on is bounded.
func FuzzArchiveDesk(f *testing.F) {
	f.Add(hasArchive)
	f.Add(lastPage)
	f.Add("<message from='gw@example.org'><result xmlns='urn:xmpp:mam:2' queryid='archive-2' id='b'><forwarded xmlns='urn:xmpp:forward:0'>" +
		"<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T11:59:00Z'/><message xmlns='jabber:client' from='bob@example.org/x'><body>b</body></message></forwarded></result></message>")
	f.Add("<message from='bob@example.org/x'><body>c</body><stanza-id xmlns='urn:xmpp:sid:0' by='gw@example.org' id='c'/></message>")
	f.Add("<iq type='error'><error/></iq>")
	f.Fuzz(func(t *testing.T, xml string) {
		el, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
		if err != nil {
			return
		}
		r := newArchiveRig(t)
		r.answer(hasArchive)
		for range 3 {
			if r.d.asked != "" {
				r.d.answer(r.now, el.WithAttr("id", r.d.asked).WithAttr("from", "gw@example.org"))
			}
			r.d.result(r.now, el)
			r.d.message(r.now, el, sm.Mark{}, 100)
			r.pass(0)
		}
		r.pass(time.Hour)
		if r.passed > 6 || len(r.d.had) > 3 {
			t.Errorf("%d passed on, %d ids", r.passed, len(r.d.had))
		}
	})
}

// What waited at the server for a resumption comes all at once, and is not to
// be measured by how fast it comes.
func TestWhatWaitedForAResumptionCountsAsMissed(t *testing.T) {
	r := newArchiveRig(t)
	r.answer("<iq type='result'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>") // no archive
	missed := func(xml string) bool {
		el, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		r.d.message(r.now, el, sm.Mark{}, 100)
		out := r.d.takeOutput()
		return len(out.pass) == 1 && out.pass[0].missed
	}
	const live = "<message from='bob@example.org/x'><body>now</body></message>"
	const late = "<message from='bob@example.org/x'><body>then</body><delay xmlns='urn:xmpp:delay' stamp='2026-11-21T11:00:00Z'/></message>"
	r.d.connected(r.now, false)
	r.pass(time.Hour)
	r.d.connected(r.now, true)
	r.pass(lateFor - 1)
	if !missed(late) || missed(live) {
		t.Error("right after the resumption what has a delay was missed, and nothing else")
	}
	r.pass(1)
	if missed(late) {
		t.Error("anybody can put a delay into a message later")
	}
}

// seesEnd answers a look at the archive's end.
func (r *archiveRig) seesEnd(id string) {
	r.t.Helper()
	r.want("looking", archiveLooking, stanza.NSMAM, r.passed)
	el, err := stanza.Parse([]byte(fromArchive(r.d.asked, id, "gw@example.org/x")), stanza.NSClient, stanza.Limits{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.d.result(r.now, el)
	r.answer(lastPage)
}

// SM-11: the mark goes past what we have sent ourselves, so that it need not be gone
// through; but never past what may not have come yet.
func TestTheMarkGoesPastWhatIsOurs(t *testing.T) {
	r := newArchiveRig(t)
	r.answer(hasArchive)
	r.answer(lastPage)
	want := func(what, id string) {
		t.Helper()
		if got := r.d.mark.row; got.ID != id || got.Open {
			t.Errorf("%s: the mark is at %q, open: %t; want %q", what, got.ID, got.Open, id)
		}
	}
	r.d.sent(99)
	r.pass(time.Minute)
	r.want("few were sent", archiveResting, "", 0)
	r.d.sent(1)
	r.pass(0)
	r.seesEnd("own-100")
	want("at the first look", "a")
	if next := r.d.nextTimeout(); !next.Equal(r.now.Add(archiveSettle)) {
		t.Errorf("the second look is at %v", next)
	}
	r.pass(archiveSettle)
	r.seesEnd("own-105")
	want("at the second one", "own-100")

	r.d.sent(100)
	r.pass(0)
	r.seesEnd("own-200")
	r.archived(1, 100) // n0, which may be older than that
	r.pass(archiveSettle)
	r.want("something has come meanwhile", archiveResting, "", 1)
	want("it has not ended yet", "own-100")

	r.d.sent(100)
	r.pass(0)
	r.seesEnd("own-300")
	r.pass(archiveSettle)
	r.archived(1, 100)     // n1, while it is asked again
	r.asked = stanza.NSMAM // still
	r.seesEnd("own-301")
	r.want("something has come before the answer", archiveResting, "", 2)
	want("neither has ended yet", "own-100")

	r.d.done(1, 2)
	want("both have", "n1")
}

// SM-11: what was seen of the archive in one session says nothing in the next, and an
// archive that does not answer is left alone.
func TestALookAtTheArchiveEndsWithItsSession(t *testing.T) {
	for name, end := range map[string]func(r *archiveRig){
		"lost":      func(r *archiveRig) { r.d.abandon(); r.d.fresh(r.now, false) },
		"refused":   func(r *archiveRig) { r.pass(archiveSettle); r.answer(noTime) },
		"no answer": func(r *archiveRig) { r.pass(archiveSettle); r.pass(archiveWait) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newArchiveRig(t)
			r.answer(hasArchive)
			r.answer(lastPage)
			r.d.sent(100)
			r.pass(0)
			r.seesEnd("own-100")
			end(r)
			r.pass(time.Hour)
			r.want("then", archiveResting, "", 0)
			if id := r.d.mark.row.ID; id != "a" {
				t.Errorf("the mark is at %q", id)
			}
		})
	}
}
