// Package xmppc2s is the gateway's own XMPP client session (RFC 6120, RFC 6121):
// it connects, authenticates, keeps the session alive across broken
// connections (XEP-0198: Stream Management), knows the contacts' presence, and
// carries stanzas in both directions.
//
//	Handler ◀── teller ── outer session     answers iq, follows presence: mellium, long-lived
//	                          │ vconn       one stanza for each Read, whole stanzas out of Write
//	Send ────── inbox ───▶  loop            owns everything below
//	                          ├ outbox.Box  what waits for the session, in lanes
//	                          ├ sm.Engine   counters, and what is on its way: outlives connections
//	                          ├ keeper      puts both on the disk, before anything is written
//	                          └ transport   reader and writer of one connection
//	                               ▲
//	                          connector     SRV, TCP, TLS, SASL, bind or resume: mellium, thrown away
//
// Each connection is negotiated in an inner mellium session that ends when the
// stream is ready. From then on the transport is the only reader and writer.
// The outer session reads from the engine instead of from a connection, so it
// lives as long as the XMPP session: it does not notice a resumption.
//
// A stanza counts as handled when the outer session asks for the next one; a
// Message when its Done is called. Nothing is written before a connection is
// authenticated and the session is bound or resumed.
//
// Goroutines: Run's own is the loop; one, the teller, runs the outer session
// and calls the Handler; one connects, and two belong to the connection. All
// are gone when Run returns.
package xmppc2s
