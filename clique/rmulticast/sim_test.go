package rmulticast

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 40, "how many seeds TestSim runs")
	seed1 = flag.Int("seed", 0, "the first of them")
	harsh = flag.Bool("harsh", false, "TestSim also cuts single nodes off and kills them around that")
)

// TestSim runs random rooms of 2 to 24 nodes that come, talk, leave, crash, crash
// and come back, freeze and are cut apart, on networks that lose, double and reorder
// packets.
// "go test -v -run Sim ./clique/rmulticast -args -seeds 5000", as "make sim", runs
// more of them and says what happened.
//
// CQ-02: nothing is told twice, and what survivors send arrives. CQ-03: causal
// order. CQ-04: messages of up to 40 kB come whole. CQ-05: in the end all agree on
// who is a member; those who saw a newcomer come, or a member go, agree on what was
// told before. In the end it is quiet, and nothing is kept.
func TestSim(t *testing.T) {
	const batch = 20
	var sum summary
	count := *seeds
	if testing.Short() {
		count = min(count, 10)
	}
	t.Cleanup(func() {
		t.Logf("%d seeds from %d\n%v", count, *seed1, &sum)
		if sum.apart > 1+count/100 {
			t.Errorf("%d rooms have fallen apart", sum.apart)
		}
	})
	for first := *seed1; first < *seed1+count; first += batch {
		t.Run(fmt.Sprintf("seeds from %d", first), func(t *testing.T) {
			t.Parallel()
			for seed := first; seed < min(first+batch, *seed1+count) && !t.Failed(); seed++ {
				l := simulate(t, uint64(seed))
				sum.add(l)
				if t.Failed() {
					for _, n := range l.nodes {
						t.Logf("%s %v dead %v: %q", n.name, n.Self(), n.dead, n.log)
					}
					t.Errorf("seed %d", seed)
				}
			}
		})
	}
}

// A summary counts what happened in all simulations.
type summary struct {
	sync.Mutex
	nodes, told, joins, failures, restarts int
	killed, resumed, anew, again, needless int
	repaired                               uint64
	apart                                  int
}

func (s *summary) add(l *talk) {
	s.Lock()
	defer s.Unlock()
	if l.apart {
		s.apart++
	}
	for _, n := range l.nodes {
		st := n.Stats()
		s.nodes, s.told, s.joins = s.nodes+1, s.told+len(n.got), s.joins+int(st.JoinedIn)
		s.failures, s.restarts, s.repaired = s.failures+int(st.Failures), s.restarts+int(st.Restarts), s.repaired+st.RepairsSent
		s.needless += n.crash.needless
		s.killed, s.resumed, s.anew, s.again = s.killed+n.crash.killed, s.resumed+n.crash.resumed, s.anew+n.crash.lost, s.again+n.crash.again
	}
}

func (s *summary) String() string {
	return fmt.Sprintf(`%d nodes were told %d messages, with %d repairs, in %d join phases, with %d failures and %d restarts;
rooms that fell apart for a while: %d, where one in a hundred may;
of %d that were killed and started again %d went on and %d joined anew, %d of them though
all held them for members; %d messages were told again.
Checked: nothing is told twice, but after a kill what was told since the snapshot; causal order; of a member no gap, and
each message whole; a message has one number for all; all who see somebody come agree on who is a member, on what was told
before, and on what is the first after it; all who see one go and go on together agree on its last words; what was owed at
a kill is said once; who was killed goes on if it can, and what it is told that it had sent reaches somebody; the last words
of all who are left reach all; then it is quiet, nobody comes or goes, and nothing is kept.`,
		s.nodes, s.told, s.repaired, s.joins, s.failures, s.restarts, s.apart, s.killed, s.resumed, s.anew, s.needless, s.again)
}

// A talk is a simulation and what its invariants need.
type talk struct {
	*lan
	parted bool          // or frozen: then not all see the same
	quiet  bool          // no packet is lost but where somebody is cut off
	sides  bool          // there are two rooms that do not hear each other, yet
	apart  bool          // in the end: it has fallen apart
	lag    time.Duration // of the disks
	names  int
	said   map[string]utterance
}

// An utterance is a message: the index-th of its sender, who had been told up to
// these of the others.
type utterance struct {
	sender string
	index  int
	had    map[string]int
	stream StreamID
	text   string
}

func simulate(t *testing.T, seed uint64) *talk {
	s := &talk{lan: newLAN(t, seed), said: map[string]utterance{}}
	s.disturb(seed)
	count := 2 + min(s.rng.IntN(23), s.rng.IntN(23), s.rng.IntN(23))
	for range count {
		s.come()
		s.run(time.Duration(s.rng.Int64N(int64(3 * time.Second))))
	}
	for i := range 10 + s.rng.IntN(30) {
		if i == 8 && s.sides {
			s.unite()
		}
		s.happen()
		s.run(time.Duration(s.rng.Int64N(int64(2 * time.Second))))
	}
	s.calm()
	s.check()
	return s
}

func (s *talk) disturb(seed uint64) {
	switch seed % 4 {
	case 1:
		s.loss = 0.05
	case 2:
		s.loss = 0.3 * s.rng.Float64()
	}
	s.quiet = s.loss == 0
	s.double = []float64{0, 0.1}[seed/4%2]
	s.latency = []time.Duration{time.Millisecond, 10 * time.Millisecond, 60 * time.Millisecond}[seed/8%3]
	s.parted = seed%5 == 3
	s.sides = !s.parted && seed%3 == 1
	if s.parted && seed%7 == 4 {
		s.lag = time.Duration(s.rng.Int64N(int64(2 * time.Second)))
	}
}

// happen lets something happen.
func (s *talk) happen() {
	n := s.someone()
	kinds := 43
	if *harsh {
		kinds = 46
	}
	switch k := s.rng.IntN(kinds); {
	case n == nil:
	case k >= 43 && s.lag == 0: // or what only the node has, and its snapshot not yet, is lost
		s.cutOff(n)
	case k >= 43:
	case k >= 40:
		s.crash(n)
	case k < 30:
		for range 1 + s.rng.IntN(5) {
			if n := s.someone(); n != nil {
				s.say(n)
			}
		}
	case k < 33:
		s.come()
	case k < 35 && len(s.alive()) > 2:
		n.quit()
	case k < 36 && len(s.alive()) > 2:
		n.kill()
	case k < 38 && s.parted:
		n.freeze(time.Duration(s.rng.Int64N(int64(40 * time.Second))))
	case s.parted:
		s.part()
	}
}

// crash kills a node, that comes back a moment later.
// More than one at a time only where not all see the same: what one has said and only
// another has is gone with both.
func (s *talk) crash(n *node) {
	if !s.parted && slices.ContainsFunc(s.nodes, func(n *node) bool { return n.crash.away || n.crash.soon }) {
		return
	}
	n.crash.soon = s.rng.IntN(2) == 0
	n.crash.after = time.Duration(s.rng.Int64N(int64(15 * time.Second)))
	if *harsh && s.rng.IntN(5) == 0 { // others may fail it meanwhile, or be about to
		n.crash.after += time.Duration(s.rng.Int64N(int64(joinLimit + failureLimit)))
	}
	if !n.crash.soon {
		n.die()
	}
}

// cutOff cuts a node off for a moment, and perhaps kills it in, or right after, it; or
// it is killed, and cut off when it comes back.
func (s *talk) cutOff(n *node) {
	n.off = s.now.Add(time.Duration(s.rng.Int64N(int64(4 * time.Second))))
	switch s.rng.IntN(4) {
	case 0:
		return
	case 1:
		s.crash(n)
		n.crash.after = time.Duration(s.rng.Int64N(int64(2 * time.Second)))
		return
	}
	long := s.rng.IntN(4) == 0
	for range s.rng.IntN(4) {
		if long { // more than a snapshot has
			s.saySize(n, len(filling))
		}
		s.say(n)
		s.run(time.Duration(s.rng.Int64N(int64(2 * time.Second))))
	}
	if slices.Contains(s.alive(), n) {
		s.crash(n)
	}
}

func (s *talk) come() {
	s.names++
	n := s.start(fmt.Sprintf("n%d", s.names))
	n.crash.lag = s.lag
	if s.sides {
		n.side = s.rng.IntN(2)
	}
}

// unite makes two rooms that have never heard of each other one.
func (s *talk) unite() {
	s.sides = false
	for _, n := range s.nodes {
		n.side = 0
	}
}

// part cuts the room in two, or makes it whole.
func (s *talk) part() {
	whole := slices.ContainsFunc(s.nodes, func(n *node) bool { return n.side != 0 })
	for _, n := range s.nodes {
		n.side = 0
		if !whole {
			n.side = s.rng.IntN(2)
		}
	}
	if !whole && s.rng.IntN(3) == 0 { // for long enough that all give each other up
		s.run(progressLimit + failureLimit + time.Duration(s.rng.Int64N(int64(time.Minute))))
	}
}

func (s *talk) alive() (list []*node) {
	for _, n := range s.nodes {
		if !n.dead && n.phase != closed && (n.phase != leaving || n.bye.again) {
			list = append(list, n)
		}
	}
	return list
}

func (s *talk) someone() *node {
	if list := s.alive(); len(list) > 0 {
		return list[s.rng.IntN(len(list))]
	}
	return nil
}

// say lets the node say something, long at times.
func (s *talk) say(n *node) {
	size := 10
	if s.rng.IntN(6) == 0 {
		size = s.rng.IntN(len(filling))
	}
	s.saySize(n, size)
}

func (s *talk) saySize(n *node, size int) {
	n.sent++
	had := map[string]int{n.name: n.sent - 1}
	for _, h := range n.got {
		u := s.said[key(h.data)]
		had[u.sender] = u.index
	}
	text := fmt.Sprintf("%s/%d ", n.name, n.sent)
	text += filling[:size]
	stream := StreamID(s.rng.IntN(3))
	s.said[key(text)] = utterance{n.name, n.sent, had, stream, text}
	n.tell(stream, text)
}

// filling is text no part of which looks like another.
var filling = func() string {
	var b strings.Builder
	for i := 0; b.Len() < 40000; i++ {
		fmt.Fprint(&b, i, ".")
	}
	return b.String()
}()

func key(text string) string { return text[:strings.IndexByte(text, ' ')] }

// calm ends what disturbs, waits until all that is left is one room, and lets
// everybody say a last word.
func (s *talk) calm() {
	s.unite()
	for _, n := range s.nodes {
		n.until = time.Time{}
	}
	s.run(50 * time.Second)
	if *harsh {
		s.run(joinLimit + failureLimit) // who was killed for long is back
	}
	s.until(20*time.Minute, "all alive together", func() bool {
		busy := func(n *node) bool { return n.table.state != normal }
		return together(s.alive()...) && !slices.ContainsFunc(s.alive(), busy)
	})
	s.loss, s.double = min(s.loss, 0.1), 0
	last := s.alive()
	for _, n := range last {
		s.say(n)
	}
	s.until(time.Minute, "the last words", func() bool {
		for _, n := range last {
			for _, o := range last {
				if o != n && !s.heard(n, o) {
					return false
				}
			}
		}
		return true
	})
	s.loss = 0
	s.run(10 * time.Second)
	changes := 0
	for _, n := range last {
		changes += n.changes
	}
	s.run(progressLimit) // until strangers that came to nothing are forgotten
	before := s.packets
	const rest = 10 * time.Minute
	s.run(rest)
	for _, n := range last {
		changes -= n.changes
		st := n.Stats()
		if st.Held > 0 || st.Queued > 0 || st.Cached > 100*len(last)*len(last) {
			s.t.Errorf("%s keeps %+v", n.name, st)
		}
	}
	if changes != 0 {
		s.t.Error("members come and go though nothing happens")
	}
	if max := int(rest/time.Second)*3/2 + 10*len(last); s.packets-before > max {
		s.t.Errorf("%d packets in %v of silence, want %d at most", s.packets-before, rest, max)
	}
}

// heard reports whether n was told the last word of o.
func (s *talk) heard(n, o *node) bool {
	for i := len(n.got) - 1; i >= 0; i-- {
		if n.got[i].from.Name == o.name {
			return s.said[key(n.got[i].data)].index == o.sent
		}
	}
	return false
}
