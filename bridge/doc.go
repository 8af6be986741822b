// Package bridge is where the mesh and the XMPP network meet: it decides who
// may write to whom, finds the way of each message, and shows each side who is
// on the other.
//
// Three promises:
//
//   - Nothing is lost in silence. Each message that enters ends in exactly one
//     Outcome, and whoever wrote it is told when it did not get through. A
//     message of the network counts as handled (XEP-0198) only once it has been
//     written to the peer's stream or refused with an error.
//   - Nothing passes as it came. What is passed on is built anew by package
//     rewrite from what policy and rules allow (requirements IJ-01 to IJ-09).
//   - No loop. The gateway's own messages and names are recognised and dropped,
//     another gateway's words are handed back, what it says by itself is limited in number, and errors are never answered.
//
// # Towards the mesh
//
// Each configured contact has a mirror, a presence name of its own, whose TXT
// record follows the contact's presence. The gateway itself is a peer too: the
// concierge, which answers questions.
//
// # Towards the network
//
// The gateway is its own account and nothing else. All peers share it: a
// message has the peer's name in front, and a reply finds its peer by "@name"
// in front of it, by answering or quoting one of the peer's messages, by the
// thread, or else goes to whom the contact last talked to. The account's status
// and picture are those of the people on the mesh, as far as all contacts may
// know of them.
//
// # Over restarts
//
// The hub remembers whom it has told what, and that it has set the account's
// picture (Notes); what became of each message, and who talks with whom (Past);
// and what was delivered in the last moment (Marks). Everything else begins anew.
//
// # The ledger
//
// Each message has one end, and each that holds words an entry: a row on a shelf
// of Past, which is also what finds the sender of a message that comes back, and
// recognises one that comes again. Of what waits the engine knows no more than
// that; it asks the hub for rows (lookUp) and goes on when it has them.
//
//	mesh to network   entered → Pending (Waiting) → Delivered (Passed) → Bounced, when it comes back
//	                                              → Bounced, Expired, Dropped, Aside (Passed), RefusedFull (Refused)
//	network to mesh   entered → Pending (in memory: the server still has it) → Delivered, Bounced (Passed)
//	either            entered → Refused…, Answered, Duplicate (Refused)
//	                          → Ignored, Echo, StatePassed, Consumed: counted only
//
// # Shape
//
// engine holds all state and is pure: it takes events and the time, and
// returns actions. Hub is the one goroutine that owns it.
package bridge
