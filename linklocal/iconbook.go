package linklocal

import (
	"encoding/hex"
	"strings"
	"time"
)

const (
	// maxIconFetches is how many pictures are being fetched at a time.
	maxIconFetches = 4
	// iconInterval is the least time between two fetches for one peer: whoever
	// changes phsh all the time does not make us storm.
	iconInterval = 10 * time.Second
	hashLength   = 40 // hex digits of SHA-1
)

// iconRetries are the pauses behind fetches that brought nothing. After the
// last one the picture is given up until the peer says another hash.
var iconRetries = [...]time.Duration{2 * time.Second, iconInterval, time.Minute, 5 * time.Minute}

// An iconBook knows whose picture has to be fetched, and when. It is pure; one
// goroutine owns it.
//
//	                 set (another hash)
//	       ┌────────────────────────────────┐
//	waiting ── next ──▶ fetching ── done ──▶ settled
//	   ▲                   │
//	   └── done (nothing) ─┘  (after the last try: settled without a picture)
type iconBook struct {
	max      int // entries
	entries  map[string]*iconEntry
	fetching int
}

type iconState int

const (
	iconWaiting iconState = iota // until at
	iconFetching
	iconSettled
)

func (s iconState) String() string {
	return [...]string{"waiting", "fetching", "settled"}[s]
}

type iconEntry struct {
	instance Instance
	want     string // hash in lower case; "": none, kept only to remember last
	state    iconState
	at       time.Time
	last     time.Time // when the last fetch began
	tries    int       // for want, that brought nothing
	job      *iconJob  // under way, maybe for a hash that is no longer wanted
}

// An iconJob is one fetch. What fetches it sets cancel.
type iconJob struct {
	instance Instance
	hash     string
	cancel   func()
}

func newIconBook(maxPeers int) *iconBook {
	return &iconBook{max: 2 * maxPeers, entries: make(map[string]*iconEntry)}
}

// set notes what a peer says of its picture: its phsh, or nothing. It reports
// whether the peer has none, so that an old one has to be taken away.
//
// "If the picture hash values are not equal, the client SHOULD issue a
// Multicast DNS NULL record query". XEP-0174 (Buddy Icons)
func (b *iconBook) set(now time.Time, i Instance, phsh string) (none bool) {
	hash := strings.ToLower(phsh)
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) != hashLength/2 {
		hash = ""
	}
	e := b.entries[i.Key()]
	switch {
	case e == nil && hash == "":
		return true
	case e == nil && len(b.entries) >= b.max:
		return true
	case e == nil:
		e = &iconEntry{state: iconSettled}
		b.entries[i.Key()] = e
	}
	if e.instance = i; e.want != hash {
		b.want(now, e, hash)
	}
	return hash == ""
}

// gone notes that a peer has left. When its last fetch began is remembered for
// a while, so that coming and going is no way around iconInterval.
func (b *iconBook) gone(now time.Time, i Instance) {
	if e := b.entries[i.Key()]; e != nil {
		b.want(now, e, "")
	}
}

func (b *iconBook) want(now time.Time, e *iconEntry, hash string) {
	if e.job != nil {
		e.job.cancel()
	}
	e.want, e.tries = hash, 0
	b.wait(e, now)
}

// wait has the picture fetched, or the entry forgotten, then or as soon after
// as may be.
func (b *iconBook) wait(e *iconEntry, at time.Time) {
	if soonest := e.last.Add(iconInterval); !e.last.IsZero() && at.Before(soonest) {
		at = soonest
	}
	e.state, e.at = iconWaiting, at
}

// settle leaves the entry as it is until the peer says something else.
func (e *iconEntry) settle() { e.state, e.at = iconSettled, time.Time{} }

// next begins the fetch that has waited longest, if one is due and may begin.
func (b *iconBook) next(now time.Time) *iconJob {
	var first *iconEntry
	for key, e := range b.entries {
		switch {
		case e.state != iconWaiting || e.job != nil || e.at.After(now):
		case e.want == "":
			delete(b.entries, key)
		case first == nil || e.at.Before(first.at) || e.at.Equal(first.at) && e.instance < first.instance:
			first = e
		}
	}
	if first == nil || b.fetching >= maxIconFetches {
		return nil
	}
	b.fetching++
	first.state, first.at, first.last = iconFetching, time.Time{}, now
	first.job = &iconJob{instance: first.instance, hash: first.want, cancel: func() {}}
	return first.job
}

// An iconOutcome is how a fetch ended.
type iconOutcome int

const (
	iconCame    iconOutcome = iota
	iconMissing             // no answer, or the bytes of another picture
	iconUseless             // the bytes that the peer meant, and no picture
)

// done takes the outcome of a fetch. It reports whether that is the last word
// on the picture that the peer has.
func (b *iconBook) done(now time.Time, j *iconJob, how iconOutcome) (final bool) {
	b.fetching--
	e := b.entries[j.instance.Key()]
	if e == nil || e.job != j {
		return false
	}
	e.job = nil
	switch {
	case e.want != j.hash:
		return false // it waits for another already
	case how == iconMissing && e.tries < len(iconRetries):
		b.wait(e, now.Add(iconRetries[e.tries]))
		e.tries++
		return false
	}
	e.settle()
	return true
}

// nextTimeout is when next has something to do; zero: when told.
func (b *iconBook) nextTimeout() (at time.Time) {
	for _, e := range b.entries {
		waits := e.state == iconWaiting && e.job == nil && (e.want == "" || b.fetching < maxIconFetches)
		if waits && (at.IsZero() || e.at.Before(at)) {
			at = e.at
		}
	}
	return at
}
