package clique

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"meshgate/internal/multicast"
)

// A steadySocket has a packet each so often, for a second.
type steadySocket struct {
	packetConn
	every time.Duration
	from  multicast.Arrival
	begun time.Time
	given int // packets
	reads int
}

func (s *steadySocket) ReadPackets(take func(b []byte, from multicast.Arrival)) error {
	if s.due() == s.given {
		time.Sleep(time.Until(s.begun.Add(time.Duration(s.given+1) * s.every)))
	}
	if time.Since(s.begun) > time.Second {
		return net.ErrClosed
	}
	s.reads++
	for due := s.due(); s.given < due; s.given++ {
		take([]byte{byte(s.given)}, s.from)
	}
	return nil
}

func (s *steadySocket) due() int { return int(time.Since(s.begun) / s.every) }

// CQ-02: what comes in quick succession is read together, and what does not at once.
func TestQuickSuccessionIsReadTogether(t *testing.T) {
	group := netip.MustParseAddrPort("239.255.71.7:7000")
	for every, most := range map[time.Duration]struct {
		reads int
		wait  time.Duration
	}{
		100 * time.Microsecond: {1010, pause},
		5 * time.Millisecond:   {200, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := New(Config{}, nil).newRadio(group, slog.New(slog.DiscardHandler))
			s := &steadySocket{every: every, from: multicast.Arrival{Link: 1, Dst: group.Addr()}, begun: time.Now()}
			go func() {
				r.read(s)
				close(r.packets)
			}()
			heard := 0
			for list := range r.packets {
				for range list {
					heard++
					if late := time.Since(s.begun.Add(time.Duration(heard) * every)); late > most.wait {
						t.Fatalf("every %v: packet %d is heard after %v", every, heard, late)
					}
				}
			}
			if heard != s.given || heard < int(time.Second/every)*9/10 || s.reads > most.reads {
				t.Errorf("every %v: %d of %d packets heard, read %d times", every, heard, s.given, s.reads)
			}
		})
	}
}
