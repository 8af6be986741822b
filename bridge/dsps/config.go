package dsps

import (
	"math/rand/v2"
	"time"
)

// Config is what an Engine needs to know.
type Config struct {
	// Rand makes keys, ids and addresses: nobody must be able to guess what
	// comes next, so it is a ChaCha8 with a secret seed.
	Rand      *rand.Rand
	Addresses Addresses
	Sides     int // how many networks there are, see Addresses; default 1
	Policy    Policy
	Limits    Limits

	Host string // where peers connect; "": what the address says
	// HostFor is where one connects, if that is not the same for all; nil: Host.
	// It is called in the engine's goroutine, and must not wait.
	HostFor func(client JID) string
	// ClientAs is a client's address as it is known here, of what it may say it is on
	// a connection; nil: that. It is called in the engine's goroutine.
	ClientAs func(said JID) JID
	Port     int       // default 5290
	Features []Feature // what is told; others are supported all the same

	Expire time.Duration // for an answer to an invitation; default 5 min
	Wait   time.Duration // for a connection; default 1 min
	Stall  time.Duration // for a reader that takes nothing of what waits for it; default 2 min
	// Drain is how often, from its end on, those are cut off who hold up a stream
	// without masters, and how long, in all, a peer that has left is waited for.
	// Default 10 min.
	Drain time.Duration
	// PublicFloor is what those who joined a public stream unasked have to take in a
	// second, measured as for minthroughput; below zero: nothing. Default 64 KiB.
	PublicFloor Rate
}

// A Policy says who may do what. A nil function is nobody.
type Policy struct {
	MayCreate func(client JID) bool
	MayInvite func(inviter, invitee JID) bool
	MayJoin   func(client JID) bool            // a public stream
	MayRelay  func(client JID, dest Dest) bool // connections go out to what a client says
}

// Limits bound what others can make the engine do and keep. Fields of 0 are
// the defaults.
type Limits struct {
	Streams     int // default 256
	StreamsEach int // created by one bare address; default 16
	Peers       int // of one stream, the invited ones too; default 64
	Dests       int // services that are tried for a relay; default 4
	Comments    int // bytes of XML with a stream or an invitation; default 16 KiB
	Handshakes  int // at a time for one pair of addresses; default 4
	Queries     int // of one person in a second, invitations too; default 50
}

const (
	// maxReply is how many bytes of XML a list of public streams has.
	maxReply = 32 << 10
	// maxGone is how many pairs are remembered that are no more.
	maxGone = 256
	// defaultFloor is that of Config.PublicFloor.
	defaultFloor Rate = 64 << 10
	// queryBurst is how many seconds' queries may come at once.
	queryBurst = 4
	// maxPaced is how many peers, and strangers, have a pace at a time.
	maxPaced = 4096
)

// preset gives a field its default.
func preset[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

func (l Limits) withDefaults() Limits {
	preset(&l.Streams, 256)
	preset(&l.StreamsEach, 16)
	preset(&l.Peers, 64)
	preset(&l.Dests, 4)
	preset(&l.Comments, 16<<10)
	preset(&l.Handshakes, 4)
	preset(&l.Queries, 50)
	return l
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	preset(&c.Port, DefaultPort)
	preset(&c.Sides, 1)
	preset(&c.Expire, 5*time.Minute)
	preset(&c.Wait, time.Minute)
	preset(&c.Stall, 2*time.Minute)
	preset(&c.Drain, 10*time.Minute)
	if c.PublicFloor == 0 {
		c.PublicFloor = defaultFloor
	}
	return c
}
