package xmppc2s

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
	"pgregory.net/rapid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// An archiveModel is a server with an archive, a client that crashes and loses
// its session at any moment, and whoever gets the messages.
type archiveModel struct {
	t    *rapid.T
	now  time.Time
	desk *archiveDesk

	archive []archivedMessage // message i has the id "s<i>"
	first   int               // that is still there
	wire    []string          // on its way to the client
	slow    []int             // are archived, and not on the wire yet
	sent    []sentLive        // what the client counts in this session
	session int
	gone    bool // it is, and cannot be resumed

	durable, latest archiveRow
	passed          []passing    // and not done
	came            []int        // passed on, in the order of the first time
	done            map[int]bool // and known to be, whatever crashes
	began           int          // messages before this one are others' past
	late            bool         // not everything is held until its turn
	limit           int          // as Config.MaxUndone
	undone          int          // as Client.undone
}

type archivedMessage struct {
	theirs bool
	at     time.Time
}

type sentLive struct {
	number  int
	payload string
	done    bool
}

func newArchiveModel(t *rapid.T) *archiveModel {
	m := &archiveModel{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), done: map[int]bool{}}
	m.limit = rapid.SampledFrom([]int{4, 1000}).Draw(t, "limit")
	m.archive = []archivedMessage{{true, m.now}}
	m.now = m.now.Add(2 * archiveMargin)
	m.began = 1
	m.start()
	m.bind()
	return m
}

// start begins a process.
func (m *archiveModel) start() {
	cfg := Config{JID: jid.MustParse("alice@example.org/x"), CatchUp: 24 * time.Hour, CatchUpMessages: 1000, MaxUndone: m.limit, Log: slog.New(slog.DiscardHandler)}
	before := m.desk
	m.desk, m.passed, m.undone = newArchiveDesk(&cfg), nil, 0
	m.desk.page, m.desk.doubt, m.desk.every = 3, rapid.Bool().Draw(m.t, "doubt"), 4
	if before != nil {
		m.desk.ids = before.ids + 100
		m.desk.restore(m.durable)
	}
	m.desk.connected(m.now, true)
}

// write archives a message; a contact's is sent, too, if there is a session, perhaps
// a moment later.
func (m *archiveModel) write(theirs, slow bool) {
	m.now = m.now.Add(time.Second)
	m.archive = append(m.archive, archivedMessage{theirs, m.now})
	switch {
	case m.gone:
	case theirs:
		m.slow = append(m.slow, len(m.archive)-1)
	default:
		m.desk.sent(1)
		m.settle()
	}
	if !slow || len(m.slow) > 0 && m.now.Sub(m.archive[m.slow[0]].at) >= archiveSettle/2 {
		m.catchUp()
	}
}

// catchUp sends what is archived.
func (m *archiveModel) catchUp() {
	for _, i := range m.slow {
		m.send(i, "")
	}
	m.slow = nil
}

// wait has time pass, in which a server sends what it has.
func (m *archiveModel) wait() {
	m.catchUp()
	m.now = m.now.Add(5 * time.Second)
	m.settle()
}

func (m *archiveModel) send(i int, payload string) {
	st := fmt.Sprintf("<message from='bob@example.org/x' id='%d.%d'><body>words</body>%s"+
		"<stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='s%d'/></message>", m.session, len(m.sent), payload, i)
	m.sent = append(m.sent, sentLive{number: i, payload: payload})
	m.wire = append(m.wire, st)
}

// begin counts from nothing.
func (m *archiveModel) begin() {
	m.session++
	m.wire, m.sent, m.slow, m.gone = nil, nil, nil, false
}

// bind begins another session. What was sent in the one before and has not
// arrived is gone, but some of it, and of what came meanwhile, was stored
// offline.
func (m *archiveModel) bind() {
	if len(m.desk.held) > 0 && !m.desk.mark.row.IDs { // nobody knows whether they come again
		m.late = true
	}
	m.undone -= m.desk.abandon()
	m.settle()
	m.durable.Open = true
	m.begin()
	for i := max(m.began, m.first); i < len(m.archive); i++ {
		if m.archive[i].theirs && rapid.IntRange(0, 3).Draw(m.t, "offline") == 0 {
			m.send(i, "<delay xmlns='urn:xmpp:delay' stamp='"+m.archive[i].at.Format(time.RFC3339)+"'/>")
		}
	}
	m.desk.fresh(m.now, true)
	m.settle()
}

// crash ends the process. A kill leaves the mark, a power cut does not. The
// next process may go on with the session: it gets again what is not handled.
func (m *archiveModel) crash(killed, resumed bool) {
	if killed {
		m.durable = m.durable.further(appendMark(nil, sm.Session{ID: "x"}, m.latest))
	}
	m.latest = m.durable
	m.start()
	if !resumed || m.gone {
		m.bind()
		return
	}
	again := m.sent
	for len(again) > 0 && again[0].done {
		again = again[1:]
	}
	m.begin()
	for _, s := range again {
		m.send(s.number, s.payload)
	}
	m.desk.fresh(m.now, false)
	m.settle()
}

// settle carries out what the desk wants.
func (m *archiveModel) settle() {
	hold := m.desk.holdUntil
	m.late = m.late || !hold.IsZero() && !m.now.Before(hold)
	m.desk.advance(m.now, m.limit-len(m.passed))
	out := m.desk.takeOutput()
	m.undone -= out.parked
	if out.row != nil {
		m.latest = *out.row
	}
	if out.send != nil {
		m.durable = m.latest
		m.answer(out.send)
	}
	for _, p := range out.pass {
		m.pass(p)
	}
	m.check()
}

func (m *archiveModel) pass(p passing) {
	i := m.number(p)
	again := slices.ContainsFunc(m.passed, func(q passing) bool { return m.number(q) == i })
	m.passed = append(m.passed, p)
	if n := len(m.passed); n > m.limit+2*m.desk.page {
		m.t.Fatalf("%d are passed on", n)
	}
	if m.done[i] || again {
		m.finish(len(m.passed) - 1) // a duplicate
	} else if !slices.Contains(m.came, i) {
		m.came = append(m.came, i)
	}
}

// finish says that a message that was passed on is done.
func (m *archiveModel) finish(n int) {
	p := m.passed[n]
	m.passed = slices.Delete(m.passed, n, n+1)
	if !slices.ContainsFunc(m.passed, func(q passing) bool { return m.number(q) == m.number(p) }) {
		m.done[m.number(p)] = true
	}
	if p.live {
		m.undone--
		var session, k int
		if fmt.Sscanf(p.stanza.Attr("id"), "%d.%d", &session, &k); session == m.session {
			m.sent[k].done = true
		}
	}
	m.desk.done(p.number)
}

func (m *archiveModel) number(p passing) int {
	n, err := strconv.Atoi(strings.TrimPrefix(p.id, "s"))
	if err != nil {
		m.t.Fatalf("no id: %s", p.stanza)
	}
	return n
}

// answer puts what the server says to a question on the wire.
func (m *archiveModel) answer(iq *stanza.Element) {
	reply := func(typ, payload string) {
		m.wire = append(m.wire, fmt.Sprintf("<iq type='%s' id='%s' from='alice@example.org'>%s</iq>", typ, iq.Attr("id"), payload))
	}
	q := iq.Child(stanza.NSMAM, "query")
	if q == nil {
		reply("result", "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/><feature var='urn:xmpp:sid:0'/></query>")
		return
	}
	from := m.first
	if after := q.Child(stanza.NSRSM, "set").Child(stanza.NSRSM, "after").Text(); after != "" {
		if from, _ = strconv.Atoi(after[1:]); from < m.first {
			reply("error", "<error type='modify'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
			return
		}
		from++
	}
	for f := range q.Child(stanza.NSForm, "x").Children() {
		start, err := time.Parse(time.RFC3339, f.Child(stanza.NSForm, "value").Text())
		for err == nil && from < len(m.archive) && m.archive[from].at.Before(start) {
			from++
		}
	}
	if m.desk.query.back {
		from = max(m.first, len(m.archive)-1)
	}
	page := m.archive[from:min(from+m.desk.query.max, len(m.archive))]
	last := ""
	for n, a := range page {
		sender := map[bool]string{true: "bob@example.org/x", false: "alice@example.org/x"}[a.theirs]
		last = fmt.Sprintf("s%d", from+n)
		m.wire = append(m.wire, fmt.Sprintf("<message from='alice@example.org'><result xmlns='urn:xmpp:mam:2' queryid='%s' id='%s'>"+
			"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='%s'/><message xmlns='jabber:client' from='%s'>"+
			"<body>words</body></message></forwarded></result></message>", iq.Attr("id"), last, a.at.Format(time.RFC3339), sender))
	}
	reply("result", fmt.Sprintf("<fin xmlns='urn:xmpp:mam:2' complete='%v'><set xmlns='http://jabber.org/protocol/rsm'><last>%s</last></set></fin>",
		from+len(page) == len(m.archive), last))
}

// deliver has the next of the wire arrive, unless too many are undone.
func (m *archiveModel) deliver() (arrived bool) {
	el, err := stanza.Parse([]byte(m.wire[0]), stanza.NSClient, stanza.Limits{})
	if err != nil {
		m.t.Fatal(err)
	}
	if el.Is(stanza.NSClient, "message") && m.undone >= m.limit {
		return false
	}
	m.wire = m.wire[1:]
	switch {
	case el.Is(stanza.NSClient, "iq"):
		m.desk.answer(m.now, el)
	case el.Child(stanza.NSMAM, "result") != nil:
		m.desk.result(m.now, el)
	default:
		if d := m.desk; !d.mark.row.IDs && len(d.held)+1 >= d.maxHeld {
			m.late = true // of those that may not come again not so many are held
		}
		m.undone++
		m.desk.message(m.now, el, sm.Mark{}, 100)
	}
	m.settle()
	return true
}

// check: the mark is never ahead of what is done.
func (m *archiveModel) check() {
	for _, row := range []archiveRow{m.desk.mark.row, m.latest, m.durable} {
		if row.ID == "" {
			continue
		}
		upTo, err := strconv.Atoi(row.ID[1:])
		if err != nil {
			m.t.Fatal(err)
		}
		for i := m.began; i <= upTo; i++ {
			if m.archive[i].theirs && !m.done[i] {
				m.t.Fatalf("the mark is at %d, and %d is not done", upTo, i)
			}
		}
	}
}

// finishAll brings everything to its end, in another session.
func (m *archiveModel) finishAll() {
	m.bind()
	m.rest()
	for i, a := range m.archive {
		if a.theirs && i >= m.began && !m.done[i] {
			m.t.Fatalf("%d is lost; %d came", i, len(m.came))
		}
		if m.done[i] && (!a.theirs || i < m.began) {
			m.t.Fatalf("%d was nobody's business", i)
		}
	}
	if !m.late && !slices.IsSorted(m.came) {
		m.t.Fatalf("out of order: %v", m.came)
	}
}

// rest brings what is under way to its end.
func (m *archiveModel) rest() {
	for n := 0; len(m.wire) > 0 || len(m.passed) > 0 || m.desk.state != archiveResting; n++ {
		if n > 1000 {
			m.t.Fatalf("it does not end: %v", m.desk.state)
		}
		for len(m.wire) > 0 && m.deliver() {
		}
		for len(m.passed) > 0 {
			m.finish(0)
		}
		m.settle()
		m.now = m.now.Add(time.Second)
	}
}

// SM-09, SM-11: whatever is lost and whenever, each message of the archive is
// passed on, in order, and never forgotten before it is done.
func TestTheArchiveFillsEveryGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newArchiveModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				m.write(rapid.IntRange(0, 3).Draw(t, "theirs") > 0, rapid.Bool().Draw(t, "slow"))
			},
			"write much": func(t *rapid.T) {
				for range 4 {
					m.write(false, true)
				}
			},
			"deliver": func(t *rapid.T) {
				if len(m.wire) > 0 {
					m.deliver()
				}
			},
			"finish": func(t *rapid.T) {
				if n := len(m.passed); n > 0 {
					m.finish(rapid.IntRange(0, n-1).Draw(t, "which"))
					m.settle()
				}
			},
			"keep": func(*rapid.T) { m.durable = m.latest },
			"rest": func(t *rapid.T) {
				if !m.gone {
					m.rest()
				}
			},
			"wait":  func(*rapid.T) { m.wait() },
			"lose":  func(*rapid.T) { m.gone, m.wire, m.slow = true, nil, nil },
			"bind":  func(*rapid.T) { m.bind() },
			"crash": func(t *rapid.T) { m.crash(rapid.Bool().Draw(t, "killed"), rapid.Bool().Draw(t, "resumed")) },
			"expire": func(*rapid.T) {
				for m.first < len(m.archive) && (m.done[m.first] || !m.archive[m.first].theirs || m.first < m.began) {
					m.first++
				}
			},
		})
		m.finishAll()
	})
}
