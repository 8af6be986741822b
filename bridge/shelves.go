package bridge

import (
	"bytes"
	"maps"
	"time"

	"meshgate/xmppc2s"
)

// recall gives the engine what it has put on its shelves before.
func (h *Hub) recall(e *engine) {
	for _, on := range []Shelf{Waiting, Talks} {
		for key, value := range h.past.All(on) {
			e.unshelve(on, string(key), value)
		}
	}
	if h.marks != nil {
		e.book.marked = maps.Collect(markedBefore(h.marks))
		for _, key := range unfiled(h.marks, h.past) {
			e.restore(time.Now(), key)
		}
	}
}

// lookUp has the engine learn what is on the shelves.
func (h *Hub) lookUp(now time.Time, e *engine, a lookUp) {
	for _, key := range a.keys {
		row := h.past.Get(Waiting, []byte(key))
		if row == nil {
			row = h.past.Get(Passed, []byte(key))
		}
		e.learn(now, key, row)
	}
	a.then(now)
}

// maxSwept is how many rows of a shelf are forgotten at once.
const maxSwept = 10000

// sweep forgets what is old. What waits is not: its end is still to come.
func (h *Hub) sweep(before time.Time) {
	for _, on := range []Shelf{Passed, Refused} {
		var old []ShelfChange
		for key, value := range h.past.All(on) {
			if n, ok := parseRow("", value); ok && !n.last().Before(before) || len(old) == maxSwept {
				break
			}
			old = append(old, ShelfChange{On: on, Key: bytes.Clone(key)})
		}
		if len(old) > 0 {
			h.past.Write(old...)
		}
	}
}

// late takes what the session says when the hub has ended. It ends behind the
// hub, and what the server acknowledges or the session gives up in the end is
// still noted.
func (h *Hub) late(ev xmppc2s.Event) {
	h.lateness.Lock()
	defer h.lateness.Unlock()
	e, now := h.ended, time.Now()
	switch ev := ev.(type) {
	case xmppc2s.Acknowledged:
		e.handleServer(now, ev)
	case xmppc2s.Undelivered:
		id := ev.Stanza.Attr("id")
		e.knowing(now, func() { e.endLate(now, id, ev.Err) }, id)
	default:
		return
	}
	for actions := e.takeActions(); len(actions) > 0; actions = e.takeActions() {
		for _, a := range actions {
			switch a.(type) {
			case shelve, lookUp, note:
				h.do(e, a)
			}
		}
	}
	h.setStats(e)
}
