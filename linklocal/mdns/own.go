package mdns

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	pastWindow = 10 * time.Second // reflectors and sleeping access points hold packets back for seconds
	maxPast    = 4096
)

// A past remembers records that were ours until lately. A reflector sends them
// again, later and packed in its own way; they are neither a conflict nor
// somebody else's.
type past struct {
	until map[ident]time.Time
	ring  []pastRecord // oldest first
}

type pastRecord struct {
	id    ident
	until time.Time
}

func (p *past) add(now time.Time, rr ...record) {
	for len(p.ring) > 0 && (len(p.ring)+len(rr) > maxPast || !p.ring[0].until.After(now)) {
		if old := p.ring[0]; p.until[old.id].Equal(old.until) {
			delete(p.until, old.id)
		}
		p.ring = p.ring[1:]
	}
	if p.until == nil {
		p.until = map[ident]time.Time{}
	}
	until := now.Add(pastWindow)
	for i := range rr {
		p.until[rr[i].ident] = until
		p.ring = append(p.ring, pastRecord{rr[i].ident, until})
	}
}

func (p *past) has(now time.Time, r *record) bool { return p.until[r.ident].After(now) }

// pass notes that what a claim said of itself is about to be said no more.
// What is at a service's own address others may say, too.
func (e *Engine) pass(now time.Time, c *claim) {
	if c.svc == nil || len(c.addrs) == 0 {
		e.past.add(now, e.uniqueRecords(c)...)
	}
	if c.svc != nil {
		return
	}
	for _, s := range e.order[1:] { // the host's name is in their SRV records
		e.past.add(now, e.records(ref{c: s, k: kindSRV})...)
	}
}

// echo reports whether a record is a late copy of one that was ours.
func (e *Engine) echo(now time.Time, r *record) bool {
	if !e.past.has(now, r) {
		return false
	}
	e.stats.OwnEchoes++
	return true
}

// taken reports whether somebody else is known to have a name of ours. Our
// probes, or what was said to them, may be lost; what the monitor heard in
// other answers counts as well. A text does not: it may be our own, older one,
// heard from a reflector.
func (e *Engine) taken(now time.Time, c *claim) bool {
	for _, k := range c.kinds() {
		r := e.monitor.cache.newest(c.key, k.dnsType())
		if k == kindTXT || r == nil || r.dying || !r.expires.After(now) {
			continue
		}
		if e.compareOwn(c, k, &r.record) == otherData && !e.past.has(now, &r.record) {
			return true
		}
	}
	return false
}

// rumoured reports whether an instance of our name is pointed to, and nothing
// else is known of it (yet). Then the round is repeated: answers get lost.
func (e *Engine) rumoured(c *claim) bool {
	inst := e.monitor.instances[c.key]
	if inst == nil {
		return false
	}
	ptr := e.monitor.ptr(inst)
	return ptr != nil && !ptr.dying && e.monitor.cache.newest(c.key, dns.TypeSRV) == nil
}

// isOurs reports whether a probe says nothing that we do not say ourselves, or
// have said lately: then it is one of ours.
func (e *Engine) isOurs(now time.Time, c *claim, rr []record) bool {
	for i := range rr {
		k, ok := kindOf(rr[i].typ)
		if !ok || e.compareOwn(c, k, &rr[i]) == otherData && !e.past.has(now, &rr[i]) {
			return false
		}
	}
	return true
}

// ignoresEcho reports whether the monitor must not learn a record, because it
// was ours. Only of a SRV record, which has our host's name in it, the data can
// tell.
func (m *monitor) ignoresEcho(now time.Time, src netip.Addr, r *record) bool {
	return r.typ == dns.TypeSRV && (m.e.echo(now, r) || m.e.isFormer(src, r))
}

// isFormer reports whether a SRV record points to our host, as nobody else's
// may, and yet does not come from here: a reflector or a proxy says what we said
// before we were restarted, or before past begins. Another stack on this machine,
// which may have our host's name, has our addresses, too.
func (e *Engine) isFormer(src netip.Addr, r *record) bool {
	return r.typ == dns.TypeSRV && r.ident.target == e.host.key && e.host.state != idle && !e.self.has(src)
}

// formerNames are the names in a response that is about a former one of us.
// What else it says of them is no conflict either: a text, say.
func (e *Engine) formerNames(src netip.Addr, rr []record) (names map[name]bool) {
	for i := range rr {
		if e.isFormer(src, &rr[i]) {
			if names == nil {
				names = map[name]bool{}
			}
			names[rr[i].key] = true
		}
	}
	return names
}
