package dsps

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCreatePreparesAConnection(t *testing.T) { // DS-02, DS-03
	r := newRig(t)
	got := r.query("get", rob, service, Create{MinThroughput: 1536})
	if len(got) != 1 || got[0].Kind != "result" || got[0].ID != "q1" || got[0].To != rob {
		t.Fatalf("answer: %v", show(got))
	}
	want := Prepared{
		Wait: time.Minute, Host: "gate.office", Port: 5290, MinThroughput: 1536, Protocol: "0.5",
		Features: []Feature{{Type: "http", Version: "1.1"}, {Type: "ssl", Version: "3.0"}},
	}
	if diff := cmp.Diff(want, first(got[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	other := r.create(rob, Create{})
	if other == got[0].From {
		t.Errorf("two streams of one client have the same address %s", other)
	}
	r.connect(rob, other)
	r.want("the creator is master", r.query("get", rob, other, Who{}), string(rob)+" result wholist "+string(rob)+"=master/0/connect")
}

func TestPreparedConnectionIsForgotten(t *testing.T) { // DS-03
	r := newRig(t)
	addr := r.create(rob, Create{})
	if at := r.e.NextTimeout(); !at.Equal(start.Add(time.Minute)) {
		t.Errorf("wakes at %v", at)
	}
	r.pass(time.Minute - 1)
	if r.e.Streams() != 1 {
		t.Fatal("forgotten too early")
	}
	r.want("nobody is told", r.pass(1).Stanzas)
	r.wantActions("the stream has no master", "drain stream=1")
	r.e.HandleDrained(1)
	r.did()
	r.wantActions("the end", "forget stream=1")
	if _, k := r.hello(rob, addr); k != "" || r.e.Streams() != 0 {
		t.Error("it is still there")
	}
	r.want("DS-04: 401 to who was a peer", r.out.Stanzas, string(rob)+" error 401")
	r.hello(rob, addr)
	r.want("which is told once", r.out.Stanzas)
}

func TestCreateIsRefused(t *testing.T) { // DS-02
	for _, tt := range []struct {
		name   string
		change func(*Config)
		to     JID
		q      Create
		code   int
	}{
		{"by policy", func(c *Config) { c.Policy.MayCreate = nil }, service, Create{}, 403},
		{"not at an address of a stream", nil, service + "/x", Create{}, 405},
		{"too many of one", func(c *Config) { c.Limits.StreamsEach = 1 }, service, Create{}, 405},
		{"too many in all", func(c *Config) { c.Limits.Streams = 1 }, service, Create{}, 405},
		{"long comments", func(c *Config) { c.Limits.Comments = 40 }, service, Create{Comments: words(t, strings.Repeat("x", 50))}, 405},
		{"no relays", func(c *Config) { c.Policy.MayRelay = nil }, service, Create{Dests: []Dest{{JID: "a/b"}}}, 405},
		{"too many services", func(c *Config) { c.Limits.Dests = 1 }, service, Create{Dests: []Dest{{JID: "a/b"}, {JID: "c/d"}}}, 405},
		{"no address", func(c *Config) { c.Addresses = OneJID(service) }, service, Create{}, 405},
		{"no public address", func(c *Config) { c.Addresses = OneJID(service) }, service, Create{MaxPublic: 1}, 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(c *Config) {
				if tt.change != nil {
					tt.change(c)
				}
			})
			if tt.code == 405 {
				r.query("get", rob, service, Create{MaxPublic: 1})
			}
			before := r.e.Streams()
			r.want("refusal", r.query("get", rob, tt.to, tt.q), fmt.Sprintf("%s error %d", rob, tt.code))
			if r.e.Streams() != before {
				t.Error("a stream was made all the same")
			}
		})
	}
}

func TestOneAddressServesManyClients(t *testing.T) { // DS-03, DS-05: the pair is unique
	r := newRig(t, func(c *Config) { c.Addresses = OneJID(service) })
	a, b := r.create(rob, Create{}), r.create(ann, Create{})
	r.connect(rob, a)
	r.connect(ann, b)
	r.accept(bob, r.invite(rob, a, bob, Slave))
	r.want("rob's stream", r.query("get", rob, a, Who{}), string(rob)+" result wholist "+string(rob)+"=master/0/connect "+string(bob)+"=slave/1/wait")
	r.want("ann's stream", r.query("get", ann, b, Who{}), string(ann)+" result wholist "+string(ann)+"=master/0/connect")
	second := r.invite(ann, b, bob, Slave)
	r.want("a second one of bob cannot be had", r.queryID(second.ID, "result", bob, service, Answer{true}),
		string(ann)+" result report "+string(bob)+"=reject", string(bob)+" set dropped")
}

func TestHandshake(t *testing.T) { // DS-04
	r := newRig(t)
	addr := r.create(rob, Create{})
	c, k := r.hello(rob, addr)
	if len(k) < 20 {
		t.Fatalf("key %q", k)
	}
	next := first(r.query("get", rob, addr, Auth{k})[0]).(Auth).Key
	if next == k || len(next) < 20 {
		t.Fatalf("next key %q after %q", next, k)
	}
	r.e.HandleKey(c, next)
	r.want("a master is among all members", r.did().Stanzas, string(rob)+" set presence "+string(rob)+"=connect")
	r.wantActions("data flows", fmt.Sprintf("attach conn=%d stream=1 id=0 right=master", c))
}

func TestWrongKeysLeaveTheWaitStanding(t *testing.T) { // DS-04
	r := newRig(t)
	addr := r.create(rob, Create{})
	c, k := r.hello(rob, addr)
	r.want("wrong over XML", r.query("get", rob, addr, Auth{k + "x"}), string(rob)+" error 401")
	r.wantActions("wrong over XML", fmt.Sprintf("abort conn=%d", c))

	r.want("a key of a closed connection", r.query("get", rob, addr, Auth{k}), string(rob)+" error 401")

	c, k = r.hello(rob, addr)
	next := first(r.query("get", rob, addr, Auth{k})[0]).(Auth).Key
	r.want("replayed", r.query("get", rob, addr, Auth{k}), string(rob)+" error 401")
	r.wantActions("replayed", fmt.Sprintf("abort conn=%d", c))
	r.e.HandleKey(c, next)
	r.did()
	r.wantActions("of a closed connection")

	c, k = r.hello(rob, addr)
	r.query("get", rob, addr, Auth{k})
	r.e.HandleKey(c, k)
	r.did()
	r.wantActions("wrong on the stream", fmt.Sprintf("abort conn=%d", c))

	c, k = r.hello(rob, addr)
	r.e.HandleKey(c, k)
	r.did()
	r.wantActions("without XML", fmt.Sprintf("abort conn=%d", c))

	c, k = r.hello(rob, addr)
	r.want("another's", r.query("get", ann, addr, Auth{k}), string(ann)+" error 401")
	r.wantActions("another's key harms nobody")
	r.e.HandleClosed(r.now, c)
	r.connect(rob, addr) // within wait, after all that
	if n := r.e.Counters().WrongKeys; n != 5 {
		t.Errorf("counted %d wrong keys", n)
	}
}

func TestConnectedPairIsInUse(t *testing.T) { // DS-04, DS-05
	r := newRig(t)
	addr := r.create(rob, Create{})
	slow, _ := r.hello(rob, addr)
	c := r.connect(rob, addr)
	if !slices.ContainsFunc(r.out.Actions, func(a Action) bool { return a.Do == Abort && a.Conn == slow }) {
		t.Error("another handshake of the pair goes on")
	}
	d, k := r.hello(rob, addr)
	if k != "" {
		t.Error("a second connection got a key")
	}
	r.want("in use", r.out.Stanzas, string(rob)+" error 409")
	r.wantActions("in use", fmt.Sprintf("abort conn=%d", d))
	r.hello(rob, addr)
	r.want("told once", r.out.Stanzas)
	r.closed(c)
	r.connect(rob, addr)
}

func TestHandshakesOfAPairAreBounded(t *testing.T) { // DS-04
	r := newRig(t)
	addr := r.create(rob, Create{})
	own, k := r.hello(rob, addr)
	r.query("get", rob, addr, Auth{k})
	var others []ConnID
	for range 10 { // who knows the addresses can begin handshakes
		c, k := r.hello(rob, addr)
		if k == "" {
			t.Fatal("no key")
		}
		if others = append(others, c); len(others) > 3 {
			r.wantActions("the oldest gives way", fmt.Sprintf("abort conn=%d", others[len(others)-4]), fmt.Sprintf("say conn=%d line=%s", c, k))
		}
	}
	if r.e.conns[own] == nil || len(r.e.conns) != 4 {
		t.Errorf("%d handshakes go on, with the own one: %v", len(r.e.conns), r.e.conns[own] != nil)
	}
	for _, c := range others[7:] {
		r.query("get", rob, addr, Auth{r.e.conns[c].key})
	}
	if _, k := r.hello(rob, addr); k != "" {
		t.Error("one more than can be, all of which are the peer's")
	}
	for _, line := range []string{"", "x", "a b c", string(ann + " " + addr), string(rob + "  " + addr)} {
		c := r.e.NewConn()
		r.e.HandleHello(c, line)
		r.did()
		r.wantActions(line, fmt.Sprintf("abort conn=%d", c))
		r.want("strangers are told nothing", r.out.Stanzas)
	}
}

func TestAddressesWithSpaces(t *testing.T) { // DS-04
	r := newRig(t)
	const peer JID = "juliet capulet@pronto"
	addr := r.create(peer, Create{})
	r.connect(peer, addr)
}

func TestReconnectWithinWait(t *testing.T) { // DS-05
	p := newParty(t, Create{})
	out := p.closed(p.conn[bob])
	p.want("waiting", out.Stanzas, string(rob)+" set presence "+string(bob)+"=waiting", string(ann)+" set presence "+string(bob)+"=waiting")
	for range 3 { // "not cumulative over multiple disconnects"
		p.pass(time.Minute - 1)
		p.closed(p.connect(bob, p.addr[bob]))
	}
	p.want("wait is over", p.pass(time.Minute).Stanzas, string(bob)+" set dropped",
		string(rob)+" set presence "+string(bob)+"=drop", string(ann)+" set presence "+string(bob)+"=drop")
	if _, k := p.hello(bob, p.addr[bob]); k != "" {
		t.Error("still welcome")
	}
}

func TestPresenceByRole(t *testing.T) { // DS-06
	for _, tt := range []struct {
		who  JID
		told []JID
	}{
		{ann, []JID{rob, bob, cat}}, {bob, []JID{rob, ann}},
	} {
		p := newParty(t, Create{})
		say := func(status string, also ...JID) (lines []string) {
			for _, jid := range append(also, tt.told...) {
				lines = append(lines, fmt.Sprintf("%s set presence %s=%s", jid, tt.who, status))
			}
			return lines
		}
		p.want("waiting", p.closed(p.conn[tt.who]).Stanzas, say("waiting")...)
		p.connect(tt.who, p.addr[tt.who])
		if tt.who == ann {
			p.want("connect", p.out.Stanzas, say("connect", ann)...)
		} else {
			p.want("connect", p.out.Stanzas, say("connect")...)
		}
		p.want("drop", p.drop(rob, tt.who), append(say("drop"), string(tt.who)+" set dropped", string(rob)+" result")...)
	}
}

func TestInvitation(t *testing.T) { // DS-07, DS-08
	r := newRig(t)
	addr := r.create(rob, Create{})
	c1, c2 := words(t, "<b xmlns='other'>deep</b>")[0], words(t, "two")[0]
	a := Admin{Expire: 10 * time.Second, Wait: 0, Peers: []AdminPeer{{ann, Master}, {"bob@home.org", Slave}}}
	a.Comments = append(a.Comments, c1, c2)
	b := Admin{Expire: time.Hour, Wait: 5 * time.Second, Peers: []AdminPeer{{cat, Slave}}}
	got := r.query("set", rob, addr, a, b)
	if len(got) != 4 {
		t.Fatalf("%v", show(got))
	}
	for i, want := range []Invitation{
		{Right: Master, Expire: 10 * time.Second, Peers: []JID{rob}, Comments: a.Comments},
		{Right: Slave, Expire: 10 * time.Second, Peers: []JID{rob}, Comments: a.Comments},
		{Right: Slave, Expire: 5 * time.Minute, Peers: []JID{rob}}, // the default is less
	} {
		if diff := cmp.Diff(Query(want), first(got[i])); diff != "" {
			t.Errorf("invitation %d (-want +got):\n%s", i, diff)
		}
	}
	r.want("who shows the invited", r.query("get", rob, addr, Who{}),
		string(rob)+" result wholist "+string(rob)+"=master/0/wait "+string(ann)+"=master//expire bob@home.org=slave//expire "+string(cat)+"=slave//expire")

	for i, want := range map[int]time.Duration{0: time.Minute, 2: 5 * time.Second} { // 0 is no limit, more than the default
		answer := r.queryID(got[i].ID, "result", got[i].To, got[i].From, Answer{true})
		if p := first(answer[0]).(Prepared); p.Wait != want || answer[0].ID != got[i].ID {
			t.Errorf("%s waits %v, want %v", got[i].To, p.Wait, want)
		}
	}
	answer := r.queryID(got[1].ID, "result", "Bob@Home.org/somewhere", got[1].From, Answer{true})
	r.want("answered from another resource", answer, "Bob@Home.org/somewhere result prepared")
	r.want("the second answer is nothing", r.queryID(got[1].ID, "result", "bob@home.org/somewhere", got[1].From, Answer{false}))
}

func TestFailedInvitationsAreReported(t *testing.T) { // DS-08
	r := newRig(t)
	addr := r.create(rob, Create{})
	r.connect(rob, addr)
	report := func(status Status, jid JID) string { return fmt.Sprintf("%s result report %s=%s", rob, jid, status) }

	inv := r.invite(rob, addr, "bob@home.org", Slave)
	r.want("a stranger's answer is nothing", r.queryID(inv.ID, "result", ann, inv.From, Answer{true}))
	r.want("reject", r.queryID(inv.ID, "result", bob, inv.From, Answer{false}), report(Reject, bob))
	r.want("the first answer counts", r.queryID(inv.ID, "result", bob, inv.From, Answer{true}))

	inv = r.invite(rob, addr, bob, Slave)
	refused := IQ{Kind: "error", ID: inv.ID, Error: &Error{Code: 405}}
	r.e.HandleQuery(r.now, bob, inv.From, refused.Element())
	r.want("not to be reached", r.did().Stanzas, report(Reject, bob))

	inv = r.invite(rob, addr, bob, Slave)
	r.want("expire", r.pass(5*time.Minute).Stanzas, report(Expire, bob))
	r.want("too late", r.queryID(inv.ID, "result", bob, inv.From, Answer{true}))

	r.accept(bob, r.invite(rob, addr, "bob@home.org", Slave))
	r.want("timeout, by the name in the request", r.pass(time.Minute).Stanzas, report(Timeout, "bob@home.org"))

	r.want("missing", r.query("set", rob, addr, Admin{Peers: []AdminPeer{{bob, ""}}}), report(Missing, bob))
	r.want("nobody is left", r.query("get", rob, addr, Who{}), string(rob)+" result wholist "+string(rob)+"=master/0/connect")
}

func TestInvitedTwice(t *testing.T) { // DS-08
	p := newParty(t, Create{})
	const dan JID = "dan@home.org/d"
	one := p.invite(rob, p.addr[rob], dan, Slave)
	two := p.invite(ann, p.addr[ann], dan, Master)
	if one.ID != two.ID || one.From != two.From {
		t.Error("the second is another invitation")
	}
	if inv := first(two).(Invitation); !slices.Equal(inv.Peers, []JID{rob, ann}) || inv.Right != Master {
		t.Errorf("%+v", inv)
	}
	p.want("both hear of it", p.queryID(one.ID, "result", dan, one.From, Answer{false}),
		string(rob)+" result report "+string(dan)+"=reject", string(ann)+" result report "+string(dan)+"=reject")
}

// Who comes and goes, and invites the same person each time, is not kept for it.
func TestInvitersThatAreGone(t *testing.T) { // DS-08
	p := newParty(t, Create{})
	const dan, eve JID = "dan@home.org/d", "eve@home.org/e"
	for range 5 {
		p.addr[eve] = p.accept(eve, p.invite(rob, p.addr[rob], eve, Master))
		inv := p.invite(eve, p.addr[eve], dan, Slave)
		if by := first(inv).(Invitation).Peers; !slices.Equal(by, []JID{eve}) {
			t.Errorf("invited by %v", by)
		}
		p.drop(eve, eve)
	}
}

func TestAdminByRole(t *testing.T) { // DS-07
	const dan JID = "dan@home.org/d"
	slaveDrops := func(p *party, whom ...JID) []IQ {
		var a Admin
		for _, jid := range whom {
			a.Peers = append(a.Peers, AdminPeer{jid, ""})
		}
		return p.query("set", bob, p.addr[bob], a)
	}
	p := newParty(t, Create{})
	p.want("a slave drops another", slaveDrops(p, cat), string(bob)+" error 403")
	p.want("a slave invites", p.query("set", bob, p.addr[bob], Admin{Peers: []AdminPeer{{dan, Slave}}}), string(bob)+" error 403")
	p.want("a slave drops itself, and another", slaveDrops(p, cat, bob), string(bob)+" error 403", string(bob)+" set dropped",
		string(rob)+" set presence "+string(bob)+"=drop", string(ann)+" set presence "+string(bob)+"=drop")
	p.wantActions("who leaves is read to the end", fmt.Sprintf("finish conn=%d", p.conn[bob]))
	p.want("a stranger", p.query("set", dan, p.addr[rob], Admin{Peers: []AdminPeer{{rob, ""}}}), string(dan)+" error 401")
	p.want("a stranger to the service", p.query("set", dan, service, Admin{}), string(dan)+" error 401")

	got := p.query("set", rob, p.addr[rob], Admin{Comments: words(t, "bye"), Peers: []AdminPeer{{cat, ""}}})
	p.wantActions("a dropped peer is cut off", fmt.Sprintf("abort conn=%d", p.conn[cat]))
	i := slices.IndexFunc(got, func(iq IQ) bool { return iq.To == cat })
	if diff := cmp.Diff(Query(Dropped{words(t, "bye")}), first(got[i])); diff != "" || got[i].From != p.addr[cat] {
		t.Errorf("from %s (-want +got):\n%s", got[i].From, diff)
	}
	inv := p.invite(rob, p.addr[rob], dan, Slave)
	p.want("an invitation is taken back", p.drop(rob, dan), string(dan)+" set dropped", string(rob)+" result",
		string(rob)+" set presence "+string(dan)+"=drop", string(ann)+" set presence "+string(dan)+"=drop")
	p.want("and cannot be accepted", p.queryID(inv.ID, "result", dan, inv.From, Answer{true}))
}

func TestLastMasterIsDroppedWithItsInvitation(t *testing.T) { // DS-07, DS-15
	r := newRig(t)
	addr := r.create(rob, Create{})
	r.accept(ann, r.invite(rob, addr, ann, Master))
	r.invite(rob, addr, ann, Master)
	r.want("each use of the stream ends once", r.query("set", rob, addr, Admin{Peers: []AdminPeer{{rob, ""}, {ann, ""}}}),
		string(rob)+" result", string(rob)+" set dropped", string(ann)+" set presence "+string(rob)+"=drop",
		string(ann)+" set dropped", string(ann)+" set dropped")
}

func TestSlowReaderIsDisconnected(t *testing.T) { // DS-11, DS-12: who tells of it
	p := newParty(t, Create{MinThroughput: 1000})
	feed := func(bytes int64, busy time.Duration, times int) {
		for range times {
			p.e.HandleProgress(p.now, p.conn[bob], bytes, busy)
		}
	}
	feed(10, 0, 3)                      // much time passes, but nothing waits for bob
	feed(500, 500*time.Millisecond, 31) // 15.5 s of transfer, at 1000 B/s …
	feed(400, 499*time.Millisecond, 1)
	p.did()
	p.wantActions("no verdict before 16 s")
	feed(0, time.Second, 1)
	p.want("disconnected, not dropped", p.did().Stanzas,
		string(rob)+" set presence "+string(bob)+"=waiting", string(ann)+" set presence "+string(bob)+"=waiting")
	p.wantActions("disconnected", fmt.Sprintf("abort conn=%d", p.conn[bob]))
	p.conn[bob] = p.connect(bob, p.addr[bob])
	feed(999, time.Second, 15)
	p.did()
	p.wantActions("measured anew")
	p.want("who tells", p.query("get", rob, p.addr[rob], Who{}), show(p.out.Stanzas))
	for _, i := range first(p.out.Stanzas[0]).(WhoList).Peers {
		if i.JID == bob && i.Throughput.String() != "999B/999B/999B/999B/999B" {
			t.Errorf("throughput %s", i.Throughput)
		}
	}
	if p.e.Counters().TooSlow != 1 {
		t.Error("not counted")
	}
}

func TestStuckReaderIsDisconnected(t *testing.T) { // DS-11
	p := newParty(t, Create{})
	for range 119 {
		p.e.HandleProgress(p.now, p.conn[bob], 0, time.Second)
	}
	p.e.HandleProgress(p.now, p.conn[bob], 1, time.Second)
	p.e.HandleProgress(p.now, p.conn[bob], 0, 119*time.Second)
	p.did()
	p.wantActions("it moves")
	p.e.HandleProgress(p.now, p.conn[bob], 0, time.Second)
	p.did()
	p.wantActions("it does not", fmt.Sprintf("abort conn=%d", p.conn[bob]))
}

func TestLastMasterLeaves(t *testing.T) { // DS-15
	p := newParty(t, Create{MaxPublic: 3})
	inv := p.invite(rob, p.addr[rob], "dan@x/y", Master)
	p.closed(p.conn[cat])
	p.drop(rob, ann)
	p.want("rob leaves", p.drop(rob, rob), string(rob)+" result", string(rob)+" set dropped", "dan@x/y set dropped",
		string(bob)+" set presence "+string(rob)+"=drop", string(cat)+" set presence "+string(rob)+"=drop")
	p.wantActions("but what rob sent is still read", fmt.Sprintf("finish conn=%d", p.conn[rob]))
	p.want("nobody comes in", p.queryID(inv.ID, "result", "dan@x/y", inv.From, Answer{true}))
	if _, k := p.hello(cat, p.addr[cat]); k != "" {
		t.Error("cat comes in again")
	}
	p.closed(p.conn[rob])
	p.wantActions("now all is taken", "drain stream=1")
	p.e.HandleDrained(1)
	p.want("all is delivered", p.did().Stanzas, string(bob)+" set dropped", string(cat)+" set dropped")
	p.wantActions("all is delivered", fmt.Sprintf("flush conn=%d", p.conn[bob]), "forget stream=1")
	p.closed(p.conn[bob])
	e := p.e
	if n := len(e.streams) + len(e.pairs) + len(e.invites) + len(e.publics) + len(e.timers); n != 0 {
		t.Errorf("%d things are left: %v %v %v", n, e.streams, e.pairs, e.timers)
	}
}
