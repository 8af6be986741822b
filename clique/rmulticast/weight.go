package rmulticast

// What a packet costs besides: one about members eight times a packet of data, or much
// more with all that it can name; and any that names many others what it takes to look
// them up.
const (
	aboutMembers = 7
	namedPerUnit = 32
)

// Weight is about what it costs to take a datagram, whatever is in it; a packet of data
// in a small room has 1. It is for limiting what somebody may send.
func Weight(b []byte) int {
	if len(b) < reliableSize {
		return 1
	}
	switch t := Type(b[7]); {
	case t == Session:
		return 1 + int(b[headerSize])/namedPerUnit
	case !t.reliable():
		return 1
	case t == Data || t == NoData:
		return 1 + int(b[reliableSize-1])/namedPerUnit
	}
	return 1 + aboutMembers + int(b[reliableSize-1])/namedPerUnit
}
