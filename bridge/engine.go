package bridge

import (
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/internal/bounds"
	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// An action is something that the engine wants done. Actions are carried out
// in order: a message is finished after the error to its sender was handed over.
type action interface{ isAction() }

type (
	publish  struct{ contact linklocal.Contact }
	withdraw struct{ id linklocal.ContactID }
	toLAN    struct {
		from   linklocal.ContactID
		to     linklocal.Instance
		stanza *stanza.Element
		open   bool      // only if a stream is open
		token  uint64    // what became of it is wanted under this number; 0: is not
		done   func()    // to be called as soon as it is written; nil: nothing is
		keys   [2]string // to be marked as delivered right before that; "": none
	}
	toServer    struct{ stanza *stanza.Element }
	setPresence struct{ show, status string }
	setAvatar   struct{ of []*linklocal.Icon } // the account's picture is made of these; none: there is none
	keepNote    struct{ text string }          // over restarts
	dropNote    struct{ text string }
	shelve      []ShelfChange // over restarts
	lookUp      struct {      // on the shelves: the engine shall learn these rows, and then go on
		keys []string
		then func(now time.Time)
	}
	audit  struct{}                   // see whether what was carried over still waits
	sweep  struct{ before time.Time } // forget the rows to which nothing has happened since
	finish struct{ done func() }      // of a message of the network
	note   struct {                   // for the log
		direction string
		outcome   Outcome
		peer      linklocal.Instance
		contact   string
	}
)

func (publish) isAction()     {}
func (withdraw) isAction()    {}
func (toLAN) isAction()       {}
func (toServer) isAction()    {}
func (setPresence) isAction() {}
func (setAvatar) isAction()   {}
func (keepNote) isAction()    {}
func (dropNote) isAction()    {}
func (shelve) isAction()      {}
func (lookUp) isAction()      {}
func (audit) isAction()       {}
func (sweep) isAction()       {}
func (finish) isAction()      {}
func (note) isAction()        {}

// An engine is the whole state of the bridge. It does no I/O, starts no
// goroutine and never reads the clock. It belongs to one goroutine.
type engine struct {
	cfg       Config
	policy    policy
	mirrors   *mirrors
	peers     *peers
	talks     *talks
	announcer announcer
	portrait  portrait
	warning   warning
	outage    outage
	started   time.Time
	self      jid.JID // our own bare address; zero before the first session
	rooms     Rooms   // only asked
	invites   invites

	pending map[uint64]delivery // on their way to peers, by token
	tokens  uint64
	held    []heldStanza // those of them whose contact is not on the mesh yet, oldest first
	early   []*incoming  // for a peer who may still come

	book    book
	swept   time.Time // old rows were forgotten then
	audited time.Time // what was carried over was looked at then

	peerRate, contactRate *bounds.Limiter
	remarks               *bounds.Limiter // what the gateway says by itself, to each peer or contact
	states                *bounds.Limiter // chat states of each peer or contact

	fromLAN, fromNetwork Ledger
	payloadsDropped      uint64

	changed      bool // the contacts' presence, or the session, has to be looked at
	peersChanged bool // the peers' presence has
	out          []action
}

// An incoming is a message of the network that has not ended.
type incoming struct {
	message  xmppc2s.Message
	from     jid.JID  // zero: it has none, or none that can be read
	contact  *contact // nil: a stranger
	content  rewrite.Content
	muc      jid.JID            // of an invitation: where to
	mediated bool               // of an invitation: a room says who has sent it
	answers  linklocal.Instance // who wrote what it answers; "": that says nothing
	entry    *entry
}

// A delivery is a message of the network that is on its way to a peer.
type delivery struct {
	*incoming
	peer    linklocal.Instance
	receipt bool
}

// remarkRate is how often the gateway says something by itself, so that two
// automata cannot keep each other busy (IJ-08).
var remarkRate = Rate{PerMinute: 20, Burst: 8}

// stateRate is how many chat states each side may pass on.
var stateRate = Rate{PerMinute: 60, Burst: 10}

// peerKey and contactKey keep the two apart: a peer may call itself by a
// contact's address.
func peerKey(i linklocal.Instance) string { return "peer " + i.Key() }
func contactKey(bare string) string       { return "contact " + bare }

// newEngine makes an engine; notes are what it remembers, see Notes.
func newEngine(now time.Time, cfg Config, notes []string) *engine {
	senders := cfg.Limits.Peers + len(cfg.Contacts)
	e := &engine{
		cfg: cfg, policy: newPolicy(cfg), mirrors: newMirrors(cfg),
		peers:     newPeers(cfg.Limits.Peers),
		talks:     newTalks(cfg.Limits.Conversations, cfg.Timing.TalkIdle),
		announcer: announcer{damp: cfg.Timing.PresenceDamp},
		portrait:  portrait{settle: cfg.Timing.AvatarSettle, damp: cfg.Timing.AvatarDamp},
		warning:   newWarning(),
		rooms:     noRooms{},
		invites:   bounds.NewMemory[invite, linklocal.Instance](maxInvites, invitesKept),
		started:   now, swept: now.Add(firstSweep - sweepEvery), audited: now,
		outage:  outage{after: cfg.Timing.OutageTold, limit: cfg.Limits.Conversations},
		pending: make(map[uint64]delivery),
		book:    newBook(cfg.Timing.SentKept),

		peerRate:    bounds.NewLimiter(cfg.Limits.PeerRate, cfg.Limits.Peers),
		contactRate: bounds.NewLimiter(cfg.Limits.ContactRate, senders),
		remarks:     bounds.NewLimiter(remarkRate, 2*senders),
		states:      bounds.NewLimiter(stateRate, 2*senders),
		changed:     true, peersChanged: true,
	}
	e.outage.begin(now)
	for _, n := range notes {
		e.recall(now, n)
	}
	if cfg.Avatar != AvatarPeers {
		e.portrait.settle = 0
	}
	e.settle(now)
	return e
}

// recall takes a note of before the last restart.
func (e *engine) recall(now time.Time, n string) {
	if peer, ok := strings.CutPrefix(n, noteTold); ok {
		e.warning.told.Put(now, peer, struct{}{})
	}
	e.portrait.ours = e.portrait.ours || n == noteAvatar
}

// handleLAN takes an event of the mesh.
func (e *engine) handleLAN(now time.Time, ev linklocal.Event) {
	switch ev := ev.(type) {
	case linklocal.PeerAppeared:
		e.peers.put(ev.Peer)
		e.peersChanged = true
		e.retryEarly(now)
	case linklocal.PeerChanged:
		e.peers.put(ev.Peer)
		e.peersChanged = true
	case linklocal.PeerVanished:
		e.peers.drop(ev.Instance)
		e.peersChanged = true
	case linklocal.PeerIcon:
		e.peers.setIcon(ev.Instance, ev.Icon)
		e.peersChanged = true
	case linklocal.StreamOpened:
		e.streamOpened(now, ev)
	case linklocal.ContactPublished:
		e.peers.claim(ev.ID, ev.Instance)
		e.releaseHeld(ev.ID)
		e.peersChanged = true
	case linklocal.Received:
		e.received(now, ev)
	}
	e.settle(now)
}

// handleServer takes an event of the network.
func (e *engine) handleServer(now time.Time, ev xmppc2s.Event) {
	switch ev := ev.(type) {
	case xmppc2s.Online:
		e.self = ev.JID.Bare()
		e.mirrors.up(now, ev.Resumed)
		e.outage.end()
		e.changed = true
	case xmppc2s.Offline:
		e.mirrors.down(now)
		e.outage.begin(now)
		e.changed = true
	case xmppc2s.ContactPresence:
		e.changed = e.mirrors.presence(ev) || e.changed
	case xmppc2s.ContactAvatar:
		e.contactAvatar(ev)
	case xmppc2s.Message:
		e.message(now, ev)
	case xmppc2s.RoomInvited:
		e.invited(now, ev)
	case xmppc2s.RoomDeclined:
		e.declined(now, ev)
	case xmppc2s.Undelivered:
		if ev.Stanza.Attr("type") != "error" { // whose id is the contact's choice
			id := ev.Stanza.Attr("id")
			e.knowing(now, func() { e.undelivered(now, id, ev.Err) }, id)
		}
	case xmppc2s.Acknowledged:
		e.acknowledged(now, ev.Messages)
	}
	e.settle(now)
}

// handleTimeout notes that time has passed. Early or late is harmless.
func (e *engine) handleTimeout(now time.Time) {
	e.expireHeld(now)
	e.tellOutage(now)
	if due(now, e.nextEarly()) {
		e.retryEarly(now)
	}
	if due(now, e.nextAudit()) {
		e.audited = now
		e.emit(audit{})
	}
	if due(now, e.nextSweep()) {
		e.swept = now
		e.emit(sweep{now.Add(-e.cfg.Timing.SentKept)})
	}
	e.changed, e.peersChanged = true, due(now, e.announcer.next) || due(now, e.portrait.due)
	e.settle(now)
}

// due reports whether a deadline is over, zero being never.
func due(now, at time.Time) bool { return !at.IsZero() && !now.Before(at) }

// publishFailed notes that a contact could not be published.
func (e *engine) publishFailed(now time.Time, id linklocal.ContactID) { e.mirrors.failed(now, id) }

// nextTimeout is when handleTimeout is wanted; zero: never.
func (e *engine) nextTimeout() time.Time {
	next := earlier(earlier(e.nextHeld(), e.outage.next()), earlier(e.mirrors.next, e.announcer.next))
	return earlier(earlier(next, e.nextEarly()), earlier(e.portrait.due, earlier(e.nextSweep(), e.nextAudit())))
}

// takeActions returns what is to be done, in order, and forgets it.
func (e *engine) takeActions() []action {
	out := e.out
	e.out = nil
	return out
}

func (e *engine) emit(a action) { e.out = append(e.out, a) }

// settle brings both sides' view of the other up to date.
func (e *engine) settle(now time.Time) {
	if e.changed {
		e.changed = false
		for _, a := range e.mirrors.reconcile(now) {
			if w, ok := a.(withdraw); ok {
				e.peers.release(w.id)
			}
			e.emit(a)
		}
	}
	if e.peersChanged {
		e.peersChanged = false
		if a := e.announcer.update(now, e.summary); a != nil {
			e.emit(a)
		}
		e.pose(now)
	}
}

// summary is the gateway's own status: who is on the LAN, as all may know it.
func (e *engine) summary() string {
	list := e.peers.list(e.policy.public)
	if text := describePeers(list, 2*maxMsg, true); len(text) <= maxMsg {
		return "LAN: " + text
	}
	return "LAN: " + describePeers(list, maxMsg, false)
}

// newID makes an id that nobody can guess or has used before.
func (e *engine) newID() string {
	return strconv.FormatUint(e.cfg.Rand.Uint64(), 36) + strconv.FormatUint(e.cfg.Rand.Uint64(), 36)
}

// tell says something to a peer, as the gateway, in the window of one of its contacts.
func (e *engine) tell(from linklocal.ContactID, to linklocal.Instance, text string) {
	e.emit(toLAN{from: from, to: to, stanza: rewrite.NoticeToLAN(e.cfg.Concierge, text)})
}

func (e *engine) stats() Stats {
	return Stats{
		FromLAN: e.fromLAN, FromNetwork: e.fromNetwork,
		PayloadsDropped: e.payloadsDropped, PeersIgnored: e.peers.ignored,
		Online: e.mirrors.online, Peers: len(e.peers.m), Mirrors: e.mirrors.count(), Conversations: len(e.talks.m),
	}
}
