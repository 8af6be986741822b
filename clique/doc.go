// Package clique implements Clique, serverless chat rooms on a LAN: it finds,
// advertises, enters and makes rooms, carries the documents and the data that
// their members say, and reads and writes invitations to them.
//
// There is no published standard beyond an old draft: what counts is what the one
// other implementation does, telepathy-salut ("Salut" in the comments here). The
// multicast under it all is clique/rmulticast.
//
// # A room's life
//
//	                  its advert, or where it is told to be, or was before a kill
//	Join ──▶ looking ─────────────────────────────────▶ waiting ──a link──▶ entering
//	          │  ▲ └── nobody advertises it for FindFor,     ▲                │ ▲
//	          │  │     and we may make it: a random group ───┘      an id, or │ │ the others
//	          │  │                                             our old one    ▼ │ have lost us
//	          │  └──────────── to another group ◀── leaving ◀───────────── inside ── advertised
//	          │                                        │ BYE three times
//	          └─────────── Leave, or Run ends ─────────┴─▶ Closed
//
// Inside, the members agree on who is one: Joined and Left. While they do, they are
// Frozen. The advert is made when we are inside and taken back when we leave, unless
// the room is private. With Config.Resumable the end of Run is silence, and nobody but us
// is told of it.
//
// # Two rooms of one name
//
// A room is known by its name only, and two can be made at the same moment, or in
// two parts of a network that become one. Then mDNS takes the name from one of the
// two adverts. Whoever is alone in that room, and was not told where it is, moves to
// the other one; a room with members stays without an advert until the name is free.
// We never talk in two rooms of one group: nodes of one name drive each other out.
//
// # Stream 0, and the others
//
// On stream 0 each message is one XML document, addressed to the room: that keeps
// rooms apart that share a group by chance. What is no document, or is for another
// room, is counted and dropped, by itself. Data on streams 1 to 65535 is told if its
// sender has announced the stream on stream 0 in its list of tubes.
//
// # Who owns what
//
//	for each room    loop      the engine, the sockets, the advert
//	                 read      one for each socket: drops what is not the room's, and floods
//	                 courier   tells the Handler, which may block
//	for all          desk      what is advertised; begins rooms
//	                 courier   tells the Handler of adverts
//
// A Handler that blocks stops the room that it is told of, nothing else: when
// MaxQueued bytes wait for it, no packets are taken in, and the others repeat them
// later.
//
// # Whom we believe
//
// Nobody: a room has no authentication and no encryption. Whoever can send to the
// group can speak for anybody in it and take any name.
package clique
