package clique

import "sync/atomic"

// Stats are the counters of a Service since it was made, of all rooms together.
// Those of a room's packets are in RoomInfo.
type Stats struct {
	PacketsIn   int64 // read from sockets, and of them not heard:
	OtherGroups int64 // sent to another group with the same port
	TooLong     int64 // longer than 1500 bytes
	Flooded     int64 // over Config.PacketRate
	SendErrors  int64 // packets that the system did not send

	MessagesIn, MessagesOut int64 // documents told and sent
	DataIn, DataOut         int64 // on the other streams
	SendsFailed             int64 // documents and data that could not be sent
	BadDocuments            int64 // what was no document, or too complex, or too long
	Misaddressed            int64 // to another room or to none
	Typing                  int64 // only saying that somebody types
	UnknownStreams          int64 // data on streams that nobody announced

	AdvertsIgnored int64 // for which there was no room
	Moves          int64 // to the group that another room of the same name has
}

// counters is what stands behind Stats. Anybody counts.
type counters struct {
	packetsIn, otherGroups, tooLong, flooded, sendErrors atomic.Int64
	messagesIn, messagesOut, dataIn, dataOut             atomic.Int64
	sendsFailed, badDocuments, misaddressed, typing      atomic.Int64
	unknownStreams, advertsIgnored, moves                atomic.Int64
}

// Stats may be called from any goroutine.
func (s *Service) Stats() Stats {
	c := &s.count
	return Stats{
		PacketsIn: c.packetsIn.Load(), OtherGroups: c.otherGroups.Load(), TooLong: c.tooLong.Load(),
		Flooded: c.flooded.Load(), SendErrors: c.sendErrors.Load(),
		MessagesIn: c.messagesIn.Load(), MessagesOut: c.messagesOut.Load(), DataIn: c.dataIn.Load(), DataOut: c.dataOut.Load(),
		SendsFailed: c.sendsFailed.Load(), BadDocuments: c.badDocuments.Load(), Misaddressed: c.misaddressed.Load(),
		Typing: c.typing.Load(), UnknownStreams: c.unknownStreams.Load(),
		AdvertsIgnored: c.advertsIgnored.Load(), Moves: c.moves.Load(),
	}
}
