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
//	                            ▲            └──▶ refused, put off for too long, or too old: the LAN is told
//	                            └── not in the room, put off, given back, or not there when the room is caught up
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
// same. Who carries says how far it has come in the MUC, so that the others need
// not have heard each copy; what only another has heard on the LAN that one sends
// (handover), and what one had sent when it lost its session, which may send it again,
// the others leave to it. What any gateway has written is marked with <via/> and never
// goes back (IJ-08); in the MUC its site tells whether it is from this LAN. Lines of
// another site are those of its gateway's nick, like anybody's.
//
// They tell each other in the Clique room, in messages without a body, when somebody
// comes, when something has changed, and every second while there are several:
//
//	<message type='groupchat'>
//	  <gateway xmlns='urn:x-meshgate:gateway:0' room='…' site='…' id='…' since='…' …/>
//	</message>
//
// Of its attributes room is the address of the MUC, and what is about another is
// ignored; id is random, and since when the gateway began, in milliseconds of unix time.
//
//	ready='1'     it could carry                                     gateways.stand
//	carrying='1'  it does                                            gateways.become
//	last          the MUC line (mucKey) up to which the LAN has all  settleUpTo
//	instead       the id of a gateway that it takes for idle         watchRival
//
// Its children have the ids of lines, as <line id='…'/>:
//
//	mine    LAN lines that its lost session may send again: not to be sent   claim
//	due     LAN lines that one which stands by has: what about them?         offer
//	yours   of those, what the gateway with the id "to" shall send           heardDue
//	over    of those, what is done                                           heardDue
//	held    MUC lines that one which stands by has: what about them?         offer
//	given   of those, what is on the LAN                                     heardHeld
//
// Beside words for people, in a notice, <given-up room='…'/> has the LAN lines that do
// not get into the MUC (giveUp). What another gateway's copy of a MUC line says is the
// id in its <via/> (heardCarried). What is not known is ignored.
//
// What cannot be known is not done exactly once: a gateway that comes back alone does
// not know what another, dead now, has given to the LAN since. What was given to a LAN
// of which nothing has been heard since is given again when all its members were lost
// (holdAgain), so who heard us, and was not heard, has it twice; and after a kill before
// that it is lost. A gateway that is killed between the loss of its session and the
// next one may send again what another has sent meanwhile. In a MUC without an archive,
// and with a history that does not go back to what was told before, a line that the
// server has acknowledged counts as said. An occupant whose lines have no ids at all
// may be heard twice after a restart.
//
// # What the LAN can do
//
// Clique knows no secrets: who is on the LAN can speak as anybody there, to other
// members as well as to us. What gateways say of lines is believed only if they have said
// that they are gateways of this MUC, which any member can say, too. So a member can
//
//   - say of LAN lines that they are done with ("given-up", "over"), and of MUC lines
//     that they are on the LAN ("last", via): then they are not passed on. Both are
//     still where they were said.
//   - say that it carries: then nothing is passed on for idleAfter, until it counts as
//     idle for idleFor (watchRival). Who is only slow, and not idle, hears so
//     ("instead") and stands by. One that says it anew under other names, or each
//     time it has come again, is not caught, nor one that does so while nothing is said
//     on the LAN: then MUC lines wait.
//   - say that another site is its own: then lines of that site's gateways in the MUC
//     count as heard on this LAN (isOurSite), and are not passed on.
//   - say that it has a line ("mine"): then its speaker's lines wait for claimFor. Or
//     say that it is not there any more, as one that is: then two carry, and lines that
//     are said just then come twice.
//
// Nothing of that makes us say words that nobody has said, but whoever does speak in a
// member's name is heard in the MUC under it, as on the LAN.
//
// An occupant of the MUC cannot do that: words other than a line's own do not settle it.
// Only one who is on the LAN, too, can take a line's id before any gateway has heard it.
//
// There is no secret by which the gateways of a site would know each other. It would
// have to be in all that they say and in each copy of a line, for a member can take
// the name and number of another, and with something fresh of the other side, or what
// was said before could be said again. A gateway with another secret, or none, would not
// be known, and both would carry. And whoever can say that in another's name can speak
// in it, or drown the room: who must be kept from that must be kept off the LAN.
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
//
//	rooms, ports, config, info   the goroutine, and the border of the package
//	engine, action               an engine's events, and what it wants done
//	fromlan, due, pace           lines of the LAN, until they are in the MUC
//	frommuc, held, upto, again   lines of the MUC, until they are on the LAN
//	ids, rows, lacking           what lines are called, and what is kept on disk
//	gateways, handover, idle     several gateways
//	mucside, people              how things stand with the MUC, and who is where
//	notices, words, history      what people are told
package rooms
