package rmulticast

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDelivered is what a message of 1 KiB costs all nodes together, by how
// often it is told: sending it, its share of acknowledgements, and telling it.
func BenchmarkDelivered(b *testing.B) {
	for _, count := range []int{2, 4, 8} {
		b.Run(fmt.Sprint(count, " members"), func(b *testing.B) {
			l := newLAN(b, 1)
			var room []*node
			for i := range count {
				room = append(room, l.start(fmt.Sprint("n", i)))
			}
			l.meet(20*time.Second, room...)
			data := make([]byte, 1024)
			told := 0
			b.ReportAllocs()
			b.ResetTimer()
			for told < b.N {
				if err := room[0].Send(l.now, 1, data); err != nil {
					b.Fatal(err)
				}
				l.now = l.now.Add(time.Millisecond)
				told += l.exchange(room)
			}
		})
	}
}

// exchange hands all that the engines want to send to all of them, until there is
// nothing. It returns how many messages were told.
func (l *lan) exchange(room []*node) (told int) {
	for again := true; again; {
		again = false
		for _, n := range room {
			n.HandleTimeout(l.now)
			out := n.TakeOutput()
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
