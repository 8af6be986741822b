package e2e

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A Heard is one mDNS message that passed a host.
type Heard struct {
	From netip.Addr
	Msg  *dns.Msg
}

// Probes reports whether it asks whether a name of a presence service is free:
// RFC 6762 §8.1.
func (m Heard) Probes(instance string) bool {
	for _, q := range m.Msg.Question {
		if !m.Msg.Response && q.Qtype == dns.TypeANY && isInstance(q.Name, instance) {
			return true
		}
	}
	return false
}

// SaysGoodbye reports whether it takes a presence service back: RFC 6762 §10.1.
func (m Heard) SaysGoodbye(instance string) bool {
	for _, rr := range m.Msg.Answer {
		if ptr, ok := rr.(*dns.PTR); ok && ptr.Hdr.Ttl == 0 && isInstance(ptr.Ptr, instance) {
			return true
		}
	}
	return false
}

// Announces reports whether it is a response with the TXT record of a presence
// service and that text in it.
func (m Heard) Announces(instance, text string) bool {
	for _, rr := range m.Msg.Answer {
		if txt, ok := rr.(*dns.TXT); ok && isInstance(txt.Hdr.Name, instance) {
			return strings.Contains(strings.Join(txt.Txt, "\n"), text)
		}
	}
	return false
}

func isInstance(name, instance string) bool {
	return strings.EqualFold(unescapeDecimal(name), instance+"."+PresenceService+".local.")
}

// An Ear is a socket on a host that hears all multicast DNS there, on IPv4.
type Ear struct {
	tb TB

	mu      sync.Mutex
	heard   []Heard
	changed chan struct{} // closed and replaced at every message
}

// Hear listens until the end of the test.
func (h *Host) Hear() *Ear {
	h.tb.Helper()
	c, err := h.ListenMulticast(MDNSGroup)
	if err != nil {
		h.tb.Fatalf("e2e: %v", err)
	}
	e := &Ear{tb: h.tb, changed: make(chan struct{})}
	ended := make(chan struct{})
	go func() { defer close(ended); e.read(c) }()
	h.tb.Cleanup(func() {
		c.Close()
		<-ended
	})
	return e
}

func (e *Ear) read(c net.PacketConn) {
	b := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		m := new(dns.Msg)
		if err != nil || m.Unpack(b[:n]) != nil {
			continue
		}
		e.mu.Lock()
		e.heard = append(e.heard, Heard{from.(*net.UDPAddr).AddrPort().Addr().Unmap(), m})
		close(e.changed)
		e.changed = make(chan struct{})
		e.mu.Unlock()
	}
}

// Count returns how many messages that fit have been heard.
func (e *Ear) Count(fits func(Heard) bool) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, m := range e.heard {
		if fits(m) {
			n++
		}
	}
	return n
}

// AwaitCount waits until so many messages that fit have been heard, from the
// beginning on.
func (e *Ear) AwaitCount(n int, what string, fits func(Heard) bool) {
	e.tb.Helper()
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	for {
		e.mu.Lock()
		changed := e.changed
		e.mu.Unlock()
		have := e.Count(fits)
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			e.tb.Fatalf("e2e: heard %s %d times, want %d", what, have, n)
		}
	}
}
