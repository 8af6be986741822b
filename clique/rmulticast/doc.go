// Package rmulticast implements rMulticast, the reliable causal multicast under
// Clique chat rooms: a pure engine for one node of one room. It does no I/O and
// never reads a clock; see [Engine].
//
// There is no published standard: what counts is what the one other
// implementation does, the gibber library of telepathy-salut ("gibber" in the
// comments here). Where we differ it cannot tell, or gains; the comments say so.
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
//
// # A node
//
//	idle ──Join──▶ connecting ──1.25 s──▶ connected ──Leave, or lost──▶ leaving ──1.5 s──▶ closed
//	  │              ▲ ▲ │ id is taken       ▲                           │
//	  │              │ └─┴───────────────────┼─ lost: with another id ───┘
//	  │              │ unknown, or lost      │
//	  └─with Resume──┴──── resuming ─────────┘ known
//
// A node that was killed is to the others as one that is frozen: they keep what it
// has not acknowledged. In resuming it listens for what they have of it, and asks for
// what it has missed; it says nothing that counts, since what it says it has must
// never become less. See [Config.Resume].
//
// # Order (dispatch, repair, order, message, acks)
//
// Of each sender packets are taken in order of their ids, and not before all that
// they depend on; what is missing is asked for. DATA is put together to messages,
// which are told in the order of their ends, and not before the messages that their
// first fragment depends on. Packets are kept until everybody has acknowledged them
// by what he depends on.
//
// # Members (membership, gather, join, fail)
//
//	normal ──somebody new──▶ gathering ──5 s of quiet, or a JOIN──▶ joining ──all JOINs agree──▶ normal
//	                          │  ▲ ATTEMPT-JOIN                      │  ▲ who does not in 30 s fails
//	                          └──┘                                   └──┘ somebody knows more: JOIN again
//
// In gathering all learn from which packet on they take what each other says, in
// joining that they see the same. What a node says after its JOIN waits until they
// agree, and a newcomer is told, and is heard, from the JOINs on; a message in the
// middle of which that falls is begun again, unless it is long. Who says BYE or nothing
// for 300 s, or breaks the rules, fails: each member says FAILURE, and when all have it
// is gone. Who hears that itself failed leaves and joins anew.
//
// # Limits
//
// Nobody is authenticated: whoever can send to the group can speak for anybody.
// What a node can make us keep or send is bounded by [Limits].
package rmulticast
