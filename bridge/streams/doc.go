// Package streams runs one data stream proxy service (XEP-0037) for both sides:
// contacts ask it by the gateway's account, peers by the gateway's own presence
// name. It decides who is who and who may do what; the rest is package dsps.
//
// # Names
//
// To the service contacts are their addresses on the network, peers their
// presence names. No presence name is a contact's address: whoever goes by one is
// refused, as are names that the service would take for another's, because they
// differ in the case of letters beyond ASCII only, or have a slash. Peers say
// and read the names of mirrors, where contacts say and read addresses; a peer's
// name is the same on both sides.
//
// # Addresses of ours
//
// On the network there is the session's full address alone, so a contact's
// client has one stream at a time, and one stream is public. On the LAN each use
// of a stream has the gateway's name with a resource that nobody can guess. A
// public stream can be joined from the side it was created on.
//
// Connections are not of either side: the service listens for both.
package streams
