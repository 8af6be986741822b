// Package linklocal implements XEP-0174: Serverless Messaging, both as it
// stood in v0.9 and in v2.0.1: it is present on a LAN's mesh under any number
// of presence names, knows who else is there, and carries XML streams between
// its contacts and those peers.
//
// # Who owns what
//
// Service.Run is one loop that owns the contacts, the roster, and every
// stream. The stream engine (stream.go), the roster, the TXT codec and the
// names are pure: no I/O, no clock, no locks. Around the loop are, each in a
// goroutine of its own:
//
//	for each contact     accept          its listener, on a port of its own
//	for each connection  read            hands bytes to the loop, then delivers what they said to the Handler
//	                     write           one batch at a time, with a deadline
//	for each call        dial            resolves the peer afresh and connects
//	                     courier         tells the Handler of peers and contacts
//	                     discover        the active discovery client, if wanted
//
// A Handler that blocks stops the reading of the stream that delivers, and
// the news about peers, nothing else. mDNS events come in by HandleMDNS and
// wait in an inbox that keeps the last word for each name.
//
// # A stream
//
//	             their header,                       their end tag
//	          we called, or they are known             or hang-up
//	awaiting -------------------------(TLS?)-> open ----------------+
//	  |  |                              ^      | we end it, idle    |
//	  |  | header with from             |      v                    v
//	  |  +---------------> identifying -+    ending ----------> closed
//	  |                     ^      |            they answer, or     ^
//	  | header without from |      | not who they say   too late    |
//	  +-----> anonymous ----+      v                                |
//	           first stanza      refused ---------------------------+
//	                             (also from any other state: bad XML,
//	                             another from, too late)
//
// At (TLS?), where both headers have a version and we may do TLS:
//
//	           they say <starttls/> (also if anonymous)
//	offering ------------------------------------------+
//	  | any other word, or too late: no TLS            v        done
//	  +----> open, or refused                       securing ---------> awaiting
//	  |                                                ^                (under TLS)
//	choosing ----------------------> requesting -------+
//	           features with TLS                they say <proceed/>
//
// What is neither wanted nor waited for of peers without a version: features,
// TLS. SASL is not done at all: the key of its certificate is what a peer is
// known by, and SASL EXTERNAL would say that once more.
//
// # Whom we believe
//
// What is checked of everybody is that the caller's presence name is one that
// mDNS ties to the address it calls from, and that all it says on the stream is
// under that name. That is no authentication, and old clients do not encrypt:
// whoever uses this package has to warn the people behind it (XEP-0174 v0.9,
// Security Considerations); StreamOpened says when.
//
// Peers that do TLS are known by the key that they showed the first time (see
// Pins). With another key, or with none any more, a peer is refused until
// somebody has its key forgotten. So who can change what is on the wire can
// pass for a peer that was never here before, and for one that never
// encrypted; not for one that did.
package linklocal
