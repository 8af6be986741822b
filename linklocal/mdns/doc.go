// Package mdns implements Multicast DNS (RFC 6762) and DNS-Based Service
// Discovery (RFC 6763) on one interface: it publishes many service instances
// on one socket and reports those of others.
//
// An [Engine] is the protocol, pure: packets, calls and the time go in,
// events, packets and the next deadline come out. A [Conn] is the loop around
// it with a socket. Files by concern: name, record, message and pack are the
// wire; claim, prober, announcer and responder are what we publish; cache,
// monitor and querier are what others publish; limit has every cap.
//
// # A name of ours
//
// Our host name and every instance name is a claim:
//
//	            SetAddrs                  3 probes, 250 ms apart
//	┌──────┐  (0–250 ms)   ┌─────────┐    without objection        ┌─────────────┐
//	│ idle │ ────────────▶ │ probing │ ──────────────────────────▶ │ established │
//	└──────┘               └─────────┘                             └─────────────┘
//	    ▲                  │  ▲     ▲   somebody else's data (§9):        │
//	    │ no address left  │  │     │   say ours once more                │
//	    │ (from any state) │  │     └─────────────────────────────────────┘
//	    │                  │  │ name taken: next alternative, at once
//	    │                  │  │ tie lost (§8.2): same name, after 1 s
//	    │                  └──┘ 15 conflicts in 10 s: after 5 s
//
// A service whose probes are over waits in probing until the host's name, its
// SRV record's target, is established. Established names are announced at 0, 1
// and 3 s, and so is every change. A goodbye is sent at 0, 120 and 360 ms.
//
// # An instance of another
//
//	PTR ──▶ incomplete ──▶ complete ──▶ gone
//	         asks for       Appeared,    PTR, SRV, TXT or the last address
//	         the rest,      Changed      expired: Vanished
//	         5 rounds
//
// Records are asked for again at 80, 85, 90 and 95 % of their lifetime.
//
// # Not implemented
//
// IPv6 as transport (AAAA records travel over IPv4), NSEC records (§6.1),
// duplicate question and answer suppression (§7.3, §7.4), subtypes, reverse
// mapping, and passive observation of failures (§10.5).
package mdns
