package rmulticast

import "fmt"

// A SenderID names one incarnation of a node: random, and never 0.
type SenderID uint32

func (s SenderID) String() string { return fmt.Sprintf("%08x", uint32(s)) }

// A PacketID numbers the reliable packets of one sender, modulo 2^32.
type PacketID uint32

func (p PacketID) String() string { return fmt.Sprintf("#%08x", uint32(p)) }

// diff is how far p is after from: negative if it is before. gibber takes the
// difference of plain numbers unless one of them is within 65535 before zero and
// the other within 65535 after it; for all that is less than 2^31 apart and does
// not pass zero the two agree.
func (p PacketID) diff(from PacketID) int { return int(int32(p - from)) }

func (p PacketID) before(q PacketID) bool { return p.diff(q) < 0 }

// A StreamID is one of the channels of a sender: 0 for the room's XML documents.
type StreamID uint16
