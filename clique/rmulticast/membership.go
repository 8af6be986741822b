package rmulticast

import (
	"slices"
	"time"
)

// A tableState is where the members stand in agreeing on who is one.
type tableState uint8

const (
	normal    tableState = iota
	gathering            // who is there, and from where on do we take what it says
	joining              // do we all see the same
)

func (s tableState) String() string { return [...]string{"normal", "gathering", "joining"}[s] }

// A memberState is how far another node is with us.
type memberState uint8

const (
	unknown       memberState = iota // mentioned
	started                          // we ask for its start
	mutual                           // we have its start; it may not have ours
	done                             // both have
	member                           //
	failing                          // failed, and was none
	memberFailing                    // failed, and was one
	gone                             // failed, and nothing is to be agreed on
)

func (s memberState) String() string {
	return [...]string{"unknown", "started", "mutual", "done", "member", "failing", "member failing", "gone"}[s]
}

func (s memberState) live() bool { return s < failing }

// knowsUs reports whether a node in this state has us in its own graph. One that is
// to become a member may have made us one before we hear of it.
func (s memberState) knowsUs(t tableState) bool { return s == member || s == done && t == joining }

// A record is what membership knows of another node.
type record struct {
	id       SenderID
	state    memberState
	why      Reason // it failed
	agreed   bool   // its last JOIN says what ours does
	join     mark   // its last JOIN
	declared map[SenderID]bool
	told     bool      // our FAILURE of it is sent
	seen     time.Time // that others had it in their room, which does not know us
	limit    timer     // until all others must have declared it
}

// membership is the table of the other nodes.
type membership struct {
	state   tableState
	frozen  bool // as we have told
	members map[SenderID]*record
	order   []*record // by id
	pending []SenderID
	live    map[SenderID]bool // of our last JOIN: who is to agree …
	failed  map[SenderID]bool // … and who is to go

	attempt timer                 // our next ATTEMPT-JOIN
	force   bool                  // to be sent even if it asks for nobody
	calling *slot                 // the one that is repeated
	quiet   timer                 // until the join phase
	since   time.Time             // that we gather
	offered map[SenderID]PacketID // the first starts that we have told in this gathering: somebody may have taken them
	limit   timer                 // of the join phase
	said    mark                  // our last JOIN
	late    []deferred
}

// A deferred is an ATTEMPT-JOIN that came in a join phase. gibber ignores these,
// and then has to be lucky.
type deferred struct {
	s *sender
	p Packet
}

// clearTable forgets everybody.
func (e *Engine) clearTable() {
	t := &e.table
	for _, r := range t.order {
		e.timers.stop(&r.limit)
	}
	for _, tm := range []*timer{&t.attempt, &t.quiet, &t.limit} {
		e.timers.stop(tm)
	}
	e.freeze(false)
	t.state, t.members, t.order = normal, map[SenderID]*record{}, nil
	t.pending, t.live, t.failed, t.force, t.calling, t.late = nil, nil, nil, false, nil, nil
	t.offered, t.said = map[SenderID]PacketID{}, mark{}
}

// freeze tells the application, if it does not know.
func (e *Engine) freeze(frozen bool) {
	if frozen != e.table.frozen {
		e.table.frozen = frozen
		e.event(Frozen{frozen})
	}
}

// newRecord makes a record; the caller has seen that there is none.
func (e *Engine) newRecord(id SenderID, state memberState) *record {
	r := &record{id: id, state: state, declared: map[SenderID]bool{}}
	r.limit.fire = func(now time.Time) { e.failureLate(now, r) }
	t := &e.table
	t.members[id] = r
	i, _ := slices.BinarySearchFunc(t.order, id, func(r *record, id SenderID) int {
		if r.id < id {
			return -1
		}
		return 1
	})
	t.order = slices.Insert(t.order, i, r)
	return r
}

func (e *Engine) deleteRecord(r *record) {
	t := &e.table
	e.timers.stop(&r.limit)
	if t.members[r.id] == r {
		delete(t.members, r.id)
	}
	t.order = slices.DeleteFunc(t.order, func(o *record) bool { return o == r })
	for _, o := range t.order {
		delete(o.declared, r.id)
	}
}

// record returns the record of a node, made if need be; nil if it cannot be.
func (e *Engine) record(now time.Time, id SenderID) *record {
	if id == e.self {
		return nil
	}
	if r := e.table.members[id]; r != nil {
		return r
	}
	if len(e.table.order) >= e.lim.Members+maxFailures || e.addSender(now, id) == nil {
		return nil
	}
	return e.newRecord(id, unknown)
}

// liveRecords are those who have not failed, by id.
func (e *Engine) liveRecords(from memberState) (list []*record) {
	for _, r := range e.table.order {
		if r.state >= from && r.state.live() {
			list = append(list, r)
		}
	}
	return list
}

func (e *Engine) memberOf(r *record) Member {
	if s := e.anySender(r.id); s != nil {
		return s.member()
	}
	return Member{ID: r.id}
}
