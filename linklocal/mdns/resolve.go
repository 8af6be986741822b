package mdns

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	resolveWait  = 3 * time.Second
	resolveFresh = time.Second // records heard within it need no question
	resolveAsks  = 3           // at 0, 250 and 1000 ms, anew for an address once the host is known; for NULL, which is large, at 0, 1 and 2 s
)

// A resolve is a one-shot question for the current records of an instance.
type resolve struct {
	id              uint64
	inst            *instance
	null            bool
	start, deadline time.Time
	asks            int
	askFrom, askAt  time.Time // the first question, the next one
	askedHost       bool
}

// Resolve asks for fresh SRV, TXT and address records of an instance, which
// need not be known. The answer is a [Resolved] with the number returned.
func (e *Engine) Resolve(now time.Time, instance, typ string) (query uint64) {
	return e.monitor.resolve(now, instance, typ, false)
}

// ResolveNull asks for the NULL record of an instance. The answer is a
// [NullResolved] with the number returned.
func (e *Engine) ResolveNull(now time.Time, instance, typ string) (query uint64) {
	return e.monitor.resolve(now, instance, typ, true)
}

func (m *monitor) resolve(now time.Time, instance, typ string, null bool) uint64 {
	m.lastQuery++
	r := &resolve{id: m.lastQuery, null: null, start: now, deadline: now.Add(resolveWait), askFrom: now, askAt: now}
	t, err := typeName(typ)
	if err != nil || m.stopped || instance == "" || len(instance) > maxLabel || len(m.resolves) >= m.e.lim.Resolves {
		m.finish(r, Entry{}, nil, false)
		return r.id
	}
	n := instanceName(instance, t)
	if c := m.e.owner(n.fold()); c != nil {
		m.finish(r, m.e.ownEntry(c), []byte(c.null), true)
		return r.id
	}
	if r.inst = m.instances[n.fold()]; r.inst == nil {
		r.inst = m.newInstance(n, netip.Addr{})
	}
	if r.inst == nil {
		m.finish(r, Entry{}, nil, false)
		return r.id
	}
	r.inst.wanted++
	m.resolves = append(m.resolves, r)
	m.wake.at(now)
	m.checkResolves(now)
	m.evaluate(now)
	return r.id
}

func (e *Engine) ownEntry(c *claim) Entry {
	host, addrs := e.host.name, e.host.addrs
	if len(c.addrs) > 0 {
		host, addrs = c.name, c.addrs
	}
	return Entry{
		Instance: c.label, Type: c.typ.name.typeString(), Host: string(host[:len(host)-1]), Port: c.svc.Port,
		Addrs: e.monitor.zoned(slices.Clone(addrs)), Text: textStrings(c.text), Links: []string{e.monitor.zone},
	}
}

// runResolves repeats questions and gives up at the deadline. The first
// question asks for a unicast answer; that may reach another socket of this
// host, so the repeats do not.
func (m *monitor) runResolves(now time.Time) {
	m.checkResolves(now)
	for _, r := range m.resolves {
		if due(r.askAt, now) {
			m.askResolve(r)
			r.asks++
			r.askAt = r.nextAsk()
		}
		m.wake.at(r.askAt)
		m.wake.at(r.deadline)
	}
}

func (r *resolve) nextAsk() time.Time {
	switch {
	case r.asks >= resolveAsks:
		return time.Time{}
	case r.null:
		return r.askFrom.Add(time.Duration(r.asks) * time.Second)
	case r.asks == 1:
		return r.askFrom.Add(250 * time.Millisecond)
	}
	return r.askFrom.Add(time.Second)
}

func (m *monitor) askResolve(r *resolve) {
	if r.null {
		m.ask(r.inst.name, dns.TypeNULL, r.asks == 0)
		return
	}
	since := r.start.Add(-resolveFresh)
	m.askFor(r.inst, func(c *cached) bool { return c != nil && !c.dying && !c.at.Before(since) }, r.asks == 0)
	r.askedHost = r.inst.host != ""
}

// checkResolves ends the resolves that have their answer or no more time.
func (m *monitor) checkResolves(now time.Time) {
	m.resolves = slices.DeleteFunc(m.resolves, func(r *resolve) bool {
		entry, ok := m.freshEntry(r)
		if !ok && r.deadline.After(now) {
			if !r.null && !r.askedHost && r.inst.host != "" && r.asks > 0 {
				r.askedHost, r.askFrom, r.askAt, r.asks = true, now, now, 0
				m.wake.at(now)
			}
			return false
		}
		if !ok && !r.null && r.inst.reported != nil {
			m.doubtInstance(now, r.inst)
		}
		m.finish(r, entry, nil, ok)
		return true
	})
}

// freshEntry reports whether SRV and an address are fresh; a TXT record counts
// even if it is older, and is waited for only if there is none.
func (m *monitor) freshEntry(r *resolve) (Entry, bool) {
	if r.null {
		return Entry{}, false
	}
	return m.entry(r.inst, r.start.Add(-resolveFresh))
}

func (m *monitor) nullArrived(inst *instance, rec *record) {
	if rec.ttl == 0 {
		return
	}
	m.resolves = slices.DeleteFunc(m.resolves, func(r *resolve) bool {
		if !r.null || r.inst != inst {
			return false
		}
		m.finish(r, Entry{}, []byte(rec.blob), true)
		return true
	})
}

// nullDenied ends the questions for a NULL record that its owner says it has
// not, RFC 6762 §6.1.
func (m *monitor) nullDenied(inst *instance, rec *record) {
	if rec.ttl > 0 && rec.denies(dns.TypeNULL) {
		m.endResolves(func(r *resolve) bool { return r.null && r.inst == inst })
	}
}

// endResolves says of some resolves that there is no answer.
func (m *monitor) endResolves(which func(*resolve) bool) {
	m.resolves = slices.DeleteFunc(m.resolves, func(r *resolve) bool {
		hit := which(r)
		if hit {
			m.finish(r, Entry{}, nil, false)
		}
		return hit
	})
}

func (m *monitor) failResolves(inst *instance) {
	m.endResolves(func(r *resolve) bool { return r.inst == inst })
}

func (m *monitor) finish(r *resolve, entry Entry, data []byte, ok bool) {
	if r.inst != nil {
		r.inst.wanted--
		m.touched[r.inst.key] = true
	}
	if r.null {
		m.e.event(NullResolved{Query: r.id, Data: data, OK: ok})
		return
	}
	if !ok {
		entry = Entry{}
	}
	m.e.event(Resolved{Query: r.id, Entry: entry, OK: ok})
}
