// Package streams runs one data stream proxy service (XEP-0037) for both sides:
// contacts ask it by the gateway's account, peers by the gateway's own presence
// name. It decides who is who and who may do what; the rest is package dsps.
//
// # Names
//
// To the service contacts are their addresses on the network, peers their
// presence names. No presence name is a contact's address: whoever goes by one is
// refused, as are names that the service would take for another's, because they
// differ in the case of letters beyond ASCII only, or look like another's with a
// resource ("bob@h2/x"). A slash in front of the "@" is of the name: contacts read
// and say AC\2fDC@h2 (XEP-0106), peers AC/DC@h2. Peers say
// and read the names of mirrors, where contacts say and read addresses; a peer's
// name is the same on both sides.
//
// # Addresses of ours
//
// On the network there is the session's full address: it is where streams are
// created, and that of a contact's first stream and of the first public one. For
// more the account logs in again, without presence. Such a session ends when
// nobody uses its address any more, and is logged in again when it is cut. On the
// LAN each use of a stream has the gateway's name with a resource that nobody can
// guess. A public stream has an address of each side, as far as there are any.
//
// When the gateway's name is another, all is found by the new one; when its
// address on the network is another, a further session tries to have the old one.
// What cannot be had is lost: connections go on, and whoever had it can neither
// say nor be told anything more, nor connect again.
//
// Connections are not of either side: the service listens for both.
package streams
