package bridge

import (
	"time"

	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// ConciergeID is the gateway itself as a contact of the mesh: the concierge. It
// cannot be a bare address: a domain has no colon.
const ConciergeID linklocal.ContactID = "meshgate:concierge"

// mirrors shows the network on the mesh: the contacts' presence, the server
// connection's state in the concierge's. It is pure.
//
//	         Online           Offline            grace over
//	nothing ────────▶ online ─────────▶ in grace ───────────▶ offline
//	shown             ▲     ◀────────── Online  ◀───────────── Online
//	                  └─ the first moments after a fresh bind: settling
type mirrors struct {
	cfg       Config
	contacts  []*contact // in order of configuration
	byBare    map[string]*contact
	concierge mirror

	seen     bool      // there has been a session
	online   bool      // there is one
	settling time.Time // until then contacts without presence keep what they show
	lost     time.Time // without a session, from then on the concierge says so
	grace    time.Time // until then contacts keep what they show without a connection
	next     time.Time // when to look again; zero: never
}

func newMirrors(cfg Config) *mirrors {
	m := &mirrors{
		cfg: cfg, byBare: make(map[string]*contact),
		concierge: mirror{id: ConciergeID, user: cfg.Concierge},
	}
	for _, c := range cfg.Contacts {
		ct := newContact(c)
		if m.byBare[ct.bare] == nil {
			m.byBare[ct.bare] = ct
			m.contacts = append(m.contacts, ct)
		}
	}
	return m
}

// up notes a session. After a fresh bind no presence is known any more, but
// what the mirrors show stands until it has had time to come.
func (m *mirrors) up(now time.Time, resumed bool) {
	known := resumed && m.seen // a session that was resumed after our own restart tells us nothing
	m.seen, m.online = true, true
	if known {
		return
	}
	m.settling = now.Add(m.cfg.Timing.Settle)
	for _, c := range m.contacts {
		clear(c.resources)
	}
}

// down notes that the connection is lost, or that it is still not there.
func (m *mirrors) down(now time.Time) {
	if !m.online {
		return
	}
	m.online = false
	m.lost = now.Add(m.cfg.Timing.OutageTold) // most sessions are resumed at once
	m.grace = now.Add(m.cfg.Timing.Grace)
	if now.Before(m.settling) {
		m.settling = m.grace // what was to come by then did not come
	}
}

// presence notes a contact's presence, and reports whether it is one.
func (m *mirrors) presence(p xmppc2s.ContactPresence) bool {
	c := m.byBare[p.JID.Bare().String()]
	if c != nil {
		c.update(p, m.cfg.Limits.Resources)
	}
	return c != nil
}

// reconcile returns the commands by which the mesh becomes what it should be.
func (m *mirrors) reconcile(now time.Time) []action {
	var out []action
	m.next = time.Time{}
	show := func(mi *mirror, want *linklocal.Presence, icon *linklocal.Icon) {
		act, again := mi.show(now, want, icon, m.cfg.Timing.MirrorDamp)
		if act != nil {
			out = append(out, act)
		}
		m.next = earlier(m.next, again)
	}
	show(&m.concierge, m.conciergePresence(now), nil)
	for _, c := range m.contacts {
		show(&c.mirror, m.wanted(now, c), c.icon)
		if now.Before(c.spokeTill) {
			m.next = earlier(m.next, c.spokeTill)
		}
	}
	if now.Before(m.settling) {
		m.next = earlier(m.next, m.settling)
	}
	for _, at := range []time.Time{m.lost, m.grace} {
		if !m.online && now.Before(at) {
			m.next = earlier(m.next, at)
		}
	}
	return out
}

func (m *mirrors) wanted(now time.Time, c *contact) *linklocal.Presence {
	switch {
	case !m.seen:
		return nil
	case !m.online && !now.Before(m.grace):
		return c.offline()
	case c.available():
		return c.presence()
	case now.Before(m.settling):
		return c.mirror.shown
	case now.Before(c.spokeTill) && c.Offline == Withdraw:
		return c.record(linklocal.Available, "")
	}
	return c.offline()
}

func (m *mirrors) conciergePresence(now time.Time) *linklocal.Presence {
	if !m.online && !now.Before(m.lost) {
		return &linklocal.Presence{Status: linklocal.DND, Msg: "no connection to the server", Nick: m.cfg.Concierge}
	}
	return &linklocal.Presence{Status: linklocal.Available, Msg: "gateway: write \"help\"", Nick: m.cfg.Concierge}
}

// failed notes that a mirror could not be published.
func (m *mirrors) failed(now time.Time, id linklocal.ContactID) {
	mi := &m.concierge
	if c := m.byBare[string(id)]; c != nil {
		mi = &c.mirror
	} else if id != ConciergeID {
		return
	}
	mi.failed(now, m.cfg.Timing.PublishRetry)
	m.next = earlier(m.next, mi.notTill)
}

// count is the number of contacts on the mesh.
func (m *mirrors) count() int {
	n := 0
	for _, c := range m.contacts {
		if c.mirror.shown != nil {
			n++
		}
	}
	return n
}

// earlier is the earlier of two deadlines, zero being never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
