package streams

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"mellium.im/xmpp/jid"

	"meshgate/bridge"
	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	gateway = "gw@example.org/meshgate"
	own     = "meshgate@gw"
)

// A world is a service between a LAN and a network that take what it says.
type world struct {
	*Service
	t      *testing.T
	lan    chan *stanza.Element // with the receiver in to
	server chan *stanza.Element
	broken error    // of the network
	logins          // further sessions
	over   chan int // how many there are when there are said to be none
}

// Send is the LAN's.
func (w *world) Send(o linklocal.Outgoing) {
	w.lan <- o.Stanza.WithAttr("to", string(o.To))
	o.Done(nil)
}

type network struct{ w *world }

// ConflictOver is told when the further sessions are gone.
func (n network) ConflictOver() { n.w.over <- n.w.count() }

func (n network) Send(st *stanza.Element) error {
	if n.w.broken != nil {
		return n.w.broken
	}
	if from := dsps.JID(st.Attr("from")); from != n.w.account.address() {
		n.w.t.Errorf("what is said at %s goes out by another address", from)
	}
	n.w.server <- st
	return nil
}

// newWorld has the contacts alice, who is online, carol, who is not, and dave;
// all peers on h2 and h3 may use the gateway, those on h3 for dave only.
func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	policy := bridge.Config{
		Contacts:     []bridge.Contact{{JID: jid.MustParse("alice@example.org")}, {JID: jid.MustParse("carol@example.org")}, {JID: jid.MustParse("dave@example.org")}},
		Peers:        []string{"*@h2", "*@h3", "*@example.org"},
		PeerContacts: []bridge.PeerRule{{Peer: "*@h3", Contacts: []jid.JID{jid.MustParse("dave@example.org")}}},
	}
	cfg := Config{
		Server: dsps.ServerConfig{Listen: "none"}, Policy: policy.Policy(), Host: "gw.example.org",
		FindLANHost: func() string { return "192.0.2.1" },
	}
	for _, c := range policy.Contacts {
		cfg.Contacts = append(cfg.Contacts, Contact{c.JID, linklocal.Instance(c.JID.Localpart() + "@gw")})
	}
	if change != nil {
		change(&cfg)
	}
	w := &world{Service: New(cfg), t: t, lan: make(chan *stanza.Element, 100), server: make(chan *stanza.Element, 100), over: make(chan int, 1)}
	w.logins = logins{t: t, server: w.server, up: map[dsps.JID]*furtherSession{}}
	w.HandleServer(xmppc2s.Online{JID: jid.MustParse(gateway)})
	w.HandleServer(xmppc2s.ContactPresence{JID: jid.MustParse("alice@example.org/low"), Available: true})
	w.HandleServer(xmppc2s.ContactPresence{JID: jid.MustParse("alice@example.org/high"), Available: true, Priority: 5})
	w.HandleServer(xmppc2s.ContactPresence{JID: jid.MustParse("alice@example.org/gone"), Available: true, Priority: 9})
	w.HandleServer(xmppc2s.ContactPresence{JID: jid.MustParse("alice@example.org/gone")})
	w.HandleLAN(publishedAs(own))
	w.HandleLAN(linklocal.ContactPublished{ID: "alice@example.org", Instance: "alice1@gw"}) // the name was taken
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, Parts{LAN: w, Server: network{w}, Login: w.login}) }()
	for w.Err() != nil {
		time.Sleep(time.Millisecond) // poll
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

func publishedAs(name linklocal.Instance) linklocal.Event {
	return linklocal.ContactPublished{ID: bridge.ConciergeID, Instance: name}
}

func parse(t *testing.T, s string) *stanza.Element {
	t.Helper()
	el, err := stanza.Parse([]byte(s), stanza.NSClient, stanza.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return el
}

// iq is one of a kind, with a query.
func (w *world) iq(kind, from, to, query string) *stanza.Element {
	w.t.Helper()
	return parse(w.t, "<iq type='"+kind+"' id='1' from='"+from+"' to='"+to+"'>"+
		strings.ReplaceAll(query, "<query", "<query xmlns='jabber:iq:dsps'")+"</iq>")
}

// peer has a peer on the LAN say something.
func (w *world) peer(name, to, kind, query string) bool {
	w.t.Helper()
	return w.LAN().HandleIQ(own, linklocal.Instance(name), w.iq(kind, name, to, query))
}

// contact has a contact say something.
func (w *world) contact(from, kind, query string) bool {
	w.t.Helper()
	return w.contactAt(gateway, from, kind, query)
}

// contactAt has one say something to some address of ours.
func (w *world) contactAt(at dsps.JID, from, kind, query string) bool {
	w.t.Helper()
	iq := w.iq(kind, from, string(at), query)
	if at == w.account.address() {
		return w.Network().HandleIQ(jid.MustParse(string(at)), iq)
	}
	w.session(at).in <- iq
	return true
}

func (w *world) next(from chan *stanza.Element) *stanza.Element {
	w.t.Helper()
	select {
	case st := <-from:
		return st
	case <-time.After(10 * time.Second):
		w.t.Fatal("nothing was sent")
		return nil
	}
}

func code(st *stanza.Element) string { return st.Child(stanza.NSClient, "error").Attr("code") }

func query(st *stanza.Element) *stanza.Element { return st.Child(dsps.NS, "query") }

// DS-19: a peer creates a stream at a name of the gateway's with a resource, is
// told where it is on the LAN, and invites a contact by the name of the mirror: that
// reaches the client that wants it most, which is told where it is for contacts. Each
// side reads its own names.
func TestAPeerInvitesAContactByItsMirror(t *testing.T) {
	w := newWorld(t, nil)
	if !w.peer("bob@h2", own, "get", "<query type='create'/>") {
		t.Fatal("not taken")
	}
	created := w.next(w.lan)
	at := created.Attr("from")
	if !strings.HasPrefix(at, own+"/") || len(at) < len(own)+20 || query(created).Attr("host") != "192.0.2.1" || created.Attr("to") != "bob@h2" {
		t.Fatalf("created %s", created)
	}
	w.peer("bob@h2", at, "set", "<query type='admin'><peer type='slave'>alice1@gw</peer></query>")
	invitation := w.next(w.server)
	if invitation.Attr("to") != "alice@example.org/high" || query(invitation).Attr("type") != "acknowledge" || query(invitation).Child(dsps.NS, "peer").Text() != "bob@h2" {
		t.Fatalf("invited by %s", invitation)
	}
	w.next(w.lan) // the empty result
	answer := w.iq("result", "alice@example.org/high", gateway, "<query type='acknowledge' status='connect'/>").WithAttr("id", invitation.Attr("id"))
	w.Network().HandleIQ(jid.MustParse(gateway), answer)
	if got := w.next(w.server); got.Attr("from") != gateway || query(got).Attr("host") != "gw.example.org" {
		t.Errorf("alice is told %s", got)
	}
	w.peer("bob@h2", at, "get", "<query type='who'/>")
	var names []string
	for p := range query(w.next(w.lan)).Children() {
		names = append(names, p.Text())
	}
	if !slices.Equal(names, []string{"bob@h2", "alice1@gw/high"}) {
		t.Errorf("bob reads of %q", names)
	}
}

// A presence name may have a slash: the peer is answered by it, reads itself by it
// and is invited by it, on the network as XEP-0106 writes it; and patterns fit it.
func TestAPeerMayHaveASlashInItsName(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Create = []string{"ac/dc@*"} })
	const name, address = "AC/DC@h2", `AC\2fDC@h2`
	if !w.peer(name, own, "get", "<query type='create'/>") {
		t.Fatal("not taken")
	}
	created := w.next(w.lan)
	if created.Attr("type") != "result" || created.Attr("to") != name {
		t.Fatalf("created %s", created)
	}
	at := created.Attr("from")
	w.peer(name, at, "set", "<query type='admin'><peer type='slave'>alice1@gw/high</peer><peer type='slave'>x/y@h2</peer></query>")
	if p := query(w.next(w.server)).Child(dsps.NS, "peer").Text(); p != address {
		t.Errorf("alice is invited by %s", p)
	}
	if got := w.next(w.lan); got.Attr("to") != "x/y@h2" || query(got).Child(dsps.NS, "peer").Text() != name {
		t.Errorf("the other is invited by %s", got)
	}
	w.next(w.lan) // the empty result
	w.peer(name, at, "get", "<query type='who'/>")
	var names []string
	for p := range query(w.next(w.lan)).Children() {
		names = append(names, p.Text())
	}
	if !slices.Equal(names, []string{name, "alice1@gw/high", "x/y@h2"}) {
		t.Errorf("it reads of %q", names)
	}
	w.HandleLAN(publishedAs("gate/way@gw"))
	w.peer("ac/dc@h3", "gate/way@gw", "get", "<query type='stats'/>")
	if got := w.next(w.lan); got.Attr("type") != "result" || got.Attr("from") != "gate/way@gw" {
		t.Errorf("when the gateway has one, too: %s", got)
	}
	again := strings.Replace(at, own, "gate/way@gw", 1)
	w.peer(name, again, "get", "<query type='who'/>")
	if got := w.next(w.lan); got.Attr("type") != "result" || w.addresses.shown(dsps.JID(at)) != dsps.JID(again) {
		t.Errorf("its stream is not found: %s", got)
	}
	for said, want := range map[dsps.JID]dsps.JID{name: address, "alice@example.org/a/b": "alice@example.org/a/b", `a\b@h2`: `a\5cb@h2`} {
		if got := w.people.saidBy(said); got != want {
			t.Errorf("%s on a connection is %s", said, got)
		}
	}
}

// DS-08: who is not there, or cannot be told, has rejected.
func TestWhoCannotBeToldHasRejected(t *testing.T) {
	for name, broken := range map[string]error{"carol": nil, "alice": errors.New("full")} {
		w := newWorld(t, nil)
		w.broken = broken
		w.peer("bob@h2", own, "get", "<query type='create'/>")
		at := w.next(w.lan).Attr("from")
		w.peer("bob@h2", at, "set", "<query type='admin'><peer type='slave'>"+name+"@example.org</peer></query>")
		w.next(w.lan)
		if p := query(w.next(w.lan)).Child(dsps.NS, "peer"); p.Attr("acknowledge") != "reject" || !strings.HasPrefix(p.Text(), name) {
			t.Errorf("%s: told %s", name, p)
		}
	}
}

// IJ-05, IJ-06, IJ-07, IJ-09: strangers are refused as if there were no service, as are
// peers by the names of others; nobody invites whom it may not reach.
func TestStrangersAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"eve@h9", "alice@example.org", "ALICE@example.org", "bob@h2/x@h2", "bob@h2/x", "alice1@gw/high", "alice@example.org/x", "Élise@h2"} {
		if w.peer(name, own, "get", "<query type='create'/>") {
			t.Errorf("%s may ask", name)
		}
	}
	if w.contact("eve@example.org/x", "get", "<query type='create'/>") || w.contact("bob@h2", "get", "<query type='create'/>") {
		t.Error("somebody on the network who is no contact may ask")
	}
	w.peer("bob@h3", own, "get", "<query type='create'/>")
	at := w.next(w.lan).Attr("from")
	invite := func(peer string) *stanza.Element {
		w.peer("bob@h3", at, "set", "<query type='admin'><peer type='slave'>"+peer+"</peer></query>")
		return w.next(w.lan)
	}
	for _, peer := range []string{"alice@gw", "alice1@gw", "alice@example.org", "eve@h9"} {
		if got := invite(peer); code(got) != "403" {
			t.Errorf("%s was invited: %s", peer, got)
		}
	}
	w.HandleServer(xmppc2s.ContactPresence{JID: jid.MustParse("dave@example.org/x"), Available: true})
	invite("dave@gw")
	if got := w.next(w.server); got.Attr("to") != "dave@example.org/x" {
		t.Errorf("invited by %s", got)
	}
}

// Who may create, and to where the service connects, is as the configuration says.
func TestRightsAreTheConfigurations(t *testing.T) {
	p := newPeople(Config{Policy: bridge.Config{Peers: []string{"*"}}.Policy(), Contacts: []Contact{{JID: jid.MustParse("alice@example.org")}}})
	r := p.rights(Config{Create: []string{"*@H2", "alice@example.org"}, Relays: []string{"other.example.org:5290"}})
	for client, want := range map[dsps.JID]bool{"bob@h2": true, "BOB@h2": true, "bob@h3": false, "alice@example.org/x": true, "eve@example.org/x": false} {
		if got := r.MayCreate(client); got != want {
			t.Errorf("%s may create: %v", client, got)
		}
	}
	for _, tc := range []struct {
		dest dsps.Dest
		want bool
	}{
		{dsps.Dest{JID: "s@other.example.org/x"}, true},
		{dsps.Dest{JID: "s@x/x", Host: "OTHER.example.org"}, true},
		{dsps.Dest{JID: "s@other.example.org/x", Port: 22}, false},
		{dsps.Dest{JID: "s@other.example.org/x", Host: "127.0.0.1"}, false},
	} {
		if got := r.MayRelay("bob@h2", tc.dest); got != tc.want {
			t.Errorf("a relay to %+v: %v", tc.dest, got)
		}
	}
}

// A contact's client has one stream at a time: that is the one address that there is.
func TestAContactHasOneStreamAtATime(t *testing.T) {
	w := newWorld(t, nil)
	w.contact("dave@example.org/x", "get", "<query type='create'/>")
	if got := w.next(w.server); got.Attr("type") != "result" || got.Attr("from") != gateway {
		t.Fatalf("created %s", got)
	}
	w.contact("dave@example.org/x", "get", "<query type='create'/>")
	if got := w.next(w.server); code(got) != "405" {
		t.Errorf("a second one: %s", got)
	}
	w.contact("dave@example.org/y", "get", "<query type='create'/>")
	if got := w.next(w.server); got.Attr("type") != "result" {
		t.Errorf("of another client: %s", got)
	}
	w.contact("dave@example.org/y", "get", "<query type='create'/>")
	w.next(w.server) // the loop is behind what it has counted
	if st := w.Stats(); st.Active != 2 {
		t.Errorf("%d streams", st.Active)
	}
}

// DS-12: queries without end, of all clients that a contact can have, are neither
// answered nor kept, and a peer is answered all the same.
func TestQueriesWithoutEndAreNotAnswered(t *testing.T) {
	w := newWorld(t, nil)
	const clients, each = 300, 100
	began := time.Now()
	answers := make(chan int)
	go func() {
		n := 0
		for st := range w.server {
			if st == nil {
				break
			}
			n++
		}
		answers <- n
	}()
	for i := range clients {
		from := fmt.Sprintf("alice@example.org/%d", i)
		el := w.iq("get", from, gateway, "<query type='stats'/>")
		for range each {
			w.Network().HandleIQ(jid.MustParse(gateway), el)
		}
	}
	w.peer("bob@h2", own, "get", "<query type='create'/>")
	if got := w.next(w.lan); got.Attr("type") != "result" {
		t.Errorf("bob is told %s", got)
	}
	w.server <- nil
	if n := <-answers; n == 0 || n > 300+50*int(time.Since(began).Seconds()) {
		t.Errorf("%d of %d were answered", n, clients*each)
	}
}
