package dsps

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A match is an engine and a model that are told the same.
type match struct {
	*rapid.T
	r      *rig
	m      *model
	got    []IQ
	did    []string
	ids    int
	stream StreamID
	public JID
	before []JID // public addresses of streams that are no more
}

// deed is what is done to a connection or the stream; keys are looked at apart.
func deed(a Action) string {
	switch a.Do {
	case Attach:
		return fmt.Sprintf("attach %d as %s, %s", a.Conn, a.ID, a.Right)
	case Drain, Hurry, Forget:
		return a.Do.String()
	}
	return fmt.Sprintf("%s %d", a.Do, a.Conn)
}

// hear takes what the engine wants done, and returns the line that it says.
func (x *match) hear(out Output) (said string) {
	x.got = append(x.got, out.Stanzas...)
	for _, a := range out.Actions {
		switch {
		case a.Do == Say:
			said = a.Line
		default:
			x.did = append(x.did, deed(a))
		}
		if a.Do == Drain {
			x.stream = a.Stream
		}
	}
	return said
}

// check compares what was told and done.
func (x *match) check(what string) {
	x.hear(x.r.did())
	x.r.want(what, x.got, x.m.told...)
	slices.Sort(x.did)
	slices.Sort(x.m.done)
	if !slices.Equal(x.did, x.m.done) {
		x.Errorf("%s: did %q, want %q", what, x.did, x.m.done)
	}
	x.got, x.m.told, x.did, x.m.done = nil, nil, nil, nil
	if x.Failed() {
		x.FailNow()
	}
}

func (x *match) pass(d time.Duration) {
	until := x.r.now.Add(d)
	for at := x.r.e.NextTimeout(); !at.IsZero() && !at.After(until); at = x.r.e.NextTimeout() {
		x.hear(x.r.pass(at.Sub(x.r.now)))
	}
	x.hear(x.r.pass(until.Sub(x.r.now)))
	x.m.pass(until)
	x.check(fmt.Sprintf("after %v", d))
}

// pick is one of the members that fit, or nil.
func (x *match) pick(what string, fits func(*member) bool) *member {
	var some []*member
	for _, y := range x.m.members {
		if fits(y) {
			some = append(some, y)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return rapid.SampledFrom(some).Draw(x.T, what)
}

// ask sends a query, and returns the first of what is answered.
func (x *match) ask(kind, id string, from, to JID, q Query) Query {
	x.r.e.HandleQuery(x.r.now, from, to, IQ{Kind: kind, ID: id, Queries: []Query{q}}.Element())
	out := x.r.did()
	x.hear(out)
	if len(out.Stanzas) == 0 {
		return nil
	}
	return first(out.Stanzas[0])
}

// begin makes a new stream when the last is over and its connections are closed.
func (x *match) begin() {
	for _, c := range slices.Concat(x.m.leaving, x.m.others) {
		x.hear(x.r.closed(c))
	}
	x.check("the end of connections")
	e := x.r.e
	if n := len(e.streams) + len(e.pairs) + len(e.timers) + len(e.invites) + len(e.conns) + len(e.publics); n != 0 {
		x.Fatalf("%d things are left of a stream that is no more", n)
	}
	if x.public != "" {
		x.before = append(x.before, x.public)
	}
	x.m = &model{now: x.r.now, gone: x.m.gone, maxPublic: rapid.IntRange(0, 2).Draw(x.T, "maxpublic")}
	addr := x.r.create(rob, Create{MaxPublic: x.m.maxPublic})
	x.m.members = []*member{{jid: rob, addr: addr, right: Master, status: Wait, until: x.r.now.Add(time.Minute), wait: time.Minute, id: "0"}}
	x.ids, x.public = 1, first(x.r.query("get", rob, addr, Stats{})[0]).(StreamStats).PublicID
}

// asked is a time of an invitation, and what comes of it.
func (x *match) asked(what string, preset time.Duration) (asked, is time.Duration) {
	asked = rapid.SampledFrom([]time.Duration{Unset, 0, 10 * time.Second, time.Hour}).Draw(x.T, what)
	if asked <= 0 || asked > preset {
		return asked, preset
	}
	return asked, asked
}

func (x *match) invite() {
	by := x.pick("inviter", isMaster)
	if by == nil {
		return
	}
	whom := rapid.SampledFrom([]JID{ann, bob, cat}).Draw(x.T, "invitee")
	right := rapid.SampledFrom([]Right{Master, Slave}).Draw(x.T, "right")
	expire, untilExpired := x.asked("expire", 5*time.Minute)
	wait, willWait := x.asked("wait", time.Minute)
	x.m.say("%s get invitation", whom)
	x.m.say("%s result", by.jid)
	before := len(x.got)
	x.ask("set", "i", by.jid, by.addr, Admin{Expire: expire, Wait: wait, Peers: []AdminPeer{{whom, right}}})
	i := slices.IndexFunc(x.m.members, func(y *member) bool { return y.status == Expire && y.jid == whom })
	if i < 0 {
		x.m.members = append(x.m.members, &member{jid: whom, status: Expire})
		i = len(x.m.members) - 1
	}
	y := x.m.members[i]
	if y.right != Master {
		y.right = right
	}
	y.askers = slices.DeleteFunc(y.askers, func(a *member) bool { return !x.m.on(a) })
	if !slices.Contains(y.askers, by) {
		y.askers = append(y.askers, by)
	}
	y.until, y.wait = x.r.now.Add(untilExpired), willWait
	for _, iq := range x.got[before:] {
		if inv, ok := first(iq).(Invitation); ok {
			y.invID, y.addr = iq.ID, iq.From
			if inv.Expire != untilExpired || inv.Right != y.right || len(inv.Peers) != len(y.askers) {
				x.Errorf("%s is invited with %+v", whom, inv)
			}
		}
	}
}

// answer is the first to an invitation; another after it is not heard.
func (x *match) answer() {
	y := x.pick("answers", func(y *member) bool { return !registered(y) })
	if y == nil {
		return
	}
	at := y.addr
	accept := rapid.Bool().Draw(x.T, "accept")
	before := len(x.got)
	x.ask("result", y.invID, y.jid, at, Answer{accept})
	if accept {
		x.accepted(y, x.got[before:])
	} else {
		x.m.report(y, Reject)
		x.m.remove(y)
	}
	x.check("answer")
	x.ask("result", y.invID, y.jid, at, Answer{rapid.Bool().Draw(x.T, "again")})
}

func (x *match) accepted(y *member, got []IQ) {
	x.m.say("%s result prepared", y.jid)
	y.addr, y.status, y.until, y.id = x.r.prepared(got), Wait, x.r.now.Add(y.wait), fmt.Sprint(x.ids)
	if p := first(got[0]).(Prepared); p.Wait != y.wait {
		x.Errorf("%s is to wait %v, want %v", y.jid, p.Wait, y.wait)
	}
	x.ids++
}

// join joins by the public address, or by that of a stream that is no more.
func (x *match) join() {
	if x.public == "" {
		return
	}
	who := rapid.SampledFrom([]JID{ann, bob, cat}).Draw(x.T, "joins")
	at := rapid.SampledFrom(append(slices.Clone(x.before), x.public, x.public)).Draw(x.T, "at")
	before := len(x.got)
	x.ask("result", "j", who, at, Answer{true})
	if at != x.public {
		return
	}
	i := slices.IndexFunc(x.m.members, func(y *member) bool { return y.public && y.jid == who })
	switch {
	case i >= 0 && x.m.members[i].status == Wait:
		x.m.say("%s result prepared", who) // the answer was lost
	case i >= 0:
	case x.m.ended || x.m.count(isPublic) == x.m.maxPublic:
		x.m.say("%s error 405", who)
	default:
		y := &member{jid: who, right: Slave, wait: time.Minute, public: true}
		x.m.members = append(x.m.members, y)
		x.accepted(y, x.got[before:])
	}
}

// hello is a first line, some times over: of a member, of who was one, or of nobody.
func (x *match) hello() {
	var pairs []pair
	for _, y := range x.m.members {
		pairs = append(pairs, pair{y.jid, y.addr}, pair{y.jid, y.addr}, pair{cat, y.addr})
	}
	if n := len(x.m.gone); n > 0 {
		pairs = append(pairs, x.m.gone[n-1], x.m.gone[0])
	}
	if len(pairs) == 0 {
		return
	}
	p := rapid.SampledFrom(pairs).Draw(x.T, "says")
	for range rapid.IntRange(1, 5).Draw(x.T, "times") {
		c := x.r.e.NewConn()
		x.r.e.HandleHello(c, string(p.client+" "+p.service))
		key := x.hear(x.r.did())
		if t := x.m.hello(c, p); t != nil {
			t.key = key
		}
	}
}

// key is one that is under way, whoever's, or none.
func (x *match) key() string {
	keys := []string{"wrong"}
	for _, y := range x.m.members {
		for _, t := range y.tries {
			keys = append(keys, t.key)
		}
	}
	return rapid.SampledFrom(keys).Draw(x.T, "key")
}

// own is a key that is right, mostly.
func (x *match) own(y *member, t *try) string {
	if len(y.tries) == 0 || rapid.IntRange(0, 3).Draw(x.T, "right key") == 0 {
		return x.key()
	}
	if t == nil {
		t = rapid.SampledFrom(y.tries).Draw(x.T, "of")
	}
	return t.key
}

func (x *match) auth() {
	y := x.pick("has a key", func(y *member) bool { return len(y.tries) > 0 })
	if y == nil {
		y = x.pick("has none", registered)
	}
	if y == nil {
		return
	}
	key := x.own(y, nil)
	answer := x.ask("get", "k", y.jid, y.addr, Auth{key})
	if t := x.m.auth(y, key); t != nil {
		next, _ := answer.(Auth)
		t.key = next.Key
	}
}

func (x *match) line() {
	y := x.pick("says a key", func(y *member) bool { return len(y.tries) > 0 })
	if y == nil {
		return
	}
	t := rapid.SampledFrom(y.tries).Draw(x.T, "on")
	if i := slices.IndexFunc(y.tries, func(t *try) bool { return t.proven }); i >= 0 {
		t = y.tries[i] // there are few
	}
	key := x.own(y, t)
	x.r.e.HandleKey(t.conn, key)
	x.hear(x.r.did())
	x.m.line(y, t, key)
}

// connect is a whole handshake, without which there would be few.
func (x *match) connect() {
	y := x.pick("connects", func(y *member) bool { return y.status == Wait && len(y.tries) < 4 })
	if y == nil || x.m.ended {
		return
	}
	c := x.r.e.NewConn()
	x.r.e.HandleHello(c, string(y.jid+" "+y.addr))
	t := x.m.hello(c, pair{y.jid, y.addr})
	t.key = x.hear(x.r.did())
	answer, _ := x.ask("get", "k", y.jid, y.addr, Auth{t.key}).(Auth)
	x.m.auth(y, t.key).key = answer.Key
	x.r.e.HandleKey(c, answer.Key)
	x.hear(x.r.did())
	x.m.line(y, t, answer.Key)
}

// cut ends a connection: a member's, or a handshake's.
func (x *match) cut() {
	y := x.pick("is cut off", func(y *member) bool { return y.status == Connect || len(y.tries) > 0 })
	switch {
	case y == nil:
	case y.status == Connect:
		x.hear(x.r.closed(y.conn))
		x.m.cut(y)
	default:
		t := rapid.SampledFrom(y.tries).Draw(x.T, "handshake")
		x.hear(x.r.closed(t.conn))
		y.tries = slices.DeleteFunc(y.tries, func(u *try) bool { return u == t })
	}
}

// drop drops one or two, who may be oneself or nobody.
func (x *match) drop() {
	by := x.pick("drops", registered)
	if by == nil {
		return
	}
	var peers []AdminPeer
	for range rapid.IntRange(1, 2).Draw(x.T, "number") {
		whom := JID("nobody@home.org/n")
		if y := x.pick("is dropped", func(*member) bool { return true }); rapid.IntRange(0, 4).Draw(x.T, "somebody") > 0 {
			whom = y.jid
		}
		peers = append(peers, AdminPeer{whom, ""})
	}
	x.ask("set", "d", by.jid, by.addr, Admin{Expire: Unset, Wait: Unset, Peers: peers})
	missing, forbidden := "", false
	for _, p := range peers {
		switch {
		case p.JID == by.jid && x.m.on(by): // of several peers with one address, who asks means itself
			x.m.drop(by, true)
		case p.JID == by.jid:
		case by.right != Master:
			forbidden = true
		default:
			n := len(x.m.members)
			for _, y := range slices.Clone(x.m.members) {
				if y.jid == p.JID && x.m.on(y) {
					x.m.drop(y, false)
				}
			}
			if len(x.m.members) == n {
				missing += fmt.Sprintf(" %s=missing", p.JID)
			}
		}
	}
	switch {
	case forbidden:
		x.m.say("%s error 403", by.jid)
	case missing != "":
		x.m.say("%s result report%s", by.jid, missing)
	default:
		x.m.say("%s result", by.jid)
	}
}

func (x *match) inform() {
	for _, y := range x.m.members {
		if !registered(y) {
			continue
		}
		x.m.say("%s", x.m.who(y))
		x.ask("get", "w", y.jid, y.addr, Who{})
		x.m.say("%s result streamstats", y.jid)
		s, _ := x.ask("get", "s", y.jid, y.addr, Stats{}).(StreamStats)
		got := fmt.Sprintf("%d masters, %d slaves, %d of %d public, wait %v", s.MasterCount, s.SlaveCount, s.Public, s.MaxPublic, s.Wait)
		if want := x.m.stats(y); got != want || s.PublicID != x.public {
			x.Errorf("%s is told of %s at %q, want %s at %q", y.jid, got, s.PublicID, want, x.public)
		}
	}
}

// finish ends what goes on behind a drop: what was sent is read, or written.
func (x *match) finish() {
	switch {
	case len(x.m.leaving) > 0:
		c := rapid.SampledFrom(x.m.leaving).Draw(x.T, "is read")
		x.hear(x.r.closed(c))
		x.m.leaving = slices.DeleteFunc(x.m.leaving, func(d ConnID) bool { return d == c })
		x.m.end()
	case x.m.draining && !x.m.over:
		x.r.e.HandleDrained(x.stream)
		x.m.drained()
	}
}

// DS-03, DS-04, DS-05, DS-06, DS-07, DS-08, DS-12, DS-13, DS-15: the engine and the
// model tell everybody the same, and do the same with all connections, whatever happens.
func TestEngineAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(rt, func(c *Config) { c.Limits.Queries = 1 << 20 })
		x := &match{T: rt, r: r, m: &model{now: start, over: true}}
		ops := map[string]func(){
			"invite": x.invite, "answer": x.answer, "join": x.join, "hello": x.hello, "auth": x.auth, "line": x.line,
			"connect": x.connect, "cut": x.cut, "drop": x.drop, "inform": x.inform, "finish": x.finish,
			"wait a little": func() { x.pass(time.Duration(rapid.IntRange(1, 59).Draw(rt, "s")) * time.Second) },
			"wait long":     func() { x.pass(time.Duration(rapid.IntRange(1, 6).Draw(rt, "min")) * time.Minute) },
		}
		names := []string{
			"invite", "invite", "answer", "answer", "join", "hello", "hello", "auth", "auth", "auth", "line", "line", "line",
			"connect", "connect", "connect", "cut", "drop", "inform", "finish", "finish", "wait a little", "wait long",
		}
		for range rapid.IntRange(1, 150).Draw(rt, "steps") {
			x.pass(time.Millisecond) // no two things are due at once
			if x.m.over {
				x.begin()
			}
			name := rapid.SampledFrom(names).Draw(rt, "what")
			ops[name]()
			x.check(name)
		}
	})
}
