package bridge

import (
	"slices"
	"time"

	"meshgate/linklocal"
)

// A talk is the conversation of a contact with a peer.
type talk struct {
	key     talkKey
	contact *contact
	peer    linklocal.Instance
	thread  string // made by the gateway, so that no peer can take another's
	used    time.Time
	order   uint64 // the highest is the last one used
	outage  uint64 // the last outage of which the peer was told
	shelved time.Time

	toNetwork, toLAN passedState
}

type talkKey struct{ bare, peer string }

// A passedState is the chat state last passed on.
type passedState struct {
	state string
	at    time.Time
}

// stateRepeat is how often the same chat state is passed on. iChat tells with
// each keystroke that somebody is typing.
const stateRepeat = 20 * time.Second

// due reports whether the state is news, and notes it.
func (p *passedState) due(now time.Time, state string) bool {
	if p.state == state && now.Sub(p.at) < stateRepeat {
		return false
	}
	*p = passedState{state, now}
	return true
}

// talks remembers the newest conversations.
type talks struct {
	limit    int
	idle     time.Duration
	order    uint64
	m        map[talkKey]*talk
	byThread map[string]*talk
}

func newTalks(limit int, idle time.Duration) *talks {
	return &talks{limit: limit, idle: idle, m: make(map[talkKey]*talk), byThread: make(map[string]*talk)}
}

// touch is the conversation of c and peer, which is the last used from now on.
func (t *talks) touch(now time.Time, c *contact, peer linklocal.Instance, newThread func() string) *talk {
	key := talkKey{c.bare, peer.Key()}
	k := t.m[key]
	if k == nil {
		if len(t.m) >= t.limit {
			t.evict()
		}
		k = &talk{key: key, contact: c, thread: newThread()}
		t.m[key], t.byThread[k.thread] = k, k
	}
	t.order++
	k.peer, k.used, k.order = peer, now, t.order
	return k
}

func (t *talks) evict() {
	var oldest *talk
	for _, k := range t.m {
		if oldest == nil || k.order < oldest.order {
			oldest = k
		}
	}
	if oldest != nil {
		delete(t.m, oldest.key)
		delete(t.byThread, oldest.thread)
	}
}

// with is the conversation of c and peer, or nil.
func (t *talks) with(now time.Time, c *contact, peer linklocal.Instance) *talk {
	return t.alive(now, t.m[talkKey{c.bare, peer.Key()}])
}

// thread is the conversation of c that has this thread, or nil.
func (t *talks) thread(now time.Time, c *contact, thread string) *talk {
	k := t.alive(now, t.byThread[thread])
	if k == nil || k.contact != c {
		return nil
	}
	return k
}

// last is the conversation that c had last, or nil.
func (t *talks) last(now time.Time, c *contact) *talk {
	var last *talk
	for _, k := range t.m {
		if k.contact == c && (last == nil || k.order > last.order) {
			last = k
		}
	}
	return t.alive(now, last)
}

// peersOf are those whom c talked to, in order of their names.
func (t *talks) peersOf(now time.Time, c *contact) []linklocal.Instance {
	var out []linklocal.Instance
	for _, k := range t.m {
		if k.contact == c && t.alive(now, k) != nil {
			out = append(out, k.peer)
		}
	}
	slices.Sort(out)
	return out
}

func (t *talks) alive(now time.Time, k *talk) *talk {
	if k == nil || now.Sub(k.used) > t.idle {
		return nil
	}
	return k
}
