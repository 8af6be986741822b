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

const (
	coven       = "coven@rooms.example.org"
	withArchive = "<feature var='urn:xmpp:mam:2'/>"
)

// A mucRig is a rooms' desk in a test, with the time, and the other side of it.
type mucRig struct {
	t    testing.TB
	now  time.Time
	desk *mucDesk
	sent []*stanza.Element // and not taken by the test
	told []mucTelling      // likewise
	out  mucOutput         // counters
	held int               // marks claimed and not passed on or dropped
}

func newMUCRig(t testing.TB) *mucRig {
	cfg := Config{JID: jid.MustParse("alice@example.org/desk"), MaxUndone: 40, MaxOccupants: 3, Log: slog.New(slog.DiscardHandler)}
	r := &mucRig{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), desk: newMUCDesk(&cfg)}
	r.desk.fresh(r.now, true)
	r.desk.connected(r.now, true)
	return r
}

// settle lets the desk do what is due.
func (r *mucRig) settle() {
	r.desk.advance(r.now)
	out := r.desk.takeOutput()
	r.sent, r.told = append(r.sent, out.send...), append(r.told, out.tell...)
	r.held -= len(out.drop)
	for _, t := range out.tell {
		if t.live {
			r.held--
		}
	}
	r.out.strays += out.strays
	r.out.private += out.private
	r.out.crowded += out.crowded
	r.out.declined += out.declined
	r.out.fetched += out.fetched
}

// wait lets time pass, and the desk do what is due at its time.
func (r *mucRig) wait(d time.Duration) {
	for end := r.now.Add(d); ; {
		at := r.desk.nextTimeout()
		if at.IsZero() || at.After(end) {
			r.now = end
			r.settle()
			return
		}
		if at.Before(r.now) {
			r.t.Fatalf("the desk wants to be called %v ago", r.now.Sub(at))
		}
		r.now = at
		r.settle()
	}
}

func (r *mucRig) enter(room Room) {
	room.JID = jid.MustParse(coven)
	if room.Nick == "" {
		room.Nick = "gate"
	}
	r.desk.order(r.now, coven, roomOrder{enter: &room})
	r.settle()
}

// gets is what the server says.
func (r *mucRig) gets(format string, args ...any) {
	r.t.Helper()
	el, err := stanza.Parse(fmt.Appendf(nil, format, args...), stanza.NSClient, stanza.Limits{})
	if err != nil {
		r.t.Fatal(err)
	}
	switch el.Name.Local {
	case "iq":
		r.desk.answer(r.now, el)
	case "presence":
		r.desk.presence(r.now, el)
	default:
		r.desk.message(r.now, el, func() sm.Mark { r.held++; return sm.Mark{} })
	}
	r.settle()
}

// says is the next stanza that the desk sends. It must have these words.
func (r *mucRig) says(words ...string) *stanza.Element {
	r.t.Helper()
	if len(r.sent) == 0 {
		r.t.Fatalf("nothing is sent, want %q", words)
	}
	el := r.sent[0]
	r.sent = r.sent[1:]
	for _, w := range words {
		if !strings.Contains(el.String(), w) {
			r.t.Fatalf("sent %s\nwant %q", el, w)
		}
	}
	return el
}

// silent: nothing is sent.
func (r *mucRig) silent() {
	r.t.Helper()
	for _, el := range r.sent {
		r.t.Fatalf("sent %s", el)
	}
}

// hears is what is told next.
func hears[E RoomEvent](r *mucRig) (ev E) {
	r.t.Helper()
	if len(r.told) == 0 {
		r.t.Fatalf("nothing is told, want %T", ev)
	}
	ev, ok := r.told[0].event.(E)
	if !ok {
		r.t.Fatalf("told %T %+v, want %T", r.told[0].event, r.told[0].event, ev)
	}
	r.told = r.told[1:]
	return ev
}

// untold: nothing is.
func (r *mucRig) untold() {
	r.t.Helper()
	for _, t := range r.told {
		r.t.Fatalf("told %T %+v", t.event, t.event)
	}
}

// explored answers what the room is.
func (r *mucRig) explored(features string) {
	r.t.Helper()
	q := r.says("disco#info", "to='"+coven+"'")
	r.gets("<iq type='result' id='%s' from='%s'><query xmlns='http://jabber.org/protocol/disco#info'>%s</query></iq>", q.Attr("id"), coven, features)
}

// refusedTo answers an iq with an error.
func (r *mucRig) refusedTo(q *stanza.Element, condition string) {
	r.t.Helper()
	r.gets("<iq type='error' id='%s' from='%s'><error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", q.Attr("id"), q.Attr("to"), condition)
}

// welcome lets us in with this nick, beside others.
func (r *mucRig) welcome(nick string, others ...string) {
	r.t.Helper()
	for _, other := range others {
		r.gets("%s", hereIs(other))
	}
	r.gets("%s", hereIs(nick, 110))
}

func hereIs(nick string, codes ...int) string { return mucPresence(nick, "", "", codes...) }

func goneIs(nick, item string, codes ...int) string {
	return mucPresence(nick, "unavailable", item, codes...)
}

func mucPresence(nick, typ, item string, codes ...int) string {
	x := item
	for _, c := range codes {
		x += fmt.Sprintf("<status code='%d'/>", c)
	}
	return fmt.Sprintf("<presence from='%s/%s' type='%s'><x xmlns='http://jabber.org/protocol/muc#user'>%s</x></presence>", coven, nick, typ, x)
}

// subject ends what is said on entering.
func (r *mucRig) subject(text string) {
	r.t.Helper()
	r.gets("<message type='groupchat' from='%s'><subject>%s</subject></message>", coven, text)
}

// in brings us into the room, with these features, caught up with nothing missed.
func (r *mucRig) in(features string, others ...string) {
	r.t.Helper()
	r.enter(Room{})
	r.explored(features)
	r.says("<presence", coven+"/gate", "maxstanzas='0'")
	r.welcome("gate", others...)
	r.subject("")
	hears[RoomEntered](r)
	if strings.Contains(features, withArchive) {
		r.gives(r.asks("<before/>", "<max>1</max>"), "end", true)
	}
	hears[RoomSubject](r)
	if ev, archive := hears[RoomCaughtUp](r), strings.Contains(features, withArchive); archive != (ev.Start == "end") {
		r.t.Fatalf("caught up: %+v", ev)
	}
}

// asks is the desk's next question to the archive. It must have these words.
func (r *mucRig) asks(words ...string) (id string) {
	r.t.Helper()
	return r.says(append(words, "urn:xmpp:mam:2", "to='"+coven+"'")...).Attr("id")
}

// gives answers with lines, each of which is its id, of ann; of others if it is
// "nick:line".
func (r *mucRig) gives(query, lines string, complete bool) {
	r.t.Helper()
	for _, line := range strings.Fields(lines) {
		nick, id, ok := strings.Cut(line, ":")
		if !ok {
			nick, id = "ann", line
		}
		r.gets("%s", archivedLine(coven, query, id, r.now.Add(-time.Minute),
			fmt.Sprintf("<message xmlns='jabber:client' type='groupchat' from='%s/%s' id='m-%s'><body>%[3]s</body></message>", coven, nick, id)))
	}
	r.gets("<iq type='result' id='%s' from='%s'><fin xmlns='urn:xmpp:mam:2' complete='%v'/></iq>", query, coven, complete)
}

func archivedLine(from, query, id string, at time.Time, message string) string {
	return fmt.Sprintf("<message from='%s'><result xmlns='urn:xmpp:mam:2' queryid='%s' id='%s'><forwarded xmlns='urn:xmpp:forward:0'>"+
		"<delay xmlns='urn:xmpp:delay' stamp='%s'/>%s</forwarded></result></message>", from, query, id, at.UTC().Format(time.RFC3339), message)
}

// live is a line that comes by itself, its words its id.
func (r *mucRig) live(nick, id string) {
	r.t.Helper()
	r.gets("<message type='groupchat' from='%s/%s' id='m-%s'><body>%[3]s</body><stanza-id xmlns='urn:xmpp:sid:0' by='%[1]s' id='%[3]s'/></message>", coven, nick, id)
}

// lines takes what was told as lines, by their words.
func (r *mucRig) lines() string {
	r.t.Helper()
	var list []string
	for len(r.told) > 0 {
		m, ok := r.told[0].event.(RoomMessage)
		if !ok {
			break
		}
		list = append(list, m.Stanza.Child(stanza.NSClient, "body").Text())
		r.desk.done(roomLine{r.told[0].room, r.told[0].number})
		r.told = r.told[1:]
	}
	r.settle()
	return strings.Join(list, " ")
}

func (r *mucRig) wantLines(want string) {
	r.t.Helper()
	if got := r.lines(); got != want {
		r.t.Fatalf("lines %q, want %q", got, want)
	}
}
