package mdns

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"time"
)

const (
	echoWindow = 2 * time.Second
	maxEchoes  = 1024
	twinWindow = 250 * time.Millisecond
	maxTwins   = 64
)

// echoes recognises our own multicast packets when the socket loops them
// back. Other stacks live on the same host, so the address alone says nothing.
// Each packet sent is expected back once by each family it left by.
type echoes struct {
	sent map[uint64]int
	ring []echo // oldest first
}

type echo struct {
	sum uint64
	at  time.Time
}

// sums has a key that nobody else knows: who could make a packet with the sum
// of one of ours could have it ignored.
var sums = maphash.MakeSeed()

func checksum(b []byte) uint64 { return maphash.Bytes(sums, b) }

func (x *echoes) add(now time.Time, sum uint64) {
	for len(x.ring) > 0 && (len(x.ring) >= maxEchoes || now.Sub(x.ring[0].at) > echoWindow) {
		x.forget(x.ring[0].sum)
		x.ring = x.ring[1:]
	}
	if x.sent == nil {
		x.sent = map[uint64]int{}
	}
	x.sent[sum]++
	x.ring = append(x.ring, echo{sum, now})
}

// take reports whether a packet is the echo of one of ours.
func (x *echoes) take(sum uint64) bool { return x.forget(sum) }

func (x *echoes) forget(sum uint64) bool {
	n, ok := x.sent[sum]
	switch {
	case n > 1:
		x.sent[sum] = n - 1
	case ok:
		delete(x.sent, sum)
	}
	return ok
}

// A self is what a host knows of its own on all of its links: the engines of
// a [Stack] share one. Two of our interfaces may be on one LAN, by cable and by
// Wi-Fi say, and reflectors carry what we say on one LAN to another; what comes
// back that way is nobody's conflict with us.
type self struct {
	addrs map[netip.Addr]int // on how many links an address is ours
	past  past
	sent  map[uint64]time.Time // packets of the last echoWindow
	ring  []echo               // of sent, oldest first
}

func newSelf() *self { return &self{addrs: map[netip.Addr]int{}, sent: map[uint64]time.Time{}} }

// replaceAddrs notes that the addresses of one link are others now.
func (s *self) replaceAddrs(old, addrs []netip.Addr) {
	for _, a := range addrs {
		s.addrs[a]++
	}
	for _, a := range old {
		uncount(s.addrs, a)
	}
}

// has reports whether an address is ours on any link.
func (s *self) has(a netip.Addr) bool { return s.addrs[a] > 0 }

// sending notes a multicast packet of ours.
func (s *self) sending(now time.Time, sum uint64) {
	for len(s.ring) > 0 && (len(s.ring) >= maxEchoes || now.Sub(s.ring[0].at) > echoWindow) {
		if s.sent[s.ring[0].sum].Equal(s.ring[0].at) {
			delete(s.sent, s.ring[0].sum)
		}
		s.ring = s.ring[1:]
	}
	s.sent[sum] = now
	s.ring = append(s.ring, echo{sum, now})
}

// isEcho reports whether a packet is one of ours: looped back by the system,
// or heard by the interface on which we did not send it.
func (e *Engine) isEcho(now time.Time, src netip.Addr, sum uint64) bool {
	switch {
	case slices.Contains(e.addrs, src):
		return e.echoes.take(sum)
	case e.self.has(src):
		at, ok := e.self.sent[sum]
		return ok && now.Sub(at) <= echoWindow
	}
	return false
}

// twins recognises the second copy of a packet that a host with IPv4 and IPv6
// sends by both.
type twins []twin

type twin struct {
	sum uint64
	is4 bool
	at  time.Time
}

// take reports whether the other copy has been here.
func (x *twins) take(now time.Time, sum uint64, is4 bool) bool {
	for i, t := range *x {
		if t.sum == sum && t.is4 != is4 && now.Sub(t.at) <= twinWindow {
			*x = append((*x)[:i], (*x)[i+1:]...)
			return true
		}
	}
	if len(*x) >= maxTwins {
		*x = append((*x)[:0], (*x)[1:]...)
	}
	*x = append(*x, twin{sum, is4, now})
	return false
}
