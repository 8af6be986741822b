package bridge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"meshgate/linklocal"
)

// An Entry is what the ledger tells of one message.
type Entry struct {
	FromLAN bool
	End     Outcome
	Came    time.Time
	Ended   time.Time          // zero: it is pending
	Passed  time.Time          // it was delivered then, and came back later; else zero
	Contact string             // bare address; "": the gateway's own name on the mesh
	Peer    linklocal.Instance // "": none was found
	ID      string             // of the stanza on the network, as far as it is kept
	Why     string             // bounced: in words
}

func (n *entry) export() Entry {
	at := func(ms int64) time.Time {
		if ms == 0 {
			return time.Time{}
		}
		return time.UnixMilli(ms)
	}
	contact := n.contact
	if contact == string(ConciergeID) {
		contact = ""
	}
	return Entry{n.fromLAN, n.end, at(n.came), at(n.ended), at(n.passed), contact, n.peer, n.id, n.why}
}

// Entries are the newest messages that fit, at most limit of them, the oldest
// first. Those that hold no words of a person's are in no list. It may be
// called from any goroutine, and tells what is in the Past.
func (h *Hub) Entries(ctx context.Context, fits func(Entry) bool, limit int) ([]Entry, error) {
	var list []Entry
	take := func(n *entry) {
		x := n.export()
		if !fits(x) {
			return
		}
		if list = append(list, x); len(list) >= 2*limit {
			list = newest(list, limit)
		}
	}
	for _, on := range []Shelf{Waiting, Passed, Refused} {
		for key, row := range h.past.All(on) {
			if n, ok := parseRow(string(key), row); ok {
				take(&n)
			}
		}
	}
	done := make(chan struct{})
	err := h.call(ctx, func(e *engine) {
		defer close(done)
		for _, n := range e.book.coming {
			take(n)
		}
	})
	if err != nil {
		return nil, err
	}
	<-done
	return newest(list, limit), nil
}

// newest are the last of them, by when they came.
func newest(list []Entry, limit int) []Entry {
	slices.SortStableFunc(list, func(a, b Entry) int { return cmp.Compare(a.Came.UnixMilli(), b.Came.UnixMilli()) })
	return list[max(0, len(list)-limit):]
}

// Kept counts the rows of both directions that are on the disk. What is
// pending in them on its way to the mesh is not there. It may be called from
// any goroutine.
func (h *Hub) Kept() (fromLAN, fromNetwork Ledger) {
	for _, on := range []Shelf{Waiting, Passed, Refused} {
		for _, row := range h.past.All(on) {
			end, lan, ok := rowEnd(row)
			l := &fromNetwork
			if lan {
				l = &fromLAN
			}
			switch {
			case !ok:
			case end == Pending:
				l.enter()
			default:
				l.Entered++
				l.Ended[end]++
			}
		}
	}
	return fromLAN, fromNetwork
}
