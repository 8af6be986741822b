package mdns

import (
	"maps"
	"slices"
	"time"
)

// A stackQuery is a question to all links. The first good answer is the
// answer; links that come meanwhile are asked, too.
type stackQuery struct {
	id            uint64
	instance, typ string
	null          bool
	open          int       // links that may still answer
	deadline      time.Time // for when there is no link
}

// Resolve asks all links, see [Engine.Resolve].
func (s *Stack) Resolve(now time.Time, instance, typ string) (query uint64) {
	return s.ask(now, instance, typ, false)
}

// ResolveNull asks all links, see [Engine.ResolveNull].
func (s *Stack) ResolveNull(now time.Time, instance, typ string) (query uint64) {
	return s.ask(now, instance, typ, true)
}

func (s *Stack) ask(now time.Time, instance, typ string, null bool) uint64 {
	s.lastQuery++
	q := &stackQuery{id: s.lastQuery, instance: instance, typ: typ, null: null, deadline: now.Add(resolveWait)}
	s.queries = append(s.queries, q)
	if s.closing || len(s.queries) > s.cfg.Limits.Resolves {
		s.finish(q, nil)
		return q.id
	}
	for _, l := range s.links {
		s.askOn(now, q, l)
	}
	s.settle(now)
	return q.id
}

func (s *Stack) askOn(now time.Time, q *stackQuery, l *stackLink) {
	q.open++
	if q.null {
		l.queries[l.e.ResolveNull(now, q.instance, q.typ)] = q
	} else {
		l.queries[l.e.Resolve(now, q.instance, q.typ)] = q
	}
}

// answered takes the answer of one link.
func (s *Stack) answered(l *stackLink, query uint64, ok bool, ev Event) {
	q := l.queries[query]
	delete(l.queries, query)
	if q == nil || !slices.Contains(s.queries, q) {
		return
	}
	q.open--
	switch {
	case ok:
		s.finish(q, ev)
	case q.open == 0:
		s.finish(q, nil)
	}
}

// finish gives the caller the answer of a link; nil: there is none.
func (s *Stack) finish(q *stackQuery, ev Event) {
	s.queries = remove(s.queries, q)
	switch r := ev.(type) {
	case Resolved:
		r.Query = q.id
		s.event(r)
	case NullResolved:
		r.Query = q.id
		s.event(r)
	case nil:
		if q.null {
			s.event(NullResolved{Query: q.id})
		} else {
			s.event(Resolved{Query: q.id})
		}
	}
}

// abandon lets a link that is forgotten answer no more.
func (s *Stack) abandon(l *stackLink) {
	for _, query := range slices.Sorted(maps.Keys(l.queries)) {
		s.answered(l, query, false, nil)
	}
}

func (s *Stack) abandonAll() {
	for _, q := range slices.Clone(s.queries) {
		s.finish(q, nil)
	}
}

func (s *Stack) expireQueries(now time.Time) {
	for _, q := range slices.Clone(s.queries) {
		if due(q.deadline, now) && q.open == 0 {
			s.finish(q, nil)
		}
	}
}
