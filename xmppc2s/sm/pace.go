package sm

import "time"

// A pace is how fast the server takes what we send, as far as the rounds from
// a request to its answer have shown it, and so how much may be on its way.
// Servers read a client slowly, by design (COMPAT ejabberd: 3 kB/s behind the
// first 20 kB, COMPAT Prosody: 10 kB/s), and what has been written to them
// cannot be overtaken any more: a line of chat waits behind it, and so does the
// answer by which we see that they live.
//
// The rate is that of the last paceMemory bytes, or of the last paceRecent if
// they took longer: so the burst that a server grants after silence is not
// taken for its rate. Only rounds that filled half of the window count; others
// say how much there was to send. A fast link doubles its rate every 20 kB.
//
// A pace outlives the connection: the next one begins with what was learned.
type pace struct {
	bytes float64 // acknowledged …
	took  float64 // … in so many seconds

	// This connection:
	trip  time.Duration // its shortest round; 0: none yet
	from  time.Time     // since then, without a pause, something was in flight …
	acked int           // … and so many bytes were acknowledged
	full  bool          // the request that is under way found the window half full
}

// The aim is that what is in flight is acknowledged within paceTarget and one
// trip. The window is never below what minRate gives, and one stanza may be in
// flight whatever its size.
const (
	paceTarget = time.Second
	paceMemory = 32 << 10
	paceRecent = 5 * time.Second
	firstRate  = 4 << 10 // bytes a second, before anything is known
	minRate    = 512
	maxWindow  = 128 << 10
	maxTrip    = 3 * time.Second // a longer one is not the path's
)

func newPace() pace { return pace{bytes: paceMemory, took: paceMemory / firstRate} }

// begin is a new connection.
func (p *pace) begin() { p.trip, p.from, p.acked, p.full = 0, time.Time{}, 0, false }

// launched notes that something is in flight where nothing was.
func (p *pace) launched(now time.Time) { p.from, p.acked = now, 0 }

// tripped notes how long one round took.
func (p *pace) tripped(took time.Duration) {
	took = min(max(took, 1), maxTrip)
	if p.trip == 0 || took < p.trip {
		p.trip = took
	}
}

// answered notes the answer to a request.
func (p *pace) answered(now, asked time.Time) {
	p.tripped(now.Sub(asked))
	if p.full && p.acked > 0 {
		took := now.Sub(p.from)
		p.learn(float64(p.acked), max(took-p.trip, took/4).Seconds())
	}
	p.from, p.acked, p.full = now, 0, false
}

// learn takes in that so many bytes took so many seconds. However fast they
// went, the rate grows by no more than their share of the memory: else one large
// flight in a burst would be taken for the rule. And however many they were, a
// third of what was known stays: one round may have found the server idle and
// the next one not, and a window that follows each of them makes that go on.
func (p *pace) learn(bytes, took float64) {
	most := p.rate() * (1 + bytes/paceMemory)
	keep := max(1./3, 1-max(bytes/paceMemory, took/paceRecent.Seconds()))
	p.bytes, p.took = p.bytes*keep+bytes, p.took*keep+took
	p.took = max(p.took, p.bytes/most)
}

// doubt notes that a connection fell silent. If much was in flight, that may
// have been too much for this server.
func (p *pace) doubt() {
	if p.full {
		p.took = min(4*p.took, p.bytes/minRate)
	}
}

// rate is in bytes a second.
func (p *pace) rate() float64 { return max(minRate, p.bytes/p.took) }

// window is how many bytes of stanzas may be in flight.
func (p *pace) window() int {
	return int(min(maxWindow, p.rate()*(paceTarget+p.trip).Seconds()))
}

// share is behind how many bytes of a window a request goes. Where the server
// needs longer for half of it than the answer is under way, that is half: it has
// the other half to read meanwhile. Where it is the path that takes its time,
// that is all of it: there is one request at a time. And a request costs more
// than it gives where all is a matter of milliseconds.
func (p *pace) share(window int) int {
	half := window / 2
	if float64(half) > p.rate()*max(p.trip, paceTarget/100).Seconds() {
		return half
	}
	return window
}

// The time that a server may need for what is under way is between these,
// however slow or fast it has been.
const (
	minBehind = 100 * time.Millisecond
	maxBehind = 2 * time.Second
)

// behind is how long the server may need for so many bytes.
func (p *pace) behind(bytes int) time.Duration {
	if bytes == 0 {
		return 0
	}
	seconds := min(float64(bytes)/p.rate(), maxBehind.Seconds())
	return min(maxBehind, minBehind+time.Duration(seconds*float64(time.Second)))
}

// maxPatience bounds how long slowness excuses silence.
const maxPatience = 3 * time.Minute

// patience is how long an answer may take behind so many bytes: timeout, unless
// they alone explain about as much.
func (p *pace) patience(bytes int, timeout time.Duration) time.Duration {
	seconds := 2 * float64(bytes) / p.rate()
	slow := timeout/2 + time.Duration(min(seconds, maxPatience.Seconds())*float64(time.Second))
	return max(timeout, slow)
}
