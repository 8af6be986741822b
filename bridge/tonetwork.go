package bridge

import (
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// received takes a message of a peer to its end, or into the outbox.
func (e *engine) received(now time.Time, r linklocal.Received) {
	e.fromLAN.enter()
	c := rewrite.ParseLAN(r.Stanza)
	n := &entry{fromLAN: true, worded: worded(c.Kind), came: now.UnixMilli(), contact: string(r.To), peer: r.From}
	o := e.takeReceived(now, r, c, n)
	if o != Pending {
		e.end(now, n, o)
	}
	e.emit(note{"from LAN", o, r.From, string(r.To)})
}

func (e *engine) takeReceived(now time.Time, r linklocal.Received, c rewrite.Content, n *entry) Outcome {
	to := e.mirrors.byBare[string(r.To)]
	switch {
	case e.peers.isOwn(r.From):
		return Echo
	case r.To != ConciergeID && to == nil:
		return RefusedContact
	case !e.policy.admits(r.From):
		return e.reject(now, r, c, RefusedStranger, wordsStranger(r.From))
	case to != nil && !e.policy.connects(r.From, to.bare):
		return e.reject(now, r, c, RefusedContact, wordsNoContact)
	}
	switch c.Kind {
	case rewrite.Words, rewrite.Invite:
	case rewrite.Relayed:
		return e.reject(now, r, c, RefusedType, wordsRelayed)
	case rewrite.State:
		return e.stateToNetwork(now, r, to, c.State)
	case rewrite.WrongType, rewrite.Foreign:
		return RefusedType
	default:
		return Ignored
	}
	switch {
	case !e.peerRate.Allow(now, peerKey(r.From)):
		return e.reject(now, r, c, RefusedRate, wordsTooFast)
	case len(c.Body) > e.cfg.Limits.BodyBytes:
		return e.reject(now, r, c, RefusedLength, wordsTooLong(len(c.Body), e.cfg.Limits.BodyBytes))
	case c.Kind == rewrite.Invite:
		return e.peerInvites(now, r, to, n, c)
	case to == nil:
		return e.ask(now, n, c.Body)
	}
	e.payloadsDropped += uint64(c.Dropped)
	e.sendWords(now, to, n, c)
	return Pending
}

// reject tells the peer why its words are not passed on, unless it was told
// so only just now.
func (e *engine) reject(now time.Time, r linklocal.Received, c rewrite.Content, o Outcome, text string) Outcome {
	if worded(c.Kind) && e.remarks.Allow(now, peerKey(r.From)) {
		e.tell(r.To, r.From, text)
	}
	return o
}

func (e *engine) sendWords(now time.Time, to *contact, n *entry, c rewrite.Content) {
	e.forward(now, to, n, c.Body, func(env rewrite.Envelope) *stanza.Element {
		return rewrite.ToNetwork(c, rewrite.DisplayName(n.peer), env)
	})
}

// forward sends something of a peer's to a contact. excerpt is what it is called
// if it comes back.
func (e *engine) forward(now time.Time, to *contact, n *entry, excerpt string, build func(rewrite.Envelope) *stanza.Element) {
	k := e.touchTalk(now, to, n.peer)
	k.toNetwork = passedState{}
	env := rewrite.Envelope{To: to.bare, ID: e.newID(), Thread: k.thread}
	n.key, n.id, n.contact, n.text = env.ID, env.ID, to.bare, rewrite.Line(excerpt, maxExcerpt)
	e.wait(now, n)
	e.emit(toServer{build(env)})
	e.warn(now, k)
	e.wroteInOutage(now, k)
}

// stateToNetwork passes on that a peer is typing, to a contact who is there
// and has talked with it.
func (e *engine) stateToNetwork(now time.Time, r linklocal.Received, to *contact, state string) Outcome {
	if to == nil || !to.available() || !e.mirrors.online {
		return Ignored
	}
	k := e.talks.with(now, to, r.From)
	if k == nil || !k.toNetwork.due(now, state) || !e.states.Allow(now, peerKey(r.From)) {
		return Ignored
	}
	e.emit(toServer{rewrite.StateToNetwork(state, rewrite.Envelope{To: to.bare, Thread: k.thread})})
	return StatePassed
}

// acknowledged notes that the server has messages of peers, and what else it
// was sent.
func (e *engine) acknowledged(now time.Time, list []xmppc2s.Sent) {
	for _, s := range list {
		e.knowing(now, func() {
			if n, ok := e.endSent(now, s.ID, Delivered, ""); ok {
				e.emit(note{"from LAN", n.end, n.peer, n.contact})
			}
		}, s.ID)
	}
}

// undelivered tells a peer that its message did not get through, unless the id
// is that of no message, or it was told before. The row has to be known.
func (e *engine) undelivered(now time.Time, id string, err error) {
	n, ok := e.endSent(now, id, outcomeOf(err), reason(err))
	if !ok {
		return
	}
	e.tellSender(n, wordsUndelivered(n.text, n.why))
}

// tellSender tells a peer how its message has ended.
func (e *engine) tellSender(n entry, text string) {
	if ct := e.mirrors.byBare[n.contact]; ct != nil {
		e.tellAbout(ct, n.peer, text)
	} else { // the configuration names it no more
		e.tell(ConciergeID, n.peer, "to "+n.contact+": "+text)
	}
	e.emit(note{"from LAN", n.end, n.peer, n.contact})
}
