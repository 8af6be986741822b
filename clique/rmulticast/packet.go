package rmulticast

import "fmt"

// Sizes and counts on the wire.
const (
	MaxDatagram   = 1440 // bytes of payload of the datagrams we send
	maxReceived   = 1500 // gibber cuts what is longer
	MaxName       = 254  // bytes; gibber aborts when it has to send one more
	maxCount      = 255  // entries of a list
	headerSize    = 12
	reliableSize  = headerSize + 5              // and 8 for each entry
	dataSize      = reliableSize + dataBodySize // and 8 for each entry
	dataBodySize  = 7
	entrySize     = 8
	senderSize    = 4
	protocol      = "Clique"
	version       = 1
	firstReliable = Data
)

// A Type is the kind of a packet.
type Type uint8

// The types of packets, see the package comment.
const (
	WhoisRequest  Type = 0x00
	WhoisReply    Type = 0x01
	RepairRequest Type = 0x02
	Session       Type = 0x03
	Data          Type = 0x0f
	NoData        Type = 0x10
	Failure       Type = 0x11
	AttemptJoin   Type = 0x12
	Join          Type = 0x13
	Bye           Type = 0x14
)

var typeNames = map[Type]string{
	WhoisRequest: "WHOIS-REQUEST", WhoisReply: "WHOIS-REPLY", RepairRequest: "REPAIR-REQUEST", Session: "SESSION",
	Data: "DATA", NoData: "NO-DATA", Failure: "FAILURE", AttemptJoin: "ATTEMPT-JOIN", Join: "JOIN", Bye: "BYE",
}

func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return fmt.Sprintf("type %#02x", uint8(t))
}

// reliable reports whether packets of the type are numbered.
func (t Type) reliable() bool { return t >= firstReliable }

// known reports whether the type is assigned.
func (t Type) known() bool { return t <= Session || Data <= t && t <= Bye }

// Flags of DATA; others are kept and mean nothing.
const (
	Start uint8 = 1 << iota // first fragment of a message
	End                     // last fragment
)

// An Entry says which packet of a sender is the next one expected.
type Entry struct {
	Sender SenderID
	Next   PacketID
}

// A Packet is one packet, of any type.
type Packet struct {
	Type   Type
	Sender SenderID

	ID      PacketID   // reliable ones; of REPAIR-REQUEST the wanted one
	Entries []Entry    // reliable ones: what it depends on; SESSION: what was received
	Target  SenderID   // WHOIS-REQUEST, REPAIR-REQUEST
	Name    string     // WHOIS-REPLY
	Senders []SenderID // FAILURE, ATTEMPT-JOIN, JOIN

	Flags   uint8 // DATA, and so the rest
	Stream  StreamID
	Total   uint32 // bytes of the whole message
	Payload []byte
}

// String is one line for logs and tests, without the payload.
func (p *Packet) String() string {
	s := fmt.Sprintf("%v %v", p.Type, p.Sender)
	if p.Type.reliable() {
		s += fmt.Sprintf(" %v", p.ID)
	}
	if p.Type.reliable() || p.Type == Session {
		s += " {"
		for i, entry := range p.Entries {
			if i > 0 {
				s += " "
			}
			s += fmt.Sprintf("%v:%v", entry.Sender, entry.Next)
		}
		s += "}"
	}
	switch p.Type {
	case WhoisRequest:
		s += fmt.Sprintf(" -> %v", p.Target)
	case WhoisReply:
		s += fmt.Sprintf(" %q", p.Name)
	case RepairRequest:
		s += fmt.Sprintf(" -> %v %v", p.Target, p.ID)
	case Failure, AttemptJoin, Join:
		s += fmt.Sprintf(" %v", p.Senders)
	case Data:
		s += fmt.Sprintf(" flags %d stream %d, %d of %d bytes", p.Flags, p.Stream, len(p.Payload), p.Total)
	}
	return s
}
