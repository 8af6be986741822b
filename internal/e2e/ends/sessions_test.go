package ends

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/rawstream"
	"meshgate/internal/stanza"
)

// A witness is a client that sees what others get: presences and messages.
type witness struct {
	mu   sync.Mutex
	seen []string // kind, from and words of stanzas
}

func (w *witness) hear(_ time.Time, st *stanza.Element) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !st.Is(stanza.NSClient, "iq") {
		w.seen = append(w.seen, strings.Join([]string{st.Name.Local, st.Attr("type"), st.Attr("from"), st.Child(stanza.NSClient, "body").Text()}, " "))
	}
}

// with counts the stanzas in which all of that stands.
func (w *witness) with(parts ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.seen {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			n++
		}
	}
	return n
}

// A watcher is a contact's client that looks who is there, and writes.
type watcher struct {
	witness
	*RawClient
}

// watch logs a user in who sees the gateway's presence, and lets it see its own.
func (h *hall) watch(user string) *watcher {
	h.t.Helper()
	w, ready := &watcher{}, make(chan struct{})
	var err error
	w.RawClient, err = LoginRaw(h.ctx, h.Server, h.roots, user, func(at time.Time, st *stanza.Element) {
		<-ready
		w.hear(at, st)
		if st.Attr("type") == "subscribe" {
			if err := w.SendStanza(presence("subscribed", st.Attr("from"))); err != nil {
				h.t.Error(err)
			}
		}
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { w.Close() })
	close(ready)
	for _, p := range []*stanza.Element{presence("", ""), presence("subscribe", h.GatewayJID())} {
		if err := w.SendStanza(p); err != nil {
			h.t.Fatal(err)
		}
	}
	return w
}

// say sends a message.
func (w *watcher) say(t *testing.T, to, words string) {
	t.Helper()
	err := w.SendStanza(stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "to", Value: to},
		stanza.Attr{Name: "type", Value: "chat"}, stanza.New(stanza.NSClient, "body", stanza.Text(words))))
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until there is such a stanza.
func (w *witness) await(t *testing.T, parts ...string) {
	t.Helper()
	for late := time.Now().Add(e2e.Patience); w.with(parts...) == 0; time.Sleep(10 * time.Millisecond) { // poll
		if time.Now().After(late) {
			t.Fatalf("nothing with %q: %q", parts, w.seen)
		}
	}
}

// DS-03, DS-05, DS-19: with real servers one contact is on several streams of another
// at a time, each at an address of its own, by further sessions of the gateway's
// account. Nobody sees those or writes to them; cut, they are back with their addresses,
// and the data does not even pause.
func TestSeveralStreamsOfOneContact(t *testing.T) {
	for _, ejabberd := range []bool{false, true} {
		t.Run(fmt.Sprintf("ejabberd=%v", ejabberd), func(t *testing.T) {
			t.Parallel()
			var proxy *e2e.Proxy
			h := newHall(t, e2e.OfficeOptions{
				Ejabberd: ejabberd, Users: []string{"alice", "eve"},
				Config:  map[string]any{"streams.enabled": true, "streams.host": "127.0.0.1", "streams.sessions": 2},
				Through: func(s *e2e.Server) string { proxy = s.Host().Proxy(s.LoopbackAddr()); return proxy.Addr() },
			})
			watch, bob := h.watch("alice"), &witness{}
			watch.await(t, "presence", h.service())
			openPresence(h.ctx, t, h.Host("h2"), "bob@h2", h.Mirror("alice"), bob.hear)
			alice, eve := h.contact("alice", h.Host("h1"), nil), h.contact("eve", h.Host("h1"), nil)
			streams := h.several(alice, eve)
			id := alice.NewID()
			alice.Say(alice.Service, "get", id, "<query type='create' xmlns='jabber:iq:dsps'/>")
			if a := alice.Reply(id); a.Error.Code != "405" {
				t.Errorf("one too many: %+v", a)
			}

			watch.say(t, h.GatewayJID(), "@bob one copy")
			bob.await(t, "one copy")

			proxy.Cut(e2e.RST)
			for _, s := range streams {
				put(t, s.line, []byte("during the cut"))
				s.guest.WantData("0", "during the cut")
			}
			for _, s := range streams {
				h.answers(alice, s.at)
				s.leave()
				eve.Dropped()
			}
			watch.say(t, h.GatewayJID(), "@bob the last")
			bob.await(t, "the last")
			if n := bob.with("one copy"); n != 1 {
				t.Errorf("%d copies", n)
			}
			if all, own := watch.with("presence", h.GatewayJID()+"/"), watch.with("presence", h.service()+" "); all != own {
				t.Errorf("of %d presences %d are of the gateway's own session: %q", all, own, watch.seen)
			}
		})
	}
}

// A pairing is a stream of two.
type pairing struct {
	*party
	guest *rawstream.Line
}

// several is three streams of two people, with different addresses for both.
func (h *hall) several(master, guest *rawstream.Person) (all []pairing) {
	h.t.Helper()
	seen := map[string]bool{}
	for range 3 {
		p := h.begin(master, "")
		all = append(all, pairing{p, p.invite(guest, "slave", rawstream.Plain)})
		seen["to the master "+p.at], seen["to the guest "+p.places[guest]] = true, true
	}
	if len(seen) != 6 {
		h.t.Fatalf("three streams are at %v", seen)
	}
	for i, p := range all {
		put(h.t, p.line, fmt.Appendf(nil, "stream %d", i))
	}
	for i, p := range all {
		p.guest.WantData("0", fmt.Sprintf("stream %d", i))
	}
	return all
}

// answers waits until the service answers at an address of its own.
func (h *hall) answers(p *rawstream.Person, at string) {
	h.t.Helper()
	late := time.Now().Add(e2e.Patience)
	for p.Query(at, "who").Type == "error" {
		if time.Now().After(late) {
			h.t.Fatalf("nobody answers at %s", at)
		}
		time.Sleep(100 * time.Millisecond) // poll
	}
}

// COMPAT ejabberd: with one session more than max_user_sessions it ends the oldest,
// the gateway's own. That is back at once, and no further one is tried.
func TestAServerThatAllowsFewSessions(t *testing.T) {
	t.Parallel()
	h := newHall(t, e2e.OfficeOptions{
		Ejabberd: true, Server: func(o *e2e.ServerOptions) { o.Extra = "shaper_rules: {max_user_sessions: 1}\n" },
		Config: map[string]any{"streams.enabled": true, "streams.host": "127.0.0.1"},
	})
	alice := h.contact("alice", h.Host("h1"), nil)
	p := h.begin(alice, "")
	if err := alice.Try(alice.Service, "get", "more", "<query type='create' xmlns='jabber:iq:dsps'/>"); err != nil {
		t.Fatal(err)
	}
	h.Gateway.AwaitLog("the server does not allow the account so many sessions: streams have to do without further ones")
	h.Gateway.AwaitLog("online")
	h.answers(alice, p.at)
	id := alice.NewID()
	alice.Say(alice.Service, "get", id, "<query type='create' xmlns='jabber:iq:dsps'/>")
	if a := alice.Reply(id); a.Error.Code != "405" {
		t.Errorf("a second stream: %+v", a)
	}
	p.leave()
}

// DS-13, DS-19: a public stream is listed and joined on both sides, by another
// address on each, whoever created it.
func TestPublicStreamOfBothSides(t *testing.T) {
	t.Parallel()
	h := newHall(t, e2e.OfficeOptions{Config: map[string]any{"streams.enabled": true, "streams.host": "127.0.0.1"}})
	gateway := h.Mirror("meshgate")
	bob, eva := h.peer("bob@h2", gateway, h.Host("h2")), h.peer("eva@h2", gateway, h.Host("h2"))
	alice, other := h.contact("alice", h.Host("h1"), nil), h.contact("alice", h.Host("h1"), nil)
	for _, master := range []*rawstream.Person{bob, alice} {
		p := h.begin(master, "maxpublic='2'")
		for _, guest := range []*rawstream.Person{eva, other} {
			list := guest.Query(guest.Service, "stats")
			if len(list.Query) != 1 || len(list.Query[0].Peers) != 1 {
				t.Fatalf("%s reads of %+v", guest.JID, list)
			}
			p.places[guest] = guest.Join(list.Query[0].Peers[0].JID, guest.NewID())
			l := p.back(guest, rawstream.Plain)
			put(t, p.line, []byte("radio"))
			l.WantData("0", "radio")
		}
		p.leave()
		eva.Dropped()
		other.Dropped()
	}
}
