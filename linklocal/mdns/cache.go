package mdns

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	goodbyeGrace = time.Second // RFC 6762 §10.1: a goodbye deletes after one second
	flushGrace   = time.Second // RFC 6762 §10.2: so does a newer unique record
	maxSet       = 16          // records of one name and type, but PTR
	minRefresh   = 10 * time.Second
	refreshCount = 4
)

// A cached record was heard from somebody else.
type cached struct {
	record
	src         netip.Addr
	at, expires time.Time
	refresh     time.Time     // ask again at; zero: not (any more)
	asked       int           // refresh questions so far
	jitter      time.Duration // 0–2 % of the TTL
	dying       bool          // goodbye said, or flushed
	heard       time.Time     // last question of another for it
	expected    int           // such questions since it was heard of itself
	knownIn     uint64        // the last question whose asker knew it
	doubted     bool          // and it expires unless it is heard of soon
}

// "the querier should plan to issue a query at 80% of the record lifetime,
// and then if no answer is received, at 85%, 90%, and 95% … a random
// variation of 2% of the record TTL should be added", RFC 6762 §5.2.
func (c *cached) planRefresh() {
	c.refresh = time.Time{}
	if c.asked < refreshCount && c.lifetime() >= minRefresh && !c.dying && !c.doubted {
		c.refresh = c.at.Add(c.lifetime()*time.Duration(80+5*c.asked)/100 + c.jitter)
	}
}

// planNext plans the question after one that has been asked.
func (c *cached) planNext(now time.Time) {
	c.asked++
	c.planRefresh()
	if c.doubted && c.asked < refreshCount {
		c.refresh = now.Add(doubtGap)
	}
}

// fresh reports whether a record goes along with a question as a known answer.
//
// "A Multicast DNS querier MUST NOT include records in the Known-Answer list
// whose remaining TTL is less than half of their original TTL" (in substance),
// RFC 6762 §7.1.
func (c *cached) fresh(now time.Time) bool {
	return !c.dying && !c.doubted && c.expires.Sub(now) > c.lifetime()/2
}

func (c *cached) expire(at time.Time) {
	if at.Before(c.expires) {
		c.expires = at
	}
	c.dying, c.refresh = true, time.Time{}
}

type setKey struct {
	key name
	typ uint16
}

// A cache holds records within limits. What is in it is never evicted for
// something new of another name.
type cache struct {
	lim     *Limits
	recs    map[ident]*cached
	sets    map[setKey][]*cached // oldest first
	sources map[netip.Addr]int   // records by who sent them first
}

func newCache(lim *Limits) cache {
	return cache{lim: lim, recs: map[ident]*cached{}, sets: map[setKey][]*cached{}, sources: map[netip.Addr]int{}}
}

func (c *cache) size() int { return len(c.recs) }

func (c *cache) set(key name, typ uint16) []*cached { return c.sets[setKey{key, typ}] }

// put enters a record heard now and applies the cache-flush and goodbye
// rules. It returns nil if there is nothing to keep, with full set if that is
// for lack of room.
func (c *cache) put(now time.Time, r *record, src netip.Addr, jitter float64) (got *cached, full bool) {
	if r.flush && r.ttl > 0 {
		c.flush(now, r)
	}
	old := c.recs[r.ident]
	switch {
	case r.ttl == 0:
		if old != nil && !old.dying {
			old.expire(now.Add(goodbyeGrace))
		}
		return old, false
	case old == nil:
		if !c.makeRoom(r, src) {
			return nil, true
		}
		old = &cached{src: src}
		c.recs[r.ident] = old
		k := setKey{r.key, r.typ}
		c.sets[k] = append(c.sets[k], old)
		c.sources[src]++
	}
	old.record, old.at, old.expires = *r, now, now.Add(r.lifetime())
	old.asked, old.expected = 0, 0
	old.dying, old.doubted = false, false
	old.jitter = time.Duration(jitter * 0.02 * float64(r.lifetime()))
	old.planRefresh()
	return old, false
}

// flush makes way for a unique record.
//
// "all old records with that name, rrtype, and rrclass that were received more
// than one second ago are declared invalid, and marked to expire from the
// cache in one second", RFC 6762 §10.2.
func (c *cache) flush(now time.Time, r *record) {
	for _, old := range c.set(r.key, r.typ) {
		if old.ident != r.ident && !old.dying && now.Sub(old.at) > flushGrace {
			old.expire(now.Add(flushGrace))
		}
	}
}

// makeRoom reports whether a new record may come in. An update of a known
// unique set is let in at the price of the set's oldest record.
func (c *cache) makeRoom(r *record, src netip.Addr) bool {
	set := c.set(r.key, r.typ)
	if len(c.recs) < c.lim.Records && c.sources[src] < c.lim.RecordsPerSource && (r.typ == dns.TypePTR || len(set) < maxSet) {
		return true
	}
	if r.flush && len(set) > 0 {
		c.delete(set[0])
		return true
	}
	return false
}

func (c *cache) delete(old *cached) {
	delete(c.recs, old.ident)
	k := setKey{old.key, old.typ}
	if set := slices.DeleteFunc(c.sets[k], func(x *cached) bool { return x == old }); len(set) > 0 {
		c.sets[k] = set
	} else {
		delete(c.sets, k)
	}
	if c.sources[old.src]--; c.sources[old.src] == 0 {
		delete(c.sources, old.src)
	}
}

func (c *cache) deleteSet(key name, typ uint16) {
	for _, old := range slices.Clone(c.set(key, typ)) {
		c.delete(old)
	}
}

// newest returns the record of a unique set that counts: the last one heard
// that is not dying, else the last one.
func (c *cache) newest(key name, typ uint16) (best *cached) {
	for _, r := range c.set(key, typ) {
		switch {
		case best == nil, best.dying && !r.dying:
			best = r
		case best.dying == r.dying && !r.at.Before(best.at):
			best = r
		}
	}
	return best
}

// addrs returns the addresses of a host heard at or after since; dying ones
// only if there are no others.
func (c *cache) addrs(host name, since time.Time) (live []netip.Addr) {
	var dying []netip.Addr
	for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
		for _, r := range c.set(host, typ) {
			switch {
			case r.at.Before(since) || r.addr.IsLoopback() || r.addr.IsUnspecified():
			case r.dying:
				dying = append(dying, r.addr)
			default:
				live = append(live, r.addr)
			}
		}
	}
	if len(live) == 0 {
		return dying
	}
	return live
}
