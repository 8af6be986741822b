package xmppc2s

import (
	"sync"
	"sync/atomic"

	"meshgate/xmppc2s/outbox"
	"meshgate/xmppc2s/sm"
)

// Stats are counters since New, and gauges of this moment.
type Stats struct {
	Online bool
	// Gauges: stanzas and bytes accepted and not acknowledged; messages that
	// wait for their Done.
	Queued, QueuedBytes, Undone int64
	Aside                       int // stanzas that were set aside

	MessagesIn, PresencesIn, IQsIn uint64
	IQsServed                      uint64 // of IQsIn, answered by others: see Queries
	// PresencesIgnored came from strangers, or from more resources than are
	// followed. Oversized and Malformed stanzas were left out.
	PresencesIgnored, Oversized, Malformed uint64
	Sent, Refused                          uint64 // by Send
	Unsaid                                 uint64 // answers and presences of our own for which the queue was too full
	Undelivered                            uint64
	Unkept                                 uint64 // writes that the journal could not make
	Connects, ConnectFailures              uint64
	// Fetched messages came from the archive; ArchiveStrays claimed to.
	Fetched, ArchiveStrays uint64
	// RoomLinesFetched came from rooms' archives. RoomStrays came from rooms that
	// we are not in, or claimed to be from their archives; RoomPrivates, private
	// messages of occupants, were refused; RoomCrowds came from occupants beyond
	// MaxOccupants; RoomDeclines answered invitations.
	RoomLinesFetched, RoomStrays, RoomPrivates, RoomCrowds, RoomDeclines uint64
	AvatarsAsked, AvatarsWritten                                         uint64 // contacts' asked for; parts of our own sent
	TLSResumed                                                           uint64 // connects on which TLS did not begin from nothing
	Unreadable                                                           uint64 // stanzas that waited and were gone from the disk
	Outbox                                                               outbox.Stats
	SM                                                                   sm.Stats
}

// counters are safe from any goroutine.
type counters struct {
	messagesIn, presencesIn, iqsIn, served atomic.Uint64
	presencesIgnored, oversized, malformed atomic.Uint64
	sent, refused, unsaid, undelivered     atomic.Uint64
	connects, failures, tlsResumed         atomic.Uint64
	avatarsAsked, avatarsWritten           atomic.Uint64
	fetched, archiveStrays                 atomic.Uint64
	roomFetched, roomStrays, roomPrivates  atomic.Uint64
	roomCrowds, roomDeclines               atomic.Uint64
	unkept, unreadable                     atomic.Uint64
	online                                 atomic.Bool

	mu    sync.Mutex // guards what the loop sets
	sm    sm.Stats
	box   outbox.Stats
	aside int
}

func (n *counters) setQueue(s sm.Stats, box outbox.Stats, aside int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sm, n.box, n.aside = s, box, aside
}

// addRooms counts what the rooms' desk has seen.
func (n *counters) addRooms(out *mucOutput) {
	n.roomFetched.Add(out.fetched)
	n.roomStrays.Add(out.strays)
	n.roomPrivates.Add(out.private)
	n.roomCrowds.Add(out.crowded)
	n.roomDeclines.Add(out.declined)
}

// Stats may be called from any goroutine.
func (c *Client) Stats() Stats {
	n := &c.counts
	s := Stats{
		Online: n.online.Load(),
		Queued: c.queued.Load(), QueuedBytes: c.queuedBytes.Load(), Undone: c.undone.Load(),
		MessagesIn: n.messagesIn.Load(), PresencesIn: n.presencesIn.Load(), IQsIn: n.iqsIn.Load(), IQsServed: n.served.Load(),
		PresencesIgnored: n.presencesIgnored.Load(), Oversized: n.oversized.Load(), Malformed: n.malformed.Load(),
		Sent: n.sent.Load(), Refused: n.refused.Load(), Unsaid: n.unsaid.Load(), Undelivered: n.undelivered.Load(), Unkept: n.unkept.Load(), Unreadable: n.unreadable.Load(),
		Connects: n.connects.Load(), ConnectFailures: n.failures.Load(), TLSResumed: n.tlsResumed.Load(),
		Fetched: n.fetched.Load(), ArchiveStrays: n.archiveStrays.Load(),
		RoomLinesFetched: n.roomFetched.Load(), RoomStrays: n.roomStrays.Load(), RoomPrivates: n.roomPrivates.Load(), RoomCrowds: n.roomCrowds.Load(), RoomDeclines: n.roomDeclines.Load(),
		AvatarsAsked: n.avatarsAsked.Load(), AvatarsWritten: n.avatarsWritten.Load(),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.SM, s.Outbox, s.Aside = n.sm, n.box, n.aside
	return s
}
