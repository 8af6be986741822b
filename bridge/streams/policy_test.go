package streams

import (
	"testing"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// An actor is somebody on one of the sides, who is answered there.
type actor struct {
	*world
	name    string
	service dsps.JID
	in      chan *stanza.Element
	say     func(at, kind, query string) bool
}

func (w *world) actors() []actor {
	peer := actor{w, "bob@h2", own, w.lan, func(at, kind, query string) bool { return w.peer("bob@h2", at, kind, query) }}
	contact := actor{w, "dave@example.org/x", gateway, w.server, func(at, kind, query string) bool {
		return w.contactAt(dsps.JID(at), "dave@example.org/x", kind, query)
	}}
	return []actor{peer, contact}
}

// answered is what comes back for a query: the code of an error, or the kind and the address.
func (a actor) answered(at, kind, query string) (what, from string) {
	a.t.Helper()
	if !a.say(at, kind, query) {
		return "no service", ""
	}
	got := a.next(a.in)
	if c := code(got); c != "" {
		return c, got.Attr("from")
	}
	return got.Attr("type"), got.Attr("from")
}

func (a actor) want(what, at, kind, query, want string) (from string) {
	a.t.Helper()
	got, from := a.answered(at, kind, query)
	if got != want {
		a.t.Errorf("%s, %s: %s, want %s", a.name, what, got, want)
	}
	return from
}

const create, public = "<query type='create'/>", "<query type='create' maxpublic='9'/>"

// DS-02, DS-07, DS-13: what the configuration does not allow is refused with the
// document's codes, to people on either side.
func TestPolicyHoldsOnBothSides(t *testing.T) {
	invite := func(whom string) string {
		return "<query type='admin'><peer type='slave'>" + whom + "</peer></query>"
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		test   func(a actor)
	}{
		"who may create": {func(c *Config) { c.Create = []string{"eva@h2"} }, func(a actor) {
			a.want("create", string(a.service), "get", create, "403")
		}},
		"how many streams": {func(c *Config) { c.Server.Engine.Limits.Streams = 1 }, func(a actor) {
			a.want("the first", string(a.service), "get", create, "result")
			a.want("the second", string(a.service), "get", create, "405")
		}},
		"how many of one person": {func(c *Config) { c.Server.Engine.Limits.StreamsEach = 1 }, func(a actor) {
			a.want("the first", string(a.service), "get", create, "result")
			a.want("the second", string(a.service), "get", create, "405")
		}},
		"how many people": {func(c *Config) { c.Server.Engine.Limits.Peers = 1 }, func(a actor) {
			at := a.want("create", string(a.service), "get", public, "result")
			a.want("invite", at, "set", invite("bob@h2"), "405")
			door := a.doors()
			a.peer("eva@h2", door[lanSide], "result", "<query type='acknowledge' status='connect'/>")
			if got := a.next(a.lan); code(got) != "405" {
				a.t.Errorf("a peer joins: %s", got)
			}
			a.contactAt(dsps.JID(door[networkSide]), "alice@example.org/low", "result", "<query type='acknowledge' status='connect'/>")
			if got := a.next(a.server); code(got) != "405" {
				a.t.Errorf("a contact joins: %s", got)
			}
		}},
		"whom one may invite": {nil, func(a actor) {
			at := a.want("create", string(a.service), "get", create, "result")
			for _, whom := range []string{"eve@h9", "mallory@example.net"} {
				a.want("a stranger", at, "set", invite(whom), "403")
			}
		}},
		"relays": {func(c *Config) { c.Relays = []string{"other.example.org:5290"} }, func(a actor) {
			a.want("to elsewhere", string(a.service), "get", "<query type='create'><peer>s@example.net/x</peer></query>", "405")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 2 {
				w := newWorld(t, tt.change)
				tt.test(w.actors()[i])
			}
		})
	}
}

// doors is where the one public stream is joined, from each side.
func (a actor) doors() (doors [sides]string) {
	a.t.Helper()
	for side, list := range map[int]func() *stanza.Element{
		lanSide: func() *stanza.Element { a.peer("eva@h2", own, "get", "<query type='stats'/>"); return a.next(a.lan) },
		networkSide: func() *stanza.Element {
			a.contact("alice@example.org/low", "get", "<query type='stats'/>")
			return a.next(a.server)
		},
	} {
		doors[side] = query(list()).Child(dsps.NS, "peer").Text()
		if doors[side] == "" {
			a.t.Fatalf("nothing can be joined from side %d", side)
		}
	}
	return doors
}
