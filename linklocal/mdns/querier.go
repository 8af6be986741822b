package mdns

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	// "the interval between the first two queries MUST be at least one second,
	// the intervals between successive queries MUST increase by at least a
	// factor of two … MAY cap … at a maximum of 60 minutes", RFC 6762 §5.2.
	browseGap    = time.Second
	browseFactor = 3
	browseGapMax = time.Hour

	missingDelay  = 100 * time.Millisecond // the rest may be on its way
	missingGap    = time.Second            // then times three
	missingRounds = 5                      // then the instance is forgotten

	refreshTogether = time.Second // questions about to be due go along with one that is

	askWait = time.Second // a question beyond AskRate waits
)

// A browse is a standing question for the instances of a type.
type browse struct {
	name, key name
	next      time.Time
	gap       time.Duration
	heard     time.Time // somebody else asked the same, and will hear no more than we
}

// restart asks for everything anew: the link is new or has changed.
func (m *monitor) restart(now time.Time) {
	if m.stopped {
		return
	}
	at := now.Add(m.e.jitter(sharedDelayMin, sharedDelayMax))
	for _, b := range m.browses {
		b.next, b.gap, b.heard = at, browseGap, time.Time{}
	}
	m.wake.at(at)
}

// stop ends all questions.
func (m *monitor) stop() {
	for _, r := range m.resolves {
		m.finish(r, Entry{}, nil, false)
	}
	m.resolves, m.stopped = nil, true
}

func (m *monitor) handleTimeout(now time.Time) {
	if !m.wake.take(now) || m.stopped {
		return
	}
	m.runCache(now)
	m.runBrowses(now)
	m.runMissing(now)
	m.runResolves(now)
	m.evaluate(now)
	if len(m.e.addrs) > 0 {
		m.sendAsks(now)
	}
	clear(m.asks)
}

// runCache deletes what has expired and asks for what is about to.
func (m *monitor) runCache(now time.Time) {
	var refresh, soon []*cached
	for _, r := range m.cache.recs {
		switch {
		case due(r.expires, now):
			m.touch(&r.record)
			m.cache.delete(r)
			continue
		case due(r.refresh, now):
			refresh = append(refresh, r)
		case due(r.refresh, now.Add(refreshTogether)):
			soon = append(soon, r)
			m.wake.at(r.refresh)
		default:
			m.wake.at(r.refresh)
		}
		m.wake.at(r.expires)
	}
	if len(refresh) > 0 {
		refresh = append(refresh, soon...)
	}
	slices.SortFunc(refresh, func(a, b *cached) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.typ, b.typ), cmp.Compare(a.ident.target, b.ident.target))
	})
	for _, r := range refresh {
		switch {
		case now.Sub(r.heard) < heardWindow: // §7.3
			r.planNext(now)
		case !m.mayAsk(now, r.key, r.typ):
			r.refresh = now.Add(askWait)
		default:
			m.ask(r.name, r.typ, false)
			if r.typ == dns.TypeSRV { // finds a change of TXT that was lost, long before its own refresh
				m.ask(r.name, dns.TypeTXT, false)
			}
			r.planNext(now)
		}
		m.wake.at(r.refresh)
	}
}

func (m *monitor) runBrowses(now time.Time) {
	for _, b := range m.browses {
		if due(b.next, now) {
			if now.Sub(b.heard) >= heardWindow {
				m.ask(b.name, dns.TypePTR, false)
			}
			b.next = now.Add(b.gap)
			b.gap = min(b.gap*browseFactor, browseGapMax)
		}
		m.wake.at(b.next)
	}
}

// runMissing asks for what instances lack, and forgets those that never get
// complete.
func (m *monitor) runMissing(now time.Time) {
	var todo []*instance
	for _, inst := range m.instances {
		if due(inst.askAt, now) {
			todo = append(todo, inst)
		} else {
			m.wake.at(inst.askAt)
		}
	}
	slices.SortFunc(todo, func(a, b *instance) int { return cmp.Compare(a.key, b.key) })
	for _, inst := range todo {
		m.askMissing(now, inst)
	}
}

func (m *monitor) askMissing(now time.Time, inst *instance) {
	switch {
	case inst.asks == missingRounds && inst.wanted == 0:
		m.forget(inst)
		return
	case inst.asks == missingRounds:
		inst.askAt, inst.hinted = time.Time{}, false
		return
	case !m.mayAsk(now, inst.key, dns.TypeANY):
		inst.askAt = now.Add(askWait)
	default:
		if m.ptr(inst) == nil {
			m.ask(inst.typ, dns.TypePTR, false)
		}
		m.askFor(inst, func(r *cached) bool { return r != nil }, false)
		inst.askAt = now.Add(missingGap * time.Duration(pow3(inst.asks)))
		inst.asks++
	}
	m.wake.at(inst.askAt)
}

func pow3(n int) int {
	p := 1
	for range n {
		p *= 3
	}
	return p
}

// askFor asks for those of an instance's records that are not good enough.
func (m *monitor) askFor(inst *instance, good func(*cached) bool, unicast bool) {
	for _, typ := range []uint16{dns.TypeSRV, dns.TypeTXT} {
		if !good(m.cache.newest(inst.key, typ)) {
			m.ask(inst.name, typ, unicast)
		}
	}
	srv := m.cache.newest(inst.key, dns.TypeSRV)
	if srv == nil || good(m.cache.newest(inst.host, dns.TypeA)) || good(m.cache.newest(inst.host, dns.TypeAAAA)) {
		return
	}
	m.ask(srv.target, dns.TypeA, unicast)
	m.ask(srv.target, dns.TypeAAAA, unicast)
}

// mayAsk withdraws one question from AskRate unless it is already to be asked.
func (m *monitor) mayAsk(now time.Time, key name, typ uint16) bool {
	if _, ok := m.asks[setKey{key, typ}]; ok {
		return true
	}
	if !m.askRate.open(now) {
		m.e.stats.RateLimited++
		return false
	}
	m.askRate.withdraw(1)
	return true
}

func (m *monitor) ask(n name, typ uint16, unicast bool) {
	k := setKey{n.fold(), typ}
	if old, ok := m.asks[k]; ok && !old.unicast {
		return // a multicast answer serves both
	}
	m.asks[k] = question{name: n, key: k.key, typ: typ, unicast: unicast}
}

// sendAsks sends the questions gathered, PTR ones with what we know already.
func (m *monitor) sendAsks(now time.Time) {
	if len(m.asks) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(m.asks), func(a, b setKey) int {
		return cmp.Or(cmp.Compare(a.typ, b.typ), cmp.Compare(a.key, b.key))
	})
	out := newSplitter(message{})
	for _, k := range keys {
		q := m.asks[k]
		if k.typ == dns.TypePTR {
			m.e.multicast(now, m.withKnown(now, q))
			continue
		}
		out.add(group{questions: []question{q}})
	}
	m.e.multicast(now, out.out)
}

// withKnown builds a question with the answers that need not be given again;
// if they do not fit, in several packets, all but the last with the TC bit
// (RFC 6762 §7.1, §7.2).
func (m *monitor) withKnown(now time.Time, q question) []message {
	out := newSplitter(message{})
	out.add(group{questions: []question{q}})
	for _, r := range m.cache.set(q.key, q.typ) {
		if r.fresh(now) {
			out.add(group{answers: []record{r.withTTL(uint32(r.expires.Sub(now) / time.Second))}})
		}
	}
	for i := range len(out.out) - 1 {
		out.out[i].truncated = true
	}
	return out.out
}

// Learn is a hint from elsewhere: the instance may be there. It is asked for
// unless it is known or ours. If it does not appear it is said to have
// Vanished, because the caller may have it from a Resolve.
func (e *Engine) Learn(now time.Time, instance, typ string) {
	t, err := typeName(typ)
	if err != nil || instance == "" || len(instance) > maxLabel {
		return
	}
	e.monitor.learn(now, instanceName(instance, t))
}

func (m *monitor) learn(now time.Time, n name) {
	_, typ := n.cut()
	if m.stopped || m.e.owner(n.fold()) != nil || !m.browsed(typ.fold()) {
		return
	}
	inst := m.instances[n.fold()]
	if inst == nil {
		inst = m.newInstance(n, netip.Addr{})
	}
	switch {
	case inst == nil:
		label, _ := n.cut()
		m.e.event(Vanished{Instance: UnescapeLabel(label), Type: typ.fold().typeString()})
	case inst.reported == nil:
		inst.learned = true
		if m.ptr(inst) == nil && inst.askAt.IsZero() {
			inst.hinted, inst.askAt = true, now
			m.wake.at(now)
		}
	}
}
