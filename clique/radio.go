package clique

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"meshgate/clique/rmulticast"
	"meshgate/internal/alarm"
	"meshgate/internal/multicast"
	"meshgate/linklocal/mdns"
)

const (
	maxPacket  = 1500    // bytes: longer ones are nobody's, and would be cut
	readBuffer = 4 << 20 // of a socket, in bytes: Salut sends any burst at once
	maxReady   = 4       // times that packets were read and not taken yet: some hundred packets each at most

	pause  = time.Millisecond // between two readings, if packets come in quick succession …
	enough = 12               // … and fewer than so many at once
)

// A packetConn is a socket on a group. A *multicast.Conn is one.
type packetConn interface {
	ReadPackets(take func(b []byte, from multicast.Arrival)) error
	WritePackets(packets [][]byte, link int) (lost int, err error)
	Join(link *net.Interface) error
	Leave(link *net.Interface)
	Close() error
}

// A radio is a room's group on all links that there are: it sends on each, and
// hears what comes by any. What is sent on two that are one network comes twice to
// everybody on it, and what we send comes back once for each link: whoever listens
// has to bear with that. It belongs to one goroutine.
type radio struct {
	group  netip.AddrPort
	open   func() (packetConn, error)
	log    *slog.Logger
	count  *counters
	rate   int
	wg     sync.WaitGroup // the reader
	conn   packetConn     // nil: not open
	joined []*net.Interface
	failed string // what was logged last

	packets chan [][]byte   // read together
	floods  chan flood      // to complain of
	broken  chan packetConn // cannot be read any more
	stop    chan struct{}
}

// A flood is an address that sends too much.
type flood struct {
	from   netip.Addr
	packet []byte // one of them
	lost   uint64
}

func (s *Service) newRadio(group netip.AddrPort, log *slog.Logger) *radio {
	return &radio{
		group: group, log: log, count: &s.count, rate: s.cfg.PacketRate,
		open: func() (packetConn, error) {
			return s.listen(multicast.Config{Group: group, TTL: s.cfg.TTL, Buffer: readBuffer, Crowd: true, Bulk: true})
		},
		packets: make(chan [][]byte, maxReady), floods: make(chan flood, 1), broken: make(chan packetConn, 1),
		stop: make(chan struct{}),
	}
}

// on reports whether there is a link on which we are heard.
func (r *radio) on() bool { return len(r.joined) > 0 }

// follow brings the radio onto the links that there are now, and opens its socket.
func (r *radio) follow(links []mdns.Link) error {
	if r.conn == nil {
		conn, err := r.open()
		if err != nil {
			return err
		}
		r.conn = conn
		r.wg.Go(func() { r.read(conn) })
	}
	for _, j := range slices.Clone(r.joined) {
		if !slices.ContainsFunc(links, func(l mdns.Link) bool { return l.Name == j.Name && l.Index == j.Index && r.suits(l) }) {
			r.conn.Leave(j)
			r.joined = slices.DeleteFunc(r.joined, func(o *net.Interface) bool { return o == j })
			r.log.Info("link gone", "interface", j.Name)
		}
	}
	for _, l := range links {
		if r.suits(l) && !slices.ContainsFunc(r.joined, func(j *net.Interface) bool { return j.Index == l.Index }) {
			r.join(&net.Interface{Name: l.Name, Index: l.Index})
		}
	}
	return nil
}

func (r *radio) join(link *net.Interface) {
	if err := r.conn.Join(link); err != nil {
		if text := link.Name + err.Error(); text != r.failed {
			r.failed = text
			r.log.Warn("group not joined, trying again", "interface", link.Name, "err", err)
		}
		return
	}
	r.joined = append(r.joined, link)
}

// suits reports whether the link has an address of the group's family.
func (r *radio) suits(l mdns.Link) bool {
	return slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() == r.group.Addr().Is4() })
}

// send sends packets on all links. What the kernel refuses is a lost packet.
func (r *radio) send(packets [][]byte) {
	for _, l := range r.joined {
		if lost, err := r.conn.WritePackets(packets, l.Index); err != nil {
			r.count.sendErrors.Add(int64(lost))
			r.log.Debug("packets lost", "interface", l.Name, "count", lost, "reason", multicast.Reason(err), "err", err)
		}
	}
}

// readerEnded drops a socket that failed; the next follow opens another.
func (r *radio) readerEnded(conn packetConn) {
	if conn == r.conn {
		r.conn.Close()
		r.conn, r.joined = nil, nil
	}
}

// close waits for the reader.
func (r *radio) close() {
	close(r.stop)
	if r.conn != nil {
		r.conn.Close()
	}
	r.wg.Wait()
}

// read hands packets over until the socket closes or fails. To wake up for one costs
// more than to take it: what comes in quick succession gathers in the socket for a moment.
func (r *radio) read(conn packetConn) {
	m := newMeter(r.rate)
	var wake alarm.Alarm
	defer wake.Stop()
	for last := (time.Time{}); ; {
		var heard [][]byte
		now, count := time.Time{}, 0
		err := conn.ReadPackets(func(b []byte, from multicast.Arrival) {
			if count++; count == 1 {
				now = time.Now()
			}
			if r.mayHear(now, m, b, from) {
				heard = append(heard, slices.Clone(b))
			}
		})
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				r.log.Warn("socket failed", "err", err)
				r.broken <- conn // has room for the one that there is
			}
			return
		}
		if len(heard) > 0 && !r.handOver(heard) {
			return
		}
		if count < enough && now.Sub(last) < 2*pause && !r.rest(&wake, now.Add(pause)) {
			return
		}
		last = now
	}
}

// handOver gives packets to the room. False: it is closed.
func (r *radio) handOver(packets [][]byte) bool {
	select {
	case r.packets <- packets:
		return true
	case <-r.stop:
		return false
	}
}

// rest waits until then. False: the room is closed.
func (r *radio) rest(wake *alarm.Alarm, until time.Time) bool {
	wake.Set(until)
	select {
	case <-wake.C():
		return true
	case <-r.stop:
		return false
	}
}

// mayHear counts a packet, and reports whether it is one of the room's: not one to
// another group on the same port, nor longer than anybody sends, nor one too many.
func (r *radio) mayHear(now time.Time, m *meter, b []byte, from multicast.Arrival) bool {
	r.count.packetsIn.Add(1)
	switch {
	case from.Dst != r.group.Addr():
		r.count.otherGroups.Add(1)
		return false
	case len(b) > maxPacket:
		r.count.tooLong.Add(1)
		return false
	}
	ok, tell := m.take(now, origin{from.Link, from.Src.Addr()}, rmulticast.Weight(b))
	if !ok {
		r.count.flooded.Add(1)
	}
	if tell > 0 {
		r.complain(flood{from.Src.Addr(), slices.Clone(b), tell})
	}
	return ok
}

func (r *radio) complain(f flood) {
	select {
	case r.floods <- f:
	default:
	}
}
