package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Types of packets of rooms that anybody can make.
const (
	whoisReply  = 0x01
	repairWish  = 0x02
	sessionList = 0x03
	roomData    = 0x0f
	attemptJoin = 0x12
)

// What somebody hostile says.
const (
	hostilePackets = 10_000
	hostilePace    = 2000 // of them a second
)

// CQ-01, CQ-02, CQ-05: a host on the LAN says all kinds of things to the group
// of a room: noise, what it has heard cut short, that there are strangers without
// number, some by the names of members, wishes for repairs without end, pieces of
// messages. The room goes on, takes no more memory, and is open to newcomers
// afterwards.
func TestARoomSurvivesAHostileHost(t *testing.T) {
	t.Parallel()
	lab := New(t, 3)
	members := startMembers(lab, MemberOptions{})[:2]
	for _, m := range members {
		m.JoinRoom(witchcraft)
	}
	AwaitAll(witchcraft.Name, members)
	before := members[0].Usage().RSS
	a := attack(t, lab.Host("h3"), netip.MustParseAddrPort(witchcraft.Group), members[0].Instance)
	said := 0
	say := func() {
		for range 20 {
			for _, m := range members {
				m.Say(witchcraft.Name, fmt.Sprintf("line %d.", said))
			}
			said++
		}
	}
	for say(); a.sent.Load() < hostilePackets; say() {
		members[0].AwaitSaid(witchcraft.Name, members[1].Instance, fmt.Sprintf("line %d.", said-1))
	}
	wantEachOnce(t, witchcraft.Name, "line", said, members...)
	a.end()
	after := members[0].Usage()
	t.Logf("%d hostile packets; RSS %d KiB before, %d KiB at most", a.sent.Load(), before>>10, after.PeakRSS>>10)
	if limit := int64(96 << 20); after.PeakRSS > limit {
		t.Errorf("a member took %d MiB, want at most %d", after.PeakRSS>>20, limit>>20)
	}
	for _, m := range members {
		m.Refute(`"ev":"(left|restarted|closed)"`)
	}
	begin := time.Now()
	late := lab.Host("h3").Member("late", MemberOptions{})
	late.JoinRoom(witchcraft)
	AwaitAll(witchcraft.Name, append(members, late))
	t.Logf("a newcomer was in after %v", time.Since(begin))
}

// An attacker says hostile things to a group until its end.
type attacker struct {
	conn net.PacketConn
	stop chan struct{}
	work sync.WaitGroup
	sent atomic.Int64

	mu    sync.Mutex
	heard [][]byte // the last packets of others
}

func attack(t *testing.T, h *Host, group netip.AddrPort, name string) *attacker {
	t.Helper()
	c, err := h.ListenMulticast(group)
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{conn: c, stop: make(chan struct{})}
	a.work.Go(a.listen)
	a.work.Go(func() { a.attack(group, name) })
	t.Cleanup(a.end)
	return a
}

// end ends the attack. It may be called twice.
func (a *attacker) end() {
	select {
	case <-a.stop:
	default:
		close(a.stop)
	}
	a.conn.Close()
	a.work.Wait()
}

func (a *attacker) listen() {
	b := make([]byte, 2048)
	for {
		n, _, err := a.conn.ReadFrom(b)
		if err != nil {
			return
		}
		a.mu.Lock()
		a.heard = append(a.heard, append([]byte(nil), b[:n]...))
		a.heard = a.heard[max(0, len(a.heard)-100):]
		a.mu.Unlock()
	}
}

func (a *attacker) attack(group netip.AddrPort, name string) {
	rnd := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(time.Second / hostilePace)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
		}
		if _, err := a.conn.WriteTo(a.packet(rnd, name), net.UDPAddrFromAddrPort(group)); err == nil {
			a.sent.Add(1)
		}
	}
}

// packet is one hostile packet.
func (a *attacker) packet(rnd *rand.Rand, name string) []byte {
	stranger := rnd.Uint32()
	number := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	switch rnd.IntN(8) {
	case 0:
		return garbage(rnd, rnd.IntN(1500))
	case 1:
		return roomPacket(byte(rnd.IntN(0x20)), stranger, garbage(rnd, rnd.IntN(100)))
	case 2:
		b := a.overheard(rnd)
		return b[:rnd.IntN(len(b)+1)]
	case 3: // claims a member's name
		return roomPacket(whoisReply, stranger, append([]byte{byte(len(name))}, name...))
	case 4: // wants something of a member again, again and again
		if b := a.overheard(rnd); len(b) >= 12 {
			return roomPacket(repairWish, stranger, b[8:12], number(rnd.Uint32N(1000)))
		}
		return nil
	case 5:
		return roomPacket(sessionList, stranger, []byte{0})
	case 6:
		return roomPacket(attemptJoin, stranger, number(rnd.Uint32()), []byte{0, 0})
	default: // the middle of a message of 4 GiB
		return roomPacket(roomData, stranger, number(rnd.Uint32()), []byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}, garbage(rnd, 1000))
	}
}

func (a *attacker) overheard(rnd *rand.Rand) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.heard) == 0 {
		return nil
	}
	return a.heard[rnd.IntN(len(a.heard))]
}

func garbage(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// roomPacket is a packet of rMulticast.
func roomPacket(typ byte, sender uint32, rest ...[]byte) []byte {
	b := binary.BigEndian.AppendUint32(append([]byte("Clique"), 1, typ), sender)
	for _, r := range rest {
		b = append(b, r...)
	}
	return b
}
