package main

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"meshgate/internal/e2e"
)

const (
	rawTick    = time.Millisecond // at which a paced sender sends what is due
	rawTime    = time.Second      // of one attempt
	rawSettle  = 200 * time.Millisecond
	rawTries   = 3
	rawAllowed = 0.001 // share of packets that a rate may lose and still count as clean
	rawBuffer  = 4 << 20
)

// rawRates are what is tried, in packets a second.
var rawRates = []int{2000, 4000, 6000, 9000, 13000, 18000, 25000, 35000, 50000, 70000}

var rawGroup = netip.MustParseAddrPort("239.255.71.250:23000")

// A multicast is the yardstick of rooms: plain sockets, one on each host,
// that send and receive multicast and do nothing about loss.
type multicast struct {
	tb      e2e.TB
	sockets []net.PacketConn
	got     []atomic.Int64 // packets of the current run that each has
	run     atomic.Uint32
	readers sync.WaitGroup
}

func openMulticast(tb e2e.TB, hosts []*e2e.Host) *multicast {
	m := &multicast{tb: tb, got: make([]atomic.Int64, len(hosts))}
	for i, h := range hosts {
		c := must(h.ListenMulticast(rawGroup))(tb)
		if err := c.(*net.UDPConn).SetReadBuffer(rawBuffer); err != nil {
			tb.Fatalf("bench: %v", err)
		}
		m.sockets = append(m.sockets, c)
		m.readers.Go(func() { m.read(i) })
	}
	return m
}

// read counts until the socket is closed.
func (m *multicast) read(i int) {
	b := make([]byte, 2048)
	for {
		n, _, err := m.sockets[i].ReadFrom(b)
		if err != nil {
			return
		}
		if n > 4 && binary.BigEndian.Uint32(b) == m.run.Load() {
			m.got[i].Add(1)
		}
	}
}

func (m *multicast) close() {
	for _, c := range m.sockets {
		c.Close()
	}
	m.readers.Wait()
}

// send has the first host send at a rate for rawTime, and returns how many
// packets left and how many the host got that got the fewest.
func (m *multicast) send(ctx context.Context, size, rate int) (sent, fewest int64) {
	m.tb.Helper()
	run := m.run.Add(1)
	for i := range m.got {
		m.got[i].Store(0)
	}
	packet := make([]byte, size)
	binary.BigEndian.PutUint32(packet, run)
	to := net.UDPAddrFromAddrPort(rawGroup)
	tick := time.NewTicker(rawTick)
	defer tick.Stop()
	begin := time.Now()
	for passed := time.Duration(0); passed < rawTime; passed = time.Since(begin) {
		for due := int64(passed.Seconds() * float64(rate)); sent < due; sent++ {
			if _, err := m.sockets[0].WriteTo(packet, to); err != nil {
				m.tb.Fatalf("bench: %v", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			m.tb.Fatalf("bench: %v", ctx.Err())
		}
	}
	time.Sleep(rawSettle) // nobody says which packet was the last to arrive
	fewest = sent
	for i := 1; i < len(m.got); i++ {
		fewest = min(fewest, m.got[i].Load())
	}
	return sent, fewest
}

// cleanRate is the highest of rawRates at which as good as nothing is lost, in
// one of rawTries: the machine may have been busy with something else.
func (m *multicast) cleanRate(ctx context.Context, size int) int {
	best := rawRates[0]
	for _, rate := range rawRates {
		if !m.isClean(ctx, size, rate) {
			break
		}
		best = rate
	}
	return best
}

func (m *multicast) isClean(ctx context.Context, size, rate int) bool {
	for range rawTries {
		sent, got := m.send(ctx, size, rate)
		due := rawTime.Seconds() * float64(rate)
		if float64(sent) > (1-rawAllowed)*due-float64(rate)*rawTick.Seconds() && float64(sent-got) <= rawAllowed*float64(sent) {
			return true
		}
	}
	return false
}
