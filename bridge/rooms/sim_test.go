package rooms

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
)

// How many seeds: go test ./bridge/rooms -run Sim -args -seeds 5000
var (
	seeds = flag.Int("seeds", 10, "how many simulated worlds TestSim… each tries")
	first = flag.Uint64("first", 1, "the first seed")
)

var (
	start  = time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	office = "office"
	theMUC = jid.MustParse("witchcraft@conference.example.org")
)

// A world is a MUC and a Clique room, or those of two sites, people in all of them, and
// gateways between them, all in virtual time. What passes between two parties keeps its order and takes
// its time; what is cut off is lost.
type world struct {
	*rand.Rand
	now    time.Time
	events eventHeap
	order  int
	trace  strings.Builder
	traced bool
	cuts   bool // one gateway may have heard a line, and another the next

	humans []*simHuman
	gates  []*simGate
	muc    simMUC
	said   map[string]*simLine // by its words
	lines  int
}

// A simLine is one that a person has said.
type simLine struct {
	words, speaker string
	site           string // "": the MUC
	received       bool   // LAN: a gateway has it for sure
	handed         bool   // LAN: another gateway has sent it than the one that carries, and it has no place among others
}

type simEvent struct {
	at    time.Time
	order int
	f     func()
}

type eventHeap []simEvent

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(simEvent)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newWorld(seed uint64, gates, humans int) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), now: start, said: make(map[string]*simLine)}
	w.muc.w = w
	for i := range humans {
		w.humans = append(w.humans, &simHuman{name: fmt.Sprintf("crone%d@h%d", i, i), site: office, id: rmulticast.SenderID(w.Uint32()), number: rmulticast.PacketID(w.Uint32N(1 << 20))})
	}
	for i := range gates {
		w.gates = append(w.gates, &simGate{w: w, name: fmt.Sprintf("meshgate@gw%d", i), site: office, informed: true, rows: make(map[string][]byte), ring: make(map[mark]bool)})
	}
	return w
}

func (w *world) logf(format string, args ...any) {
	if w.traced {
		fmt.Fprintf(&w.trace, "%8.3f "+format+"\n", append([]any{w.now.Sub(start).Seconds()}, args...)...)
	}
}

// after has f called in a random time from lo up to hi.
func (w *world) after(lo, hi time.Duration, f func()) {
	w.at(w.now.Add(lo+time.Duration(w.Int64N(int64(hi-lo)+1))), f)
}

func (w *world) at(at time.Time, f func()) {
	w.order++
	heap.Push(&w.events, simEvent{at, w.order, f})
}

func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		ev := heap.Pop(&w.events).(simEvent)
		w.now = ev.at
		ev.f()
	}
	w.now = end
}

const ms = time.Millisecond

// A line is a way on which things arrive in order.
type line struct{ last time.Time }

func (l *line) carry(w *world, lo, hi time.Duration, f func()) {
	l.carryAt(w, w.now.Add(lo+time.Duration(w.Int64N(int64(hi-lo)+1))), f)
}

func (l *line) carryAt(w *world, at time.Time, f func()) {
	if at.Before(l.last) {
		at = l.last
	}
	l.last = at
	w.at(at, f)
}

// The Clique room.

// A simHuman is a LAN member who is there all the time.
type simHuman struct {
	name   string
	site   string
	id     rmulticast.SenderID
	number rmulticast.PacketID
	seen   []string // bodies
	ways   map[string]*line
}

// speak has a person on the LAN say a line.
func (w *world) speak(h *simHuman) {
	w.lines++
	l := &simLine{words: fmt.Sprintf("lan-%d", w.lines), speaker: h.name, site: h.site}
	w.said[l.words] = l
	h.number += 1 + rmulticast.PacketID(w.Uint32N(2))
	w.logf("%s says %s", h.name, l.words)
	st := stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "groupchat"}, stanza.New(stanza.NSClient, "body", stanza.Text(l.words)))
	w.broadcast(h.site, h.name, h.id, h.number, st)
}

// broadcast brings a message to all members of a site's room but its sender.
func (w *world) broadcast(site, from string, id rmulticast.SenderID, number rmulticast.PacketID, st *stanza.Element) {
	sender := w.gate(from)
	for _, h := range w.humans {
		if h.site == site && h.name != from && (sender == nil || sender.member && !sender.isolated) {
			body := st.Child(stanza.NSClient, "body").Text()
			h.way(from).carry(w, 5*ms, 150*ms, func() {
				if body != "" {
					h.seen = append(h.seen, body)
				}
			})
		}
	}
	for _, g := range w.gates {
		if g.site != site || g == sender || !g.member || g.isolated || sender != nil && (!sender.member || sender.isolated) {
			continue
		}
		stay := g.stay
		g.in.carry(w, 5*ms, 150*ms, func() {
			if g.stay == stay && !g.isolated {
				g.clique(clique.Received{Room: "Witchcraft", From: from, FromID: id, Number: number, Stanza: st})
				if l := w.said[st.Child(stanza.NSClient, "body").Text()]; l != nil && !g.stalled {
					g.onDisk(func() { l.received = true })
				}
			}
		})
	}
}

func (h *simHuman) way(from string) *line {
	if h.ways == nil {
		h.ways = make(map[string]*line)
	}
	if h.ways[from] == nil {
		h.ways[from] = &line{}
	}
	return h.ways[from]
}

// others are the other gateways of the site.
func (g *simGate) others() (others []*simGate) {
	for _, o := range g.w.gates {
		if o != g && o.site == g.site {
			others = append(others, o)
		}
	}
	return others
}

// humans are the people of the site.
func (g *simGate) humans() (humans []*simHuman) {
	for _, h := range g.w.humans {
		if h.site == g.site {
			humans = append(humans, h)
		}
	}
	return humans
}

func (w *world) gate(name string) *simGate {
	for _, g := range w.gates {
		if g.name == name {
			return g
		}
	}
	return nil
}

// The MUC.

type simMUC struct {
	w       *world
	archive []simStored
	forgets bool      // it gives no ids and has no archive, but a history
	busy    time.Time // it puts off half of what comes, till then
}

type simStored struct {
	id, nick string
	st       *stanza.Element
	at       time.Time
}

// say has a person in the MUC say a line.
func (m *simMUC) say(nick string) {
	w := m.w
	w.lines++
	l := &simLine{words: fmt.Sprintf("muc-%d", w.lines), speaker: nick}
	w.said[l.words] = l
	w.logf("%s says %s", nick, l.words)
	m.post(nick, stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "groupchat"},
		stanza.Attr{Name: "id", Value: l.words}, stanza.New(stanza.NSClient, "body", stanza.Text(l.words))))
}

func (m *simMUC) post(nick string, st *stanza.Element) {
	s := simStored{fmt.Sprintf("s%d", len(m.archive)+1), nick, st, m.w.now}
	m.archive = append(m.archive, s)
	for _, g := range m.w.gates {
		if g.occupant {
			g.fromServer(s.event(g, len(m.archive), time.Time{}))
		}
	}
}

// What happens in a world.

// A fault is something that goes wrong with a gateway.
type fault uint8

const (
	cutSession fault = iota
	kickOut
	killProcess
	stopProcess
	cutLAN
	busyMUC
)

// live has people talk, and things go wrong, for a while; then all is mended.
func (w *world) live(d time.Duration, faults []fault) {
	for _, g := range w.gates {
		g.start()
		w.run(time.Duration(w.IntN(15)) * time.Second)
	}
	w.run(30 * time.Second)
	for end := w.now.Add(d); w.now.Before(end); {
		w.run(time.Duration(w.IntN(3000)) * ms)
		switch n := w.IntN(12); {
		case n < 4:
			for range 1 + w.IntN(4) {
				w.speak(w.humans[w.IntN(len(w.humans))])
				w.run(time.Duration(w.IntN(100)) * ms)
			}
		case n < 8:
			for range 1 + w.IntN(4) {
				w.muc.say([]string{"alice", "bob"}[w.IntN(2)])
				w.run(time.Duration(w.IntN(100)) * ms)
			}
		case len(faults) > 0:
			w.fail(w.gates[w.IntN(len(w.gates))], faults[w.IntN(len(faults))])
		}
	}
	w.mend()
	w.run(15 * time.Minute)
}

// mend has all that is dead or without a session come back, one after the other.
func (w *world) mend() {
	for range 3 {
		w.run(time.Minute) // in which those that are there tell each other what they know
		for _, g := range w.gates {
			if g.lives() && !g.connected() {
				g.connect()
			}
			if !g.lives() && w.mayStart(g) {
				g.start()
				w.run(40 * time.Second)
			}
		}
	}
}

// mayStart reports whether a dead gateway may come back: one that does not know
// what another, which is dead, too, has given to the LAN would tell it again.
func (w *world) mayStart(g *simGate) bool {
	return g.informed || slices.ContainsFunc(g.others(), (*simGate).knows)
}

// knows reports whether a gateway can tell others how far the LAN has been told.
func (g *simGate) knows() bool {
	return g.lives() && g.informed && !g.stalled && g.member && !g.isolated && g.e.net.ready()
}

// mayDie reports whether another gateway knows as much, or will be there again first.
func (w *world) mayDie(g *simGate) bool {
	return !g.informed || !slices.ContainsFunc(g.others(), (*simGate).lives) || slices.ContainsFunc(g.others(), (*simGate).knows)
}

func (w *world) fail(g *simGate, f fault) {
	switch {
	case f == busyMUC:
		w.logf("the MUC is busy")
		w.muc.busy = w.now.Add(time.Duration(w.IntN(20)) * time.Second)
	case !g.lives():
		if w.mayStart(g) {
			g.start()
		}
	case g.stalled:
	case f == cutSession && g.connected():
		g.cut()
		w.after(100*ms, 30*time.Second, g.whileRunning(g.connect))
	case f == kickOut && g.connected() && g.occupant:
		g.kick()
	case f == killProcess && g.isolated && g.isGiving(): // what it gave to nobody counts as given then: see doc.go
	case f == killProcess && w.mayDie(g):
		g.kill()
	case f == stopProcess && w.mayDie(g):
		g.stall(time.Duration(1+w.IntN(12)) * time.Second)
	case f == cutLAN && g.member && !g.isolated && w.healthy(g) && !w.anyIsolated():
		g.isolate()
	}
}

// isGiving reports whether a gateway does not know yet that nobody hears it, or has not
// noted it.
func (g *simGate) isGiving() bool {
	return len(g.e.held.unsure) > 0 || slices.ContainsFunc(g.e.held.lines, func(l *mucLine) bool { return l.Again > 0 && !l.written })
}

// healthy reports whether a gateway beside g is well.
func (w *world) healthy(g *simGate) bool {
	return slices.ContainsFunc(g.others(), func(o *simGate) bool {
		return o.informed && o.lives() && o.member && !o.isolated && o.occupant && o.connected() && !o.stalled && o.e.net.ready()
	})
}

func (w *world) anyIsolated() bool {
	return slices.ContainsFunc(w.gates, func(o *simGate) bool { return o.isolated })
}

// maxTrace bounds what is shown of a world in which something went wrong.
const maxTrace = 1000000

func simulate(t *testing.T, gates int, faults ...fault) {
	t.Helper()
	simulateIn(t, func(*world) {}, gates, faults...)
}

// simulateIn simulates worlds that are not like others.
func simulateIn(t *testing.T, change func(*world), gates int, faults ...fault) {
	t.Helper()
	count := *seeds
	if testing.Short() {
		count = min(count, 3)
	}
	for seed := *first; seed < *first+uint64(count); seed++ {
		if bad, _ := try(seed, gates, faults, change, false); bad != "" {
			_, trace := try(seed, gates, faults, change, true)
			trace = trace[:min(maxTrace, len(trace))]
			t.Fatalf("seed %d:\n%s\n%s", seed, bad, trace)
		}
	}
	t.Logf("%d seeds: each line once on the other side, in order for each speaker, none comes back, all ledgers balance, nothing is left", count)
}

func try(seed uint64, gates int, faults []fault, change func(*world), traced bool) (bad, trace string) {
	w := newWorld(seed, gates, 3)
	change(w)
	for _, g := range w.gates { // unless they are killed both kinds of session will do
		g.again = w.IntN(2) == 0 && (gates == 1 || !slices.Contains(faults, killProcess) && !slices.Contains(faults, stopProcess))
	}
	// One that comes anew does not know what one has heard before that could not send it.
	late := slices.Contains(faults, killProcess) && (slices.Contains(faults, cutSession) || slices.Contains(faults, busyMUC))
	w.traced, w.cuts = traced, gates > 1 && (late || slices.Contains(faults, cutLAN))
	w.live(3*time.Minute, faults)
	return w.wrong(), w.trace.String()
}

// CQ-13, IJ-08: lines are joined, and none comes back.
func TestSimNothingGoesWrong(t *testing.T) { simulate(t, 1) }

func TestSimOneGatewayIsCutOffAndKicked(t *testing.T) { simulate(t, 1, cutSession, kickOut) }

// CQ-13: nothing is said before what the MUC has put off.
func TestSimTheMUCPutsLinesOff(t *testing.T) { simulate(t, 1, busyMUC, cutSession, kickOut) }

func TestSimTwoGatewaysAndAMUCThatPutsLinesOff(t *testing.T) {
	simulate(t, 2, busyMUC, kickOut, stopProcess)
}

func TestSimOneGatewayIsKilled(t *testing.T) { simulate(t, 1, killProcess, cutSession, kickOut) }

// IJ-08: of several gateways at the site one carries.
func TestSimTwoGateways(t *testing.T) { simulate(t, 2) }

func TestSimTwoGatewaysLoseTheServer(t *testing.T) { simulate(t, 2, cutSession, kickOut) }

func TestSimTwoGatewaysAreKilled(t *testing.T) { simulate(t, 2, killProcess) }

func TestSimTwoGatewaysAreStopped(t *testing.T) { simulate(t, 2, stopProcess) }

func TestSimTwoGatewaysLoseTheLAN(t *testing.T) { simulate(t, 2, cutLAN) }

func TestSimThreeGatewaysAndEverything(t *testing.T) {
	simulate(t, 3, cutSession, kickOut, killProcess, stopProcess, cutLAN, busyMUC)
}

// twoSites moves every other gateway and person to another LAN.
func twoSites(w *world) {
	for i := 1; i < len(w.gates); i += 2 {
		w.gates[i].site = "hut"
	}
	for i := 1; i < len(w.humans); i += 2 {
		w.humans[i].site = "hut"
	}
}

// CQ-13, IJ-08: two sites are joined with one MUC, and by it with each other.
func TestSimTwoSites(t *testing.T) { simulateIn(t, twoSites, 2) }

func TestSimTwoSitesAreCutOffAndKilled(t *testing.T) {
	simulateIn(t, twoSites, 2, cutSession, kickOut, killProcess)
}

func TestSimTwoSitesOfTwoGateways(t *testing.T) {
	simulateIn(t, twoSites, 4, cutSession, kickOut, killProcess, stopProcess, cutLAN, busyMUC)
}

// A MUC without an archive, whose lines have no ids but those of their senders.
func forgetful(w *world) { w.muc.forgets = true }

func TestSimAMUCWithAHistoryOnly(t *testing.T) {
	simulateIn(t, forgetful, 1, killProcess, cutSession, kickOut)
}

func TestSimTwoGatewaysAndAMUCWithAHistoryOnly(t *testing.T) {
	simulateIn(t, forgetful, 2, killProcess, cutSession, kickOut)
}
