package dsps

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestInvitationsAreBounded(t *testing.T) { // DS-07
	r := newRig(t, func(c *Config) {
		c.Limits.Peers, c.Limits.Comments = 3, 60
		c.Policy.MayInvite = func(_, whom JID) bool { return whom != cat }
	})
	addr := r.create(rob, Create{})
	r.want("policy", r.query("set", rob, addr, Admin{Peers: []AdminPeer{{cat, Slave}, {ann, Slave}}}),
		string(ann)+" get invitation", string(rob)+" error 403")
	r.want("peers", r.query("set", rob, addr, Admin{Peers: []AdminPeer{{bob, Slave}, {"dan@x", Slave}}}),
		string(bob)+" get invitation", string(rob)+" error 405")
	r.want("comments", r.query("set", rob, addr, Admin{Peers: []AdminPeer{{bob, Slave}}, Comments: words(t, strings.Repeat("x", 60))}),
		string(rob)+" error 405")
}

func TestQueriesArePaced(t *testing.T) { // DS-12
	p := newParty(t, Create{}, func(c *Config) { c.Limits.Queries = 10 })
	answers, who := 0, IQ{Kind: "get", Queries: []Query{Who{}}}.Element()
	for range 1_000_000 {
		p.e.HandleQuery(p.now, bob, p.addr[bob], who)
		answers += len(p.did().Stanzas)
	}
	if answers < 30 || answers > 40 {
		t.Errorf("%d of a million were answered at once", answers)
	}
	if got := p.query("get", bob+"2", p.addr[bob], Who{}); len(got) != 1 { // a stranger's pace, of which nothing is used
		t.Errorf("another client: %s", show(got))
	}
	if p.e.Counters().Limited < 900_000 {
		t.Errorf("%+v", p.e.Counters())
	}
	p.want("others are not held up", p.query("get", cat, p.addr[cat], Who{}), show(p.out.Stanzas))
	if p.pass(time.Second); len(p.query("get", bob, p.addr[bob], Who{})) != 1 {
		t.Error("a second later none is answered")
	}
}

// DS-07: a stanza is not made into a flood for others.
func TestInvitationsArePaced(t *testing.T) {
	p := newParty(t, Create{}, func(c *Config) { c.Limits.Queries = 10 })
	whom, invited := make([]AdminPeer, maxListed), 0
	for i := range whom {
		whom[i] = AdminPeer{"victim@home.org", Slave}
	}
	got := p.query("set", rob, p.addr[rob], Admin{Peers: whom})
	for _, iq := range got {
		if _, ok := first(iq).(Invitation); ok {
			invited++
		}
	}
	if last := got[len(got)-1]; invited > 40 || last.Error == nil || last.Error.Code != MethodNotAllowed {
		t.Errorf("%d invitations at once, and %s", invited, show(got[len(got)-1:]))
	}
}

func TestOversizedStanzaIsRefused(t *testing.T) {
	r := newRig(t)
	addr := r.create(rob, Create{})
	a := Admin{Peers: slices.Repeat([]AdminPeer{{ann, Slave}}, maxListed+1)}
	r.want("too many peers", r.queryID("x", "set", rob, addr, a), string(rob)+" error 405")
	if r.out.Stanzas[0].ID != "x" {
		t.Errorf("to %q", r.out.Stanzas[0].ID)
	}
}
