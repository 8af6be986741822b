package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"meshgate/internal/e2e"
)

const (
	cliqueLossless = 16 << 20 // bytes of one flood; it is more than any window
	cliqueLossy    = 6 << 20
	cliquePatience = 2 * time.Minute
	cliqueHeader   = 40 // bytes that rMulticast adds to a message that fits a packet, roughly
	cliquePacket   = 1440
)

var (
	cliqueSizes  = flagNumbers("members", "how many members the rooms have", 2, 4, 8)
	cliqueLosses = flagNumbers("losses", "how many percent of the packets are lost, at every member", 0, 1, 5)
	cliqueRounds = flag.Int("rounds", 3, "how often each rate in a room is measured")
	// cliqueReference are the best rates of the one other implementation, measured on
	// such links by themselves, in MB/s: by size of message, members and percent of loss.
	cliqueReference = map[int]map[int]map[int]float64{
		1 << 10:  {2: {0: 12.3, 1: 0.68, 5: 0.20}, 4: {0: 12.3, 1: 0.7, 5: 0.47}},
		32 << 10: {2: {0: 13.1, 1: 0.64, 5: 0.19}, 4: {0: 13.1, 1: 0.95, 5: 0.48}},
	}
	cliqueRoom = e2e.RoomAt{Name: "bench", Group: "239.255.71.66:13251"}
)

// measureClique prints how fast a member's messages come to all the others, by
// members, size and loss, beside plain multicast sockets on the same links: as
// fast as they can without loss, and then at that pace.
func measureClique(ctx context.Context, tb e2e.TB, out sheet) {
	measureEngines(tb, out)
	for _, members := range *cliqueSizes {
		measureRoom(ctx, tb, members, out)
	}
}

// A pace is what plain sockets do with messages of one size.
type pace struct {
	message, packet int // bytes
	rate            int // packets a second
}

func measureRoom(ctx context.Context, tb e2e.TB, members int, out sheet) {
	lab := e2e.New(tb, members)
	defer lab.Close()
	for _, h := range lab.Hosts() {
		h.Apart()
	}
	raw := openMulticast(tb, lab.Hosts())
	defer raw.close()
	paces := []pace{{message: 1 << 10, packet: 1<<10 + cliqueHeader}, {message: 32 << 10, packet: cliquePacket}}
	for i := range paces {
		paces[i].rate = raw.cleanRate(ctx, paces[i].packet)
	}
	room := openBenchRoom(lab, out)
	for _, loss := range *cliqueLosses {
		for _, h := range lab.Hosts() {
			h.Loss(loss)
		}
		for _, p := range paces {
			var rawRates, rates []float64
			before := room.cpu()
			for round := range *cliqueRounds {
				_, got := raw.send(ctx, p.packet, p.rate)
				rawRates = append(rawRates, float64(got)*float64(p.packet-cliqueHeader)/rawTime.Seconds()/1e6)
				rates = append(rates, room.flood(fmt.Sprintf("%d-%d-%d", loss, p.message, round), loss, p.message))
			}
			point := fmt.Sprintf("%d_members_%dKiB_loss_%d", members, p.message>>10, loss)
			rate, yardstick := median(rates), median(rawRates)
			messages := float64(*cliqueRounds * floodBytes(loss) / p.message)
			out.figure("clique_"+point+"_cpu_of_sender", (room.cpu()[0]-before[0])/messages, "µs/msg")
			out.figure("clique_"+point+"_cpu_of_receiver", (room.cpu()[1]-before[1])/messages, "µs/msg")
			out.figure("raw_multicast_"+point, yardstick, "MB/s")
			out.figure("clique_"+point, rate, "MB/s")
			out.figure("clique_"+point+"_over_raw", rate/yardstick, "ratio")
			if ref := cliqueReference[p.message][members][loss]; ref > 0 {
				out.figure("clique_"+point+"_over_reference", rate/ref, "ratio")
			}
		}
	}
}

// A benchRoom is a room with a member on each host.
type benchRoom struct {
	members []*e2e.Member
}

// openBenchRoom has the first two join, the others but the last, and the last, and
// prints how long it took the second and the last.
func openBenchRoom(lab *e2e.Lab, out sheet) *benchRoom {
	r := &benchRoom{}
	hosts := lab.Hosts()
	r.join(hosts[0])
	r.members[0].AwaitEvent("entered", cliqueRoom.Name)
	second := r.join(hosts[1])
	out.figure(fmt.Sprintf("clique_join_2nd_of_%d", len(hosts)), second.Seconds(), "s")
	if len(hosts) > 3 {
		r.join(hosts[2 : len(hosts)-1]...)
		last := r.join(hosts[len(hosts)-1])
		out.figure(fmt.Sprintf("clique_join_last_of_%d", len(hosts)), last.Seconds(), "s")
	}
	return r
}

// join has members on the hosts join at once, and returns how long it took until
// all see all.
func (r *benchRoom) join(hosts ...*e2e.Host) time.Duration {
	begin := time.Now()
	for _, h := range hosts {
		m := h.Member("bench", e2e.MemberOptions{})
		m.JoinRoom(cliqueRoom)
		r.members = append(r.members, m)
	}
	e2e.AwaitAll(cliqueRoom.Name, r.members)
	return time.Since(begin)
}

// cpu is what the first two members have taken so far, in microseconds.
func (r *benchRoom) cpu() (spent [2]float64) {
	for i := range spent {
		spent[i] = float64(r.members[i].Usage().CPU.Microseconds())
	}
	return spent
}

func floodBytes(loss int) int {
	if loss > 0 {
		return cliqueLossy
	}
	return cliqueLossless
}

// flood has the first member say messages as fast as the room takes them, and
// returns in MB/s how fast they came to the slowest.
func (r *benchRoom) flood(id string, loss, size int) float64 {
	bytes := floodBytes(loss)
	r.members[0].Flood(cliqueRoom.Name, id, bytes/size, size, true)
	begin := r.members[0].Await("flood "+id, func(e e2e.MemberEvent) bool { return e.Ev == "flooding" && e.ID == id }).At
	var end int64
	for _, m := range r.members[1:] {
		end = max(end, m.AwaitFlood(cliquePatience, cliqueRoom.Name, id).At)
	}
	return float64(bytes) / float64(end-begin) * 1e3 // bytes in ns
}
