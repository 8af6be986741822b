package dsps

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A model is one stream as a person would keep it, on paper: a list of members,
// and what everybody has to be told. It knows nothing of the engine's insides.
type model struct {
	members []*member
	now     time.Time
	told    []string // in the form of show
}

type member struct {
	jid, addr JID
	right     Right
	status    Status // as in who
	until     time.Time
	known     bool // was connected once
	askers    []*member
	invID     string
	conn      ConnID
	id        string
}

func (m *model) say(format string, args ...any) {
	m.told = append(m.told, fmt.Sprintf(format, args...))
}

func (m *model) on(x *member) bool { return slices.Contains(m.members, x) }

// presence: masters hear of everybody, others of masters; only a master that
// connects hears of itself.
func (m *model) presence(about *member, status Status) {
	for _, x := range m.members {
		hears := x.right == Master || about.right == Master
		if x == about {
			hears = status == Connect && x.right == Master
		}
		if hears && x.status != Expire {
			m.say("%s set presence %s=%s", x.jid, about.jid, status)
		}
	}
}

func (m *model) report(x *member, why Status) {
	for _, a := range x.askers {
		if m.on(a) {
			m.say("%s result report %s=%s", a.jid, x.jid, why)
		}
	}
}

func (m *model) remove(x *member) {
	m.members = slices.DeleteFunc(m.members, func(y *member) bool { return y == x })
}

func (m *model) drop(x *member) {
	m.say("%s set dropped", x.jid)
	m.remove(x)
	m.presence(x, Drop)
}

// end: without masters nobody stays.
func (m *model) end() {
	for _, x := range m.members {
		if x.right == Master && x.status != Expire {
			return
		}
	}
	for _, x := range m.members {
		m.say("%s set dropped", x.jid)
	}
	m.members = nil
}

// pass does what is due, in the order of time.
func (m *model) pass(now time.Time) {
	for {
		var due *member
		for _, x := range m.members {
			if x.status != Connect && !x.until.After(now) && (due == nil || x.until.Before(due.until)) {
				due = x
			}
		}
		switch {
		case due == nil:
			m.now = now
			return
		case due.status == Expire:
			m.report(due, Expire)
			m.remove(due)
		case due.known:
			m.drop(due)
		default:
			m.report(due, Timeout)
			m.remove(due)
		}
		m.end()
	}
}

// who is the answer to a member.
func (m *model) who(to *member) string {
	s := string(to.jid) + " result wholist"
	for _, x := range m.members {
		if to.right == Master || x.right == Master && x.status != Expire {
			s += fmt.Sprintf(" %s=%s/%s/%s", x.jid, x.right, x.id, x.status)
		}
	}
	return s
}

// A match is an engine and a model that are told the same.
type match struct {
	*rapid.T
	r   *rig
	m   *model
	got []IQ
	ids int
}

// settle carries out at once what the engine leaves to its shell.
func (x *match) settle() {
	for out := x.r.did(); len(out.Actions)+len(out.Stanzas) > 0; out = x.r.did() {
		x.collect(out)
	}
}

func (x *match) collect(out Output) {
	x.got = append(x.got, out.Stanzas...)
	for _, a := range out.Actions {
		switch a.Do {
		case Finish:
			x.r.e.HandleClosed(x.r.now, a.Conn)
		case Drain:
			x.r.e.HandleDrained(a.Stream)
		}
	}
}

// check compares what was told.
func (x *match) check(what string) {
	x.settle()
	x.r.want(what, x.got, x.m.told...)
	x.got, x.m.told = nil, nil
	if x.r.t.Failed() {
		x.FailNow()
	}
}

func (x *match) pass(d time.Duration) {
	until := x.r.now.Add(d)
	for at := x.r.e.NextTimeout(); !at.IsZero() && !at.After(until); at = x.r.e.NextTimeout() {
		x.collect(x.r.pass(at.Sub(x.r.now)))
		x.settle()
	}
	x.collect(x.r.pass(until.Sub(x.r.now)))
	x.m.pass(until)
	x.check(fmt.Sprintf("after %v", d))
}

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

func (x *match) ask(kind string, from *member, q Query) {
	x.collect(Output{Stanzas: x.r.query(kind, from.jid, from.addr, q)})
	x.collect(Output{Actions: x.r.out.Actions})
}

func (x *match) begin() {
	addr := x.r.create(rob, Create{})
	x.m.members = []*member{{jid: rob, addr: addr, right: Master, status: Wait, until: x.r.now.Add(time.Minute), id: "0"}}
	x.ids = 1
}

func (x *match) invite() {
	by := x.pick("inviter", func(y *member) bool { return y.status != Expire && y.right == Master })
	if by == nil {
		return
	}
	whom := rapid.SampledFrom([]JID{ann, bob, cat}).Draw(x.T, "invitee")
	right := rapid.SampledFrom([]Right{Master, Slave}).Draw(x.T, "right")
	x.m.say("%s get invitation", whom)
	x.m.say("%s result", by.jid)
	got := x.r.query("set", by.jid, by.addr, Admin{Expire: Unset, Wait: Unset, Peers: []AdminPeer{{whom, right}}})
	x.got = append(x.got, got...)
	i := slices.IndexFunc(x.m.members, func(y *member) bool { return y.status == Expire && y.jid == whom })
	if i < 0 {
		x.m.members = append(x.m.members, &member{jid: whom, status: Expire})
		i = len(x.m.members) - 1
	}
	y := x.m.members[i]
	if y.right != Master {
		y.right = right
	}
	if !slices.Contains(y.askers, by) {
		y.askers = append(y.askers, by)
	}
	y.until = x.r.now.Add(5 * time.Minute)
	for _, iq := range got {
		if _, ok := first(iq).(Invitation); ok {
			y.invID, y.addr = iq.ID, iq.From
		}
	}
}

func (x *match) answer() {
	y := x.pick("answers", func(y *member) bool { return y.status == Expire })
	if y == nil {
		return
	}
	accept := rapid.Bool().Draw(x.T, "accept")
	got := x.r.queryID(y.invID, "result", y.jid, y.addr, Answer{accept})
	x.got = append(x.got, got...)
	if !accept {
		x.m.report(y, Reject)
		x.m.remove(y)
		return
	}
	x.m.say("%s result prepared", y.jid)
	y.addr, y.status, y.until, y.id = x.r.prepared(got), Wait, x.r.now.Add(time.Minute), fmt.Sprint(x.ids)
	x.ids++
}

func (x *match) connect() {
	y := x.pick("connects", func(y *member) bool { return y.status == Wait })
	if y == nil {
		return
	}
	y.conn = x.r.connect(y.jid, y.addr)
	x.got = append(x.got, x.r.out.Stanzas...)
	y.status, y.known = Connect, true
	x.m.presence(y, Connect)
}

func (x *match) cut() {
	y := x.pick("is cut off", func(y *member) bool { return y.status == Connect })
	if y == nil {
		return
	}
	x.collect(x.r.closed(y.conn))
	y.status, y.until = Wait, x.r.now.Add(time.Minute)
	x.m.presence(y, Waiting)
}

func (x *match) drop() {
	by := x.pick("drops", func(y *member) bool { return y.status != Expire })
	whom := x.pick("is dropped", func(*member) bool { return true })
	if by == nil || whom == nil {
		return
	}
	x.ask("set", by, Admin{Expire: Unset, Wait: Unset, Peers: []AdminPeer{{whom.jid, ""}}})
	switch {
	case by.jid == whom.jid: // of several peers with one address, who asks means itself
		x.m.say("%s result", by.jid)
		x.m.drop(by)
	case by.right != Master:
		x.m.say("%s error 403", by.jid)
	default:
		x.m.say("%s result", by.jid)
		for _, y := range slices.Clone(x.m.members) {
			if y.jid == whom.jid && x.m.on(y) {
				x.m.drop(y)
			}
		}
	}
	x.m.end()
}

func (x *match) who() {
	for _, y := range x.m.members {
		if y.status != Expire {
			x.m.say("%s", x.m.who(y))
			x.ask("get", y, Who{})
		}
	}
}

// DS-03, DS-05, DS-06, DS-07, DS-08, DS-12, DS-15: the engine and the model tell
// everybody the same, whatever happens.
func TestEngineAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := &match{T: rt, r: newRig(t), m: &model{now: start}}
		ops := map[string]func(){
			"invite": x.invite, "answer": x.answer, "connect": x.connect, "cut": x.cut, "drop": x.drop, "who": x.who,
			"wait a little": func() { x.pass(time.Duration(rapid.IntRange(1, 59).Draw(rt, "s")) * time.Second) },
			"wait long":     func() { x.pass(time.Duration(rapid.IntRange(1, 6).Draw(rt, "min")) * time.Minute) },
		}
		names := []string{"invite", "invite", "answer", "answer", "connect", "connect", "connect", "cut", "drop", "who", "wait a little", "wait long"}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			x.pass(time.Millisecond) // no two things are due at once
			if len(x.m.members) == 0 {
				if n := x.r.e.Streams() + x.r.e.Peers() + len(x.r.e.timers) + len(x.r.e.invites); n != 0 {
					rt.Fatalf("%d things are left of a stream that is no more", n)
				}
				x.begin()
			}
			name := rapid.SampledFrom(names).Draw(rt, "what")
			ops[name]()
			x.check(name)
		}
	})
}
