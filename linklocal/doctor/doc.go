// Package doctor finds out what is wrong with a LAN, and with the XMPP server,
// for a gateway and for the serverless clients beside it.
//
// It has two halves. [Look] gathers facts: each probe is thin, has a time
// limit and judges nothing. [Judge] is pure: the same facts always give the
// same findings, in words, each with a line on how to mend it.
//
// What Look does on each interface, by IPv4 and but for the last by IPv6 too, as RFC 6762 allows any querier:
//
//   - it asks who is there, by multicast, from port 5353 (the answers come by
//     multicast) and from another port (they come by unicast, §6.7);
//   - one question has a name that nobody else can have: where it comes back
//     from somewhere else, something reflects;
//   - if nobody was heard, it asks every address of the network directly
//     (§5.5), at most maxSweep of them, for its name: that tells hosts that are
//     not there from hosts whose multicast does not arrive.
package doctor
