package rooms

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
)

const (
	maxComplaints = 32 // kinds of them in a notice
	maxGivenUp    = 64 // ids of lines in a notice
)

// notices are what the gateway says in the Clique room by itself: folded, and
// seldom. Only one gateway speaks; the others forget what they would have said.
type notices struct {
	next time.Time // not before then

	lostAt    time.Time // without the MUC since then; zero: we are in it
	lostTold  bool
	soon      bool // it is told at once
	why       string
	foundNow  bool
	began     bool           // the LAN knows with what it is joined
	complaint map[string]int // about whom, and why, and how often
	givenUp   []lineID
	overflow  int     // MUC lines
	subject   *string // news
	subjectBy string
}

func newNotices() notices {
	return notices{complaint: make(map[string]int), why: "no connection to the server"}
}

func (n *notices) lost(now time.Time) {
	if n.lostAt.IsZero() {
		n.lostAt = now
	}
	n.foundNow = false
}

func (n *notices) found() {
	n.lostAt, n.soon = time.Time{}, false
	n.foundNow = n.lostTold
	n.lostTold = false
}

func (n *notices) complain(name, why string) {
	what := name + ": " + why
	if n.complaint[what] > 0 || len(n.complaint) < maxComplaints {
		n.complaint[what]++
	}
}

func (n *notices) giveUp(id lineID) {
	if len(n.givenUp) < maxGivenUp {
		n.givenUp = append(n.givenUp, id)
	}
}

// forget forgets all that is not of lasting concern: another gateway tells it.
func (n *notices) forget() {
	clear(n.complaint)
	n.givenUp, n.overflow, n.subject, n.foundNow, n.began = nil, 0, nil, false, true
}

// speaks reports whether it is us who tell the LAN; undecided: that will be known
// later.
func (e *engine) speaks(now time.Time) (speaks, undecided bool) {
	switch e.gates.duty {
	case carrying:
		return true, false
	case standing:
		return false, false
	case unable:
		return e.lan.entered && !now.Before(e.gates.listenTill) && e.isEldest(now), !e.lan.entered || now.Before(e.gates.listenTill)
	}
	return false, true
}

// flushNotices tells the LAN what there is to tell, if it is time.
func (e *engine) flushNotices(now time.Time) {
	n := &e.told
	if now.Before(n.next) {
		return
	}
	speaks, undecided := e.speaks(now)
	switch {
	case undecided || e.lan.frozen:
		return
	case !speaks:
		n.forget()
		e.people.tellNone()
		return
	}
	var lines []string
	add := func(text string) {
		if text != "" {
			lines = append(lines, text)
		}
	}
	add(e.stateWords(now))
	add(e.peopleWords())
	if n.subject != nil {
		add(wordsSubject(e.nickOf(n.subjectBy), *n.subject))
	}
	for _, what := range sortedKeys(n.complaint) {
		if times := n.complaint[what]; times > 1 {
			what += fmt.Sprintf(" (%d times)", times)
		}
		add(what)
	}
	if n.overflow > 0 {
		add(wordsDropped(n.overflow))
	}
	given := e.givenUpElement()
	clear(n.complaint)
	n.givenUp, n.overflow, n.subject = nil, 0, nil
	if len(lines) == 0 {
		return
	}
	n.next = now.Add(e.cfg.Timing.Notice)
	e.notifyWith(strings.Join(lines, "\n"), given)
}

// notify says something in the Clique room.
func (e *engine) notify(text string) { e.notifyWith(text, nil) }

func (e *engine) notifyWith(text string, extra *stanza.Element) {
	e.noticed++
	e.emit(sendLAN{stanza: rewrite.NoticeToClique(e.cfg.Mark, text, e.via(""), extra)})
}

func (e *engine) givenUpElement() *stanza.Element {
	if len(e.told.givenUp) == 0 {
		return nil
	}
	return idList("given-up", e.told.givenUp).WithAttr("room", e.muc)
}

// stateWords says that the MUC is lost, or there again.
func (e *engine) stateWords(now time.Time) string {
	n := &e.told
	switch {
	case !n.lostAt.IsZero() && !n.lostTold && (n.soon || !now.Before(n.lostAt.Add(e.cfg.Timing.LostTold))):
		n.lostTold = true
		return wordsGone(e.muc, n.why)
	case n.foundNow:
		n.foundNow = false
		return wordsBack(e.muc)
	}
	return ""
}

// peopleWords says who is in the MUC, the first time, and then who came and left.
func (e *engine) peopleWords() string {
	p := &e.people
	if !p.known || !e.net.ready() {
		return ""
	}
	if e.room.Quiet {
		return ""
	}
	if !e.told.began {
		e.told.began = true
		p.tellNone()
		return wordsJoined(e.muc, andMore(e.occupants(), e.people.more))
	}
	if p.told == nil {
		p.tellNone()
		return ""
	}
	return e.changes()
}

// appendTimes appends when flushNotices is wanted.
func (n *notices) appendTimes(times []time.Time, lostTold time.Duration) []time.Time {
	times = append(times, n.next)
	if !n.lostAt.IsZero() && !n.lostTold {
		times = append(times, n.lostAt.Add(lostTold))
	}
	return times
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
