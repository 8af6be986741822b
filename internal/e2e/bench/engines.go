package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"meshgate/clique/rmulticast"
	"meshgate/internal/e2e"
)

const (
	engineMessages = 20_000
	engineStep     = 5 * time.Millisecond // of virtual time
)

var engineSizes = []int{2, 4, 8} // members

// engines are the engines of one room, one for each member, and nothing between
// them: what one sends all have at once, in virtual time.
type engines struct {
	now     time.Time
	list    []*rmulticast.Engine
	told    int // messages
	packets [][]byte
}

// newEngines has so many engines join, and runs them until all know all.
func newEngines(tb e2e.TB, members int) *engines {
	g := &engines{now: time.Now()}
	for i := range members {
		e := rmulticast.New(rmulticast.Config{
			Name: fmt.Sprint("member", i), Rand: rand.New(rand.NewPCG(1, uint64(i))), Limits: rmulticast.Limits{Rate: 1 << 20},
		})
		if err := e.Join(g.now); err != nil {
			tb.Fatalf("bench: %v", err)
		}
		g.list = append(g.list, e)
	}
	for limit := g.now.Add(time.Minute); !g.joined(); g.step() {
		if g.now.After(limit) {
			tb.Fatalf("bench: %d engines have not joined within a minute", members)
		}
	}
	return g
}

func (g *engines) joined() bool {
	for _, e := range g.list {
		if len(e.Members()) != len(g.list)-1 {
			return false
		}
	}
	return true
}

// step lets time pass, and hands around what the engines have to send until
// there is nothing.
func (g *engines) step() {
	g.now = g.now.Add(engineStep)
	for _, e := range g.list {
		e.HandleTimeout(g.now)
	}
	for {
		g.packets = g.packets[:0]
		for _, e := range g.list {
			out := e.TakeOutput()
			for _, ev := range out.Events {
				if _, ok := ev.(rmulticast.Message); ok {
					g.told++
				}
			}
			g.packets = append(g.packets, out.Datagrams...)
		}
		if len(g.packets) == 0 {
			return
		}
		for _, b := range g.packets {
			for _, e := range g.list {
				e.HandlePacket(g.now, b)
			}
		}
	}
}

// measureEngines prints what the engine costs for each message of 1 KiB and each
// member that it is told to, everybody's share of it together, and what a room
// and a member of it take in memory while nothing is said.
func measureEngines(tb e2e.TB, out sheet) {
	held := map[int]float64{}
	for _, members := range engineSizes {
		before := heap()
		g := newEngines(tb, members)
		held[members] = float64(heap()-before) / float64(members)
		runtime.KeepAlive(g)

		data := make([]byte, 1024)
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		begin, told := time.Now(), g.told
		for g.told-told < engineMessages {
			for range 16 {
				if err := g.list[0].Send(g.now, 1, data); err != nil {
					tb.Fatalf("bench: %v", err)
				}
			}
			g.step()
		}
		took := time.Since(begin)
		runtime.ReadMemStats(&m1)
		name := fmt.Sprintf("clique_engine_%d_members_", members)
		out.figure(name+"per_delivered", float64(took.Nanoseconds())/float64(g.told-told), "ns")
		out.figure(name+"allocs_per_delivered", float64(m1.Mallocs-m0.Mallocs)/float64(g.told-told), "allocs")
	}
	few, many := engineSizes[0], engineSizes[len(engineSizes)-1]
	perMember := (held[many] - held[few]) / float64(many-few)
	out.figure("clique_engine_memory_per_member", perMember/1024, "KiB")
	out.figure("clique_engine_memory_per_room", (held[few]-perMember)/1024, "KiB")
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first has found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
