// Package rooms joins Clique rooms of the LAN with MUCs of the network: what is said
// in one is in the other, once.
//
// # Exactly once
//
// A line has one name, which all gateways of the site and all their runs make alike.
// A LAN line's is a hash of its room, its sender's id and its number (lineID): it is
// the id and the origin-id of the message in the MUC. A MUC line's is the id that the
// room itself gives it (mucKey): it is in the <via/> of the message in Clique.
//
// A line that was seen on its own side is due on the other until it was seen there.
//
//	LAN line   Received ─▶ due, on disk ─▶ sent ─▶ its reflection: live, of the archive, or by another gateway
//	                            ▲            └──▶ refused, or too old: the LAN is told
//	                            └── not in the room, given back, or not there when the room is caught up
//	MUC line   RoomMessage ─▶ held ─▶ given to Clique, or another gateway's copy is heard
//	                            └──▶ on disk after a second, or if there are many
//
// So a bounce, a new session, a restart, a kill and a take-over by another gateway
// are one thing: what is due when the room has been caught up is sent, in order. A
// MUC line is done (RoomMessage.Done) as soon as it is on the LAN or on our disk.
// Marks of what has passed are kept in memory, and where they survive a kill.
//
// # Several gateways
//
// Of those that join the same two rooms one carries; the others watch, and know the
// same. They tell each other in the Clique room, in messages without a body: see
// gateways. Who carries says how far it has come in the MUC, so that the others need
// not have heard each copy; what only another has heard on the LAN that one sends
// (handover), and what one had sent when it lost its session, which may send it again,
// the others leave to it. What any gateway has written is marked with <via/> and never goes back
// (IJ-08); in the MUC its site tells whether it is from this LAN. Lines of another
// site are those of its gateway's nick, like anybody's.
//
// What cannot be known is not done exactly once: a gateway that comes back alone does
// not know what another, dead now, has given to the LAN since. What is given to a LAN
// that has just been cut off, and not noticed yet, is lost for it, if the cut lasts for
// longer than Clique can mend. A gateway that is killed between the loss of its session
// and the next one may send again what another has sent meanwhile. In a MUC without an archive, and with a
// history shorter than the absence, a line that the server has acknowledged counts as said.
// An occupant whose lines have no ids at all may be heard twice after a loss.
//
// # Who is there
//
// Notices on the LAN tell who comes and goes in the MUC, its subject, and what went
// wrong; folded, at most one in ten seconds, by one gateway only. The presence of the
// carrier in the MUC tells who is on the LAN. "@who" asks on both sides.
//
// # Shape
//
// An engine holds all that is to be known of one room and is pure: it takes events and
// the time, and returns actions. Rooms is the one goroutine that owns all engines.
package rooms
