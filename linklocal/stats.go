package linklocal

import "sync/atomic"

// Stats are the counters of a Service since it was made, and its gauges.
type Stats struct {
	Contacts, Peers, Streams int64 // now

	StreamsIn, StreamsOut   int64 // opened: by peers, by us
	StanzasIn, StanzasOut   int64
	SendsFailed             int64            // Done with an error
	IQAnswered, IQRefused   int64            // of peers
	IQServed                int64            // taken by those who serve
	Ignored                 int64            // presence, iq results and other stanzas that mean nothing here
	Spoofed                 int64            // callers and stanzas whose name is not that of their address (IJ-04)
	UnknownCallers          int64            // whom mDNS does not know
	OverLimit               int64            // connections closed unread: too many
	WrongInterface          int64            // connections closed unread: not to an address of the mesh
	PeersIgnored            int64            // no room in the roster, or a name that is no text
	EventsLost              int64            // mDNS events that nobody fetched
	StreamErrors            map[string]int64 // ours, by condition
	DialsFailed, SlowClosed int64
	Secured                 int64 // streams opened under TLS
	HandshakesFailed        int64
	PlainRefused            int64 // streams without TLS where it was required, or had been there before
	PinsLost                int64 // keys of peers that could not be kept
	WrongKeys               int64 // streams with another key than the peer had before
	Resent                  int64 // stanzas sent again, because the peer closed without having read them

	// Icons of peers: asked for, known without asking, asked for in vain, and
	// bytes that were another picture or none.
	IconsAsked, IconsCached, IconsFailed, IconsBad int64
}

// counters is what stands behind Stats. The loop counts, anybody reads.
type counters struct {
	contacts, peers, streams                        atomic.Int64
	streamsIn, streamsOut, stanzasIn, stanzasOut    atomic.Int64
	sendsFailed, iqAnswered, iqRefused, ignored     atomic.Int64
	iqServed                                        atomic.Int64
	spoofed, unknownCallers, overLimit, wrongIface  atomic.Int64
	peersIgnored, eventsLost, dialsFailed, slowStop atomic.Int64
	resent                                          atomic.Int64
	iconsAsked, iconsCached, iconsFailed, iconsBad  atomic.Int64
	secured, handshakesFailed                       atomic.Int64
	plainRefused, wrongKeys, pinsLost               atomic.Int64
	streamErrors                                    map[condition]*atomic.Int64 // the map itself never changes
}

func newCounters() *counters {
	c := &counters{streamErrors: make(map[condition]*atomic.Int64)}
	for _, cond := range []condition{badNamespacePrefix, connectionTimeout, hostUnknown, invalidFrom, invalidNamespace,
		notAuthorized, notWellFormed, policyViolation, restrictedXML, unsupportedStanza} {
		c.streamErrors[cond] = new(atomic.Int64)
	}
	return c
}

// Stats may be called from any goroutine.
func (s *Service) Stats() Stats {
	c := s.count
	out := Stats{
		Contacts: c.contacts.Load(), Peers: c.peers.Load(), Streams: c.streams.Load(),
		StreamsIn: c.streamsIn.Load(), StreamsOut: c.streamsOut.Load(),
		StanzasIn: c.stanzasIn.Load(), StanzasOut: c.stanzasOut.Load(),
		SendsFailed: c.sendsFailed.Load(),
		IQAnswered:  c.iqAnswered.Load(), IQRefused: c.iqRefused.Load(), IQServed: c.iqServed.Load(), Ignored: c.ignored.Load(),
		Spoofed: c.spoofed.Load(), UnknownCallers: c.unknownCallers.Load(),
		OverLimit: c.overLimit.Load(), WrongInterface: c.wrongIface.Load(),
		PeersIgnored: c.peersIgnored.Load(), EventsLost: c.eventsLost.Load(),
		DialsFailed: c.dialsFailed.Load(), SlowClosed: c.slowStop.Load(),
		Resent:     c.resent.Load(),
		IconsAsked: c.iconsAsked.Load(), IconsCached: c.iconsCached.Load(),
		IconsFailed: c.iconsFailed.Load(), IconsBad: c.iconsBad.Load(),
		Secured: c.secured.Load(), HandshakesFailed: c.handshakesFailed.Load(),
		PlainRefused: c.plainRefused.Load(), WrongKeys: c.wrongKeys.Load(), PinsLost: c.pinsLost.Load(),
		StreamErrors: make(map[string]int64),
	}
	for cond, n := range c.streamErrors {
		out.StreamErrors[string(cond)] = n.Load()
	}
	return out
}

// add counts what came in on a stream.
func (c *counters) add(n streamCounts) {
	c.stanzasIn.Add(int64(n.Stanzas))
	c.iqAnswered.Add(int64(n.Answered))
	c.iqRefused.Add(int64(n.Refused))
	c.ignored.Add(int64(n.Ignored))
}
