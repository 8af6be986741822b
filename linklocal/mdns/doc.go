// Package mdns implements Multicast DNS (RFC 6762) and DNS-Based Service
// Discovery (RFC 6763): it publishes many service instances and reports those
// of others, on one link or several.
//
// An [Engine] is the protocol on one link, pure: packets, calls and the time go
// in, events, packets and the next deadline come out. A [Stack] is one set of
// names on several links, an Engine for each, as pure. A [Conn] is the loop
// around it with the sockets. Files by concern: name, record, message and pack
// are the wire; claim, prober, announcer, responder and negative are what we
// publish, own and echo know it when it comes back; cache, monitor, querier,
// resolve and hear are what others publish; limit has every cap; stack, names,
// merge and ask make one of several links; conn, loop, follow, link, network and
// socket are the loop and the system.
//
// # A name of ours
//
// Our host name and every instance name is a claim:
//
//	            SetAddrs                  3 probes, 250 ms apart
//	┌──────┐  (0–250 ms)   ┌─────────┐    without objection        ┌─────────────┐
//	│ idle │ ────────────▶ │ probing │ ──────────────────────────▶ │ established │
//	└──────┘               └─────────┘                             └─────────────┘
//	    ▲                  │  ▲     ▲   somebody else's data (§9),        │
//	    │ no address left  │  │     │   and ours for 10 s: insist, at     │
//	    │ (from any state) │  │     │   most 3 times in a minute          │
//	    │                  │  │     └─────────────────────────────────────┘
//	    │                  │  │ name taken: next alternative, at once
//	    │                  │  │ tie lost (§8.2): same name, after 1 s
//	    │                  └──┘ 15 conflicts in 10 s: after 5 s
//
// Who insists says what is ours and probes anew; a name that has been ours for
// less than 10 s is given up at once instead. So of two that have one name,
// because probes were lost, the newcomer goes. A service whose probes are over
// waits in probing until the host's name, its SRV record's target, is
// established. Established names are announced at 0, 1 and 3 s, and so is every
// change. A goodbye is sent at 0, 120 and 360 ms.
//
// What was ours within 10 s may come back by a reflector: it is no conflict,
// loses no tie, and is nobody else's.
// So with a service that points to our host and is said by another machine: it is
// what we said before we were restarted.
//
// # An instance of another
//
//	PTR ──▶ incomplete ──▶ complete ──▶ gone
//	         asks for       Appeared,    PTR, SRV, TXT or the last address
//	         the rest,      Changed      expired: Vanished
//	         5 rounds
//
// Records are asked for again at 80, 85, 90 and 95 % of their lifetime. What
// others asked for and was not answered (§10.5), and what did not answer a
// resolve (§10.4), is asked for and expires after 10 s of silence.
//
// # Several links
//
// A link is an interface with carrier and an address; it has IPv4, IPv6 or
// both, and what is multicast on it leaves by all it has. A packet that comes by
// both is taken once. Which interfaces there are is looked at every 2 s, and
// 100 ms after the kernel says that something is new; when the machine has
// slept, all links start over, as does one that is back.
//
// The names are the same on all links: one that is taken on any is given up on
// all, and one is said to be Established when it is on every link that is up.
// Each link is told only our addresses on it. Our own packets come back on
// other links of ours, from other interfaces on the same LAN or by reflectors;
// nothing that any link says, or said within 10 s, is a conflict on another.
// What others publish is one entry by its name, whoever has that name on each
// link; of a link that is gone it is forgotten after 2 s.
//
// # Decisions
//
// Probes and first questions ask for multicast answers (QM), not for unicast
// ones (QU): other stacks on this host share port 5353, and a unicast answer
// reaches only one socket (§15.1). A NULL record may be larger than the 9000
// bytes of §17, up to the 65535 of XEP-0174; it is never pushed then. Answers to
// a probe leave the NULL record out. Whoever has a name and is objected to while
// probing for it anew would have to go at once (§8.1); we do so the third time.
// With Config.Yield names go to others in doubt: see yield.go.
//
// # Not implemented
//
// Subtypes (RFC 6763 §7.1) and reverse mapping of addresses (§4 of RFC 6762):
// nothing in link-local chat asks for them. Sleep proxies. Types other than A,
// AAAA, PTR, SRV, TXT, NULL and NSEC. Host names outside "local.".
package mdns
