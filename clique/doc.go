// Package clique implements Clique, serverless chat rooms on a LAN: it finds,
// advertises, enters and makes rooms, carries the documents and the data that
// their members say, and reads and writes invitations to them.
//
// There is no published standard beyond an old draft: what counts is what the one
// other implementation does, telepathy-salut ("Salut" in the comments here). The
// multicast under it all is clique/rmulticast.
package clique
