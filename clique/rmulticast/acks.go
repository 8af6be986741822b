package rmulticast

import "time"

// noteAcks notes what a packet acknowledges. False: less than before, for which
// gibber fails its sender, too.
func (e *Engine) noteAcks(now time.Time, s *sender, p *Packet) bool {
	for _, entry := range p.Entries {
		of := e.anySender(entry.Sender)
		if of == nil {
			continue
		}
		old, ok := s.acks[of.id]
		if ok && entry.Next.before(old.next) {
			return false
		}
		if !ok || old.next.before(entry.Next) {
			s.acks[of.id] = ack{entry.Next, p.ID}
			e.unfreed = append(e.unfreed, of)
			if of == e.me {
				s.stuckFrom = time.Time{}
			}
		}
	}
	if len(p.Entries) > 0 {
		// gibber says NO-DATA only after a long silence.
		if p.Type == NoData && !s.spokeAt.IsZero() && now.Sub(s.spokeAt) < keepaliveEvery/3 {
			s.active = true
		}
		s.spokeAt = now
	}
	return true
}

// collect frees what everybody has, and what there is no room for.
func (e *Engine) collect() {
	for _, s := range e.unfreed {
		if e.senders[s.id] == s {
			e.free(s)
		}
	}
	clear(e.unfreed)
	e.unfreed = e.unfreed[:0]
	if e.cached > e.lim.Cache {
		e.evict(e.lim.Cache / 8)
	}
}

// free drops the first packets of a sender that everybody has. A node whose start
// is not known does not count, where gibber frees nothing while there is one: who
// tells it a start keeps what comes after.
func (e *Engine) free(s *sender) {
	limit := s.nextOut
	for _, o := range e.order {
		if o == s || !o.state.ordered() {
			continue
		}
		a, ok := o.acks[s.id]
		if !ok {
			return
		}
		if a.next.before(limit) {
			limit = a.next
		}
	}
	if start, ok := e.table.offered[s.id]; ok && start.before(limit) {
		limit = start
	}
	for len(s.cache.slots) > 0 && s.cache.first.before(limit) {
		if sl := s.cache.slots[0]; sl != nil {
			if sl.repeating || sl.timer.isSet() {
				return
			}
			e.cached -= len(sl.raw)
		}
		s.cache.freeFirst()
	}
}

// evict gives up old packets of which somebody has not said that he has them,
// until n bytes are free: of those who are gone, then of who has the most, ours
// last. False: everything that is left is needed.
func (e *Engine) evict(n int) bool {
	for e.cached+n > e.lim.Cache {
		if len(e.graves) > 0 {
			e.closeGrave(e.graves[0])
			continue
		}
		var most *sender
		for _, s := range e.order {
			if e.evictable(s) > 0 && (most == nil || most == e.me || s != e.me && e.evictable(s) > e.evictable(most)) {
				most = s
			}
		}
		if most == nil {
			return false
		}
		for range min(e.evictable(most), 64) {
			sl := most.cache.slots[0]
			if sl != nil {
				e.timers.stop(&sl.timer)
				e.cached -= len(sl.raw)
				e.stats.Evicted++
			}
			most.cache.freeFirst()
		}
	}
	return true
}

// evictable is how many of the first packets of a sender we do not need ourselves.
func (e *Engine) evictable(s *sender) int {
	return min(len(s.cache.slots), max(0, s.nextOut.diff(s.cache.first)))
}
