package rmulticast

import (
	"fmt"
	"slices"
)

// The judge of a simulation looks at what all nodes were told, and when they saw
// others come and go.

func (s *talk) check() {
	for _, n := range s.nodes {
		s.checkWords(n)
		s.checkOrder(n)
		s.checkGaps(n)
	}
	if s.lag == 0 { // or a number may be given twice, to what only one had heard
		s.checkNumbers()
	}
	if s.parted {
		return
	}
	seen := s.witnesses()
	for _, ev := range seen.events {
		list := seen.of[ev]
		for i, w := range list {
			for _, o := range list[:i] {
				s.checkAgreement(w, o)
				s.checkViews(w, o)
			}
		}
	}
	s.checkMeetings(seen)
	if *harsh {
		s.checkReturns()
	}
	s.checkWhole()
}

// checkWhole notes whether the room has fallen apart, be it for a while: all restart.
// A newcomer may have to try again, as do two of one name, who was killed and who he was.
func (s *talk) checkWhole() {
	restarts, excused := 0, 3
	for _, n := range s.nodes {
		restarts += n.restarts
		excused += n.crash.killed
	}
	s.apart = restarts > excused
}

// checkReturns: who was killed goes on if somebody holds it for a member and it has all
// that it needs; and what it is told that it had sent reaches somebody.
func (s *talk) checkReturns() {
	told := map[string]bool{}
	for _, n := range s.nodes {
		for _, h := range n.got {
			told[h.data] = true
		}
	}
	for _, n := range s.nodes {
		if n.crash.needless > 0 {
			s.t.Errorf("%s joined anew %d times, and need not have", n.name, n.crash.needless)
		}
		for _, text := range n.crash.sent {
			if s.quiet && !told[text] && n.restarts+n.crash.lost > 0 {
				s.t.Errorf("%s was told that it had sent %s, and nobody was told of it", n.name, key(text))
			}
		}
	}
}

// checkWords: what was told is what was said, on the stream that it was said on, of
// who said it.
func (s *talk) checkWords(n *node) {
	for _, h := range n.got {
		u := s.said[key(h.data)]
		if u.sender != h.from.Name {
			s.t.Errorf("%s was told of %s what %s said", n.name, h.from.Name, u.sender)
		}
		if u.text != h.data || u.stream != h.stream {
			s.t.Errorf("%s was told %s, of %d bytes, on stream %d; it has %d, and was said on %d",
				n.name, key(h.data), len(h.data), h.stream, len(u.text), u.stream)
		}
	}
}

// checkOrder: nothing twice, and in causal order.
func (s *talk) checkOrder(n *node) {
	told := map[string]bool{}
	required := map[string]int{} // of whom what was told depends up to which
	for _, h := range n.got {
		k := key(h.data)
		u := s.said[k]
		if told[k] {
			s.t.Errorf("%s was told %s twice", n.name, k)
		}
		told[k] = true
		if u.index <= required[u.sender] {
			s.t.Errorf("%s was told %s after what answers it", n.name, k)
		}
		for of, i := range u.had {
			if of != n.name && of != u.sender {
				required[of] = max(required[of], i)
			}
		}
	}
}

// checkGaps: of somebody who stays a member nothing is left out.
func (s *talk) checkGaps(n *node) {
	last := map[SenderID]int{}
	cuts := n.cuts
	for i, h := range n.got {
		for ; len(cuts) > 0 && cuts[0].told <= i; cuts = cuts[1:] {
			if cuts[0].what == "left" {
				delete(last, cuts[0].id)
			}
		}
		if i > 0 && h.life != n.got[i-1].life {
			clear(last)
		}
		index := s.said[key(h.data)].index
		if last := last[h.from.ID]; last > 0 && index != last+1 {
			s.t.Errorf("%s was told %s after %d", n.name, key(h.data), last)
		}
		last[h.from.ID] = index
	}
}

// checkNumbers: what names a message names one message, for everybody the same.
func (s *talk) checkNumbers() {
	type number struct {
		id SenderID
		at PacketID
	}
	numbered, numbers := map[number]string{}, map[string]number{}
	for _, n := range s.nodes {
		for _, h := range n.got {
			k, at := key(h.data), number{h.from.ID, h.number}
			if old, ok := numbered[at]; ok && old != k {
				s.t.Errorf("%v %v is %s to %s, and %s to another", at.id, at.at, k, n.name, old)
			}
			if old, ok := numbers[k]; ok && old != at {
				s.t.Errorf("%s is %v %v to %s, and %v %v to another", k, at.id, at.at, n.name, old.id, old.at)
			}
			numbered[at], numbers[k] = k, at
		}
	}
}

// A witness is a node that saw somebody come or go.
type witness struct {
	*node
	cut
}

// An event is that somebody comes or goes.
type event struct {
	what string
	id   SenderID
}

// A testimony is who saw what; the events in order of who saw them first.
type testimony struct {
	events []event
	of     map[event][]witness
}

func (s *talk) witnesses() testimony {
	seen := testimony{of: map[event][]witness{}}
	for _, n := range s.nodes {
		for _, c := range n.cuts {
			ev := event{c.what, c.id}
			if seen.of[ev] == nil {
				seen.events = append(seen.events, ev)
			}
			seen.of[ev] = append(seen.of[ev], witness{n, c})
		}
	}
	return seen
}

// checkAgreement: who saw the same node come was told the same of everybody before;
// who saw it go was told the same of it.
func (s *talk) checkAgreement(w, o witness) {
	for id, i := range w.had {
		j, ok := o.had[id]
		if !ok || i == j || w.what == "left" && (id != w.id || !w.goesOnWith(o)) {
			continue
		}
		s.t.Errorf("when %v %s, %s had been told %d of %v and %s %d", w.id, w.what, w.name, i, id, o.name, j)
	}
}

// goesOnWith reports whether both are members in what comes next. If they fail each
// other, or hear that they failed, each piece of the room has its own last words of
// who went before.
func (w witness) goesOnWith(o witness) bool { return w.stays(o.self) && o.stays(w.self) }

// stays reports whether the node does not give up another, or restart, before the
// next that it sees is that somebody comes. It may have gone itself in between: who
// fails in a join phase after he has said JOIN becomes a member to those who have all
// JOINs before they hear of it, and not to the others; and the former are told that he
// left once all have given him up, but for those who are not there any more then.
func (w witness) stays(with SenderID) bool {
	for _, c := range w.cuts[w.place():] {
		switch {
		case c.life != w.cut.life:
			return false
		case c.what == "joined" && c.turn != w.turn:
			return true
		case c.id == with:
			return false
		}
	}
	return w.node.life == w.cut.life && !slices.Contains(w.givenUp, with)
}

// place is the number of cuts up to the witness's own.
func (w witness) place() int {
	return 1 + slices.IndexFunc(w.cuts, func(c cut) bool { return c.what == w.what && c.id == w.id && c.life == w.cut.life })
}

// checkViews: who saw the same node come, and has the other as a member, has the same
// members, but for those who are about to go.
func (s *talk) checkViews(w, o witness) {
	if w.what != "joined" || !slices.Contains(w.view, o.self) || !slices.Contains(o.view, w.self) {
		return
	}
	for _, pair := range [][2]witness{{w, o}, {o, w}} {
		w, o := pair[0], pair[1]
		for _, id := range w.view {
			if !slices.Contains(o.view, id) && w.stays(id) {
				s.t.Errorf("when %v joined, %s had %v as a member and %s had not", w.id, w.name, id, o.name)
			}
		}
	}
}

// checkMeetings: two that become members of each other are told the same from then on:
// the first thing of everybody is the same, and of each other nothing is left out.
func (s *talk) checkMeetings(seen testimony) {
	for _, ev := range seen.events {
		for _, w := range seen.of[ev] {
			if w.what != "joined" {
				continue
			}
			for _, o := range seen.of[event{"joined", w.self}] {
				if o.self == w.id {
					s.checkMeeting(w, o)
				}
			}
		}
	}
}

func (s *talk) checkMeeting(w, o witness) {
	mine, theirs := s.firsts(w), s.firsts(o)
	for id, i := range mine {
		if j, ok := theirs[id]; ok && i != j {
			s.t.Errorf("since %s and %s are members %s was told first %d of %v, and %s %d", w.name, o.name, w.name, i, id, o.name, j)
		}
	}
	if i, ok := mine[o.self]; ok && i > o.cut.sent+1 {
		s.t.Errorf("when %s met %s it had said %d; the first it was told is %d", o.name, w.name, o.cut.sent, i)
	}
}

// firsts are the first messages of everybody that a witness was told after what it saw.
func (s *talk) firsts(w witness) map[SenderID]int {
	first := map[SenderID]int{}
	for _, h := range w.got[w.told:] {
		if h.life != w.cut.life {
			break
		}
		if _, ok := first[h.from.ID]; !ok {
			first[h.from.ID] = s.said[key(h.data)].index
		}
	}
	return first
}

func (ev event) String() string { return fmt.Sprintf("%v %s", ev.id, ev.what) }
