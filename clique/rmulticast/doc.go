// Package rmulticast is the wire format of rMulticast, the reliable causal
// multicast under Clique chat rooms. It does no I/O.
//
// There is no published standard: what counts is what the one other
// implementation does, the gibber library of telepathy-salut ("gibber" in the
// comments here).
//
// # Packets
//
// A packet is one UDP datagram to the room's group and port. Numbers are
// big-endian; a list is its number of entries in one byte, and the entries.
//
//	 0  6  "Clique"
//	 6  1  version, 1
//	 7  1  type
//	 8  4  sender: who made the packet, also if somebody else repeats it
//
//	0x00 WHOIS-REQUEST   sender asked for (4); own sender is 0 while probing
//	0x01 WHOIS-REPLY     length (1), name; sender is whose name it is
//	0x02 REPAIR-REQUEST  sender (4) and id (4) of the wanted packet
//	0x03 SESSION         list of sender (4), highest id received + 1 (4)
//	0x0f DATA            flags (1), stream (2), size of the whole message (4), payload
//	0x10 NO-DATA         nothing
//	0x11 FAILURE         list of senders (4) that failed
//	0x12 ATTEMPT-JOIN    list of senders (4) whose start is not known yet
//	0x13 JOIN            list of senders (4) that fail with this join
//	0x14 BYE             nothing
//
// Those from 0x0f on are reliable: they are numbered by their sender, kept and
// repeated on request. Their id (4) and a list of what they depend on, sender (4)
// and next id expected of it (4), come before the body.
package rmulticast
