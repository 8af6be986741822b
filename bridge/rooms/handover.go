package rooms

import (
	"maps"
	"slices"
	"time"

	"meshgate/bridge/internal/bounds"
	"meshgate/internal/stanza"
)

const (
	offerAfter = 3 * time.Second  // that a line is due a gateway that stands by asks the carrier about it …
	offerAgain = 10 * time.Second // … and again
	maxOffered = 16               // lines asked about at once
	claimFor   = 10 * time.Minute // a session that was lost may be resumed
)

// A handover is about LAN lines that a gateway has which another carries for. The
// carrier may not know them: it was not in the Clique room when they were said. The
// others say their ids, and the carrier says of each that it does not know that the
// other may send it ("yours"), or that it is done with ("over"). No words are handed
// over: whoever forged that could speak in the name of others.
//
// They say which MUC lines they still have, too ("held"), and hear which of those are on
// the LAN ("given"): of a line that it has given just before it was killed a carrier
// knows no more than that.
type handover struct {
	asked   time.Time
	carrier string                         // whose word our lines were granted by
	grants  *bounds.Memory[lineID, string] // lines that we, carrying, have left to a gateway
	yours   map[string][]lineID            // answers, for the next announcement, by gateway
	over    []lineID
	given   []mucKey
}

// maxGrants bounds the lines that are remembered to be left to others.
const maxGrants = 1024

func newHandover() handover {
	return handover{grants: bounds.NewMemory[lineID, string](maxGrants, passedKept), yours: make(map[string][]lineID)}
}

// offer lists lines that have waited for a while, for the carrier.
func (e *engine) offer(now time.Time) (parts []stanza.Part) {
	h := &e.handover
	if e.gates.duty != standing || now.Sub(h.asked) < offerAgain {
		return nil
	}
	var ids []lineID
	for _, line := range e.due.lines {
		if len(ids) < maxOffered && now.Sub(line.came) >= offerAfter && !line.granted {
			ids = append(ids, line.ID)
		}
	}
	var keys []mucKey
	for _, line := range e.held.lines {
		if len(keys) < maxOffered && now.Sub(line.came) >= offerAfter {
			keys = append(keys, line.Key)
		}
	}
	if len(ids)+len(keys) > 0 {
		h.asked = now
	}
	return []stanza.Part{idList("due", ids), idList("held", keys)}
}

// answer lists what is to be said about lines of others.
func (h *handover) answer() (parts []stanza.Part) {
	for _, id := range slices.Sorted(maps.Keys(h.yours)) {
		el := idList("yours", h.yours[id])
		parts = append(parts, el.WithAttr("to", id))
	}
	parts = append(parts, idList("over", h.over), idList("given", h.given))
	h.over, h.given = nil, nil
	clear(h.yours)
	return parts
}

// idList is an element with the ids of lines; nil if there are none.
func idList[T ~string](name string, ids []T) *stanza.Element {
	if len(ids) == 0 {
		return nil
	}
	el := stanza.New(nsGateway, name)
	for _, id := range ids {
		el.Nodes = append(el.Nodes, stanza.Node{Element: stanza.New(nsGateway, "line", stanza.Attr{Name: "id", Value: string(id)})})
	}
	return el
}

// claim lists lines that we had sent when we lost the session, and of which nothing
// is known: it may send them again, so the others shall not.
func (e *engine) claim(now time.Time) *stanza.Element {
	if now.Sub(e.net.lost) > claimFor {
		return nil
	}
	var ids []lineID
	for _, line := range e.due.lines {
		if !line.sent.IsZero() && (!e.net.online || line.sent.Before(e.net.since)) && len(ids) < maxGivenUp {
			ids = append(ids, line.ID)
		}
	}
	return idList("mine", ids)
}

// isClaimed reports whether another gateway may still send a line. It can not say so
// for longer than a session can be resumed.
func (e *engine) isClaimed(now time.Time, line *lanLine) bool {
	if now.Sub(line.came) > claimFor {
		return false
	}
	for _, o := range e.gates.others {
		if o.alive(now, e.lan.frozen) && slices.Contains(o.mine, line.ID) {
			return true
		}
	}
	return false
}

// listed are the ids of an idList.
func listed(el *stanza.Element) (ids []lineID) {
	for c := range el.Children() {
		if id := lineID(c.Attr("id")); len(id) == lineIDLen && len(ids) < maxGivenUp {
			ids = append(ids, id)
		}
	}
	return ids
}

// listedKeys are the keys of an idList.
func listedKeys(el *stanza.Element) (keys []mucKey) {
	for c := range el.Children() {
		if key := mucKey(c.Attr("id")); key != "" && len(key) <= maxKey && len(keys) < maxOffered {
			keys = append(keys, key)
		}
	}
	return keys
}

// heardHandover takes what another gateway says about lines.
func (e *engine) heardHandover(now time.Time, from string, el *stanza.Element) {
	for c := range el.Children() {
		switch c.Name.Local {
		case "due":
			for _, id := range listed(c) {
				e.heardDue(now, from, id)
			}
		case "yours":
			if e.rival(now) == from && c.Attr("to") == e.gates.self.id {
				e.granted(from, listed(c))
			}
		case "over":
			for _, id := range listed(c) {
				if line := e.due.byID[id]; line != nil && e.rival(now) == from {
					e.endDue(now, line, &e.fromLAN.Elsewhere)
				}
			}
		case "held":
			for _, key := range listedKeys(c) {
				e.heardHeld(now, key)
			}
		case "given":
			for _, key := range listedKeys(c) {
				if line := e.held.byKey[key]; line != nil && e.rival(now) == from {
					e.settleElsewhere(now, line)
				}
			}
		}
	}
}

func (e *engine) granted(by string, ids []lineID) {
	e.handover.carrier = by
	for _, id := range ids {
		if line := e.due.byID[id]; line != nil {
			line.granted = true
		}
	}
}

// keepGrants takes back what was granted by a gateway that does not carry any more:
// the next one may know more.
func (e *engine) keepGrants(now time.Time) {
	h := &e.handover
	if h.carrier == "" || h.carrier == e.rival(now) {
		return
	}
	h.carrier = ""
	for _, line := range e.due.lines {
		line.granted = false
	}
}

// heardDue answers, as the carrier, about a line that another gateway has. One that
// is not known to us we shall not send either, and only one of the others shall.
func (e *engine) heardDue(now time.Time, from string, id lineID) {
	h, other := &e.handover, e.gates.others[from]
	_, passed := e.hasPassed(now, e.lineMark(id))
	holder, left := h.grants.Get(now, id)
	switch {
	case e.gates.duty != carrying || e.due.byID[id] != nil || len(h.over) >= maxGivenUp || len(h.yours[other.id]) >= maxGivenUp:
		return
	case left && holder != from && e.gates.others[holder] != nil:
		return
	case left, !passed:
		if !passed {
			e.passed.Put(now, e.lineMark(id), true) // for this run only, like the grant: the next one shall not take it for said
		}
		h.grants.Put(now, id, from)
		h.yours[other.id] = append(h.yours[other.id], id)
	default:
		h.over = append(h.over, id)
	}
	e.gates.sayNow = true
}

// heardHeld answers, as the carrier, about a MUC line that another gateway has.
func (e *engine) heardHeld(now time.Time, key mucKey) {
	h := &e.handover
	_, passed := e.hasPassed(now, e.heldMark(key))
	if e.gates.duty == carrying && passed && e.held.byKey[key] == nil && len(h.given) < maxGivenUp {
		h.given = append(h.given, key)
		e.gates.sayNow = true
	}
}
