package mdns

import (
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	// "MUST send at least two … one second apart … may send up to eight …
	// provided that the interval … increases by at least a factor of two",
	// RFC 6762 §8.3. Three at 0, 1 and 3 s survive a lossy link.
	announceCount = 3
	announceGap   = time.Second

	// A service's TXT changes are announced no faster. It is a little more than
	// the second of RFC 6762 §6, because a cache drops the record before only
	// if that is "more than one second" old (§10.2): else it keeps both.
	textInterval = 1100 * time.Millisecond
	pushNullMax  = 1200 // bytes; larger NULL records are sent only on request
	goodbyeCount = 3
	maxRepeats   = 9                      // of a goodbye that did not hold
	repeatGap    = time.Second            // before each of them
	maxGoodbyes  = 2048                   // beyond it those that have been said are forgotten
	goodbyeGap   = 120 * time.Millisecond // then twice that; caches keep a record one second after the last
)

// announce starts the announcements of record sets.
func (e *Engine) announce(at time.Time, refs ...ref) {
	for _, r := range refs {
		s := r.sched()
		s.announce, s.left, s.gap = at, announceCount, announceGap
		s.sent = time.Time{} // new data: the limit of one per second starts afresh
		e.announceBy(at)
	}
}

func (e *Engine) announceBy(at time.Time) {
	e.nextAnnounce.at(at)
	e.local.at(at)
}

// runAnnouncements sends those that are due, a claim's records together.
func (e *Engine) runAnnouncements(now time.Time) {
	if !e.nextAnnounce.take(now) {
		e.local.at(e.nextAnnounce.t)
		return
	}
	out := newSplitter(message{response: true})
	for _, t := range e.typeOrder {
		out.addNonEmpty(group{answers: e.takeAnnouncement(now, ref{t: t, k: kindType})})
	}
	for _, c := range e.order {
		if c.state != established {
			continue
		}
		var g group
		for k := range kindType {
			g.answers = append(g.answers, e.takeAnnouncement(now, ref{c: c, k: k})...)
		}
		out.addNonEmpty(g)
	}
	e.multicast(now, out.out)
}

// addNonEmpty reports whether the extras have gone in.
func (s *splitter) addNonEmpty(g group) bool { return len(g.answers) > 0 && s.add(g) }

// takeAnnouncement returns the records to announce now, if any, and plans the
// next announcement. What has just been multicast as an answer waits: "at least
// one second", RFC 6762 §6. It may have sent somebody back to probing who has had
// the name, too (see yield); told again before the first probe, avahi gives it up.
func (e *Engine) takeAnnouncement(now time.Time, r ref) []record {
	s := r.sched()
	if at := s.sent.Add(recordInterval); !s.announce.IsZero() && !s.sent.IsZero() && at.After(s.announce) {
		s.announce = at
	}
	if !due(s.announce, now) {
		e.announceBy(s.announce)
		return nil
	}
	s.left--
	s.announce = time.Time{}
	if s.left > 0 {
		s.announce = now.Add(s.gap)
		s.gap *= 2
		e.announceBy(s.announce)
	}
	s.sent, s.respond = now, time.Time{}
	return e.records(r)
}

// SetText changes the TXT record of a service. The change is announced at
// once, but at most one change a second for each service: a later one replaces
// an earlier one that waits. It takes effect with the next HandleTimeout.
func (e *Engine) SetText(now time.Time, id ServiceID, text []string) {
	c := e.byID[id]
	if c == nil {
		return
	}
	if err := checkText(text, &e.lim); err != nil {
		e.log.Warn("text refused", "id", string(id), "err", err)
		return
	}
	blob := textBlob(text)
	if blob == c.text {
		return
	}
	e.past.add(now, e.records(ref{c: c, k: kindTXT})...)
	c.text = blob
	if c.state == established && !c.textAt.After(now) { // else one is planned already
		c.textAt = later(now, c.textAt.Add(textInterval))
		c.healing = c.textAt.Add(healText)
		e.announce(c.textAt, ref{c: c, k: kindTXT})
	}
}

// SetNull changes the NULL record of a service; nil removes it. A small one is
// multicast once, so that caches drop the old one.
func (e *Engine) SetNull(now time.Time, id ServiceID, data []byte) {
	c := e.byID[id]
	if c == nil || len(data) > e.lim.NullSize || string(data) == c.null {
		return
	}
	denied := c.null == ""
	c.null = string(data)
	if denied {
		e.correctDenial(now, c)
	}
	if c.state == established && 0 < len(data) && len(data) <= pushNullMax {
		e.announce(now, ref{c: c, k: kindNULL})
		c.sched[kindNULL].left = 1
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// A goodbye is the records of one gone name, to be sent with a TTL of zero. It
// is kept for a while when it has been said.
type goodbye struct {
	key     name
	rr      []record
	at      time.Time
	gap     time.Duration
	left    int
	until   time.Time // kept
	repeats int       // because somebody said the records again
}

// sayGoodbye takes back what was announced about a service: PTR, SRV, TXT and
// what else is at its own name, but never the host's addresses, which other
// services still use.
func (e *Engine) sayGoodbye(now time.Time, c *claim) {
	rr := e.records(ref{c: c, k: kindPTR})
	rr = append(rr, e.uniqueRecords(c)...)
	if !c.sched[kindNULL].sent.IsZero() {
		rr = append(rr, e.records(ref{c: c, k: kindNULL})...)
	}
	if len(c.typ.claims) == 1 {
		rr = append(rr, e.records(ref{t: c.typ, k: kindType})...)
	}
	e.addGoodbye(now, c.key, rr)
}

func (e *Engine) addGoodbye(now time.Time, key name, rr []record) {
	for i := range rr {
		rr[i] = rr[i].withTTL(0)
	}
	e.goodbyes = append(e.goodbyes, goodbye{key: key, rr: rr, at: now, gap: goodbyeGap, left: goodbyeCount, until: now.Add(pastWindow)})
	if len(e.goodbyes) > maxGoodbyes {
		e.goodbyes = slices.DeleteFunc(e.goodbyes, func(g goodbye) bool { return g.left == 0 })
	}
	e.local.at(now)
}

// repeatGoodbye is for a record that we have taken back and a reflector brings
// again: caches that have dropped it have it anew, for all its lifetime.
// Reflectors answer from their caches for a second after a goodbye, and two of
// them carry both in a loop, each kind of record in its own way; so the repeats
// take their time.
func (e *Engine) repeatGoodbye(now time.Time, r *record) {
	key := r.key
	switch {
	case r.ttl == 0:
		return
	case r.typ == dns.TypePTR && e.monitor.browsed(r.key): // else one cannot see whose it is
		key = r.ident.target
	case r.typ != dns.TypeSRV || !e.past.has(now, r):
		return
	}
	for i := range e.goodbyes {
		if g := &e.goodbyes[i]; g.key == key && g.left == 0 && g.repeats < maxRepeats {
			g.left, g.at = 1, now.Add(repeatGap)
			g.repeats++
			e.local.at(g.at)
		}
	}
}

// takenOver reports whether somebody else is known to have the name of a
// goodbye now: then it is none of ours to say again.
func (e *Engine) takenOver(g *goodbye) bool {
	return g.repeats > 0 && e.monitor.cache.newest(g.key, dns.TypeSRV) != nil
}

// leaving reports whether there are goodbyes still to be said.
func (e *Engine) leaving() bool {
	return slices.ContainsFunc(e.goodbyes, func(g goodbye) bool { return g.left > 0 })
}

// cancelGoodbye forgets the repeats of a goodbye to a name that is back.
func (e *Engine) cancelGoodbye(key name) {
	kept := e.goodbyes[:0]
	for _, g := range e.goodbyes {
		if g.key != key {
			kept = append(kept, g)
		}
	}
	e.goodbyes = kept
}

func (e *Engine) runGoodbyes(now time.Time) {
	out := newSplitter(message{response: true})
	kept := e.goodbyes[:0]
	for _, g := range e.goodbyes {
		if g.left > 0 && due(g.at, now) {
			if !e.takenOver(&g) {
				out.add(group{answers: e.stillGone(g.rr)})
			}
			g.left--
			g.at = now.Add(g.gap)
			g.gap *= 2
		}
		if g.left > 0 || g.until.After(now) {
			kept = append(kept, g)
		}
		if g.left > 0 {
			e.local.at(g.at)
		}
	}
	clear(e.goodbyes[len(kept):])
	e.goodbyes = kept
	e.multicast(now, out.out)
}

// stillGone leaves out the goodbye to a service type that is published again.
func (e *Engine) stillGone(rr []record) []record {
	last := rr[len(rr)-1]
	if last.key == enumName && e.types[last.ident.target] != nil {
		return rr[:len(rr)-1]
	}
	return rr
}
