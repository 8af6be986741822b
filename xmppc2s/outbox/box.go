package outbox

import (
	"errors"
	"time"

	"meshgate/xmppc2s/sm"
)

// A Config says what a Box is for. Zero fields mean the defaults.
type Config struct {
	// Memory (default 1 MiB) is how many bytes of stanzas may be in memory
	// though they are in the journal as well.
	Memory int
	// MaxAside (default 100) is how many stanzas are kept aside. The oldest
	// goes if there are more.
	MaxAside int
	// Journal makes the Box report Changes. They have to be taken then.
	Journal bool
}

// ErrNotStanza is the error of Add.
var ErrNotStanza = errors.New("outbox: not a stanza")

// A Box is what waits. It belongs to one goroutine.
type Box struct {
	cfg    Config
	lanes  [numLanes]fifo
	seq    uint64            // the highest that was given
	bytes  int               // that wait, without Aside
	memory int               // bytes of data held
	ahead  int               // bytes of Control that went before others
	owed   int               // stanzas of Chat that go before another of the lanes behind it
	states map[string]uint64 // the chat state that may still wait for an address
	rows   rows
	stats  Stats
}

// Stats counts what happened since New.
type Stats struct {
	Superseded uint64 // presences and chat states that were replaced or came too late
	Spilled    uint64 // stanzas that were left to the disk
}

// New makes an empty Box.
func New(cfg Config) *Box {
	if cfg.Memory == 0 {
		cfg.Memory = 1 << 20
	}
	if cfg.MaxAside == 0 {
		cfg.MaxAside = 100
	}
	return &Box{cfg: cfg, states: make(map[string]uint64)}
}

// Stats are the counters.
func (b *Box) Stats() Stats { return b.stats }

// Len is the number and size of the stanzas that wait, without those that were
// set aside.
func (b *Box) Len() (stanzas, bytes int) {
	for l := range Aside {
		stanzas += b.lanes[l].len()
	}
	return stanzas, b.bytes
}

// AsideLen is the number of those.
func (b *Box) AsideLen() int { return b.lanes[Aside].len() }

// Add takes one whole stanza, which is never changed. It replaces what waits
// and is out of date by it.
func (b *Box) Add(now time.Time, data []byte) error {
	c := classify(data)
	if c.kind == sm.Nonza {
		return ErrNotStanza
	}
	b.seq++
	it := item{seq: b.seq, at: now.UnixMilli(), data: data, size: uint32(len(data)), class: c}
	b.supersede(&it)
	b.push(it)
	return nil
}

func (b *Box) push(it item) {
	b.lanes[it.class.lane].push(it)
	b.memory += len(it.data)
	if it.class.lane != Aside {
		b.bytes += int(it.size)
	}
}

// take removes the item at an index of a lane.
func (b *Box) take(l Lane, i int) item {
	it := b.lanes[l].items[i]
	b.lanes[l].remove(i)
	b.memory -= len(it.data)
	if l != Aside {
		b.bytes -= int(it.size)
	}
	b.rows.removed(&it)
	return it
}

// supersede removes what it makes out of date.
func (b *Box) supersede(it *item) {
	switch c := it.class; {
	case c.lane == Presence:
		if f := &b.lanes[Presence]; f.len() > 0 { // it has its turn when that would have had it
			it.at = f.items[0].at
			b.take(Presence, 0)
			b.stats.Superseded++
		}
	case c.state:
		to := sm.Attr(it.data, "to")
		b.dropState(to)
		b.states[to] = it.seq
	case c.kind == sm.Message && c.lane == Chat && len(b.states) > 0:
		b.dropState(sm.Attr(it.data, "to"))
	}
}

// dropState drops the chat state that waits for an address: there is a newer
// one, or words that it must not follow.
func (b *Box) dropState(to string) {
	if i := b.lanes[Light].find(b.states[to]); i >= 0 {
		b.take(Light, i)
		b.stats.Superseded++
	}
	delete(b.states, to)
}

// Next takes out the stanza whose turn it is; false: none waits.
func (b *Box) Next() (Entry, bool) {
	l := b.turn()
	switch control := b.lanes[Control].len() > 0; {
	case l == Aside && !control:
		return Entry{}, false
	case l == Aside:
		l, b.ahead = Control, 0
	case control && b.ahead <= maxAhead:
		l = Control
		b.ahead += int(b.lanes[l].items[0].size)
	default:
		b.ahead = max(0, b.ahead-int(b.lanes[l].items[0].size))
	}
	switch chat := b.lanes[Chat].len() > 0; {
	case l == Chat:
		b.owed = max(0, b.owed-1)
	case l != Control && chat:
		b.owed = chatShare
	}
	it := b.take(l, 0)
	if l == Light && b.lanes[Light].len() == 0 {
		clear(b.states)
	}
	return it.entry(), true
}

// turn is the lane behind Control that is next; Aside: none waits.
func (b *Box) turn() Lane {
	if b.owed > 0 && b.lanes[Chat].len() > 0 {
		return Chat
	}
	return b.oldest()
}

// oldest is the lane behind Control whose head has waited longest, counting
// from its head start; Aside: none waits.
func (b *Box) oldest() Lane {
	best, bestAt := Aside, int64(0)
	for l := Chat; l < Aside; l++ {
		f := &b.lanes[l]
		if len(f.items) == 0 {
			continue
		}
		if at := f.items[0].at + headStart[l].Milliseconds(); best == Aside || at < bestAt {
			best, bestAt = l, at
		}
	}
	return best
}
