package stanza

// Every namespace that meshgate speaks or recognises, grouped by document.
const (
	NSClient = "jabber:client"                          // RFC 6120
	NSStream = "http://etherx.jabber.org/streams"       // RFC 6120 §4.8
	NSError  = "urn:ietf:params:xml:ns:xmpp-stanzas"    // RFC 6120 §8.3
	NSStErr  = "urn:ietf:params:xml:ns:xmpp-streams"    // RFC 6120 §4.9
	NSBind   = "urn:ietf:params:xml:ns:xmpp-bind"       // RFC 6120 §7
	NSTLS    = "urn:ietf:params:xml:ns:xmpp-tls"        // RFC 6120 §5
	NSSASL   = "urn:ietf:params:xml:ns:xmpp-sasl"       // RFC 6120 §6
	NSRoster = "jabber:iq:roster"                       // RFC 6121 §2
	NSXHTML  = "http://www.w3.org/1999/xhtml"           // XHTML 1.0
	NSXML    = "http://www.w3.org/XML/1998/namespace"   // XML Namespaces 1.0
	NSIM     = "http://jabber.org/protocol/xhtml-im"    // XEP-0071
	NSEvent  = "jabber:x:event"                         // XEP-0022
	NSDisco  = "http://jabber.org/protocol/disco#info"  // XEP-0030
	NSItems  = "http://jabber.org/protocol/disco#items" // XEP-0030
	NSStates = "http://jabber.org/protocol/chatstates"  // XEP-0085
	NSCaps   = "http://jabber.org/protocol/caps"        // XEP-0115
	NSNick   = "http://jabber.org/protocol/nick"        // XEP-0172
	NSRcpt   = "urn:xmpp:receipts"                      // XEP-0184
	NSForm   = "jabber:x:data"                          // XEP-0004
	NSRSM    = "http://jabber.org/protocol/rsm"         // XEP-0059
	NSMAM    = "urn:xmpp:mam:2"                         // XEP-0313
	NSFwd    = "urn:xmpp:forward:0"                     // XEP-0297
	NSSM3    = "urn:xmpp:sm:3"                          // XEP-0198
	NSSM2    = "urn:xmpp:sm:2"                          // XEP-0198 v1.0
	NSSM1    = "urn:xmpp:sm:1"                          // XEP-0198 v0.7
	NSMUC    = "http://jabber.org/protocol/muc"         // XEP-0045
	NSMUCUsr = NSMUC + "#user"                          // XEP-0045
	NSMUCOwn = NSMUC + "#owner"                         // XEP-0045
	NSConf   = "jabber:x:conference"                    // XEP-0249
	NSOccup  = "urn:xmpp:occupant-id:0"                 // XEP-0421
	NSPing   = "urn:xmpp:ping"                          // XEP-0199
	NSDelay  = "urn:xmpp:delay"                         // XEP-0203
	NSMarks  = "urn:xmpp:chat-markers:0"                // XEP-0333
	NSHints  = "urn:xmpp:hints"                         // XEP-0334
	NSSID    = "urn:xmpp:sid:0"                         // XEP-0359
	NSLimits = "urn:xmpp:stream-limits:0"               // XEP-0478
	NSEME    = "urn:xmpp:eme:0"                         // XEP-0380
	NSReply  = "urn:xmpp:reply:0"                       // XEP-0461
	NSOMEMO  = "eu.siacs.conversations.axolotl"         // XEP-0384 before 0.4
	NSOMEMO2 = "urn:xmpp:omemo:2"                       // XEP-0384
	NSVCard  = "vcard-temp"                             // XEP-0054
	NSVCardX = "vcard-temp:x:update"                    // XEP-0153
	NSPubSub = "http://jabber.org/protocol/pubsub"      // XEP-0060
	NSPubEv  = NSPubSub + "#event"                      // XEP-0060
	NSAvData = "urn:xmpp:avatar:data"                   // XEP-0084
	NSAvMeta = "urn:xmpp:avatar:metadata"               // XEP-0084
	NSPEPCnv = "urn:xmpp:pep-vcard-conversion:0"        // XEP-0398
	NSPGP    = "jabber:x:encrypted"                     // XEP-0027
)
