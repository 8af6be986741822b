package rooms

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/internal/bounds"
)

// A Config says which rooms are joined. Zero fields mean the defaults given.
type Config struct {
	Rooms []Room
	// Contacts are people of the network: no LAN member may go by the address of
	// one (IJ-09).
	Contacts []jid.JID
	// Site is the name that all gateways of one LAN have in common, and no other
	// gateway has. By it they know what one of them has carried. Default: a random
	// one that is kept in the Past, which is right where there is only one gateway.
	// At most 128 bytes.
	Site string
	Mark string // stands in brackets before the gateway's own words; default "meshgate"

	Limits   Limits
	Timing   Timing
	Location *time.Location // in which times are told on the LAN; default time.Local
	Rand     *rand.Rand     // for ids; default seeded at random
	Log      *slog.Logger   // default: none
}

// A Room is a Clique room and a MUC that are joined.
type Room struct {
	Name string  // of the Clique room
	MUC  jid.JID // bare
	Nick string  // of the gateway in the MUC; default Config.Mark

	Password      string         // of the MUC; "": none
	Group         netip.AddrPort // as clique.Room has it, and so the next two
	Make, Private bool
	Peers         []string // patterns of the LAN members whose lines go to the MUC, as bridge.Config.Peers; none: nobody's (IJ-05)
	Quiet         bool     // the LAN is not told who comes into the MUC, leaves it or is called otherwise
	History       History
}

// History is what LAN members get to read who come late. Without Lines there is none.
type History struct {
	Lines int           // at most 100
	Age   time.Duration // how old they may be; 0: any
}

// Limits bound what others can make the gateway do and keep, for each room.
type Limits struct {
	MemberRate bounds.Rate // lines of each LAN member; default 60 per minute, burst 20
	BodyBytes  int         // of a line; at most 61440, default 8192
	Due        int         // LAN lines that are not in the MUC yet, on disk; the oldest goes; default 1000
	Held       int         // MUC lines that are not on the LAN yet, on disk; the oldest goes; default 1000
	Undone     int         // of those, in memory only, until they go to the disk; default 64
	Window     int         // lines on their way at once, each way; default 32
	Missed     int         // MUC lines of an absence that are fetched; default 1000
	Occupants  int         // whose names are known; default 1000
}

// Timing are delays.
type Timing struct {
	Notice   time.Duration // between two notices on the LAN; default 10 s
	LostTold time.Duration // without the MUC, until the LAN is told; default 10 s
	LineKept time.Duration // how long a LAN line waits for the MUC; default 24 h
	PutOff   time.Duration // how long a MUC that takes no line may put one off; default 2 min
	HeldKept time.Duration // how old a MUC line may be that comes to the LAN; default 168 h
	Spill    time.Duration // how long a MUC line waits for the LAN in memory; default 1 s
	Alone    time.Duration // after the LAN was entered, until nobody is expected there any more; default 15 s
}

func defaultTo[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}

func (c Config) withDefaults() Config {
	defaultTo(&c.Mark, "meshgate")
	defaultTo(&c.Limits.MemberRate, bounds.Rate{PerMinute: 60, Burst: 20})
	defaultTo(&c.Limits.BodyBytes, 8192)
	c.Limits.BodyBytes = min(c.Limits.BodyBytes, maxBody)
	defaultTo(&c.Limits.Due, 1000)
	defaultTo(&c.Limits.Held, 1000)
	defaultTo(&c.Limits.Undone, 64)
	defaultTo(&c.Limits.Window, 32)
	defaultTo(&c.Limits.Missed, 1000)
	defaultTo(&c.Limits.Occupants, 1000)
	defaultTo(&c.Timing.Notice, 10*time.Second)
	defaultTo(&c.Timing.LostTold, 10*time.Second)
	defaultTo(&c.Timing.LineKept, 24*time.Hour)
	defaultTo(&c.Timing.PutOff, 2*time.Minute)
	defaultTo(&c.Timing.HeldKept, 168*time.Hour)
	defaultTo(&c.Timing.Spill, time.Second)
	defaultTo(&c.Timing.Alone, 15*time.Second)
	defaultTo(&c.Location, time.Local)
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	rooms := make([]Room, len(c.Rooms))
	for i, r := range c.Rooms {
		r.MUC = r.MUC.Bare()
		defaultTo(&r.Nick, c.Mark)
		r.History.Lines = min(r.History.Lines, maxHistory)
		rooms[i] = r
	}
	c.Rooms = rooms
	return c
}

const (
	maxHistory = 100      // lines in History.Lines
	maxBody    = 60 << 10 // bytes of a line: written as JSON it is twice that at most, and fits a row
)

// Validate says in words what is wrong with the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("rooms: "+format, args...)) }
	if strings.ContainsAny(c.Mark, "@[]\\.") {
		wrong("mark %q: must not hold any of @ [ ] \\ and dots", c.Mark)
	}
	if len(c.Site) > maxSite {
		wrong("site: its name must have at most %d bytes", maxSite)
	}
	names, mucs := map[string]bool{}, map[string]bool{}
	for _, r := range c.Rooms {
		muc := r.MUC.String()
		switch {
		case r.Name == "" || len(r.Name) > 63:
			wrong("room %q: its name must have 1 to 63 bytes", r.Name)
		case r.MUC.Localpart() == "":
			wrong("room %s: %q is no address of a MUC", r.Name, muc)
		case names[r.Name]:
			wrong("room %s: given twice", r.Name)
		case mucs[muc]:
			wrong("room %s: %s is joined to another room already", r.Name, muc)
		case r.History.Lines < 0 || r.History.Age < 0:
			wrong("room %s: history must not be negative", r.Name)
		}
		names[r.Name], mucs[muc] = true, true
	}
	if r := c.Limits.MemberRate; r.PerMinute <= 0 || r.Burst <= 0 {
		wrong("rate %d per minute, burst %d: both must be above zero", r.PerMinute, r.Burst)
	}
	return errors.Join(errs...)
}
