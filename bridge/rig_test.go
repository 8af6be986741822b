package bridge

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// openKeys are what the mesh may know of alice.
var openKeys = linklocal.PublishKeys{Nick: true, Status: true, Msg: true, Icon: true}

// office is the configuration of most tests.
func office() Config {
	return Config{
		Contacts: []Contact{
			{JID: jid.MustParse("alice@example.org"), Nick: "Alice", Publish: &openKeys},
			{JID: jid.MustParse("carl@example.org"), Offline: ShowOffline},
			{JID: jid.MustParse("boss@example.org"), User: "chief", First: "Bea", Last: "Boss"},
		},
		Peers: []string{"*@h?", "*@h1", "*@h2", "*@h3", "wjt@*"},
		PeerContacts: []PeerRule{
			{Peer: "guest@*", Contacts: []jid.JID{jid.MustParse("alice@example.org")}},
		},
		Avatar: AvatarPeers, WarnPlain: true,
		Timing:   Timing{LookAround: -1}, // what is said in it is a test of its own
		Location: time.UTC,
		Rand:     rand.New(rand.NewPCG(1, 2)),
	}
}

// A rig drives an engine through virtual time and writes down what it does.
// Like linklocal, it tells the engine the presence name of what it publishes.
type rig struct {
	t       fataler
	e       *engine
	now     time.Time
	probing bool              // published names are not told by themselves
	names   map[string]string // ids and threads as they are written down
	counts  map[string]int
	tokens  []uint64 // deliveries that have no result yet, oldest first
	trace   []string
	actions []action
	done    map[string]int // how often the message of this id was finished
	past    memPast
	rooms   fakeRooms
	came    []arrival // what the server has sent
}

// An arrival is a message of the network, or an invitation.
type arrival struct {
	xml     string
	invited *xmppc2s.RoomInvited
}

// A fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func newRig(t fataler, cfg Config, notes ...string) *rig {
	r := &rig{t: t, now: start, names: make(map[string]string), counts: make(map[string]int), done: make(map[string]int)}
	r.e = newEngine(r.now, cfg.withDefaults(), notes)
	r.flush()
	return r
}

func (r *rig) flush() {
	for acts := r.e.takeActions(); len(acts) > 0; acts = r.e.takeActions() {
		for _, a := range acts {
			r.actions = append(r.actions, a)
			if line := r.write(a); line != "" {
				r.trace = append(r.trace, line)
			}
			r.obey(a)
		}
	}
}

func (r *rig) obey(a action) {
	switch a := a.(type) {
	case publish:
		if _, known := r.e.peers.ownKey[a.contact.ID]; !known && !r.probing {
			r.published(a.contact.ID, linklocal.Instance(a.contact.User+"@gw"))
		}
	case toLAN:
		if a.token != 0 {
			r.tokens = append(r.tokens, a.token)
		}
	case finish:
		a.done()
	case shelve:
		r.past.Write(a...)
	case lookUp:
		(&Hub{past: &r.past}).lookUp(r.now, r.e, a)
	case sweep:
		(&Hub{past: &r.past}).sweep(a.before)
	}
}

func (r *rig) published(id linklocal.ContactID, i linklocal.Instance) {
	r.e.handleLAN(r.now, linklocal.ContactPublished{ID: id, Instance: i})
	r.flush()
}

// wait lets virtual time pass.
func (r *rig) wait(d time.Duration) {
	end := r.now.Add(d)
	for n := 0; ; n++ {
		next := r.e.nextTimeout()
		if next.IsZero() || next.After(end) {
			break
		}
		if n > 10000 {
			r.t.Fatal("the engine does not come to rest")
		}
		if next.After(r.now) {
			r.now = next
		}
		r.e.handleTimeout(r.now)
		r.flush()
	}
	r.now = end
}

func (r *rig) lan(ev linklocal.Event) {
	r.e.handleLAN(r.now, ev)
	r.flush()
}

func (r *rig) srv(ev xmppc2s.Event) {
	r.e.handleServer(r.now, ev)
	r.flush()
}

func (r *rig) peer(i linklocal.Instance, p linklocal.Presence) {
	r.lan(linklocal.PeerAppeared{Peer: linklocal.Peer{Instance: i, Presence: p}})
}

func (r *rig) online(resumed bool) {
	r.srv(xmppc2s.Online{JID: jid.MustParse("gate@example.org/mesh"), Resumed: resumed})
}

func (r *rig) presence(from, show, status string, priority int8, available bool) {
	r.srv(xmppc2s.ContactPresence{JID: jid.MustParse(from), Available: available, Show: show, Status: status, Priority: priority})
}

// fromLAN lets a peer send a stanza to a contact.
func (r *rig) fromLAN(to linklocal.ContactID, from linklocal.Instance, xml string) {
	r.lan(linklocal.Received{To: to, From: from, Stanza: r.parse(xml)})
}

// fromNet lets a stanza arrive from the server.
func (r *rig) fromNet(xml string) {
	st := r.parse(xml)
	id := st.Attr("id")
	r.came = append(r.came, arrival{xml, nil})
	r.srv(xmppc2s.Message{Stanza: st, Done: func() { r.done[id]++ }})
}

// result tells the engine what became of the oldest delivery.
func (r *rig) result(err error) {
	if len(r.tokens) == 0 {
		r.trace = append(r.trace, "no delivery waits for a result")
		return
	}
	token := r.tokens[0]
	r.tokens = r.tokens[1:]
	r.e.handleSent(r.now, token, err)
	r.flush()
}

func (r *rig) parse(xml string) *stanza.Element {
	r.t.Helper()
	st, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
	if err != nil {
		r.t.Fatalf("%s: %v", xml, err)
	}
	return st
}

// taken returns what was written down since the last call.
func (r *rig) taken() []string {
	lines := r.trace
	r.trace = nil
	return lines
}

// acknowledge lets the server acknowledge a stanza.
func (r *rig) acknowledge(st *stanza.Element) {
	r.srv(xmppc2s.Acknowledged{Messages: []xmppc2s.Sent{{ID: st.Attr("id"), To: st.Attr("to")}}})
}

// sent returns the stanzas that went to the server since the rig was made.
func (r *rig) sent() []*stanza.Element {
	var out []*stanza.Element
	for _, a := range r.actions {
		if s, ok := a.(toServer); ok {
			out = append(out, s.stanza)
		}
	}
	return out
}

// wantBalanced checks that every message is in exactly one counter.
func (r *rig) wantBalanced() {
	r.t.Helper()
	s := r.e.stats()
	for name, l := range map[string]Ledger{"LAN": s.FromLAN, "network": s.FromNetwork} {
		if !l.Balanced() {
			r.t.Fatalf("from %s: what entered is not what is accounted for: %+v", name, l)
		}
	}
	if n := len(r.e.pending) + len(r.e.early); int(s.FromNetwork.Pending) != n {
		r.t.Fatalf("from network: %d pending, want %d", s.FromNetwork.Pending, n)
	}
	if n, rows := len(r.e.book.waiting), r.past.len(Waiting); int(s.FromLAN.Pending) != n || rows != n {
		r.t.Fatalf("from LAN: %d pending, %d waiting in memory and %d on the disk", s.FromLAN.Pending, n, rows)
	}
}

// alias is a random id in a form that is the same in every run.
func (r *rig) alias(kind, id string) string {
	if id == "" {
		return ""
	}
	if r.names[id] == "" {
		r.counts[kind]++
		r.names[id] = fmt.Sprintf("%s%d", kind, r.counts[kind])
	}
	return r.names[id]
}

// unalias is the id that was written down under this name.
func (r *rig) unalias(name string) string {
	for id, n := range r.names {
		if n == name {
			return id
		}
	}
	return name
}

// write is an action in a line.
func (r *rig) write(a action) string {
	switch a := a.(type) {
	case publish:
		line := fmt.Sprintf("mesh: %s is %s %q", a.contact.User, a.contact.Presence.Status, a.contact.Presence.Msg)
		if a.contact.Icon != nil {
			line += " with picture " + string(a.contact.Icon.Data)
		}
		return line
	case withdraw:
		return fmt.Sprintf("mesh: %s is gone", a.id)
	case toLAN:
		how := ""
		if a.open {
			how = " if open"
		}
		return fmt.Sprintf("to %s from %s%s: %s", a.to, a.from, how, r.writeStanza(a.stanza))
	case toServer:
		return fmt.Sprintf("to %s: %s", a.stanza.Attr("to"), r.writeStanza(a.stanza))
	case setPresence:
		return fmt.Sprintf("presence: %q", a.status)
	case setAvatar:
		var of []string
		for _, i := range a.of {
			of = append(of, string(i.Data))
		}
		return "avatar: " + joinWords(of, 1000)
	case keepNote:
		return "note: " + a.text
	case dropNote:
		return "no note any more: " + a.text
	case note:
		return fmt.Sprintf("= %s: %s", a.direction, a.outcome)
	case finish:
		return "finished"
	}
	return ""
}

// writeInvitation is what a stanza says about rooms.
func writeInvitation(st *stanza.Element) (words []string) {
	if inv, ok := clique.ParseInvitation(st); ok {
		words = append(words, fmt.Sprintf("invite %s %s %q", inv.Room, inv.Group, inv.Reason))
	}
	if x := st.Child(stanza.NSConf, "x"); x != nil {
		words = append(words, fmt.Sprintf("direct invite %s %q", x.Attr("jid"), x.Attr("reason")))
	}
	for c := range st.Child(stanza.NSMUCUsr, "x").Children() {
		words = append(words, fmt.Sprintf("%s %s %q", c.Name.Local, c.Attr("to"), c.Child(stanza.NSMUCUsr, "reason").Text()))
	}
	return words
}

func (r *rig) writeStanza(st *stanza.Element) string {
	if st.Attr("type") == "error" {
		err := stanza.ParseError(st)
		return fmt.Sprintf("error %s to %s: %s", err.Condition, st.Attr("id"), err.Text)
	}
	var words []string
	if b := st.Child(stanza.NSClient, "body"); b != nil {
		words = append(words, fmt.Sprintf("%q", b.Text()))
	}
	words = append(words, writeInvitation(st)...)
	if id := st.Attr("id"); id != "" {
		words = append(words, r.alias("m", id))
	}
	if th := st.Child(stanza.NSClient, "thread").Text(); th != "" {
		words = append(words, "thread "+r.alias("t", th))
	}
	for c := range st.Children() {
		switch {
		case c.Name.Space == stanza.NSStates && c.Name.Local != "active":
			words = append(words, c.Name.Local)
		case c.Is(stanza.NSRcpt, "received"):
			words = append(words, "received "+c.Attr("id"))
		}
	}
	return strings.Join(words, " ")
}
