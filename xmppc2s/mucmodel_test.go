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

// A mucModel is a server with one room and its archive, a client that crashes
// and loses its session or its place at any moment, and whoever gets the lines.
type mucModel struct {
	t    *rapid.T
	now  time.Time
	desk *mucDesk

	said   []time.Time // line i has the id "s<i>"
	in     bool        // the server thinks that we are in the room
	wire   []string    // on its way to the client
	sent   []mucSent   // that the client counts in this session
	number int         // of the session

	durable string // the id up to which whoever gets the lines is done with them
	passed  []mucTelling
	came    []int // told, in the order of the first time
	done    map[int]bool
	began   int  // lines before this one are others' past
	late    bool // not everything waited for its turn
	held    int  // when the desk had done what was due
}

type mucSent struct {
	line int
	done bool
}

func newMUCModel(t *rapid.T) *mucModel {
	m := &mucModel{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), done: map[int]bool{}}
	m.said = []time.Time{m.now, m.now}
	m.began = 2
	m.start("")
	m.bind()
	m.run(mucWait)
	m.durable = m.mark()
	return m
}

// start begins a process, which is done with the lines up to one.
func (m *mucModel) start(after string) {
	cfg := Config{JID: jid.MustParse("alice@example.org/x"), MaxUndone: rapid.SampledFrom([]int{16, 1000}).Draw(m.t, "undone"), MaxOccupants: 9, Log: slog.New(slog.DiscardHandler)}
	ids := uint64(0)
	if m.desk != nil {
		ids = m.desk.ids + 100
	}
	m.desk, m.passed = newMUCDesk(&cfg), nil
	m.desk.ids = ids
	m.desk.order(m.now, coven, roomOrder{enter: &Room{JID: jid.MustParse(coven), Nick: "gate", After: after, Lines: maxRoomLines}})
	m.durable = after
}

// say has somebody say a line.
func (m *mucModel) say() {
	m.now = m.now.Add(time.Second)
	m.said = append(m.said, m.now)
	if m.in {
		m.send(len(m.said) - 1)
	}
}

func (m *mucModel) send(line int) {
	m.wire = append(m.wire, fmt.Sprintf("<message type='groupchat' from='%s/ann' id='%d.%d'><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='%[1]s' id='s%[4]d'/></message>",
		coven, m.number, len(m.sent), line))
	m.sent = append(m.sent, mucSent{line: line})
}

// bind begins another session.
func (m *mucModel) bind() {
	for _, r := range m.desk.list { // what is held is not handled: it need not be passed on
		r.about = mucFeatures{archive: true, ids: true}
	}
	m.desk.abandon()
	m.settle()
	m.number++
	m.in, m.wire, m.sent = false, nil, nil
	m.desk.connected(m.now, false)
	m.desk.fresh(m.now, true)
	m.desk.connected(m.now, true)
	m.settle()
}

// crash ends the process. The next one may go on with the session: it gets
// again what is not handled.
func (m *mucModel) crash(resumed bool) {
	m.late = m.late || m.desk.held > 0
	m.start(m.durable)
	if !resumed {
		m.bind()
		return
	}
	again := m.sent
	for len(again) > 0 && again[0].done {
		again = again[1:]
	}
	m.number++
	m.wire, m.sent = nil, nil
	for _, s := range again {
		m.send(s.line)
	}
	m.desk.fresh(m.now, false)
	m.desk.connected(m.now, true)
	m.settle()
}

// settle carries out what the desk wants.
func (m *mucModel) settle() {
	for _, r := range m.desk.list {
		m.late = m.late || r.holding && !m.now.Before(r.hold)
	}
	m.desk.advance(m.now)
	out := m.desk.takeOutput()
	for _, el := range out.send {
		m.answer(el)
	}
	for _, t := range out.tell {
		switch ev := t.event.(type) {
		case RoomMessage:
			m.pass(t, ev)
		case RoomLost: // what was held is told with it
			m.late = m.late || m.held > 0
		}
	}
	m.late = m.late || m.held >= m.desk.maxHeld-1
	m.held = m.desk.held
	m.check()
}

func (m *mucModel) pass(t mucTelling, ev RoomMessage) {
	i := m.line(ev.ID)
	again := slices.ContainsFunc(m.passed, func(q mucTelling) bool { return q.event.(RoomMessage).ID == ev.ID })
	m.passed = append(m.passed, t)
	if m.done[i] || again {
		m.finish(len(m.passed) - 1) // a duplicate
	}
	if !slices.Contains(m.came, i) {
		m.came = append(m.came, i)
	}
}

func (m *mucModel) line(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "s"))
	if err != nil {
		panic("no id of a line: " + id)
	}
	return n
}

// finish says that a line that was told is done.
func (m *mucModel) finish(n int) {
	t := m.passed[n]
	ev := t.event.(RoomMessage)
	m.passed = slices.Delete(m.passed, n, n+1)
	if !slices.ContainsFunc(m.passed, func(q mucTelling) bool { return q.event.(RoomMessage).ID == ev.ID }) {
		m.done[m.line(ev.ID)] = true
	}
	if t.live {
		var number, k int
		if fmt.Sscanf(ev.Stanza.Attr("id"), "%d.%d", &number, &k); number == m.number {
			m.sent[k].done = true
		}
	}
	m.desk.done(roomLine{t.room, t.number})
}

// answer puts what the server says to a stanza on the wire.
func (m *mucModel) answer(el *stanza.Element) {
	reply := func(typ, payload string) {
		m.wire = append(m.wire, fmt.Sprintf("<iq type='%s' id='%s' from='%s'>%s</iq>", typ, el.Attr("id"), el.Attr("to"), payload))
	}
	switch {
	case el.Child(stanza.NSDisco, "query") != nil:
		reply("result", "<query xmlns='http://jabber.org/protocol/disco#info'>"+withArchive+"</query>")
	case el.Child(stanza.NSMAM, "query") != nil:
		m.archive(el, reply)
	case el.Child(stanza.NSPing, "ping") != nil && m.in:
		reply("result", "")
	case el.Child(stanza.NSPing, "ping") != nil:
		reply("error", "<error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
	case el.Child(stanza.NSMUC, "x") != nil:
		m.in = true
		m.wire = append(m.wire, hereIs("ann"), hereIs("gate", 110), "<message type='groupchat' from='"+coven+"'><subject/></message>")
	}
}

// archive gives a page of at most three lines, the newest of those that are asked for.
func (m *mucModel) archive(el *stanza.Element, reply func(typ, payload string)) {
	set := el.Child(stanza.NSMAM, "query").Child(stanza.NSRSM, "set")
	size, err := strconv.Atoi(set.Child(stanza.NSRSM, "max").Text())
	if err != nil {
		m.t.Fatal(err)
	}
	end := len(m.said)
	if before := set.Child(stanza.NSRSM, "before").Text(); before != "" {
		end = m.line(before)
	}
	first := max(0, end-min(size, 3))
	for i := first; i < end; i++ {
		m.wire = append(m.wire, archivedLine(coven, el.Attr("id"), fmt.Sprintf("s%d", i), m.said[i],
			"<message xmlns='jabber:client' type='groupchat' from='"+coven+"/ann'><body>x</body></message>"))
	}
	reply("result", fmt.Sprintf("<fin xmlns='urn:xmpp:mam:2' complete='%v'/>", first == 0))
}

// deliver has the next of the wire arrive.
func (m *mucModel) deliver() {
	el, err := stanza.Parse([]byte(m.wire[0]), stanza.NSClient, stanza.Limits{})
	if err != nil {
		m.t.Fatal(err)
	}
	m.wire = m.wire[1:]
	switch el.Name.Local {
	case "iq":
		m.desk.answer(m.now, el)
	case "presence":
		m.desk.presence(m.now, el)
	default:
		m.desk.message(m.now, el, func() sm.Mark { return sm.Mark{} })
	}
	m.settle()
}

// run lets time pass, and everything arrive.
func (m *mucModel) run(d time.Duration) {
	for end := m.now.Add(d); m.now.Before(end) || len(m.wire) > 0; {
		for len(m.wire) > 0 {
			m.deliver()
		}
		m.now = m.now.Add(time.Second)
		m.settle()
	}
}

// mark is how far the desk believes that all is done.
func (m *mucModel) mark() string {
	if len(m.desk.list) == 0 {
		return ""
	}
	return m.desk.list[0].mark.row.ID
}

// check: the mark is never ahead of what is done.
func (m *mucModel) check() {
	id := m.mark()
	if id == "" {
		return
	}
	for i := m.began; i <= m.line(id); i++ {
		if !m.done[i] {
			m.t.Fatalf("the mark is at %s, and %d is not done", id, i)
		}
	}
}

// finishAll brings everything to its end.
func (m *mucModel) finishAll() {
	m.bind()
	m.run(4 * time.Minute)
	for len(m.passed) > 0 {
		m.finish(0)
	}
	m.run(time.Second)
	for i := m.began; i < len(m.said); i++ {
		if !m.done[i] {
			m.t.Fatalf("line %d is lost; %v came", i, m.came)
		}
	}
	if m.done[0] || m.done[1] {
		m.t.Fatal("others' past is told")
	}
	if want := fmt.Sprintf("s%d", len(m.said)-1); m.mark() != want {
		m.t.Fatalf("the mark is at %s, want %s", m.mark(), want)
	}
	if !m.late && !slices.IsSorted(m.came) {
		m.t.Fatalf("out of order: %v", m.came)
	}
}

// CQ-13, IJ-08: whatever is lost and whenever, each line said in a room since we
// were there first is told, in order, and never forgotten before it is done.
func TestARoomsArchiveFillsEveryGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMUCModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"say": func(*rapid.T) { m.say() },
			"deliver": func(*rapid.T) {
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
			"keep":   func(*rapid.T) { m.durable = m.mark() },
			"wait":   func(*rapid.T) { m.now = m.now.Add(5 * time.Second); m.settle() },
			"run":    func(*rapid.T) { m.run(30 * time.Second) },
			"forget": func(*rapid.T) { m.in = false },
			"refuse": func(*rapid.T) {
				m.wire = append(m.wire, fmt.Sprintf("<message type='error' id='x' from='%s'><error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", coven))
			},
			"put out": func(*rapid.T) {
				if m.in {
					m.in = false
					m.wire = append(m.wire, goneIs("gate", "", 110, 332))
				}
			},
			"bind":  func(*rapid.T) { m.bind() },
			"crash": func(t *rapid.T) { m.crash(rapid.Bool().Draw(t, "resumed")) },
		})
		m.finishAll()
	})
}
