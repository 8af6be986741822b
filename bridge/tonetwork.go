package bridge

import (
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
)

// received takes a message of a peer to its end.
func (e *engine) received(now time.Time, r linklocal.Received) {
	e.fromLAN.enter()
	o := e.takeReceived(now, r)
	e.fromLAN.end(o)
	e.emit(note{"from LAN", o, r.From, string(r.To)})
}

func (e *engine) takeReceived(now time.Time, r linklocal.Received) Outcome {
	c := rewrite.ParseLAN(r.Stanza)
	to := e.mirrors.byBare[string(r.To)]
	switch {
	case e.peers.isOwn(r.From):
		return Echo
	case r.To != conciergeID && to == nil:
		return RefusedContact
	case !e.policy.admits(r.From):
		return e.reject(now, r, c, RefusedStranger, wordsStranger(r.From))
	case to != nil && !e.policy.connects(r.From, to.bare):
		return e.reject(now, r, c, RefusedContact, wordsNoContact)
	}
	switch c.Kind {
	case rewrite.Words:
	case rewrite.State:
		return e.stateToNetwork(now, r, to, c.State)
	case rewrite.WrongType, rewrite.Foreign:
		return RefusedType
	default:
		return Ignored
	}
	switch {
	case !e.peerRate.allow(now, peerKey(r.From)):
		return e.reject(now, r, c, RefusedRate, wordsTooFast)
	case len(c.Body) > e.cfg.Limits.BodyBytes:
		return e.reject(now, r, c, RefusedLength, wordsTooLong(len(c.Body), e.cfg.Limits.BodyBytes))
	case to == nil:
		return e.ask(now, r.From, c.Body)
	}
	e.payloadsDropped += uint64(c.Dropped)
	e.sendWords(now, to, r.From, c)
	return Accepted
}

// reject tells the peer why its words are not passed on, unless it was told
// so only just now.
func (e *engine) reject(now time.Time, r linklocal.Received, c rewrite.Content, o Outcome, text string) Outcome {
	if c.Kind == rewrite.Words && e.remarks.allow(now, peerKey(r.From)) {
		e.tell(r.To, r.From, text)
	}
	return o
}

func (e *engine) sendWords(now time.Time, to *contact, from linklocal.Instance, c rewrite.Content) {
	k := e.touchTalk(now, to, from)
	k.toNetwork = passedState{}
	env := rewrite.Envelope{To: to.bare, ID: e.newID(), Thread: k.thread}
	e.noteSent(now, env.ID, sentMessage{to, from, rewrite.Line(c.Body, maxExcerpt)})
	e.emit(toServer{rewrite.ToNetwork(c, rewrite.DisplayName(from), env)})
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
	if k == nil || !k.toNetwork.due(now, state) || !e.states.allow(now, peerKey(r.From)) {
		return Ignored
	}
	e.emit(toServer{rewrite.StateToNetwork(state, rewrite.Envelope{To: to.bare, Thread: k.thread})})
	return StatePassed
}

// undelivered tells a peer that its message did not get through. It reports
// whether the id was that of a message.
func (e *engine) undelivered(now time.Time, id string, err error) bool {
	m, ok := e.sent.get(now, id)
	if !ok {
		return false
	}
	e.forgetSent(id)
	e.fromLAN.bounce()
	e.tellAbout(m.contact, m.peer, wordsUndelivered(m.excerpt, reason(err)))
	return true
}
