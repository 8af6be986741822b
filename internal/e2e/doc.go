// Package e2e is the laboratory of the end-to-end tests, the demo and the
// benchmark: a LAN made of Linux network namespaces with real mDNS stacks
// (avahi, python-zeroconf), real XEP-0174 clients (libpurple), real XMPP
// servers (Prosody, ejabberd) and a real XMPP client (slixmpp) on it, none of
// them written here, and the gateway among them.
//
//	lab := e2e.New(t, 2)                         // h1 and h2 on one bridge
//	h1, h2 := lab.Host("h1"), lab.Host("h2")
//	lab.Avahi()                                  // avahi-daemon on every host
//	alice := h1.Purple("alice", e2e.PurpleOptions{})
//	bob := h2.Purple("bob", e2e.PurpleOptions{})
//	alice.AwaitOn("bob@h2")
//	alice.Msg("bob@h2", "hello")
//	bob.AwaitIM("alice@h1", "hello")
//
// Everything in it reports a failure through the [TB] it was made with, so
// its methods return no errors and must be called from the goroutine of that
// test: a subtest that wants a failure of its own makes a lab of its own. Nothing waits by sleeping: a wait ends with the line, the connection or
// the exit it waits for, or fails after [Patience].
//
// A host is its own network, UTS, mount and process namespace and has no
// name outside of the lab. Its process 1 ends when the process that made the
// lab ends, however that ends, and the kernel then takes the rest of the host:
// an interrupted test leaves nothing behind, and labs live side by side.
//
// No package of the gateway imports this one.
package e2e
