package mdns

import (
	"fmt"
	"slices"
	"time"
)

// A naming says which alternative of a preferred name is taken.
type naming struct {
	label   string
	renames int // alternatives tried to get there
}

// A publication is a service of ours, on all links. Of its claim only what
// makes the name is used; the engines have the rest.
type publication struct {
	claim
	told string // the name last said to be Established; "": none
}

// Register publishes a service on all links, see [Engine.Register].
func (s *Stack) Register(now time.Time, svc Service) error {
	switch {
	case s.closing:
		return ErrClosed
	case s.services[svc.ID] != nil:
		return fmt.Errorf("%w: %q", ErrDuplicateID, svc.ID)
	case len(s.services) >= s.cfg.Limits.Services:
		return ErrTooMany
	}
	if err := svc.check(&s.cfg.Limits); err != nil {
		return err
	}
	typ, _ := typeName(svc.Type)
	label := cutBytes(svc.Instance, maxLabel)
	p := &publication{claim: claim{svc: &svc, typ: &svcType{name: typ, key: typ.fold()}, preferred: label}}
	p.setLabel(label)
	for s.names[p.key] != nil {
		p.setLabel(p.alternative())
	}
	s.services[svc.ID], s.names[p.key] = p, p
	s.order = append(s.order, p)
	if p.label != label {
		s.event(Renaming{ID: svc.ID, Old: label, New: p.label})
	}
	for _, l := range s.links {
		l.e.add(now, svc, naming{p.label, p.renames})
	}
	s.settle(now)
	return nil
}

// Unregister takes a service back, see [Engine.Unregister].
func (s *Stack) Unregister(now time.Time, id ServiceID) {
	p := s.services[id]
	if p == nil {
		return
	}
	delete(s.services, id)
	delete(s.names, p.key)
	s.order = remove(s.order, p)
	for _, l := range s.links {
		l.e.Unregister(now, id)
	}
	s.settle(now)
	s.review(nil, p.key)
}

// SetText changes the TXT record of a service, see [Engine.SetText].
func (s *Stack) SetText(now time.Time, id ServiceID, text []string) {
	p := s.services[id]
	if p == nil {
		return
	}
	if checkText(text, &s.cfg.Limits) == nil {
		p.svc.Text = text
	}
	for _, l := range s.links {
		l.e.SetText(now, id, text)
	}
	s.settle(now)
}

// SetNull changes the NULL record of a service, see [Engine.SetNull].
func (s *Stack) SetNull(now time.Time, id ServiceID, data []byte) {
	p := s.services[id]
	if p == nil || len(data) > s.cfg.Limits.NullSize {
		return
	}
	p.svc.Null = data
	for _, l := range s.links {
		l.e.SetNull(now, id, data)
	}
	s.settle(now)
}

// follow gives a service that was renamed on one link its new name on all.
func (s *Stack) follow(now time.Time, l *stackLink, id ServiceID) {
	p, c := s.services[id], l.e.byID[id]
	if p == nil || c == nil || c.label == p.label {
		return
	}
	old, oldKey := p.label, p.key
	delete(s.names, oldKey)
	p.renames, p.told = c.renames, ""
	p.setLabel(c.label)
	s.names[p.key] = p
	s.event(Renaming{ID: id, Old: old, New: p.label})
	for _, o := range s.links {
		if c := o.e.byID[id]; c != nil {
			o.e.takeName(now, c, naming{p.label, p.renames})
		}
	}
	s.review(nil, oldKey)
}

// followHost does so with the name of the host.
func (s *Stack) followHost(now time.Time, l *stackLink) bool {
	if l.e.host.label == s.host.label {
		return false
	}
	s.host = naming{l.e.host.label, l.e.host.renames}
	for _, o := range s.links {
		o.e.takeName(now, o.e.host, s.host)
	}
	return true
}

// tellIfHeld says that a name is ours if it holds on all links that are up.
func (s *Stack) tellIfHeld(p *publication) {
	held := false
	for _, l := range s.links {
		if !l.up() {
			continue
		}
		if c := l.e.byID[p.svc.ID]; c == nil || c.state != established || c.label != p.label {
			return
		}
		held = true
	}
	if held && p.told != p.label {
		p.told = p.label
		s.event(Established{ID: p.svc.ID, Instance: p.label})
	}
}

// holds reports whether a name is ours on some link.
func (s *Stack) holds(key name) bool {
	p := s.names[key]
	return p != nil && slices.ContainsFunc(s.links, func(l *stackLink) bool { return l.e.owner(key) != nil })
}

// takeName gives a claim the name that it has on another link: the one that it
// has here is taken there. It is taken back here, and the new one probed for.
func (e *Engine) takeName(now time.Time, c *claim, n naming) {
	if c.label == n.label {
		c.renames = n.renames
		return
	}
	if c.state == established {
		e.releaseName(now, c)
	}
	e.pass(now, c)
	old := c.label
	delete(e.claims, c.key)
	c.label, c.renames = n.label, n.renames
	e.enter(c)
	e.becomeIdle(c)
	if len(e.addrs) > 0 {
		e.becomeProbing(c, e.startAt(now))
	}
	if c.svc == nil {
		e.hostRenamed(now)
	} else {
		e.monitor.learn(now, instanceName(old, c.typ.name)) // whoever has it is not us
	}
}

// releaseName says goodbye to a name that is no longer ours, though what it
// stood for stays.
func (e *Engine) releaseName(now time.Time, c *claim) {
	if c.svc != nil {
		e.sayGoodbye(now, c)
		return
	}
	e.addGoodbye(now, c.key, e.uniqueRecords(c))
}

// startOver treats the link as new, because we may have missed what happened
// on it: all names are probed for and announced, and what others publish has
// to be heard again.
func (e *Engine) startOver(now time.Time) {
	addrs, published := e.addrs, e.host.addrs
	e.SetAddrs(now, nil)
	e.setAddrs(now, addrs, published)
	e.monitor.doubtAll(now)
}

// doubtAll lets everything expire soon that is not heard again, and asks for it.
//
// "a host may choose to adjust the remaining TTL on all those records to a few
// seconds … Likewise, when a host reboots, wakes from sleep …", RFC 6762 §10.3.
func (m *monitor) doubtAll(now time.Time) {
	for _, r := range m.cache.recs {
		m.doubt(now, r)
	}
}
