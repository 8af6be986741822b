package dsps

import (
	"fmt"
	"slices"
	"time"
)

// A model is one stream as a person would keep it, on paper: a list of members,
// what everybody has to be told, and what becomes of every connection. It knows
// nothing of the engine's insides.
type model struct {
	members   []*member
	now       time.Time
	told      []string // in the form of show
	done      []string // to connections and the stream, in the form of deed
	maxPublic int
	ended     bool      // no master is left: nobody comes in any more …
	draining  bool      // … and all is read that was sent
	over      bool      // and written, and nobody is left
	until     time.Time // it is to hurry
	leaving   []ConnID  // of who has dropped itself: are still read
	others    []ConnID  // that are nobody's any more
	gone      []pair    // of who was a member, and has not been told so
}

// lasts is how often a stream without masters is to hurry.
const lasts = 10 * time.Minute

type member struct {
	jid, addr JID
	right     Right
	status    Status // as in who
	until     time.Time
	wait      time.Duration
	known     bool // was connected once
	public    bool
	askers    []*member
	invID     string
	conn      ConnID
	tries     []*try
	warned    bool // that it is connected already
	id        string
}

// A try is a handshake that has not ended.
type try struct {
	conn   ConnID
	key    string // that must come next
	proven bool   // the first has
}

func (m *model) say(format string, args ...any) {
	m.told = append(m.told, fmt.Sprintf(format, args...))
}

func (m *model) do(format string, args ...any) {
	m.done = append(m.done, fmt.Sprintf(format, args...))
}

func (m *model) on(x *member) bool { return slices.Contains(m.members, x) }

func (m *model) count(fits func(*member) bool) (n int) {
	for _, x := range m.members {
		if fits(x) {
			n++
		}
	}
	return n
}

func registered(x *member) bool { return x.status != Expire }
func isMaster(x *member) bool   { return x.right == Master && registered(x) }
func isSlave(x *member) bool    { return x.right == Slave && registered(x) }
func isPublic(x *member) bool   { return x.public }

// presence: masters hear of everybody, others of masters; only a master that
// connects hears of itself.
func (m *model) presence(about *member, status Status) {
	for _, x := range m.members {
		hears := x.right == Master || about.right == Master
		if x == about {
			hears = status == Connect && x.right == Master
		}
		if hears && registered(x) {
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

func (m *model) abortTries(x *member) {
	for _, t := range x.tries {
		m.do("abort %d", t.conn)
	}
	x.tries = nil
}

func (m *model) remove(x *member) {
	m.abortTries(x)
	m.members = slices.DeleteFunc(m.members, func(y *member) bool { return y == x })
	if registered(x) {
		m.gone = append(m.gone, pair{x.jid, x.addr})
	}
}

func (m *model) drop(x *member, itself bool) {
	switch {
	case x.status == Connect && itself:
		m.do("finish %d", x.conn)
		m.leaving = append(m.leaving, x.conn)
	case x.status == Connect:
		m.do("abort %d", x.conn)
	}
	m.say("%s set dropped", x.jid)
	m.remove(x)
	m.presence(x, Drop)
	m.end()
}

// end: without masters nobody comes in, and what was sent is read; then all is
// to be written.
func (m *model) end() {
	if m.draining || m.count(isMaster) > 0 {
		return
	}
	if !m.ended {
		m.ended, m.until = true, m.now.Add(lasts)
	}
	for _, x := range slices.Clone(m.members) {
		if !registered(x) {
			m.say("%s set dropped", x.jid)
			m.remove(x)
		}
	}
	if len(m.leaving) == 0 {
		m.draining = true
		m.do("drain")
	}
}

// drained: nobody stays.
func (m *model) drained() {
	for _, x := range slices.Clone(m.members) {
		if x.status == Connect {
			m.do("flush %d", x.conn)
			m.others = append(m.others, x.conn)
		}
		m.say("%s set dropped", x.jid)
		m.remove(x)
	}
	m.do("forget")
	m.over = true
}

// pass does what is due, in the order of time.
func (m *model) pass(now time.Time) {
	for {
		at, do := m.next()
		if do == nil || at.After(now) {
			m.now = now
			return
		}
		m.now = at
		do()
	}
}

// next is what is due next, and when.
func (m *model) next() (at time.Time, do func()) {
	first := func(until time.Time, what func()) {
		if do == nil || until.Before(at) {
			at, do = until, what
		}
	}
	for _, x := range m.members {
		if x.status != Connect {
			first(x.until, func() { m.timeout(x) })
		}
	}
	if m.ended && !m.over {
		first(m.until, m.hurry)
	}
	return at, do
}

func (m *model) timeout(x *member) {
	switch {
	case x.status == Expire:
		m.report(x, Expire)
		m.remove(x)
	case x.known:
		m.drop(x, true)
	default:
		m.report(x, Timeout)
		m.remove(x)
		m.end()
	}
}

func (m *model) hurry() {
	m.do("hurry")
	m.until = m.now.Add(lasts)
}

// hello is the first line of a connection.
func (m *model) hello(conn ConnID, p pair) (keyed *try) {
	i := slices.IndexFunc(m.members, func(x *member) bool { return registered(x) && x.jid == p.client && x.addr == p.service })
	if i < 0 {
		m.do("abort %d", conn)
		if j := slices.Index(m.gone, p); j >= 0 {
			m.gone = slices.Delete(m.gone, j, j+1)
			m.say("%s error 401", p.client)
		}
		return nil
	}
	x := m.members[i]
	switch {
	case m.ended:
		m.do("abort %d", conn)
	case x.status == Connect:
		m.do("abort %d", conn)
		if !x.warned {
			m.say("%s error 409", x.jid)
		}
		x.warned = true
	default:
		if len(x.tries) == 4 { // the oldest that is no further than this one gives way
			i := slices.IndexFunc(x.tries, func(t *try) bool { return !t.proven })
			if i < 0 {
				m.do("abort %d", conn)
				return nil
			}
			m.do("abort %d", x.tries[i].conn)
			x.tries = slices.Delete(x.tries, i, i+1)
		}
		x.tries = append(x.tries, &try{conn: conn})
		return x.tries[len(x.tries)-1]
	}
	return nil
}

// auth is a key that comes over XML; the try that it is for, if it is right.
func (m *model) auth(x *member, key string) *try {
	for _, t := range x.tries {
		if !t.proven && t.key == key {
			m.say("%s result auth", x.jid)
			t.proven = true
			return t
		}
	}
	m.say("%s error 401", x.jid)
	m.abortTries(x)
	return nil
}

// line is a key on a connection that is in a handshake.
func (m *model) line(x *member, t *try, key string) {
	x.tries = slices.DeleteFunc(x.tries, func(u *try) bool { return u == t })
	if !t.proven || t.key != key || m.ended {
		m.do("abort %d", t.conn)
		return
	}
	m.abortTries(x)
	x.status, x.known, x.warned, x.conn = Connect, true, false, t.conn
	m.do("attach %d as %s, %s", t.conn, x.id, x.right)
	m.presence(x, Connect)
}

// cut is the end of a member's connection.
func (m *model) cut(x *member) {
	x.status, x.until = Wait, m.now.Add(x.wait)
	m.presence(x, Waiting)
}

// who is the answer to a member.
func (m *model) who(to *member) string {
	s := string(to.jid) + " result wholist"
	for _, x := range m.members {
		if to.right == Master || isMaster(x) {
			s += fmt.Sprintf(" %s=%s/%s/%s", x.jid, x.right, x.id, x.status)
		}
	}
	return s
}

// stats is what a member is told in numbers.
func (m *model) stats(to *member) string {
	return fmt.Sprintf("%d masters, %d slaves, %d of %d public, wait %v",
		m.count(isMaster), m.count(isSlave), m.count(isPublic), m.maxPublic, to.wait)
}
