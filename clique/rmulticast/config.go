package rmulticast

import (
	"math/rand/v2"
	"time"
)

// Config is what an Engine needs to know.
type Config struct {
	Name   string     // ours, 1 to 254 bytes: the XEP-0174 instance name
	Rand   *rand.Rand // all randomness: ids and jitter
	Limits Limits

	// Resume is the last snapshot of a run before that was killed; nil: there is none.
	// Join then goes on as the same node: within 3.2 s, mostly sooner, there is Connected
	// with Resumed, and then, in causal order, what was said since the snapshot. While
	// nobody is heard, as we may be cut off, that waits for up to 30 s.
	//
	// What was told after the snapshot is told again, under the same From.ID and Number:
	// that is 64 packets or 2.5 s of messages at most, for every snapshot says what we
	// have acknowledged, and we do not wait longer with that. Nothing of others is lost
	// as long as they hold us for a member and one of them has it. What was given to Send
	// and not handed out is lost; what was is told by Sent, unless all others have it,
	// or one of them and the caller has had the time to note it (see Stats.Sent).
	// If several are killed within seconds, what one of them had said beyond its last 64 KiB
	// and only another of them had is gone with both: by the protocol both were gone whole.
	// A message of more than 256 KiB that was half there when we were killed, or did not
	// come to be told for other reasons, may be lost.
	//
	// That holds for snapshots that are kept before the datagrams of their Output leave,
	// where a kill cannot undo it; no sync of the disk is needed. With an older one the
	// others are asked for what we had said since, and we go on if they have it still.
	// What we said in it that we have and nobody keeps any more is passed over: it was
	// told before, but for what waited for something else.
	//
	// We join anew, as without, if the snapshot is torn, too old, of another name or from
	// before anybody was a member; if nobody answers; if somebody does not know us any
	// more, or says that we failed; if we said something about members after the
	// snapshot; or if nobody has what we had said.
	Resume    []byte
	ResumeAge time.Duration // how old Resume may be, default 4 min: after 5 the others give us up
}

// Limits bound what others, or an application, can make the engine do and keep.
// Fields of 0 are the defaults.
type Limits struct {
	Members int // other nodes, joined or joining; default and highest value 100
	Message int // bytes of a message; longer ones are passed over; default 16 MiB
	Queue   int // bytes of own messages that wait to be sent; default 8 MiB
	Cache   int // bytes of packets kept to be repeated or put in order; default 64 MiB
	Held    int // bytes of messages that are not complete or not in order yet; default 32 MiB
	Window  int // packets of one sender taken in ahead of the next in order; default 4096
	// Rate is how many packets of data we send in a second at most; default 50000, which
	// with 1 KiB in each is half of a Gbit/s. We begin with what gibber does, and are as
	// fast as the others turn out to bear: 700 a second while one of gibber's is among
	// them. To repeat packets that others ask for, and to ask for them, is measured by
	// how many packets there are.
	Rate int
}

const (
	maxMembers  = 100 // 178 entries fill a packet
	maxFailures = 50  // beside the members: all of them fit one JOIN
	burst       = 64  // packets sent at once, but for high rates
	maxGraves   = 64  // of senders that are gone
	maxShunned  = 256
	maxDeferred = 64 // ATTEMPT-JOINs put off to the end of a join phase
	maxOpen     = 64 // messages of one sender that are not complete, on as many streams
)

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.Members, maxMembers}, {&l.Message, 16 << 20}, {&l.Queue, 8 << 20}, {&l.Cache, 64 << 20},
		{&l.Held, 32 << 20}, {&l.Window, 4096}, {&l.Rate, 50_000},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	l.Members = min(l.Members, maxMembers)
	return l
}

// A span is a random time from lo up to, but not including, hi.
type span struct{ lo, hi time.Duration }

func ms(lo, hi int) span {
	return span{time.Duration(lo) * time.Millisecond, time.Duration(hi) * time.Millisecond}
}

// Times of the protocol, as gibber has them.
var (
	sessionEvery   = ms(1500, 3000)
	sessionAnswer  = ms(50, 200) // not in gibber, to one that comes back
	whoisFirst     = ms(50, 200)
	whoisAgain     = ms(400, 600)
	whoisAnswer    = ms(50, 200)
	repairFirst    = ms(150, 250)
	repairAgain    = ms(500, 800)
	repairAnswer   = ms(50, 100)
	attemptDelay   = ms(100, 400)
	quietTime      = ms(4800, 5200)
	ackDelay       = ms(1500, 2500) // not in gibber, which acknowledges with its keepalive only
	quietAgain     = ms(800, 1200)
	sessionSoon    = 200 * time.Millisecond
	probeListen    = 500 * time.Millisecond
	probeInterval  = 250 * time.Millisecond
	nameLimit      = 10 * time.Second
	nameFirst      = 2 * time.Second // for so long a JOIN waits for a name
	joinLimit      = 30 * time.Second
	failureLimit   = 60 * time.Second
	keepaliveEvery = 180 * time.Second
	progressLimit  = 300 * time.Second
	byeInterval    = 500 * time.Millisecond
)

// Counts of the protocol.
const (
	probes       = 3
	byes         = 3
	ackEvery     = 64  // packets of data after which we acknowledge
	gibberWindow = 256 // what gibber takes in ahead
)
