package rooms

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"meshgate/internal/stanza"
)

// nsGateway is that of what gateways tell each other in Clique rooms.
const nsGateway = "urn:x-meshgate:gateway:0"

// Times of the agreement on who carries.
const (
	beatEvery   = time.Second             // what a gateway says as long as it has company
	doubtAfter  = 3500 * time.Millisecond // without a packet of anybody we ask ourselves whether it is us who are cut off …
	doubtFor    = 5 * time.Minute         // … until Clique gives the others up, or that has passed
	silentAfter = 4 * time.Second         // a gateway is as good as dead
	takeoverIn  = 2 * time.Second         // in which what the other has sent last arrives
	proofIn     = 500 * time.Millisecond  // of that; who hears somebody later is not cut off, and others are not about to take over, too
	lease       = 3 * time.Second         // who was not awake for that long may have been replaced
	listenFor   = 2 * time.Second         // after others were met, until the gateways among them have been heard
	joinHold    = 500 * time.Millisecond  // the same, for one that carries
	companyKept = time.Minute
	aloneFor    = 2 * time.Minute // for as long at most those who come, or are heard and do not let us in, keep us waiting: a join and a failure take 90 s
)

// Bounds of what other gateways make us keep.
const (
	maxGateways = 16
	maxMembers  = 128
	maxSite     = 128 // bytes of a site's name
)

// A duty is what a gateway does about its room.
//
//	unable ──▶ listening ──▶ taking ──▶ carrying ⇄ doubting
//	              standing ◀─┴──────────┘
type duty uint8

const (
	unable    duty = iota // not in both rooms
	listening             // who else is there
	standing              // another carries
	taking                // nobody else will; what is on its way from whoever did arrives
	carrying
	doubting // nobody is heard
)

func (d duty) String() string {
	return [...]string{"not in both rooms", "listening", "standing by", "taking over", "carrying", "cut off from the LAN, it seems"}[d]
}

// A gateway is what one says of itself.
type gateway struct {
	id       string
	since    int64 // milliseconds of unix time
	ready    bool  // it could carry
	carrying bool
}

// before reports whether a rather than b is to carry.
func (a gateway) before(b gateway) bool {
	switch {
	case a.carrying != b.carrying:
		return a.carrying
	case a.since != b.since:
		return a.since < b.since
	}
	return a.id < b.id
}

type otherGateway struct {
	gateway
	site    string
	mine    []lineID // that it has sent, before it lost its session
	instead string   // the gateway that it takes for idle
	heard   time.Time
	lost    bool      // it was silent for too long already when the room froze, or we slept
	idle    time.Time // it counts as not ready till then, since it was to carry and did not
}

// alive reports whether it was heard lately, or could not have been.
func (o *otherGateway) alive(now time.Time, frozen bool) bool {
	return !o.lost && (frozen || now.Sub(o.heard) < silentAfter)
}

// gateways agree on which of them carries: of those that are ready whoever carries
// already, or else the eldest. They tell each other in the Clique room, in messages
// without a body, when somebody comes and as long as there are several.
type gateways struct {
	self   gateway
	others map[string]*otherGateway // of the same MUC, by member
	duty   duty

	listenTill, takeAt, holdTill time.Time
	beat                         time.Time // when we said something last
	company                      time.Time // when another one was there last
	sayNow                       bool

	watched   string    // the rival under which something of what is due has to get into the MUC …
	watchedAt time.Time // … since then, or something has
}

// pause has the time up to now not count as silence, since nobody could be heard
// from since on.
func (g *gateways) pause(since, now time.Time) {
	for _, o := range g.others {
		if o.lost = o.lost || !o.alive(since, false); !o.lost {
			o.heard = now
		}
	}
}

// thawed notes that others can be heard again, who may have taken over.
func (g *gateways) thawed(now time.Time) {
	g.takeAt = now.Add(takeoverIn)
	g.hold(now.Add(joinHold))
}

// hold sends nothing until then, while others may have something to say.
func (g *gateways) hold(till time.Time) {
	if till.After(g.holdTill) {
		g.holdTill = till
	}
}

// become is the only place that sets duty.
func (g *gateways) become(d duty) (changed bool) {
	if g.duty == d {
		return false
	}
	if g.duty == carrying || d == carrying {
		g.sayNow = true
	}
	g.duty = d
	g.self.carrying = d == carrying
	return true
}

// stand says whether we could carry.
func (g *gateways) stand(ready bool) {
	if ready != g.self.ready {
		g.self.ready, g.sayNow = ready, true
	}
}

// decide finds what is to be done about the room by now.
func (e *engine) decide(now time.Time) {
	g := &e.gates
	if len(g.others) > 0 {
		g.company = now
	}
	was := g.duty
	asleep := now.Sub(e.settled) > lease
	if asleep && was == listening && !now.Before(g.listenTill) {
		g.listenTill = now.Add(listenFor) // or it was a long wait; then this does little harm
	}
	if asleep = asleep && len(g.others) > 0; asleep {
		e.lan.heard = now
		g.hold(now.Add(takeoverIn))
		g.pause(e.settled, now) // what they have said meanwhile is still to come
		g.watchedAt = now
	}
	e.watchRival(now)
	switch {
	case !e.lan.entered || !e.net.ready():
		g.become(unable)
	case now.Before(g.listenTill):
		g.become(listening)
	case e.doubtful(now):
		g.become(doubting)
	case e.rival(now) != "":
		g.become(standing)
	case was == carrying && !asleep:
	case was == taking && !asleep && (e.lan.frozen || now.Before(g.takeAt) || !e.isHeardSince(g.takeAt.Add(proofIn-takeoverIn))):
	case was == taking && !asleep, now.Sub(g.company) >= companyKept:
		g.become(carrying)
		e.takenOver++
	default:
		g.become(taking)
		g.takeAt = now.Add(takeoverIn)
	}
	g.stand(g.duty != unable && !e.isAccused(now))
	e.keepGrants(now)
	if was != g.duty {
		if g.duty == standing {
			g.hold(now.Add(takeoverIn))
		}
		e.emit(note{"a room's duty", []any{"is", g.duty.String(), "was", was.String()}})
	}
}

// mayCarry reports whether lines may be sent.
func (e *engine) mayCarry(now time.Time) bool {
	return e.gates.duty == carrying && !now.Before(e.gates.holdTill)
}

// maySend reports whether lines may be that were granted to us.
func (e *engine) maySend(now time.Time) bool {
	return e.gates.duty == standing && !now.Before(e.gates.holdTill)
}

// doubtful reports whether we may be cut off from the LAN: there are other gateways,
// and nobody is heard, not even a packet. Then one of them carries. What we would say
// would come as soon as the cut is mended, beside what that one has said.
func (e *engine) doubtful(now time.Time) bool {
	silence := now.Sub(e.lan.heard)
	return len(e.gates.others) > 0 && silence > doubtAfter && silence < doubtFor
}

// isHeardSince reports whether somebody on the LAN was heard after that; without other
// gateways it does not matter.
func (e *engine) isHeardSince(then time.Time) bool {
	return len(e.gates.others) == 0 || e.lan.heard.After(then)
}

// heardLAN notes that somebody on the LAN has been heard, if only by a packet. Who is
// heard and is no member yet may be busy with others: then we are not alone.
func (e *engine) heardLAN(now time.Time) {
	e.lan.heard = now
	if e.isAlone() {
		e.listen(now.Add(e.cfg.Timing.Alone), e.lan.enteredAt.Add(aloneFor))
		return
	}
	e.held.sure, e.held.unsure = e.held.last, nil
}

// count takes how many packets were heard so far. What was before we asked says
// nothing about now.
func (e *engine) count(now time.Time, n uint64) {
	asked := e.lan.asked
	e.lan.asked = e.watchesLAN()
	if e.lan.asked && asked && n != e.lan.others {
		e.heardLAN(now)
	}
	e.lan.others = n
}

// isAlone reports whether we are in the Clique room, and nobody else is.
func (e *engine) isAlone() bool { return e.lan.entered && len(e.people.members) == 0 }

// listen listens till then, at most up to a limit.
func (e *engine) listen(till, limit time.Time) {
	if till.After(limit) {
		till = limit
	}
	if till.After(e.gates.listenTill) {
		e.gates.listenTill = till
	}
}

// watchesLAN reports whether that is wanted.
func (e *engine) watchesLAN() bool {
	return e.lan.entered && (len(e.gates.others) > 0 || len(e.held.unsure) > 0 || e.isAlone() && e.gates.duty != carrying)
}

// rival is the member that is to carry instead of us; "": none.
func (e *engine) rival(now time.Time) string {
	best, name := e.gates.self, ""
	accused := e.isAccused(now)
	for _, member := range slices.Sorted(maps.Keys(e.gates.others)) {
		o := e.gates.others[member]
		if e.isFit(now, o) && (accused && name == "" || o.gateway.before(best)) {
			best, name = o.gateway, member
		}
	}
	return name
}

// isFit reports whether another gateway could carry, as far as we know.
func (e *engine) isFit(now time.Time, o *otherGateway) bool {
	return o.ready && o.alive(now, e.lan.frozen) && !now.Before(o.idle)
}

// isEldest reports whether no other gateway that is not ready goes before us, nor
// any is ready: then it is us who speak of what is wrong.
func (e *engine) isEldest(now time.Time) bool {
	for _, o := range e.gates.others {
		if o.alive(now, e.lan.frozen) && (o.ready || o.gateway.before(e.gates.self)) {
			return false
		}
	}
	return true
}

// announce tells the other gateways of us.
func (e *engine) announce(now time.Time) {
	g := &e.gates
	if !e.lan.entered || !g.sayNow && (len(g.others) == 0 || now.Sub(g.beat) < beatEvery) {
		return
	}
	if len(e.people.members) == 0 {
		g.sayNow = false
		return
	}
	g.sayNow, g.beat = false, now
	flag := func(b bool) string {
		if b {
			return "1"
		}
		return ""
	}
	parts := append([]stanza.Part{
		stanza.Attr{Name: "room", Value: e.muc}, stanza.Attr{Name: "site", Value: e.site},
		stanza.Attr{Name: "id", Value: g.self.id}, stanza.Attr{Name: "since", Value: strconv.FormatInt(g.self.since, 10)},
		stanza.Attr{Name: "ready", Value: flag(g.self.ready)}, stanza.Attr{Name: "carrying", Value: flag(g.self.carrying)},
		stanza.Attr{Name: "last", Value: string(e.held.sure)}, stanza.Attr{Name: "instead", Value: e.idleRival(now)}, e.claim(now),
	}, append(e.offer(now), e.handover.answer()...)...)
	e.emit(sendLAN{stanza: stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "groupchat"}, stanza.New(nsGateway, "gateway", parts...))})
}

// heardGateway takes what a gateway says of itself. It reports false if st is
// nothing of that kind.
func (e *engine) heardGateway(now time.Time, from string, st *stanza.Element) bool {
	el := st.Child(nsGateway, "gateway")
	if el == nil {
		return false
	}
	g := &e.gates
	since, err := strconv.ParseInt(el.Attr("since"), 10, 64)
	id, site, instead, last := el.Attr("id"), el.Attr("site"), el.Attr("instead"), mucKey(el.Attr("last"))
	if el.Attr("room") != e.muc || err != nil || id == g.self.id {
		return true // of another MUC it is none of our business
	}
	if max(len(id), len(instead), len(last)) > maxKey || len(site) > maxSite {
		return true
	}
	o := g.others[from]
	if o == nil {
		if len(g.others) >= maxGateways {
			return true
		}
		o = &otherGateway{}
		g.others[from] = o
		g.sayNow = true
		if site != e.site {
			e.emit(note{"another gateway carries the same MUC into this Clique room, and calls its site otherwise: let them have one name", []any{"member", from, "site", site}})
		}
	}
	*o = otherGateway{
		gateway: gateway{id: id, since: since, ready: el.Attr("ready") == "1", carrying: el.Attr("carrying") == "1"},
		site:    site, heard: now, mine: listed(el.Child(nsGateway, "mine")), instead: instead, idle: o.idle,
	}
	if last != "" {
		e.settleUpTo(now, last)
	}
	e.heardHandover(now, from, el)
	return true
}

// isOurSite reports whether the gateways of a site serve this LAN.
func (e *engine) isOurSite(site string) bool {
	if site == e.site {
		return true
	}
	for _, o := range e.gates.others {
		if o.site == site {
			return true
		}
	}
	return false
}

// appendTimes appends when decide or announce are wanted.
func (g *gateways) appendTimes(times []time.Time) []time.Time {
	if len(g.others) > 0 {
		times = append(times, g.beat.Add(beatEvery))
	}
	return append(times, g.listenTill, g.takeAt, g.holdTill)
}
