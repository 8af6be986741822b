package dsps

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	service JID = "dsps.office"
	rob     JID = "rob@nauseum.org/dspsclient"
	ann     JID = "ann@home.org/a"
	bob     JID = "bob@home.org/b"
	cat     JID = "cat@home.org/c"
)

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// A tester is a test, or a run of rapid's.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// A rig is an engine with what its shell and its clients would do.
type rig struct {
	t   tester
	e   *Engine
	now time.Time
	out Output // of the last input
	ids int
}

func everybody(JID) bool { return true }

func newRig(t tester, change ...func(*Config)) *rig {
	cfg := Config{
		Rand: rand.New(rand.NewChaCha8([32]byte{1})),
		Policy: Policy{
			MayCreate: everybody, MayJoin: everybody,
			MayInvite: func(_, _ JID) bool { return true }, MayRelay: func(JID, Dest) bool { return true },
		},
		Host: "gate.office", Features: []Feature{{Type: "http", Version: "1.1"}, {Type: "ssl", Version: "3.0"}},
	}
	cfg.Addresses = Resources{Bare: service, Rand: cfg.Rand}
	for _, f := range change {
		f(&cfg)
	}
	return &rig{t: t, e: New(cfg), now: start}
}

// did takes what the engine wants done.
func (r *rig) did() Output {
	r.out = r.e.TakeOutput()
	return r.out
}

// query has a client send one stanza.
func (r *rig) query(kind string, from, to JID, qs ...Query) []IQ {
	r.ids++
	return r.queryID(fmt.Sprintf("q%d", r.ids), kind, from, to, qs...)
}

func (r *rig) queryID(id, kind string, from, to JID, qs ...Query) []IQ {
	r.e.HandleQuery(r.now, from, to, IQ{Kind: kind, ID: id, From: from, To: to, Queries: qs}.Element())
	return r.did().Stanzas
}

// prepared has a client create a stream, and returns its address there.
func (r *rig) create(client JID, q Create) JID {
	r.t.Helper()
	return r.prepared(r.query("get", client, service, q))
}

// prepared is the address at which a connection is waited for.
func (r *rig) prepared(got []IQ) JID {
	r.t.Helper()
	for _, iq := range got {
		if len(iq.Queries) == 1 {
			if _, ok := iq.Queries[0].(Prepared); ok {
				return iq.From
			}
		}
	}
	r.t.Fatalf("nothing was prepared: %v", show(got))
	return ""
}

func (r *rig) invite(master, addr, whom JID, right Right) IQ {
	r.t.Helper()
	got := r.query("set", master, addr, Admin{Expire: Unset, Wait: Unset, Peers: []AdminPeer{{whom, right}}})
	for _, iq := range got {
		if _, ok := first(iq).(Invitation); ok {
			return iq
		}
	}
	r.t.Fatalf("nobody was invited: %v", show(got))
	return IQ{}
}

func (r *rig) accept(who JID, inv IQ) JID {
	r.t.Helper()
	return r.prepared(r.queryID(inv.ID, "result", who, inv.From, Answer{true}))
}

func first(iq IQ) Query {
	if len(iq.Queries) == 0 {
		return nil
	}
	return iq.Queries[0]
}

// hello opens a connection and says its first line; the key that came back, or "".
func (r *rig) hello(client, addr JID) (ConnID, string) {
	c := r.e.NewConn()
	r.e.HandleHello(c, string(client+" "+addr))
	for _, a := range r.did().Actions {
		if a.Do == Say {
			return c, a.Line
		}
	}
	return c, ""
}

// connect goes through a whole handshake.
func (r *rig) connect(client, addr JID) ConnID {
	r.t.Helper()
	c, k := r.hello(client, addr)
	got := r.query("get", client, addr, Auth{k})
	if len(got) != 1 || got[0].Kind != "result" {
		r.t.Fatalf("key %q of %s: %v", k, client, show(got))
	}
	r.e.HandleKey(c, first(got[0]).(Auth).Key)
	if a := r.did().Actions; len(a) == 0 || a[len(a)-1].Do != Attach {
		r.t.Fatalf("%s is not attached: %v", client, a)
	}
	return c
}

func (r *rig) closed(c ConnID) Output {
	r.e.HandleClosed(r.now, c)
	return r.did()
}

func (r *rig) pass(d time.Duration) Output {
	r.now = r.now.Add(d)
	r.e.HandleTimeout(r.now)
	return r.did()
}

// show is stanzas as one line each: to whom, and what of whom.
func show(iqs []IQ) string {
	var lines []string
	for _, iq := range iqs {
		line := string(iq.To) + " " + iq.Kind
		if iq.Error != nil {
			line += fmt.Sprintf(" %d", iq.Error.Code)
		}
		for _, q := range iq.Queries {
			line += " " + strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", q), "dsps."))
			switch q := q.(type) {
			case Presence:
				for _, p := range q.Peers {
					line += fmt.Sprintf(" %s=%s", p.JID, p.Status)
				}
			case Report:
				for _, p := range q.Peers {
					line += fmt.Sprintf(" %s=%s", p.JID, p.Status)
				}
			case WhoList:
				for _, p := range q.Peers {
					line += fmt.Sprintf(" %s=%s/%s/%s", p.JID, p.Right, p.ID, p.Status)
				}
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// want compares stanzas in the form of show, in any order.
func (r *rig) want(why string, got []IQ, want ...string) {
	r.t.Helper()
	lines := strings.Split(show(got), "\n")
	if len(got) == 0 {
		lines = nil
	}
	slices.Sort(lines)
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		r.t.Errorf("%s:\n got %s\nwant %s", why, strings.Join(lines, "\n     "), strings.Join(want, "\n     "))
	}
}

func (r *rig) wantActions(why string, want ...string) {
	r.t.Helper()
	var got []string
	for _, a := range r.out.Actions {
		got = append(got, a.String())
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("%s:\n got %q\nwant %q", why, got, want)
	}
}

// A party is a stream with rob as its master and others.
type party struct {
	*rig
	addr map[JID]JID
	conn map[JID]ConnID
}

// newParty makes a stream on which all are connected: rob and ann are masters,
// bob and cat slaves.
func newParty(t tester, q Create, change ...func(*Config)) *party {
	p := &party{newRig(t, change...), map[JID]JID{}, map[JID]ConnID{}}
	p.addr[rob] = p.create(rob, q)
	p.conn[rob] = p.connect(rob, p.addr[rob])
	for _, who := range []struct {
		jid   JID
		right Right
	}{{ann, Master}, {bob, Slave}, {cat, Slave}} {
		p.addr[who.jid] = p.accept(who.jid, p.invite(rob, p.addr[rob], who.jid, who.right))
		p.conn[who.jid] = p.connect(who.jid, p.addr[who.jid])
	}
	return p
}

func (p *party) drop(by, whom JID) []IQ {
	return p.query("set", by, p.addr[by], Admin{Expire: Unset, Wait: Unset, Peers: []AdminPeer{{whom, ""}}})
}
