package clique

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"meshgate/clique/rmulticast"
)

// A Config is what a Service can be told. Zero fields mean the defaults named here.
type Config struct {
	// Name is what we are called in rooms: the XEP-0174 presence name that the LAN
	// knows us by, "meshgate@office", 1 to 254 bytes. See SetName.
	Name string

	TTL    int               // of our packets; default 1: they stay on the links
	IPv6   bool              // rooms with IPv6 groups, beside those with IPv4
	Limits rmulticast.Limits // of each room; fields of 0: that package's defaults

	MaxRooms  int // that we are in, or look for; default 32
	MaxStanza int // bytes of a document on stream 0, both ways; default 256 KiB
	MaxQueued int // of a room: what the handler has not taken yet, in bytes; then its packets wait. Default 4 MiB

	// Resumable: when Run ends the rooms are not left. The next run goes on in them as the
	// same node with their last Snapshots, if it begins within some minutes; else the others
	// find out by themselves that we are gone, after five.
	Resumable bool

	// FindFor is how long the advert of a room is waited for before another is made,
	// counted while there is a link; default 5 s.
	FindFor time.Duration

	// PacketRate is how many packets a second one address may send to a room on a link before
	// the others are lost, to be asked for later; default 60000, and twice as many at once:
	// more than one of our kind sends (rmulticast.Limits.Rate), with what it repeats, and
	// than Salut does, whose bursts of thousands come as fast as the link is. A member
	// that talks as fast as that costs about half a core. What costs more counts as
	// several packets ([rmulticast.Weight]).
	PacketRate int

	Rand *mathrand.Rand // all randomness; nil: a seed of the system's. It belongs to the Service
	Log  *slog.Logger   // nil: none
}

func (c Config) withDefaults() Config {
	orDefault(&c.TTL, 1)
	orDefault(&c.MaxRooms, 32)
	orDefault(&c.MaxStanza, 256<<10)
	orDefault(&c.MaxQueued, 4<<20)
	orDefault(&c.FindFor, 5*time.Second)
	orDefault(&c.PacketRate, 60_000)
	if c.Rand == nil {
		var seed [16]byte
		rand.Read(seed[:])
		c.Rand = mathrand.New(mathrand.NewPCG(binary.NativeEndian.Uint64(seed[:]), binary.NativeEndian.Uint64(seed[8:])))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T int | time.Duration](p *T, def T) {
	if *p <= 0 {
		*p = def
	}
}
