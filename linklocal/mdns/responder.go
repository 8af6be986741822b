package mdns

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// RFC 6762 §6, §7.2.
const (
	sharedDelayMin = 20 * time.Millisecond // "uniform random in the range 20-120 ms"
	sharedDelayMax = 120 * time.Millisecond
	moreKnownMin   = 400 * time.Millisecond // "wait … in the range 400-500 ms" for further known answers
	moreKnownMax   = 500 * time.Millisecond
	recordInterval = time.Second            // a record is multicast at most once a second …
	probeSpacing   = 250 * time.Millisecond // … but to answer a probe
	overloadWait   = 100 * time.Millisecond // how long responses are put off beyond ResponseRate

	mdnsPort     = 5353
	legacyMaxTTL = 10 // RFC 6762 §6.7
	maxKnown     = 4096
)

// A query is what was asked, perhaps in several packets.
type query struct {
	id        uint16
	src       netip.AddrPort
	unicast   bool // arrived by unicast
	probe     bool
	alone     bool // every question is for a unique name of ours
	questions []question
	known     map[ident]uint32 // known answers and their TTL
	at        time.Time        // held until
}

func (e *Engine) handleQuery(now time.Time, p Packet, m *message) {
	e.hearProbes(now, m)
	if !p.Unicast && p.Src.Port() == mdnsPort {
		e.monitor.hear(now, m)
	}
	if e.addKnown(now, p.Src, m) && len(m.questions) == 0 {
		return
	}
	q := query{id: m.id, src: p.Src, unicast: p.Unicast, probe: len(m.authority) > 0, questions: m.questions}
	if !e.concerns(&q) {
		return
	}
	q.addKnown(m.answers)
	if m.truncated && p.Src.Port() == mdnsPort && len(e.held) < e.lim.HeldQueries {
		q.at = now.Add(e.jitter(moreKnownMin, moreKnownMax))
		e.held = append(e.held, &q)
		e.local.at(q.at)
		return
	}
	e.answer(now, &q)
}

// concerns reports whether anything asked is ours to answer.
func (e *Engine) concerns(q *query) bool {
	for i := range q.questions {
		key := q.questions[i].key
		if e.owner(key) != nil || e.types[key] != nil || (key == enumName && len(e.typeOrder) > 0) {
			return true
		}
	}
	return false
}

func (q *query) addKnown(rr []record) {
	if q.known == nil {
		q.known = make(map[ident]uint32, len(rr))
	}
	for i := range rr {
		if len(q.known) < maxKnown {
			q.known[rr[i].ident] = rr[i].ttl
		}
	}
}

// addKnown takes the known answers in a packet for all queries of its sender
// that are held, and reports whether there are any. avahi has several on their
// way at once, and what it knows it knows for each.
func (e *Engine) addKnown(now time.Time, src netip.AddrPort, m *message) (held bool) {
	for _, q := range e.held {
		if q.src != src {
			continue
		}
		held = true
		q.addKnown(m.answers)
		if m.truncated {
			q.at = now.Add(e.jitter(moreKnownMin, moreKnownMax))
		}
	}
	return held
}

// runHeld answers truncated queries whose time has come.
func (e *Engine) runHeld(now time.Time) {
	kept := e.held[:0]
	for _, q := range e.held {
		if due(q.at, now) {
			e.answer(now, q)
			continue
		}
		kept = append(kept, q)
		e.local.at(q.at)
	}
	clear(e.held[len(kept):])
	e.held = kept
}

// answer plans the multicast answers to a query and sends the unicast ones.
func (e *Engine) answer(now time.Time, q *query) {
	legacy := q.src.Port() != mdnsPort
	var unicast []ref
	asked := map[ref]bool{}
	seen := map[setKey]bool{} // one packet may ask the same hundreds of times
	delay := time.Duration(0)
	if q.at.IsZero() { // else it has waited already
		delay = e.sharedDelay(now)
	}
	q.alone = !slices.ContainsFunc(q.questions, func(qu question) bool { return e.owner(qu.key) == nil })
	for i := range q.questions {
		qu := &q.questions[i]
		k := setKey{qu.key, qu.typ}
		if seen[k] {
			continue
		}
		seen[k] = true
		for _, r := range e.lookup(qu, q.probe) {
			switch {
			case asked[r] || e.isKnown(q, r):
			case legacy, (qu.unicast || q.unicast) && !q.probe && e.recent(now, r):
				unicast = append(unicast, r)
			default:
				e.plan(now, q, r, delay)
			}
			asked[r] = true
		}
	}
	if len(unicast) > 0 {
		e.sendUnicast(now, q, unicast, legacy)
	}
}

// lookup finds the record sets that answer a question: O(answers).
func (e *Engine) lookup(q *question, probe bool) (rr []ref) {
	any := q.typ == dns.TypeANY
	if c := e.owner(q.key); c != nil {
		rr = c.match(q.typ, probe)
	}
	if q.typ != dns.TypePTR && !any {
		return rr
	}
	if t := e.types[q.key]; t != nil {
		for _, c := range t.claims {
			if c.state == established {
				rr = append(rr, ref{c: c, k: kindPTR})
			}
		}
	}
	if q.key == enumName {
		for _, t := range e.typeOrder {
			if t.published() {
				rr = append(rr, ref{t: t, k: kindType})
			}
		}
	}
	return rr
}

func (t *svcType) published() bool {
	for _, c := range t.claims {
		if c.state == established {
			return true
		}
	}
	return false
}

func (k kind) dnsType() uint16 {
	return [...]uint16{dns.TypePTR, dns.TypeSRV, dns.TypeTXT, dns.TypeNULL, dns.TypeA, dns.TypeAAAA, dns.TypeNSEC, dns.TypePTR}[k]
}

// isKnown: the asker has these records already and will for a while.
//
// "A Multicast DNS responder MUST NOT answer … if the answer it would give is
// already included in the Answer Section with an RR TTL at least half the
// correct value", RFC 6762 §7.1.
func (e *Engine) isKnown(q *query, r ref) bool {
	if len(q.known) == 0 {
		return false
	}
	for _, rec := range e.records(r) {
		if ttl, ok := q.known[rec.ident]; !ok || ttl < rec.ttl/2 {
			return false
		}
	}
	return true
}

// recent: the record was multicast within a quarter of its TTL, so a unicast
// answer leaves nobody's cache stale (RFC 6762 §5.4). Large NULL records go to
// who asked for them alone.
func (e *Engine) recent(now time.Time, r ref) bool {
	if r.k == kindNULL {
		return true
	}
	ttl := time.Duration(ttlHost)
	if r.k == kindPTR || r.k == kindTXT || r.k == kindType {
		ttl = ttlOther
	}
	sent := r.sched().sent
	return !sent.IsZero() && now.Sub(sent) < ttl*time.Second/4
}

// plan has a record set multicast as an answer: shared ones after a delay, and
// unique ones, too, unless nobody else can have anything to answer.
//
// "because it is able to answer every question in the query message, and for
// all of those answer records it has previously verified that the name, rrtype,
// and rrclass are unique on the link … it SHOULD NOT impose any random delay",
// RFC 6762 §6; other packets with several questions wait (§6.3), but for probes:
// "Answers defending a name … are still sent immediately".
func (e *Engine) plan(now time.Time, q *query, r ref, delay time.Duration) {
	spacing := recordInterval
	if q.probe {
		spacing = probeSpacing
	}
	if r.unique() && (q.probe || q.alone) {
		delay = 0
	}
	e.respondAt(now, r, delay, spacing)
}

// sharedDelay keeps those who hold a shared record from speaking at once, and
// brings answers together that are due about the same time.
//
// "a responder SHOULD, for the sake of network efficiency, aggregate as many
// responses as possible into a single Multicast DNS response message",
// RFC 6762 §6.4.
func (e *Engine) sharedDelay(now time.Time) time.Duration {
	if e.together.Before(now.Add(sharedDelayMin)) {
		e.together = now.Add(e.jitter(sharedDelayMin, sharedDelayMax))
	}
	return e.together.Sub(now)
}

// respondAt plans one multicast of a record set, unless an earlier one is planned.
func (e *Engine) respondAt(now time.Time, r ref, delay, spacing time.Duration) {
	s := r.sched()
	at := now.Add(delay)
	if !s.sent.IsZero() {
		at = later(at, s.sent.Add(spacing))
	}
	if s.respond.IsZero() {
		e.pending = append(e.pending, r)
	}
	if s.respond.IsZero() || at.Before(s.respond) {
		s.respond = at
		e.local.at(at)
	}
}

// runResponses multicasts the answers that are due.
func (e *Engine) runResponses(now time.Time) {
	refs := e.dueResponses(now)
	if len(refs) == 0 {
		return
	}
	if !e.multicastRate.open(now) {
		e.stats.RateLimited += uint64(len(refs))
		for _, r := range refs {
			r.sched().respond = now.Add(overloadWait)
		}
		e.pending = append(e.pending, refs...)
		e.local.at(now.Add(overloadWait))
		return
	}
	for _, r := range refs {
		r.sched().sent = now
	}
	out := newSplitter(message{response: true})
	for _, r := range refs {
		g := group{answers: e.records(r)}
		var with []ref
		for _, x := range e.additional(now, r) {
			if s := x.sched(); s.sent.IsZero() || now.Sub(s.sent) >= recordInterval {
				g.extras, with = append(g.extras, e.records(x)...), append(with, x)
			}
		}
		if !out.addNonEmpty(g) {
			continue // they are still to be had at once
		}
		for _, x := range with {
			x.sched().sent = now
		}
	}
	e.multicastRate.withdraw(len(out.out))
	e.multicast(now, out.out)
}

// dueResponses takes the answers that are due off the pending ones, and those
// that are not wanted any more.
func (e *Engine) dueResponses(now time.Time) (refs []ref) {
	kept := e.pending[:0]
	for _, r := range e.pending {
		switch s := r.sched(); {
		case s.respond.IsZero():
		case due(s.respond, now):
			s.respond = time.Time{}
			refs = append(refs, r)
		default:
			kept = append(kept, r)
			e.local.at(s.respond)
		}
	}
	clear(e.pending[len(kept):])
	e.pending = kept
	return refs
}

// healText is how long a new TXT record goes with every answer about the SRV
// record, which is asked for again every two minutes or sooner: who has missed
// the announcements learns of the change here, and not when its copy expires.
const healText = 3 * ttlHost * time.Second

// additional lists what is good to know with an answer, RFC 6763 §12.
func (e *Engine) additional(now time.Time, r ref) []ref {
	at := e.host
	if r.c != nil && len(r.c.addrs) > 0 {
		at = r.c
	}
	switch r.k {
	case kindPTR:
		return append([]ref{{c: r.c, k: kindSRV}, {c: r.c, k: kindTXT}}, at.addrRefs()...)
	case kindSRV:
		refs := at.addrRefs()
		if now.Before(r.c.healing) {
			refs = append(refs, ref{c: r.c, k: kindTXT})
		}
		return refs
	case kindA:
		return at.addrRefs()[1:]
	case kindAAAA:
		return at.addrRefs()[:1]
	}
	return nil
}

// sendUnicast answers one asker at once, within ResponseRate.
func (e *Engine) sendUnicast(now time.Time, q *query, refs []ref, legacy bool) {
	if !e.unicastRate.open(now) {
		e.stats.RateLimited++
		return
	}
	base := message{response: true}
	if legacy {
		base.id, base.questions = q.id, q.questions
	}
	out := newSplitter(base)
	for _, r := range refs {
		g := group{answers: e.records(r)}
		for _, x := range e.additional(now, r) {
			g.extras = append(g.extras, e.records(x)...)
		}
		out.addNonEmpty(g)
	}
	if legacy && len(out.out) > 0 {
		e.sendLegacy(q.src, out.out)
		e.unicastRate.withdraw(1)
		return
	}
	e.unicastRate.withdraw(len(out.out))
	for i := range out.out {
		e.send(&out.out[i], q.src, false)
	}
}

// sendLegacy answers a one-shot resolver, which takes one packet: "the
// response MUST … repeat the query ID and the question", RFC 6762 §6.7.
func (e *Engine) sendLegacy(to netip.AddrPort, packets []message) {
	m := &packets[0]
	m.truncated = len(packets) > 1
	for _, section := range [][]record{m.answers, m.extras} {
		for i := range section {
			section[i].ttl = min(section[i].ttl, legacyMaxTTL)
		}
	}
	e.send(m, to, true)
}
