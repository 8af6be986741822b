// Package dsps implements XEP-0037: DSPS - Data Stream Proxy Service (version
// 0.8, protocol 0.5), one upload for many receivers through one port.
//
// # Roles
//
// A stream has peers. A master's data goes to every other peer, a slave's to
// the masters; masters invite and drop anybody, slaves drop themselves. A relay
// is a slave that is another service: data goes to it as it is, as a peer sends
// it, and what comes from it is in blocks, which end here. Without a master the
// stream ends, when all that was taken has been delivered.
//
// # A peer's way
//
//	           admin, type=master|slave           create
//	                      │                          │
//	                      ▼                          │
//	drop, reject ◀─── invited ──acknowledge──┐       │
//	or expire                                ▼       ▼
//	                                ┌────── waiting ◀┘◀──┐
//	           wait runs out, drop  │        │ handshake │ connection lost
//	                                ▼        ▼           │
//	                               gone ◀── connected ───┘
//
// # The handshake, on one TCP connection
//
//	peer: client-address SP service-address CR   (both full, as in "create")
//	service: key CR
//	  peer, over XML: auth get of that key; the answer is the next key
//	peer: next key CR, and after it data
//
// In front of it the peer may send "starttls" CR and begin TLS, or an HTTP
// request for /DSPS/STREAM/, or that and then the other.
//
// # Data
//
// From a peer: bytes. To a peer: blocks, "0" size CR id CR data, where size is
// digits and a power of 1024 as one digit in base 36, and counts id, its CR and data.
//
// # How we read what the document leaves open
//
//   - Times are milliseconds everywhere; 0 is no limit, and more than any other time.
//   - CR is the byte 0x0D when we write it. A line of a peer ends in CR, LF or CR
//     LF: as its first line did, or, behind an HTTP request, the first there. HTTP
//     header lines are written with CR LF.
//   - An address of ours need not be unique, the pair of client and address is.
//     One at which streams are created may at the same time be that of a stream:
//     whoever uses it for one means that, others mean the service.
//   - An invitation is answered from any resource of the address invited. At an
//     address that others have, too, the answer must have the invitation's id.
//   - A handshake is no connection: only a peer that has finished one is told
//     409. Of several handshakes for one pair the key says which is meant.
//   - A master that connects is among "all members": it is told of itself.
//   - Inviting an address again while it is invited adds the inviter, the
//     comments and the greater right, and asks once more.
//   - A peer that drops itself is read to the end of what it sent before the
//     connection is closed; one that another drops is cut off.
//   - Whoever joined a public stream and takes less than Config.PublicFloor is
//     dropped by the service itself, with a comment, and not let in again: being
//     disconnected, as below minthroughput, it could come back at once, and
//     "operates at the speed of the slowest connection" would be anybody's to set.
//   - What the last masters sent is copied to all who take it: those who hardly do
//     are cut off after Config.Drain, and counted.
//   - An admin request is answered by an empty result; what the document reports
//     later comes with the same id. Nothing else that it says nothing of is answered.
//
// # Where to look
//
//   - What is said by XML: query.go, error.go, jid.go and rate.go are the words,
//     parse.go and build.go read and write them.
//   - What is said on a connection: wire.go, lines.go and preamble.go in front of
//     the data, blocks.go in it.
//   - The Engine, which is pure: engine.go is its inputs, output.go what comes of
//     them, stream.go the way above, ending.go the end of a stream, slow.go who holds
//     one up. create.go, admin.go, handshake.go, relay.go and inform.go are a chapter
//     of the document each; addresses.go, timers.go and meter.go what they need.
//   - The Server around it: server.go is its loop, inbox.go what waits for that;
//     listen.go and dial.go take a connection through its handshake.
//   - Data, past the loop: hose.go is a stream's, link.go and pump.go one
//     connection's, records.go and acked_linux.go what TLS and TCP say of it.
package dsps
