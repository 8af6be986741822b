package rmulticast

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrTooLarge says that a packet cannot be sent: a list with more than 255
// entries, a name longer than 254 bytes or more than 1440 bytes in all.
var ErrTooLarge = errors.New("rmulticast: packet too large")

// AppendPacket writes the packet behind b. With an error b is unchanged.
func AppendPacket(b []byte, p *Packet) ([]byte, error) {
	if len(p.Entries) > maxCount || len(p.Senders) > maxCount || len(p.Name) > MaxName || p.size() > MaxDatagram {
		return b, ErrTooLarge
	}
	b = slices.Grow(b, p.size())
	b = append(b, protocol...)
	b = append(b, version, byte(p.Type))
	b = binary.BigEndian.AppendUint32(b, uint32(p.Sender))
	if p.Type.reliable() {
		b = binary.BigEndian.AppendUint32(b, uint32(p.ID))
		b = appendEntries(b, p.Entries)
	}
	return p.appendBody(b), nil
}

func (p *Packet) appendBody(b []byte) []byte {
	switch p.Type {
	case WhoisRequest:
		b = binary.BigEndian.AppendUint32(b, uint32(p.Target))
	case WhoisReply:
		b = append(b, byte(len(p.Name)))
		b = append(b, p.Name...)
	case RepairRequest:
		b = binary.BigEndian.AppendUint32(b, uint32(p.Target))
		b = binary.BigEndian.AppendUint32(b, uint32(p.ID))
	case Session:
		b = appendEntries(b, p.Entries)
	case Failure, AttemptJoin, Join:
		b = append(b, byte(len(p.Senders)))
		for _, s := range p.Senders {
			b = binary.BigEndian.AppendUint32(b, uint32(s))
		}
	case Data:
		b = append(b, p.Flags)
		b = binary.BigEndian.AppendUint16(b, uint16(p.Stream))
		b = binary.BigEndian.AppendUint32(b, p.Total)
		b = append(b, p.Payload...)
	}
	return b
}

func appendEntries(b []byte, list []Entry) []byte {
	b = append(b, byte(len(list)))
	for _, entry := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(entry.Sender))
		b = binary.BigEndian.AppendUint32(b, uint32(entry.Next))
	}
	return b
}

// size is an upper bound of the packet's bytes, exact for the types that can
// come near the limit.
func (p *Packet) size() int {
	n := headerSize + 1 + entrySize*len(p.Entries)
	if p.Type.reliable() {
		n += 4
	}
	switch p.Type {
	case WhoisRequest, WhoisReply, RepairRequest:
		n += 2*senderSize + len(p.Name)
	case Failure, AttemptJoin, Join:
		n += 1 + senderSize*len(p.Senders)
	case Data:
		n += dataBodySize + len(p.Payload)
	}
	return n
}
