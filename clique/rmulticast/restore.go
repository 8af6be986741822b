package rmulticast

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// restore makes the engine what the snapshot says. False: it says nothing of use.
func (e *Engine) restore(now time.Time) bool {
	b := e.cfg.Resume
	e.cfg.Resume = nil
	st, ok := e.thaw(now, b)
	if !ok {
		return false
	}
	e.forget()
	e.self, e.next = st.self, st.next
	e.addSelf(st.first)
	if d := st.next.diff(st.first); d > e.lim.Window {
		e.me.startAt(st.next - PacketID(e.lim.Window))
	}
	e.me.nextIn, e.me.nextOut = e.next, e.next
	size := 0
	for _, raw := range st.own {
		size += len(raw)
		p, err := ParsePacket(raw)
		if err != nil || p.Sender != e.self || !p.Type.reliable() || !p.ID.before(e.next) || p.ID.before(e.me.cache.first) {
			return false
		}
		e.put(e.me, &p, raw)
	}
	e.resume.tail = size > keptOwn-MaxDatagram
	for _, s := range st.senders {
		e.restoreSender(s)
	}
	e.restoreTable(st)
	return true
}

func (e *Engine) restoreSender(from *sender) {
	s := e.newSender(from.id)
	s.named, s.name = from.named, from.name
	s.startAt(from.nextOut)
	s.state, s.floor = from.state, from.floor
	s.hold, s.data, s.end = from.hold, from.data, from.end
	s.open, s.ready = from.open, from.ready
	e.held += kept(s.open) + kept(s.ready)
	e.insert(s)
}

func (e *Engine) restoreTable(st *still) {
	t := &e.table
	t.state, t.force, t.pending = st.state, st.force || st.calling, st.pending
	for _, from := range st.records {
		r := e.newRecord(from.id, from.state)
		r.why, r.agreed, r.join, r.declared, r.told = from.why, from.agreed, from.join, from.declared, from.told
	}
	if st.state == joining {
		t.live, t.failed = set(st.live), set(st.failed)
	}
	for _, raw := range st.late {
		if p, err := ParsePacket(raw); err == nil && p.Type == AttemptJoin && e.senders[p.Sender] != nil {
			t.late = append(t.late, deferred{e.senders[p.Sender], p})
		}
	}
}

func set(list []SenderID) map[SenderID]bool {
	m := make(map[SenderID]bool, len(list))
	for _, id := range list {
		m[id] = true
	}
	return m
}

// thaw reads a snapshot. False: it is torn, too old, or somebody else's.
func (e *Engine) thaw(now time.Time, b []byte) (*still, bool) {
	st := &still{}
	n := len(b) - 4
	if n < 0 || binary.BigEndian.Uint32(b[n:]) != crc32.ChecksumIEEE(b[:n]) {
		return nil, false
	}
	a := &archive{b: b[:n], reading: true}
	st.archive(a)
	age := now.Sub(time.UnixMilli(st.at))
	limit := e.cfg.ResumeAge
	if limit <= 0 {
		limit = resumeAge
	}
	if a.bad || len(a.b) > 0 || st.version != snapshotVersion || st.name != e.cfg.Name || age < -time.Minute || age > limit {
		return nil, false
	}
	return st, st.sound()
}

// sound reports whether the parts of a snapshot fit each other.
func (st *still) sound() bool {
	senders := map[SenderID]senderState{st.self: running, 0: stopped}
	for _, s := range st.senders {
		if _, twice := senders[s.id]; twice || s.state > unknownFailed {
			return false
		}
		senders[s.id] = s.state
	}
	records, peers := map[SenderID]bool{0: true, st.self: true}, 0
	for _, r := range st.records {
		if records[r.id] || r.state > gone || r.why > Replaced || r.state >= mutual && r.state.live() && !senders[r.id].listed() {
			return false
		}
		records[r.id] = true
		if r.state.knowsUs(st.state) {
			peers++
		}
	}
	for _, id := range st.pending {
		if !records[id] {
			return false
		}
	}
	d := st.next.diff(st.first)
	return st.state <= joining && d >= 0 && peers > 0
}
