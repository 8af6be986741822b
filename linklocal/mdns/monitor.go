package mdns

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A monitor keeps what others publish under the browsed types and reports
// what changes. It is the browsing half of an Engine: monitor.go turns records
// into entries, querier.go asks for what is missing or about to expire.
type monitor struct {
	e         *Engine
	zone      string
	cache     cache
	browses   []*browse
	instances map[name]*instance
	perType   map[name]int       // instances of a type
	perSource map[netip.Addr]int // instances by who named them first
	hosts     map[name]map[name]*instance
	overheard overheard
	touched   map[name]bool // instances to look at again
	resolves  []*resolve
	lastQuery uint64
	question  uint64              // counts those of others for records that we have
	asks      map[setKey]question // to be asked now
	askRate   bucket
	wake      deadline
	stopped   bool
}

// An instance is a name that somebody has, or that we look for.
type instance struct {
	name, key, typ name // typ folded
	label          string
	host           name // folded target of its SRV record
	src            netip.Addr
	reported       *Entry
	asks           int       // rounds of questions for what is missing
	askAt          time.Time // next round
	hinted         bool      // looked for without a PTR record
	learned        bool      // whoever gave the hint is told if it does not appear
	wanted         int       // resolves under way
}

func newMonitor(now time.Time, e *Engine, cfg Config) *monitor {
	m := &monitor{
		e: e, zone: cfg.Zone, cache: newCache(&e.lim),
		instances: map[name]*instance{}, perType: map[name]int{}, perSource: map[netip.Addr]int{},
		hosts: map[name]map[name]*instance{}, touched: map[name]bool{}, asks: map[setKey]question{},
		askRate: newBucket(now, e.lim.AskRate, e.lim.AskBurst),
	}
	for _, typ := range cfg.Browse {
		n, err := typeName(typ)
		if err != nil {
			e.log.Error("type not browsed", "err", err)
			continue
		}
		m.browses = append(m.browses, &browse{name: n, key: n.fold()})
	}
	return m
}

func (m *monitor) browsed(key name) bool {
	return slices.ContainsFunc(m.browses, func(b *browse) bool { return b.key == key })
}

// handleRecords takes the records of one response. Only what belongs to an
// instance we know or look for is kept: PTR first, then what they lead to.
func (m *monitor) handleRecords(now time.Time, src netip.Addr, rr []record) {
	if m.stopped {
		return
	}
	for _, pass := range []func(time.Time, netip.Addr, *record){m.handlePTR, m.handleInstance, m.handleAddr} {
		for i := range rr {
			pass(now, src, &rr[i])
		}
	}
	m.checkResolves(now)
	m.evaluate(now)
}

func (m *monitor) handlePTR(now time.Time, src netip.Addr, r *record) {
	if r.typ != dns.TypePTR || !m.browsed(r.key) || m.e.owner(r.ident.target) != nil {
		return // LL-07: what we publish ourselves is known by its name, not by an address
	}
	switch inst := m.instances[r.ident.target]; {
	case inst == nil:
		if r.ttl == 0 || m.newInstance(r.target, src) == nil {
			return
		}
	case !m.attribute(inst, src):
		return
	}
	m.put(now, src, r)
	m.touched[r.ident.target] = true
}

func (m *monitor) handleInstance(now time.Time, src netip.Addr, r *record) {
	inst := m.instances[r.key]
	if inst == nil || m.e.owner(r.key) != nil || m.ignoresEcho(now, src, r) {
		return
	}
	switch r.typ {
	case dns.TypeNULL:
		m.nullArrived(inst, r)
	case dns.TypeNSEC:
		m.nullDenied(inst, r)
	case dns.TypeSRV, dns.TypeTXT:
		m.put(now, src, r)
		m.touched[r.key] = true
		m.follow(now, inst)
	}
}

func (m *monitor) handleAddr(now time.Time, src netip.Addr, r *record) {
	switch {
	case r.typ != dns.TypeA && r.typ != dns.TypeAAAA:
	case m.hosts[r.key] == nil:
		m.overheard.add(now, src, r)
	default:
		m.put(now, src, r)
		m.touch(r)
	}
}

func (m *monitor) put(now time.Time, src netip.Addr, r *record) {
	c, full := m.cache.put(now, r, src, m.e.rand.Float64())
	if full {
		m.e.stats.CacheDropped++
	}
	if c == nil {
		return
	}
	m.wake.at(c.refresh)
	for _, x := range m.cache.set(r.key, r.typ) {
		m.wake.at(x.expires)
		if r.typ == dns.TypePTR {
			break // never flushed: only c itself matters
		}
	}
	m.wake.at(c.expires)
}

// touch marks the instances that a record belongs to.
func (m *monitor) touch(r *record) {
	switch r.typ {
	case dns.TypePTR:
		m.touched[r.ident.target] = true
	case dns.TypeA, dns.TypeAAAA:
		for key := range m.hosts[r.key] {
			m.touched[key] = true
		}
	default:
		m.touched[r.key] = true
	}
}

// newInstance enters an instance within the limits; nil: no room, or no
// direct child of a type.
func (m *monitor) newInstance(n name, src netip.Addr) *instance {
	label, rest := n.cut()
	typ := rest.fold()
	if label == "" || !strings.HasPrefix(string(typ), "_") {
		return nil
	}
	share := m.e.lim.InstancesPerSource
	if !src.IsValid() {
		share = (share + 1) / 2 // hints: a source whose share is used up must not fill the rest by them
	}
	if m.perType[typ] >= m.e.lim.Instances || m.perSource[src] >= share {
		m.e.stats.CacheDropped++
		return nil
	}
	inst := &instance{name: n, key: n.fold(), typ: typ, label: UnescapeLabel(label), src: src}
	m.instances[inst.key] = inst
	m.perType[typ]++
	m.perSource[src]++
	return inst
}

// attribute counts an instance that was known by a hint for the source that
// names it first. It reports false, and forgets the instance, if that has more
// than its share already.
func (m *monitor) attribute(inst *instance, src netip.Addr) bool {
	if inst.src.IsValid() || inst.wanted > 0 {
		return true
	}
	if m.perSource[src] >= m.e.lim.InstancesPerSource {
		m.e.stats.CacheDropped++
		m.forget(inst)
		return false
	}
	uncount(m.perSource, inst.src)
	inst.src = src
	m.perSource[src]++
	return true
}

// forget drops an instance and all its records.
func (m *monitor) forget(inst *instance) {
	m.vanish(inst)
	delete(m.instances, inst.key)
	uncount(m.perType, inst.typ)
	uncount(m.perSource, inst.src)
	if r := m.cache.recs[ptrRecord(inst.typ, inst.name).ident]; r != nil {
		m.cache.delete(r)
	}
	m.cache.deleteSet(inst.key, dns.TypeSRV)
	m.cache.deleteSet(inst.key, dns.TypeTXT)
	m.setHost(inst, "")
}

func uncount[K comparable](counts map[K]int, k K) {
	if counts[k]--; counts[k] <= 0 {
		delete(counts, k)
	}
}

// follow keeps track of the host that an instance's SRV record points to.
func (m *monitor) follow(now time.Time, inst *instance) {
	srv := m.cache.newest(inst.key, dns.TypeSRV)
	if srv == nil || srv.ident.target == inst.host {
		return
	}
	known := m.hosts[srv.ident.target] != nil
	m.setHost(inst, srv.ident.target)
	if known {
		return
	}
	for _, r := range m.overheard.of(now, inst.host) {
		m.put(r.at, r.src, &r.record)
	}
}

func (m *monitor) setHost(inst *instance, host name) {
	if inst.host == host {
		return
	}
	if at := m.hosts[inst.host]; at != nil {
		if delete(at, inst.key); len(at) == 0 {
			delete(m.hosts, inst.host)
			m.cache.deleteSet(inst.host, dns.TypeA)
			m.cache.deleteSet(inst.host, dns.TypeAAAA)
		}
	}
	inst.host = host
	if host == "" {
		return
	}
	if m.hosts[host] == nil {
		m.hosts[host] = map[name]*instance{}
	}
	m.hosts[host][inst.key] = inst
}

// disown drops an instance whose name is ours now.
func (m *monitor) disown(now time.Time, key name) {
	if inst := m.instances[key]; inst != nil {
		m.failResolves(inst)
		m.forget(inst)
	}
}

// vanish tells that an instance is gone to whoever holds it for present.
func (m *monitor) vanish(inst *instance) {
	if inst.reported != nil || inst.learned {
		inst.reported, inst.learned = nil, false
		m.e.event(Vanished{Instance: inst.label, Type: inst.typ.typeString()})
	}
}

// evaluate reports what became of the touched instances.
func (m *monitor) evaluate(now time.Time) {
	if len(m.touched) == 0 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m.touched)) {
		if inst := m.instances[key]; inst != nil {
			m.evaluateOne(now, inst)
		}
	}
	clear(m.touched)
}

func (m *monitor) evaluateOne(now time.Time, inst *instance) {
	m.follow(now, inst)
	ptr := m.ptr(inst)
	entry, complete := m.entry(inst, time.Time{})
	switch {
	case ptr == nil || !complete:
		if inst.reported != nil { // LL-11: questions about it are pointless now
			m.vanish(inst)
			m.failResolves(inst)
		}
	case inst.reported == nil:
		inst.reported, inst.learned = &entry, false
		m.e.event(Appeared{entry})
	case !inst.reported.equal(&entry):
		inst.reported = &entry
		m.e.event(Changed{entry})
	}
	switch {
	case ptr != nil && complete:
		inst.asks, inst.askAt, inst.hinted = 0, time.Time{}, false
	case ptr == nil && !inst.hinted && inst.wanted == 0:
		m.forget(inst)
	case inst.askAt.IsZero() && (ptr != nil || inst.hinted):
		inst.askAt = now.Add(missingDelay)
		m.wake.at(inst.askAt)
	}
}

func (m *monitor) ptr(inst *instance) *cached {
	return m.cache.recs[ptrRecord(inst.typ, inst.name).ident]
}

// entry puts together what is known of an instance from records heard at or
// after since. It is complete with a SRV and a TXT record and an address.
func (m *monitor) entry(inst *instance, since time.Time) (e Entry, complete bool) {
	srv := m.cache.newest(inst.key, dns.TypeSRV)
	txt := m.cache.newest(inst.key, dns.TypeTXT)
	e = Entry{Instance: inst.label, Type: inst.typ.typeString(), Links: []string{m.zone}}
	if txt != nil {
		e.Text = textStrings(txt.blob)
	}
	if srv == nil || srv.at.Before(since) {
		return e, false
	}
	e.Host = strings.TrimSuffix(string(srv.target), ".")
	e.Port = srv.port
	e.Addrs = m.zoned(m.cache.addrs(srv.ident.target, since))
	return e, txt != nil && len(e.Addrs) > 0
}

// zoned sorts addresses and says where the link-local ones are.
func (m *monitor) zoned(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	for i, a := range addrs {
		if a.Is6() && a.IsLinkLocalUnicast() {
			addrs[i] = a.WithZone(m.zone)
		}
	}
	return addrs
}

func (e *Entry) equal(o *Entry) bool {
	return e.Host == o.Host && e.Port == o.Port && slices.Equal(e.Addrs, o.Addrs) && slices.Equal(e.Text, o.Text) && slices.Equal(e.Links, o.Links)
}

// Entries returns the complete instances of others, sorted by type and name.
func (e *Engine) Entries() (out []Entry) {
	for _, key := range slices.Sorted(maps.Keys(e.monitor.instances)) {
		if inst := e.monitor.instances[key]; inst.reported != nil {
			out = append(out, *inst.reported)
		}
	}
	return out
}
