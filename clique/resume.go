package clique

import (
	"net/netip"
	"slices"
	"time"
)

// holdLimit is for how long packets wait at most until the snapshot before them is
// kept: then a handler that hangs does less harm if it is taken for one that has it.
const holdLimit = 2 * time.Second

// appendResume writes what Room.Resume is: the length of the group, the group as
// package netip writes it, and the engine's snapshot.
func appendResume(b []byte, g netip.AddrPort, engine []byte) []byte {
	group, _ := g.MarshalBinary() // no error is possible
	return slices.Concat(b, []byte{byte(len(group))}, group, engine)
}

// parseResume reads that; a zero group: it says nothing of use.
func parseResume(b []byte) (g netip.AddrPort, engine []byte) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return g, nil
	}
	n := 1 + int(b[0])
	group, engine := b[1:n], b[n:]
	if g.UnmarshalBinary(group) != nil || checkGroup(g) != nil || g.Addr().Zone() != "" {
		return netip.AddrPort{}, nil
	}
	return g, engine
}

// A parcel is a packet that waits for a snapshot to be kept.
type parcel struct {
	data  []byte
	after uint64 // the snapshot's count
	at    time.Time
	sent  uint64 // of the last packet of an output: what the engine has sent with it
}

// post sends packets, or puts them behind the snapshots that they have to wait for.
func (l *roomLoop) post(now time.Time, packets [][]byte) {
	after := l.snapshots
	if l.changed {
		after++
	}
	for _, b := range packets {
		l.parcels = append(l.parcels, parcel{data: b, after: after, at: now})
	}
	if len(packets) > 0 {
		l.parcels[len(l.parcels)-1].sent = l.engine.Stats().Sent
	}
	l.postHeld(now)
}

// postHeld sends what need not wait any more: nothing does when we leave. What is
// handed out is told at once: others acknowledge it soon, and then no snapshot has it
// any more.
func (l *roomLoop) postHeld(now time.Time) {
	kept := l.r.news.kept.Load()
	var packets [][]byte
	sent := uint64(0)
	for _, p := range l.parcels {
		if p.after > kept && now.Sub(p.at) < holdLimit && l.at != leaving {
			break
		}
		packets = append(packets, p.data)
		sent = max(sent, p.sent)
	}
	if len(packets) == 0 {
		return
	}
	l.radio.send(packets)
	l.parcels = slices.Delete(l.parcels, 0, len(packets))
	l.handOut(sent)
}

// keep tells of a snapshot, if there is another and the one before is kept: whatever
// changes until then is in the next one.
func (l *roomLoop) keep(now time.Time) {
	waits := l.snapshots > l.r.news.kept.Load() && now.Sub(l.toldAt) < holdLimit && l.at != leaving
	if l.changed && !waits {
		l.tellSnapshot(now)
	}
}

func (l *roomLoop) tellSnapshot(now time.Time) {
	l.changed, l.toldAt = false, now
	l.snapshots++
	ev := Snapshot{Room: l.r.Name, count: l.snapshots}
	if engine := l.engine.Snapshot(); len(engine) > 0 {
		ev.Data = appendResume(nil, l.group, engine)
	}
	l.r.news.put(ev)
}

// fallSilent ends without leaving the room: for the others we are about to say something
// for as long as they wait for that. What the engine has handed out still goes. Of a room in
// which we are not again yet the snapshot is the one that we have begun with.
func (l *roomLoop) fallSilent(now time.Time) {
	if l.at == inside || l.changed {
		l.tellSnapshot(now)
	}
	for l.postHeld(now); len(l.parcels) > 0; l.postHeld(time.Now()) {
		l.wake.Set(l.parcels[0].at.Add(holdLimit))
		select {
		case <-l.r.news.drain:
		case <-l.wake.C():
		}
	}
	l.over = true
}
