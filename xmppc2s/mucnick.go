package xmppc2s

import (
	"slices"
	"strconv"
	"time"
)

const (
	// maxNickTries is how many nicks are tried: meshgate, meshgate2, …
	maxNickTries = 9
	// maxOldNicks bounds those that we have had and that are known for ours.
	maxOldNicks = 16
	// nickSettle is how long a nick must have been free before we take it, and
	// nickPace the least time between two such changes.
	nickSettle = time.Second
	nickPace   = time.Minute
)

// mucNicks are our nicks in a room. If the one that is wanted is taken, a number
// is put behind it; it is taken as soon as whoever has it leaves or is called
// otherwise, unless we have been renamed by somebody: that stands until the room
// is entered anew.
type mucNicks struct {
	wanted string
	number int    // behind it
	now    string // the one that we have or ask for
	had    []string
	id     string // our occupant-id (XEP-0421); "": unknown
	given  bool   // somebody has renamed us

	freeAt  time.Time // when to ask for the one that is wanted; zero: never
	asked   string    // id of the presence that asked for it
	askedAt time.Time
}

// want begins with another wanted nick.
func (n *mucNicks) want(nick string) {
	n.wanted, n.number, n.given = nick, 1, false
	if n.now == "" {
		n.now = nick
	}
}

// start begins an entrance.
func (n *mucNicks) start() {
	n.number, n.given, n.id, n.freeAt, n.asked = 1, false, "", time.Time{}, ""
	n.now = n.wanted
}

// nextTry reports whether there is another nick to be tried.
func (n *mucNicks) nextTry() bool {
	if n.number++; n.number > maxNickTries {
		return false
	}
	n.now = n.wanted + strconv.Itoa(n.number)
	return true
}

// are: this is our nick, says the room.
func (n *mucNicks) are(nick string) {
	n.now = nick
	if n.isOurs(nick) {
		return
	}
	if n.had = append(n.had, nick); len(n.had) > maxOldNicks {
		n.had = slices.Delete(n.had, 0, 1)
	}
}

// renamed: it is this one now, by our will or somebody else's.
func (n *mucNicks) renamed(nick string) {
	if nick != n.wanted {
		n.given = true
	}
	n.are(nick)
}

// isOurs reports whether we have, or have had, a nick.
func (n *mucNicks) isOurs(nick string) bool { return slices.Contains(n.had, nick) }

// freed: nobody is called so any more.
func (n *mucNicks) freed(now time.Time, nick string) {
	if nick == n.wanted && n.now != n.wanted && !n.given {
		n.freeAt = now.Add(nickSettle)
	}
}

// next is when to ask for the nick that is wanted; zero: never.
func (n *mucNicks) next() time.Time {
	if n.freeAt.IsZero() || n.askedAt.IsZero() {
		return n.freeAt
	}
	return later(n.freeAt, n.askedAt.Add(nickPace))
}

// advance asks for the nick that is wanted (XEP-0045 §7.6).
func (n *mucNicks) advance(now time.Time, r *mucRoom) {
	if at := n.next(); at.IsZero() || now.Before(at) {
		return
	}
	n.freeAt = time.Time{}
	if n.now == n.wanted {
		return
	}
	st := r.ownPresence(n.wanted, nil)
	n.asked, n.askedAt = st.Attr("id"), now
	r.desk.out.send = append(r.desk.out.send, st)
}
