package rmulticast

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// members makes a room.
func members(tb testing.TB, count int) (*lan, []*node) {
	l := newLAN(tb, 1)
	var room []*node
	for i := range count {
		room = append(room, l.add(fmt.Sprint("n", i), Limits{}))
		room[i].enter()
	}
	l.meet(30*time.Second, room...)
	return l, room
}

// BenchmarkDelivered is what a message of 1 KiB costs all nodes together, by how
// often it is told: sending it, its share of acknowledgements, and telling it.
func BenchmarkDelivered(b *testing.B) {
	for _, count := range []int{2, 4, 8} {
		for _, snapshots := range []bool{false, true} {
			name := fmt.Sprint(count, " members")
			if snapshots {
				name += " with snapshots"
			}
			b.Run(name, func(b *testing.B) {
				l, room := members(b, count)
				data := make([]byte, 1024)
				told := 0
				b.ReportAllocs()
				b.ResetTimer()
				for told < b.N {
					if err := room[0].Send(l.now, 1, data); err != nil {
						b.Fatal(err)
					}
					l.now = l.now.Add(time.Millisecond)
					told += l.exchange(room, snapshots)
				}
			})
		}
	}
}

// exchange hands all that the engines want to send to all of them, until there is
// nothing, and takes their snapshots, if wanted. It returns how many messages were told.
func (l *lan) exchange(room []*node, snapshots bool) (told int) {
	for again := true; again; {
		again = false
		for _, n := range room {
			n.HandleTimeout(l.now)
			out := n.TakeOutput()
			if out.Changed && snapshots {
				n.Snapshot()
			}
			for _, ev := range out.Events {
				if _, ok := ev.(Message); ok {
					told++
				}
			}
			for _, data := range out.Datagrams {
				again = true
				for _, to := range room {
					to.HandlePacket(l.now, data)
				}
			}
		}
	}
	return told
}

// BenchmarkReceive is what a message of one packet costs who is told of it, with
// its share of the acknowledgements.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{64, 1024} {
		b.Run(fmt.Sprint(size, " bytes"), func(b *testing.B) {
			l, room := members(b, 2)
			p := l.enterPuppet(100, room...)
			n := room[0]
			room[1].quit()
			l.run(3 * time.Second)
			packet := Packet{Type: Data, Sender: p.id, Flags: Start | End, Total: uint32(size), Payload: make([]byte, size)}
			packet.Entries = []Entry{{n.Self(), p.known[n.Self()]}}
			raw, err := AppendPacket(nil, &packet)
			if err != nil {
				b.Fatal(err)
			}
			told := 0
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				binary.BigEndian.PutUint32(raw[headerSize:], uint32(p.next)+uint32(i))
				n.HandlePacket(l.now, bytes.Clone(raw)) // as who reads it from the network
				told += len(n.TakeOutput().Events)
			}
			if told != b.N {
				b.Fatalf("%d of %d were told", told, b.N)
			}
		})
	}
}

// BenchmarkSnapshot is what a snapshot of a quiet room costs, and its size.
func BenchmarkSnapshot(b *testing.B) {
	for _, count := range []int{2, 8, 32} {
		b.Run(fmt.Sprint(count, " members"), func(b *testing.B) {
			l, room := members(b, count)
			room[0].say("hello")
			l.run(10 * time.Second)
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = len(room[0].Snapshot())
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// BenchmarkMemory is what an engine keeps in a quiet room, per room and, of that,
// for each other member.
func BenchmarkMemory(b *testing.B) {
	for _, count := range []int{2, 8, 32, 100} {
		b.Run(fmt.Sprint(count, " members"), func(b *testing.B) {
			var perRoom, alone float64
			for range b.N {
				alone = footprint(b, 1)
				perRoom = footprint(b, count)
			}
			b.ReportMetric(perRoom, "B/room")
			b.ReportMetric((perRoom-alone)/float64(count-1), "B/member")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// footprint is how many bytes each of the engines of one room keeps after a talk.
func footprint(b *testing.B, count int) float64 {
	l, room := members(b, count)
	for _, n := range room {
		n.say("hello")
		l.run(100 * time.Millisecond)
	}
	l.run(30 * time.Second)
	engines := make([]*Engine, count)
	for i, n := range room {
		engines[i] = n.Engine
	}
	l, room = nil, nil
	with := heapInUse()
	runtime.KeepAlive(engines)
	engines = nil
	return float64(with-heapInUse()) / float64(count)
}

// heapInUse is how many bytes are in use.
func heapInUse() int64 {
	var m runtime.MemStats
	for range 2 { // what the first frees of pools the second does of the heap
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
