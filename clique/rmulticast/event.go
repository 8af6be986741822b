package rmulticast

// An Output is what the caller does after each call: first tell the
// application the events, then send the datagrams, in order.
//
// Who wants to resume after a kill keeps a snapshot between the two, in place of the
// one before, if Changed says that it is another: see [Config.Resume]. It may be one
// that is taken later, and serve for several outputs.
type Output struct {
	Events    []Event
	Changed   bool     // Snapshot returns something else now
	Datagrams [][]byte // to the room's group and port; not changed afterwards
}

// An Event is [Connected], [Joined], [Left], [Message], [Sent], [Frozen],
// [Restarted] or [Closed].
type Event interface{ isEvent() }

// A Member is another node. One that comes back under its name has another ID.
type Member struct {
	ID   SenderID
	Name string
}

// Connected says that we have an id and look for others. Resumed: it is the one we
// had before, and Joined with those who were members then follows, if there were any.
type Connected struct {
	ID      SenderID
	Resumed bool
}

// Joined says who is a member from now on, sorted by ID. If somebody of the
// name was one already his Left comes before.
type Joined struct{ Members []Member }

// Left says who is no member any more. All he said before has been told.
type Left struct {
	Member
	Why Reason
}

// A Message is one whole message. A message comes after all those that its
// sender had before he sent it.
// From.ID and Number name it, alike for all who are told of it.
type Message struct {
	From   Member
	Number PacketID // of its first packet
	Stream StreamID
	Data   []byte // the receiver's to keep, and nobody's to change: others may ask for the packet
}

// Sent follows Connected with Resumed, after Joined: one message that we had sent
// before and that not everybody was known to have. It need not be sent again.
type Sent struct {
	Number PacketID
	Stream StreamID
	Data   []byte
}

// Frozen says whether the members are agreeing on who is one. Meanwhile, up to
// half a minute if one of them died, no message is told and none is sent.
type Frozen struct{ Frozen bool }

// Restarted says that others hold us for lost: all members are gone, without a
// Left for each, and we join anew. What waits to be sent still does.
type Restarted struct{}

// Closed says that we have left.
type Closed struct{}

func (Connected) isEvent() {}
func (Joined) isEvent()    {}
func (Left) isEvent()      {}
func (Message) isEvent()   {}
func (Sent) isEvent()      {}
func (Frozen) isEvent()    {}
func (Restarted) isEvent() {}
func (Closed) isEvent()    {}

// A Reason is why a member is none any more.
type Reason uint8

const (
	Said     Reason = iota // it said so itself, or somebody said that it failed
	Silent                 // nothing came from it for too long
	Broken                 // it broke the rules of the protocol
	Replaced               // somebody with its name joined
)

func (r Reason) String() string {
	return [...]string{"left or was said to", "silent", "broke the protocol", "replaced"}[r]
}

// Stats are counters since New, and sizes now.
type Stats struct {
	PacketsIn, PacketsOut, Malformed         uint64
	Others                                   uint64 // packets that other nodes have sent: as long as it grows somebody is there
	RepairsAsked, RepairsSent                uint64 // requests, and packets sent again
	Suppressed                               uint64 // repairs that somebody else made before us
	Duplicates, OutOfWindow                  uint64
	Delivered, Skipped, Oversize             uint64 // messages; Skipped were not for us to see
	Failures, Restarts, Collisions, JoinedIn uint64 // JoinedIn: join phases that ended
	Refused                                  uint64 // nodes, or packets ahead, for which there was no room
	Evicted                                  uint64 // packets given up before all had them
	Sent                                     uint64 // own messages whose last packet was handed out
	Resumed                                  uint64 // that we have gone on as who we were

	Members, Senders, Cached, Held, Queued, Timers int // the middle three in bytes
}
