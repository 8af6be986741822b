package mdns

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// RFC 6762 §8.1, §8.2.
const (
	probeCount    = 3
	moreRounds    = 2 // of probes, for a name that somebody may have
	probeInterval = 250 * time.Millisecond
	probeDelayMax = 250 * time.Millisecond // before the first one, random
	tieWait       = time.Second            // "defers to the winning host by waiting one second"

	// A name is young for so long: then nobody can have relied on it, and who
	// claims it, too, has probably had it before.
	youngFor    = 10 * time.Second
	maxContests = 3 // within conflictQuiet

	conflictWindow = 10 * time.Second // "If fifteen conflicts occur within any ten-second period …
	conflictCount  = 15
	conflictQuiet  = time.Minute     // without conflicts ends that
	conflictWait   = 5 * time.Second // … the host MUST wait at least five seconds before each … additional probe attempt"
)

// becomeIdle stops everything about a name: there is no link.
func (e *Engine) becomeIdle(c *claim) {
	c.state, c.probes, c.next, c.retreat, c.yielding, c.proposal = idle, 0, time.Time{}, false, false, nil
	c.sched = [numKinds]schedule{}
}

// becomeProbing starts a round of probes at the given time.
func (e *Engine) becomeProbing(c *claim, at time.Time) {
	c.state, c.probes, c.rounds, c.next, c.retreat, c.yielding, c.proposal = probing, 0, 0, at, false, false, nil
	c.sched = [numKinds]schedule{}
	e.probeBy(at)
}

func (e *Engine) probeBy(at time.Time) {
	e.nextProbe.at(at)
	e.local.at(at)
}

// becomeEstablished makes a name ours and announces it.
func (e *Engine) becomeEstablished(now time.Time, c *claim) {
	if !c.retreat {
		c.since = now
	}
	c.state, c.next, c.retreat, c.yielding, c.proposal = established, time.Time{}, false, false, nil
	e.cancelGoodbye(c.key)
	if c.svc == nil {
		e.announce(now, ref{c: c, k: kindA}, ref{c: c, k: kindAAAA})
		e.hostEstablished(now)
		return
	}
	e.announce(now, ref{c: c, k: kindPTR}, ref{t: c.typ, k: kindType})
	for _, k := range c.kinds() {
		e.announce(now, ref{c: c, k: k})
	}
	c.textAt = now
	e.monitor.disown(now, c.key)
	e.event(Established{ID: c.svc.ID, Instance: c.label})
}

// hostEstablished lets services in that waited for the host's name, and
// announces the SRV records of the others, which may point elsewhere now.
func (e *Engine) hostEstablished(now time.Time) {
	for _, c := range e.order {
		switch {
		case c.svc == nil:
		case c.state == probing && c.held():
			e.becomeEstablished(now, c)
		case c.state == established && e.pointedTo != e.host.key:
			e.announce(now, ref{c: c, k: kindSRV})
		}
	}
	e.pointedTo = e.host.key
}

// held reports whether the round of probes is over but the host's is not.
func (c *claim) held() bool { return c.probes == probeCount && c.next.IsZero() }

// startAt is when the probes of new names begin. Names that come while others
// wait join them, so that their probes share packets.
func (e *Engine) startAt(now time.Time) time.Time {
	if !e.batch.After(now) {
		e.batch = now.Add(e.jitter(0, probeDelayMax))
	}
	return e.batch
}

// runProbes sends the probes that are due, all together.
//
// QU questions would be answered by unicast, which reaches only one of the
// sockets on this host's port 5353; so they are QM.
func (e *Engine) runProbes(now time.Time) {
	if !e.nextProbe.take(now) {
		e.local.at(e.nextProbe.t)
		return
	}
	out, ours := newSplitter(message{}), newSplitter(message{response: true})
	for _, c := range e.order {
		switch {
		case c.state != probing || !due(c.next, now):
		case c.probes == probeCount:
			e.finishProbing(now, c)
		default:
			c.probes++
			c.yielding = false
			c.next = now.Add(probeInterval)
			q := question{name: c.name, key: c.key, typ: dns.TypeANY}
			out.add(group{questions: []question{q}, authority: e.propose(c)})
			if c.retreat { // whoever has it, too, may not have heard us yet
				ours.add(group{answers: e.uniqueRecords(c)})
			}
		}
		if c.state == probing {
			e.probeBy(c.next)
		}
	}
	e.multicast(now, ours.out)
	e.multicast(now, out.out)
}

// propose returns what a round of probes says of the name. It stays the same
// for the round: both sides must compare the same data to agree who wins.
func (e *Engine) propose(c *claim) []record {
	if c.proposal == nil {
		c.proposal = e.uniqueRecords(c)
	}
	return c.proposal
}

func (e *Engine) finishProbing(now time.Time, c *claim) {
	if c.svc != nil && e.host.state != established {
		c.next = time.Time{}
		return
	}
	switch {
	case c.retreat: // what was heard meanwhile is of somebody who may have given in
		e.becomeEstablished(now, c)
	case e.taken(now, c):
		e.conflict(now, c)
	case c.rounds < moreRounds && e.rumoured(c):
		rounds := c.rounds + 1
		e.becomeProbing(c, now)
		c.rounds = rounds
	default:
		e.becomeEstablished(now, c)
	}
}

// checkConflicts looks for other data at our names in a response.
//
// "a conflict occurs when a Multicast DNS responder has a unique record for
// which it is currently authoritative, and it receives a Multicast DNS
// response message containing a record with the same name, rrtype and
// rrclass, but inconsistent rdata", RFC 6762 §9.
func (e *Engine) checkConflicts(now time.Time, src netip.Addr, unicast bool, rr []record) {
	former := e.formerNames(src, rr)
	for i := range rr {
		r := &rr[i]
		if r.typ == dns.TypePTR {
			e.checkPointer(now, unicast, r)
			continue
		}
		c := e.claims[r.key]
		if c == nil {
			e.repeatGoodbye(now, r)
			continue
		}
		if c.state == idle {
			continue
		}
		k, ok := kindOf(r.typ)
		if !ok || !slices.Contains(c.kinds(), k) {
			continue
		}
		switch e.compareOwn(c, k, r) {
		case sameData:
			if c.state == established {
				e.rescue(now, ref{c: c, k: k}, r)
			}
		case otherData:
			if r.ttl > 0 && !former[r.key] && !e.echo(now, r) {
				e.conflict(now, c)
			}
		}
	}
}

type comparison uint8

const (
	sameData comparison = iota
	otherData
	noData // we have no such records, or on another link only
)

func (e *Engine) compareOwn(c *claim, k kind, r *record) comparison {
	own := e.records(ref{c: c, k: k})
	for i := range own {
		if own[i].ident == r.ident {
			return sameData
		}
	}
	if len(own) == 0 && c.state == established || e.self.has(r.addr) {
		return noData
	}
	return otherData
}

// rescue announces a record of ours that somebody else lets expire.
//
// "If the TTL … is less than half the true TTL … the responder MUST mark its
// record to be announced via Multicast DNS", RFC 6762 §6.6.
func (e *Engine) rescue(now time.Time, r ref, theirs *record) {
	if full := e.records(r)[0].ttl; theirs.ttl < full/2 {
		delay := time.Duration(0)
		if !r.unique() {
			delay = e.sharedDelay(now)
		}
		e.respondAt(now, r, delay, recordInterval)
	}
}

// checkPointer looks at somebody else's copy of a shared record of ours. It may
// be a goodbye: whoever leaves says it to the service type, whoever loses a
// name to us to our instance. Or it is the answer that we were about to give.
//
// "If a host is planning to send an answer, and it sees another host on the
// network send a response message containing the same answer record, and the
// TTL in that record is not less than the TTL this host would have given, then
// this host SHOULD treat its own answer as having been sent", RFC 6762 §7.4.
func (e *Engine) checkPointer(now time.Time, unicast bool, theirs *record) {
	var r ref
	if t := e.types[theirs.ident.target]; theirs.key == enumName && t != nil && t.published() {
		r = ref{t: t, k: kindType}
	} else if c := e.owner(theirs.ident.target); c != nil && c.svc != nil && c.typ.key == theirs.key {
		r = ref{c: c, k: kindPTR}
	} else {
		e.repeatGoodbye(now, theirs)
		return
	}
	e.rescue(now, r, theirs)
	if s := r.sched(); theirs.ttl >= ttlOther && !unicast && !s.respond.IsZero() {
		s.sent, s.respond = now, time.Time{}
	}
}

// conflict: somebody else holds one of our names.
//
// "the host that is in conflict MUST immediately reset its conflicted unique
// record to probing state" (in substance), RFC 6762 §9. If then we are objected
// to, "the probing host MUST defer to the existing host, and SHOULD choose new
// names", §8.1. Of two that have the same name one came later, because a probe
// or its answer was lost; it is to be that one who goes, but neither knows.
// So who has had a name for long insists a few times against a newcomer, and
// who has it only now gives in at once. Two that have both had it: see yield.
func (e *Engine) conflict(now time.Time, c *claim) {
	old := c.retreat || c.state == established && now.Sub(c.since) >= youngFor
	switch {
	case c.yielding, old && c.state == probing && c.probes == 0:
		return // a copy of what sent us back to probing
	case old && !c.retreat && !c.newcomer(now) && e.mayYield(now, c):
		e.yield(now, c)
	case old && c.contested(now) <= maxContests:
		e.insist(now, c)
	default:
		e.stats.Conflicts++
		e.rename(now, c)
		e.becomeProbing(c, now.Add(e.conflictDelay(now)))
	}
}

// contested counts the claims of others to a name. Who never gives in gets it.
func (c *claim) contested(now time.Time) int {
	if now.Sub(c.contest) > conflictQuiet {
		c.contests = 0
	}
	c.contests++
	c.contest = now
	return c.contests
}

// insist says what is ours, that the other may learn of it, and probes anew.
func (e *Engine) insist(now time.Time, c *claim) {
	e.stats.Conflicts++
	out := newSplitter(message{response: true})
	out.add(group{answers: e.uniqueRecords(c)})
	e.multicast(now, out.out)
	e.becomeProbing(c, now.Add(e.conflictDelay(now)+e.jitter(0, probeDelayMax)))
	c.retreat = true
	e.log.Debug("name defended", "name", c.label)
}

func (e *Engine) rename(now time.Time, c *claim) {
	old := c.label
	e.pass(now, c)
	delete(e.claims, c.key)
	c.label = c.alternative()
	e.enter(c)
	e.log.Info("name taken", "old", old, "new", c.label)
	if c.svc == nil {
		e.hostRenamed(now)
	} else {
		e.event(Renaming{ID: c.svc.ID, Old: old, New: c.label})
		e.monitor.learn(now, instanceName(old, c.typ.name)) // whoever has it is not us
	}
}

// hostRenamed starts the rounds of services afresh: their SRV data are others.
func (e *Engine) hostRenamed(now time.Time) {
	for _, c := range e.order[1:] {
		if c.state == probing && c.proposal != nil {
			e.becomeProbing(c, later(now, c.next))
		}
	}
}

// conflictDelay notes a conflict and returns how long to wait before probing.
func (e *Engine) conflictDelay(now time.Time) time.Duration {
	if n := len(e.conflicts); n > 0 && now.Sub(e.conflicts[n-1]) > conflictQuiet {
		e.conflicts, e.slow = nil, false
	}
	e.conflicts = append(e.conflicts, now)
	if len(e.conflicts) > conflictCount {
		e.conflicts = e.conflicts[1:]
	}
	if len(e.conflicts) == conflictCount && now.Sub(e.conflicts[0]) < conflictWindow {
		e.slow = true
	}
	if e.slow {
		return conflictWait
	}
	return 0
}

// hearProbes looks at what others propose for our names.
func (e *Engine) hearProbes(now time.Time, m *message) {
	seen := map[name]bool{}
	for i := range m.authority {
		key := m.authority[i].key
		c := e.claims[key]
		if c == nil || !e.minds(c) || seen[key] || !asks(m, key) {
			continue
		}
		seen[key] = true
		var theirs []record // gathered without a copy of all: there may be a thousand of others
		for j := range m.authority[i:] {
			if r := &m.authority[i+j]; r.key == key {
				theirs = append(theirs, *r)
			}
		}
		switch {
		case e.isOurs(now, c, theirs):
		case c.state == established:
			e.probed(now, c)
		case compareRecords(theirs, e.propose(c)) > 0: // a tie that is lost, RFC 6762 §8.2
			e.becomeProbing(c, now.Add(tieWait))
		}
	}
}

// minds reports whether it matters that somebody else probes for a name. What
// that somebody is answered is not decided here.
func (e *Engine) minds(c *claim) bool {
	return c.state == probing && !c.yielding || c.state == established && e.isGuest(c)
}

func asks(m *message, key name) bool {
	return slices.ContainsFunc(m.questions, func(q question) bool { return q.key == key })
}

// compareRecords orders two sets of records as RFC 6762 §8.2.1 says: sorted by
// class, type and data; the first difference decides; the longer set is later.
func compareRecords(a, b []record) int {
	order := func(x, y record) int {
		return cmp.Or(cmp.Compare(x.typ, y.typ), bytes.Compare(x.rdata(), y.rdata()))
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, order)
	slices.SortFunc(b, order)
	return slices.CompareFunc(a, b, order)
}

func kindOf(typ uint16) (kind, bool) {
	switch typ {
	case dns.TypeSRV:
		return kindSRV, true
	case dns.TypeTXT:
		return kindTXT, true
	case dns.TypeA:
		return kindA, true
	case dns.TypeAAAA:
		return kindAAAA, true
	}
	return 0, false
}
