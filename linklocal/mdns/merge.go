package mdns

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A merged is what the caller knows of an instance that others publish, from
// all links together.
type merged struct {
	told   Entry
	latest string // the link whose word counts where they differ: the last that had news
}

func (e *Entry) key() name {
	typ, err := typeName(e.Type)
	if err != nil {
		return ""
	}
	return instanceName(e.Instance, typ).fold()
}

// review compares what the links say of an instance with what was told. The
// link is the one that has news; nil: none.
//
// "Even if a client discovers the same presence name on multiple network
// interfaces, it MUST show only one entity". XEP-0174 v0.9 (Multiple Network
// Interfaces)
func (s *Stack) review(l *stackLink, key name) {
	m := s.entries[key]
	if m != nil && l != nil {
		m.latest = l.name
	}
	entry, ok := s.merge(key)
	switch {
	case m == nil && ok:
		latest := entry.Links[0]
		s.entries[key] = &merged{told: entry, latest: latest}
		s.event(Appeared{entry})
	case m != nil && !ok:
		delete(s.entries, key)
		s.event(Vanished{Instance: m.told.Instance, Type: m.told.Type})
	case ok && !m.told.equal(&entry):
		m.told = entry
		s.event(Changed{entry})
	}
}

// merge puts together what the links say of an instance: host, port and text
// by the link that had news last, the addresses of all.
func (s *Stack) merge(key name) (out Entry, ok bool) {
	if s.holds(key) {
		return out, false
	}
	latest := ""
	if m := s.entries[key]; m != nil {
		latest = m.latest
	}
	var addrs []netip.Addr
	var links []string
	for _, l := range s.links {
		e := l.e.entryOf(key)
		if e == nil {
			continue
		}
		if !ok || l.name == latest {
			out = *e
		}
		ok = true
		addrs, links = append(addrs, e.Addrs...), append(links, l.name)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	out.Addrs, out.Links = slices.Compact(addrs), links
	return out, ok
}

// entryOf is what the engine has reported of an instance; nil: nothing.
func (e *Engine) entryOf(key name) *Entry {
	if inst := e.monitor.instances[key]; inst != nil {
		return inst.reported
	}
	return nil
}

// expects reports whether the engine will say Vanished if an instance that
// was learned of does not appear.
func (e *Engine) expects(key name) bool {
	inst := e.monitor.instances[key]
	return inst != nil && inst.learned
}

// vanished takes the word of one link that an instance is gone, or that one
// that was learned of has not appeared there: that is told only when no other
// link may still find it.
func (s *Stack) vanished(l *stackLink, ev Vanished) {
	e := Entry{Instance: ev.Instance, Type: ev.Type}
	key := e.key()
	if s.entries[key] != nil {
		s.review(l, key)
		return
	}
	if !slices.ContainsFunc(s.links, func(l *stackLink) bool { return l.e.expects(key) }) {
		s.event(ev)
	}
}

// Entries returns the complete instances of others, sorted by type and name.
func (s *Stack) Entries() (out []Entry) {
	for _, key := range slices.SortedFunc(maps.Keys(s.entries), func(a, b name) int { return strings.Compare(string(a), string(b)) }) {
		out = append(out, s.entries[key].told)
	}
	return out
}

// Learn is a hint from elsewhere, see [Engine.Learn].
func (s *Stack) Learn(now time.Time, instance, typ string) {
	for _, l := range s.links {
		l.e.Learn(now, instance, typ)
	}
	s.settle(now)
}
