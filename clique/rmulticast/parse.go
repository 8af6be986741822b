package rmulticast

import (
	"encoding/binary"
	"errors"
)

// Why a datagram is none of ours.
var (
	errNotClique = errors.New("rmulticast: not a Clique packet")
	errVersion   = errors.New("rmulticast: another version")
	errType      = errors.New("rmulticast: unknown type of packet")
	errShort     = errors.New("rmulticast: packet ends early")
	errTrailing  = errors.New("rmulticast: bytes after the packet")
	errLong      = errors.New("rmulticast: datagram too long")
)

// ParsePacket reads one datagram. The payload of DATA is not copied. It is as
// strict as gibber: a field that runs past the end, or a byte too many, and it
// is no packet; but a datagram that gibber would cut at 1500 bytes is none either.
func ParsePacket(b []byte) (Packet, error) {
	var p Packet
	switch {
	case len(b) > maxReceived:
		return p, errLong
	case len(b) < headerSize || string(b[:len(protocol)]) != protocol:
		return p, errNotClique
	case b[6] != version:
		return p, errVersion
	case !Type(b[7]).known():
		return p, errType
	}
	p.Type, p.Sender = Type(b[7]), SenderID(binary.BigEndian.Uint32(b[8:]))
	r := reader{b: b[headerSize:]}
	if p.Type.reliable() {
		p.ID = PacketID(r.uint32())
		p.Entries = r.entries()
	}
	p.parseBody(&r)
	switch {
	case r.short:
		return Packet{}, errShort
	case len(r.b) > 0:
		return Packet{}, errTrailing
	}
	return p, nil
}

func (p *Packet) parseBody(r *reader) {
	switch p.Type {
	case WhoisRequest:
		p.Target = SenderID(r.uint32())
	case WhoisReply:
		p.Name = string(r.take(int(r.uint8())))
	case RepairRequest:
		p.Target = SenderID(r.uint32())
		p.ID = PacketID(r.uint32())
	case Session:
		p.Entries = r.entries()
	case Failure, AttemptJoin, Join:
		p.Senders = r.senders()
	case Data:
		p.Flags = r.uint8()
		p.Stream = StreamID(r.uint16())
		p.Total = r.uint32()
		p.Payload = r.take(len(r.b))
	}
}

// A reader takes fields off a packet. Past its end they are zero, and short is set.
type reader struct {
	b     []byte
	short bool
}

var zeros [8]byte

// take returns the next n bytes, or at least as many zeros as a number has.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.short = nil, true
	}
	if r.short {
		return zeros[:]
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint8() uint8   { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

func (r *reader) entries() []Entry {
	n := int(r.uint8())
	if n == 0 || n*entrySize > len(r.b) {
		r.short = r.short || n > 0
		return nil
	}
	list := make([]Entry, n)
	for i := range list {
		list[i].Sender = SenderID(r.uint32())
		list[i].Next = PacketID(r.uint32())
	}
	return list
}

func (r *reader) senders() []SenderID {
	n := int(r.uint8())
	if n == 0 || n*senderSize > len(r.b) {
		r.short = r.short || n > 0
		return nil
	}
	list := make([]SenderID, n)
	for i := range list {
		list[i] = SenderID(r.uint32())
	}
	return list
}
