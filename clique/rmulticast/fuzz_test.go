package rmulticast

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// drive feeds an engine that is in a room with a script: what each byte says is
// done with the packets that follow.
func drive(t testing.TB, script []byte) {
	l := newLAN(t, 1)
	lim := Limits{Cache: 50000, Held: 50000, Message: 20000, Queue: 20000, Window: 64, Members: 10}
	room := []*node{l.add("a", lim), l.add("b", lim)}
	room[0].enter()
	room[1].enter()
	l.meet(15*time.Second, room...)
	a, ids := room[0], []SenderID{room[0].Self(), room[1].Self(), 7, 8, 9, 0}
	n := *a // its application does not judge: members may come and go as they like
	take := func() (v byte) {
		if len(script) > 0 {
			v, script = script[0], script[1:]
		}
		return v
	}
	pick := func() SenderID { return ids[int(take())%len(ids)] }
	near := func(id SenderID) PacketID {
		var base PacketID
		if s := n.senders[id]; s != nil {
			base = s.nextOut
		}
		return base + PacketID(int8(take()))
	}
	types := []Type{WhoisRequest, WhoisReply, RepairRequest, Session, Data, NoData, Failure, AttemptJoin, Join, Bye}
	for steps := 0; len(script) > 0 && steps < 400; steps++ {
		p := Packet{Type: types[int(take())%len(types)], Sender: pick(), Target: pick(), Name: string(rune('a' + take()%4))}
		p.ID = near(p.Sender)
		if p.Type == RepairRequest {
			p.ID = near(p.Target)
		}
		if p.Type.reliable() || p.Type == Session {
			for range take() % 5 {
				id := pick()
				p.Entries = append(p.Entries, Entry{id, near(id)})
			}
		}
		switch p.Type {
		case Failure, AttemptJoin, Join:
			for range take() % 4 {
				p.Senders = append(p.Senders, pick())
			}
		case Data:
			p.Flags, p.Stream = take(), StreamID(take()%3)
			p.Payload = make([]byte, int(take())*5)
			p.Total = uint32(len(p.Payload)) + uint32(take()%2)
		}
		if b, err := AppendPacket(nil, &p); err == nil {
			n.HandlePacket(l.now, b)
		}
		l.now = l.now.Add(time.Duration(take()) * time.Duration(take()) * time.Millisecond)
		n.HandleTimeout(l.now)
		checkBounds(t, n.Engine, n.TakeOutput())
	}
	for range 3000 { // whatever happened, it comes to rest
		if next := n.NextTimeout(); next.IsZero() || next.Sub(l.now) > 20*time.Minute {
			break
		} else if next.After(l.now) {
			l.now = next
		}
		n.HandleTimeout(l.now)
		checkBounds(t, n.Engine, n.TakeOutput())
	}
}

func checkBounds(t testing.TB, e *Engine, out Output) {
	for _, b := range out.Datagrams {
		if len(b) > MaxDatagram {
			t.Fatalf("%d bytes are sent", len(b))
		}
	}
	s := e.Stats()
	if s.Cached < 0 || s.Held < 0 || s.Cached > 50000+20*MaxDatagram+64*MaxDatagram || s.Held > 3*50000 || s.Senders > 11+maxGraves || s.Timers > 2000 {
		t.Fatalf("too much is kept: %+v", s)
	}
	if len(e.table.offered) > 11+maxGraves || len(e.table.order) > 10+maxFailures || len(e.shunned) > maxShunned || len(e.table.late) > maxDeferred {
		t.Fatalf("%d records, %d shunned, %d put off, %d starts told", len(e.table.order), len(e.shunned), len(e.table.late), len(e.table.offered))
	}
}

// CQ-01, CQ-05: whatever packets come, nothing breaks and nothing grows.
func FuzzEngine(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 60 {
		b := make([]byte, 2000)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, script []byte) { drive(t, script) })
}

// CQ-01: the packets of all captures, of rooms in which we are not, and packets like
// them with a byte changed, are no harm.
func TestTracesDoNoHarm(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, path := range tracePaths(t) {
		list := readTrace(t, path)
		list = list[:min(len(list), 400)]
		e := New(Config{Name: "we", Rand: rng})
		now := list[0].at.Add(-5 * time.Second)
		if err := e.Join(now); err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			for next := e.NextTimeout(); !next.After(c.at); next = e.NextTimeout() {
				e.HandleTimeout(next)
			}
			e.HandlePacket(c.at, c.data)
			bad := append([]byte(nil), c.data...)
			bad[8+rng.IntN(len(bad)-8)] ^= byte(1 << rng.IntN(8))
			e.HandlePacket(c.at, bad)
			for _, b := range e.TakeOutput().Datagrams {
				if _, err := ParsePacket(b); err != nil {
					t.Fatalf("%s: we answer %x: %v", path, b, err)
				}
			}
		}
		if s := e.Stats(); s.PacketsIn != uint64(2*len(list)) || s.Senders > maxMembers+1+maxGraves || s.Cached > 4<<20 {
			t.Errorf("%s: %+v", path, s)
		}
	}
}

// CQ-01: whatever bytes come, nothing breaks: what is a packet is written again as it
// was, unless it is one that we do not send, and what is none is counted.
func FuzzPacket(f *testing.F) {
	for _, tt := range golden {
		b := unhex(f, tt.hex)
		for n := range min(len(b), 64) {
			f.Add(b[:n])
		}
		f.Add(b)
		for i := range min(len(b), 64) {
			mutated := bytes.Clone(b)
			mutated[i] ^= 1 << (i % 8)
			f.Add(mutated)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePacket(b)
		if again, e := AppendPacket(nil, &p); err == nil && e == nil && !bytes.Equal(again, b) {
			t.Errorf("%x is written %x", b, again)
		} else if err == nil && e != nil && len(b) <= MaxDatagram && len(p.Name) <= MaxName {
			t.Errorf("%x is not written: %v", b, e)
		}
		e := New(Config{Name: "n", Rand: rand.New(rand.NewPCG(1, 1)), Limits: Limits{Members: 10}})
		if err := e.Join(epoch); err != nil {
			t.Fatal(err)
		}
		for e.phase != connected {
			e.HandleTimeout(e.NextTimeout())
		}
		e.HandlePacket(e.at, b)
		if malformed := e.Stats().Malformed > 0; malformed != (err != nil) && p.Type != RepairRequest {
			t.Errorf("%x: %v, and counted %v", b, err, malformed)
		}
		checkBounds(t, e, e.TakeOutput())
	})
}
