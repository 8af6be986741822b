package multicast

import (
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	maxAtOnce  = 16      // messages that the system takes, or gives, in one call
	maxMessage = 1 << 16 // bytes: a train, or a packet
	maxTrain   = 64000   // bytes of a train; with headers less than an IP packet can have
	maxCars    = 64      // packets of a train
	maxOOB     = 128     // bytes of what comes with a message
)

// A message is what one call of the system has several of: one packet, or a train.
// A train is packets of one size, the last may be shorter, that go through the
// system as one and are taken apart where the link begins, or not before the
// receiver's program. On the link nobody can tell.
type message = ipv4.Message // and ipv6's

// A bulk is room to read many packets at once. It belongs to one goroutine.
type bulk struct {
	list []message
	cm4  ipv4.ControlMessage
	cm6  ipv6.ControlMessage
}

func newBulk() *bulk {
	r := &bulk{list: make([]message, maxAtOnce)}
	for i := range r.list {
		r.list[i].Buffers = [][]byte{make([]byte, maxMessage)}
		r.list[i].OOB = make([]byte, maxOOB)
	}
	return r
}

// ReadPackets waits for packets, and calls take with each of those that have come,
// in order. The bytes are take's until it returns. It is for a socket with
// Config.Bulk, and for one goroutine.
func (c *Conn) ReadPackets(take func(b []byte, from Arrival)) error {
	n, err := c.readBatch(c.bulk.list)
	if err != nil {
		return err
	}
	for _, m := range c.bulk.list[:n] {
		from, ok := c.bulk.arrival(c, &m)
		if !ok {
			continue
		}
		b := m.Buffers[0][:m.N]
		for size := carSize(m.OOB[:m.NN]); size > 0 && len(b) > size; b = b[size:] {
			take(b[:size], from)
		}
		take(b, from)
	}
	return nil
}

func (c *Conn) readBatch(list []message) (int, error) {
	if c.p4 != nil {
		return c.p4.ReadBatch(list, 0)
	}
	return c.p6.ReadBatch(list, 0)
}

// arrival says where a message came from. False: the system does not say.
func (r *bulk) arrival(c *Conn, m *message) (from Arrival, ok bool) {
	oob := m.OOB[:m.NN]
	if c.p4 != nil {
		r.cm4.IfIndex = 0
		if r.cm4.Parse(oob) != nil || r.cm4.IfIndex == 0 {
			return from, false
		}
		from.Link = r.cm4.IfIndex
		from.Dst, _ = netip.AddrFromSlice(r.cm4.Dst.To4())
	} else {
		r.cm6.IfIndex = 0
		if r.cm6.Parse(oob) != nil || r.cm6.IfIndex == 0 {
			return from, false
		}
		from.Link = r.cm6.IfIndex
		from.Dst, _ = netip.AddrFromSlice(r.cm6.Dst)
	}
	from.Src, ok = source(m.Addr)
	return from, ok
}

// WritePackets sends packets on a link to the group, in order, with as few calls of
// the system as it takes. It returns how many were lost and why the last one was:
// see Reason.
func (c *Conn) WritePackets(packets [][]byte, link int) (lost int, err error) {
	oob := c.oob(link)
	var list [maxAtOnce]message
	for len(packets) > 0 {
		n, taken := 0, 0
		for n < len(list) && taken < len(packets) {
			cars := c.train(packets[taken:])
			list[n] = message{Buffers: packets[taken : taken+cars], OOB: oob, Addr: c.group}
			if cars > 1 {
				list[n].OOB = appendCarSize(oob, len(packets[taken]))
			}
			n, taken = n+1, taken+cars
		}
		if n, e := c.writeAll(list[:n], link); e != nil {
			lost, err = lost+n, e
		}
		packets = packets[taken:]
	}
	return lost, err
}

// train is how many of the first packets go as one.
func (c *Conn) train(packets [][]byte) int {
	if !c.trains.Load() {
		return 1
	}
	size, sum := len(packets[0]), len(packets[0])
	n := 1
	for ; n < min(len(packets), maxCars); n++ {
		sum += len(packets[n])
		if len(packets[n]) > size || sum > maxTrain {
			break
		}
		if len(packets[n]) < size {
			return n + 1
		}
	}
	return n
}

// writeAll sends messages. Where one does not go the next ones may.
func (c *Conn) writeAll(list []message, link int) (lost int, err error) {
	for len(list) > 0 {
		n, e := c.writeBatch(list)
		if e != nil {
			if n, e := c.writeApart(list[0].Buffers, link, e); e != nil {
				lost, err = lost+n, e
			}
			n = 1
		}
		list = list[max(n, 1):]
	}
	return lost, err
}

func (c *Conn) writeBatch(list []message) (int, error) {
	if c.p4 != nil {
		return c.p4.WriteBatch(list, 0)
	}
	return c.p6.WriteBatch(list, 0)
}

// writeApart sends the packets of a train one by one: a link that cannot take it
// apart, or whose packets are shorter, refuses trains.
func (c *Conn) writeApart(train [][]byte, link int, why error) (lost int, err error) {
	if len(train) == 1 {
		return 1, why
	}
	if refused(why) {
		c.trains.Store(false)
	}
	for _, b := range train {
		if e := c.WritePacket(b, link, netip.AddrPort{}); e != nil {
			lost, err = lost+1, e
		}
	}
	return lost, err
}

// oob is what goes with a message to be sent on a link.
func (c *Conn) oob(link int) []byte {
	if c.p4 != nil {
		return (&ipv4.ControlMessage{IfIndex: link}).Marshal()
	}
	return (&ipv6.ControlMessage{IfIndex: link}).Marshal()
}
