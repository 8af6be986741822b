package rmulticast

import "slices"

// A message is one that is not told yet.
type message struct {
	stream     StreamID
	start, end PacketID
	depends    []Entry // of its first fragment
	total      int
	size       int // bytes so far
	parts      [][]byte
	part       [1][]byte // where parts is while there is one
	kept       int       // bytes in parts
}

// assemble takes the next DATA of a sender. Fragments of several streams may come
// mixed. What has no beginning began before our time.
func (e *Engine) assemble(s *sender, p *Packet) {
	i := slices.IndexFunc(s.open, func(m *message) bool { return m.stream == p.Stream })
	if p.Flags&Start != 0 {
		if i >= 0 { // its end will never come
			e.release(s.open[i])
			s.open = slices.Delete(s.open, i, i+1)
		} else if len(s.open) >= maxOpen {
			e.release(s.open[0])
			s.open = slices.Delete(s.open, 0, 1)
		}
		m := &message{stream: p.Stream, start: p.ID, depends: p.Entries, total: int(p.Total)}
		m.parts = m.part[:0]
		s.open = append(s.open, m)
		i = len(s.open) - 1
	}
	if i < 0 {
		return
	}
	m := s.open[i]
	m.size += len(p.Payload)
	switch {
	case m.total > e.lim.Message || m.size > m.total: // never told: only counted
		e.release(m)
	case m.size-len(p.Payload) == m.kept:
		m.parts = append(m.parts, p.Payload)
		m.kept += len(p.Payload)
		e.held += len(p.Payload)
	}
	for j := 0; j < len(s.open) && kept(s.open) > e.lim.Held; j++ {
		e.release(s.open[j])
	}
	if p.Flags&End != 0 {
		m.end = p.ID
		s.open = slices.Delete(s.open, i, i+1)
		s.ready = append(s.ready, m)
	}
}

// mayHold reports whether there is room for more of the sender. If there is little
// then only for whoever has most, so that one after the other is completed.
func (e *Engine) mayHold(s *sender) bool {
	if e.held <= e.lim.Held {
		return true
	}
	own := kept(s.open)
	if kept(s.ready) > e.lim.Held {
		return false
	}
	return !slices.ContainsFunc(e.order, func(o *sender) bool { return o != s && kept(o.open) > own })
}

func kept(list []*message) (n int) {
	for _, m := range list {
		n += m.kept
	}
	return n
}

// release forgets the bytes of a message.
func (e *Engine) release(m *message) {
	e.held -= m.kept
	m.parts, m.part, m.kept = nil, [1][]byte{}, 0
}

func (e *Engine) dropMessages(s *sender) {
	for _, m := range append(s.open, s.ready...) {
		e.release(m)
	}
	s.open, s.ready = nil, nil
}

// deliverNext tells, or passes over, the next message of a sender.
func (e *Engine) deliverNext(s *sender) bool {
	if len(s.ready) == 0 {
		return false
	}
	m := s.ready[0]
	if s.hold.set && !m.end.before(s.hold.at) {
		return false
	}
	visible := s.data.set && !m.start.before(s.data.at)
	if visible && !e.dataReady(m) {
		return false
	}
	s.ready = unshift(s.ready)
	switch {
	case !visible:
		e.stats.Skipped++
	case m.size != m.total:
		e.broken = append(e.broken, s)
	case m.kept != m.total:
		e.stats.Oversize++
	default:
		e.tell(s, m)
	}
	e.release(m)
	return true
}

// unshift takes the first off a list, and keeps what it has of memory once it is empty.
func unshift[T any](list []T) []T {
	var none T
	list[0] = none
	if len(list) == 1 {
		return list[:0]
	}
	return list[1:]
}

func (e *Engine) tell(s *sender, m *message) {
	if s.state < dataRunning {
		s.state = dataRunning
	}
	e.stats.Delivered++
	e.event(Message{From: s.member(), Number: m.start, Stream: m.stream, Data: m.data()})
}

// data is the whole of a message; it is copied if it came in parts.
func (m *message) data() []byte {
	if len(m.parts) == 1 {
		return m.parts[0]
	}
	return slices.Concat(m.parts...)
}

// drain tells all that can be told, before somebody goes.
func (e *Engine) drain() {
	for progress := true; progress; {
		progress = false
		for _, s := range e.order {
			for s != e.me && s.state.ordered() && e.deliverNext(s) {
				progress = true
			}
		}
	}
}
