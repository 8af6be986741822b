package rmulticast

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

const (
	snapshotVersion = 1
	keptOwn         = 64 << 10  // bytes of own packets in a snapshot: all that is said in some seconds of being cut off
	keptHeld        = 256 << 10 // and of messages that are not told yet
	keptReady       = 256       // such messages of one sender
	keptLate        = 16        // ATTEMPT-JOINs
)

// MaxSnapshot is the most bytes of a snapshot. A hundred members have room for all
// that they can declare in a join phase, among fifty more that have failed; not if they
// have thousands of messages under way that are not in order.
const MaxSnapshot = 448 << 10

// Snapshot is what another engine needs to go on as this node, see [Config.Resume];
// nil: we are not in the room, or it would be too large. It has some 50 bytes for each
// other member and what nobody has acknowledged yet of our last packets, up to 64 KiB
// of them; in a join phase, or with messages of several packets under way, up to 256 KiB
// more.
func (e *Engine) Snapshot() []byte {
	if e.phase != connected {
		return nil
	}
	return e.still().bytes()
}

func (st *still) bytes() []byte {
	size := 64 + 64*len(st.senders)
	for _, raw := range st.own {
		size += len(raw) + 2
	}
	a := &archive{b: make([]byte, 0, size)}
	st.archive(a)
	if a.bad {
		return nil
	}
	return binary.BigEndian.AppendUint32(a.b, crc32.ChecksumIEEE(a.b))
}

// A still is an engine between two inputs.
type still struct {
	version uint8
	at      int64 // milliseconds since 1970
	name    string
	self    SenderID
	next    PacketID // our next packet's
	first   PacketID // all others have everything before
	own     [][]byte // of our last packets, the last first

	senders []*sender
	state   tableState
	calling bool // an ATTEMPT-JOIN is due, or repeated
	force   bool
	records []*record
	pending []SenderID
	live    []SenderID
	failed  []SenderID
	late    [][]byte
}

func (st *still) archive(a *archive) {
	number(a, &st.version)
	number(a, &st.at)
	a.text(&st.name, MaxName)
	number(a, &st.self)
	number(a, &st.next)
	number(a, &st.first)
	raw := func(a *archive, b *[]byte) { a.bytes(b, maxReceived) }
	list(a, &st.own, keptOwn, raw)
	list(a, &st.senders, maxMembers+1, archiveSender)
	number(a, &st.state)
	a.flag(&st.calling)
	a.flag(&st.force)
	list(a, &st.records, maxMembers+maxFailures, archiveRecord)
	for _, l := range []*[]SenderID{&st.pending, &st.live, &st.failed} {
		list(a, l, 2*(maxMembers+maxFailures), number[SenderID])
	}
	list(a, &st.late, keptLate, raw)
}

func archiveSender(a *archive, p **sender) {
	if a.reading {
		*p = &sender{acks: map[SenderID]ack{}}
	}
	s := *p
	number(a, &s.id)
	a.flag(&s.named)
	a.text(&s.name, maxCount)
	number(a, &s.state)
	number(a, &s.nextOut)
	a.mark(&s.floor)
	a.mark(&s.hold)
	a.mark(&s.data)
	a.mark(&s.end)
	list(a, &s.open, maxOpen, archiveMessage)
	ready := s.ready[:min(len(s.ready), keptReady)]
	list(a, &ready, keptReady, archiveMessage)
	if a.reading {
		s.ready = ready
	}
}

func archiveMessage(a *archive, p **message) {
	if a.reading {
		*p = &message{}
	}
	m := *p
	number(a, &m.stream)
	number(a, &m.start)
	number(a, &m.end)
	number(a, &m.total)
	number(a, &m.size)
	list(a, &m.depends, maxCount, entry)
	data := m.data()
	if len(a.b)+len(data) > keptHeld {
		data = nil // it will be passed over
	}
	a.bytes(&data, keptHeld)
	if a.reading && len(data) > 0 {
		m.parts, m.kept = [][]byte{data}, len(data)
	}
}

func archiveRecord(a *archive, p **record) {
	if a.reading {
		*p = &record{declared: map[SenderID]bool{}}
	}
	r := *p
	number(a, &r.id)
	number(a, &r.state)
	number(a, &r.why)
	a.flag(&r.agreed)
	a.flag(&r.told)
	a.mark(&r.join)
	declared := ids(r.declared)
	list(a, &declared, 2*(maxMembers+maxFailures), number[SenderID])
	for _, id := range declared {
		r.declared[id] = true
	}
}

// ids are those of a set, in order.
func ids(set map[SenderID]bool) (list []SenderID) {
	for id, in := range set {
		if in {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

// still is the engine now.
func (e *Engine) still() *still {
	t := &e.table
	st := &still{
		version: snapshotVersion, at: e.at.UnixMilli(), name: e.cfg.Name,
		self: e.self, next: e.next, first: e.me.cache.first, own: e.ownTail(),
		state: t.state, calling: t.calling != nil || t.attempt.isSet(), force: t.force,
		records: t.order, pending: t.pending, live: ids(t.live), failed: ids(t.failed),
	}
	for _, s := range e.order {
		if s != e.me {
			st.senders = append(st.senders, s)
		}
	}
	for _, d := range t.late[:min(len(t.late), keptLate)] {
		if b, err := AppendPacket(nil, &d.p); err == nil {
			st.late = append(st.late, b)
		}
	}
	return st
}

// ownTail are our last packets that no member has acknowledged: who has one can repeat
// it for the others. Somebody new acknowledges all before his start, and has none of it.
func (e *Engine) ownTail() (tail [][]byte) {
	from := e.me.cache.first
	for _, r := range e.table.order {
		s := e.senders[r.id]
		if r.state != member || s == nil {
			continue
		}
		if a, ok := s.acks[e.self]; ok && from.before(a.next) {
			from = a.next
		}
	}
	size := 0
	for id := e.next - 1; !id.before(from); id-- {
		sl := e.me.cache.stored(id)
		if sl == nil || size+len(sl.raw) > keptOwn {
			break
		}
		size += len(sl.raw)
		tail = append(tail, sl.raw)
	}
	return tail
}
