package bridge

import (
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// message takes a message of the network to its end, or on its way to a peer.
func (e *engine) message(now time.Time, m xmppc2s.Message) {
	e.fromNetwork.enter()
	if o, ended := e.takeMessage(now, m); ended {
		e.finish(m, o, "")
	}
}

// finish ends a message of the network.
func (e *engine) finish(m xmppc2s.Message, o Outcome, peer linklocal.Instance) {
	e.fromNetwork.end(o)
	e.emit(note{"from network", o, peer, m.Stanza.Attr("from")})
	e.emit(finish{m.Done})
}

func (e *engine) takeMessage(now time.Time, m xmppc2s.Message) (o Outcome, ended bool) {
	c := rewrite.ParseNetwork(m.Stanza)
	from, err := jid.Parse(m.Stanza.Attr("from"))
	if c.Kind == rewrite.Failure {
		return e.failure(now, m.Stanza, from), true
	}
	if m.Stanza.Attr("from") == "" || err == nil && from.Bare().Equal(e.self) {
		return Echo, true // carbons and our own account: RFC 6120 §8.1.2.1
	}
	ct := e.mirrors.byBare[from.Bare().String()]
	if ct == nil {
		return e.refuseStranger(m.Stanza, c), true
	}
	switch c.Kind {
	case rewrite.Words:
		return e.takeWords(now, m, ct, c)
	case rewrite.State:
		return e.stateToLAN(now, ct, c), true
	case rewrite.Encrypted:
		return e.refuse(m.Stanza, RefusedSealed, "modify", stanza.NotAcceptable, wordsSealed), true
	case rewrite.Relayed:
		return e.refuse(m.Stanza, RefusedType, "cancel", stanza.NotAcceptable, wordsRelayed), true
	case rewrite.Wrapped:
		return e.refuse(m.Stanza, RefusedType, "modify", stanza.NotAcceptable, wordsWrapped), true
	case rewrite.WrongType, rewrite.Foreign:
		return RefusedType, true
	}
	return Ignored, true
}

// refuseStranger answers words of somebody who is no contact (IJ-06). What is
// not words gets no answer: it has no sender who waits for one.
func (e *engine) refuseStranger(st *stanza.Element, c rewrite.Content) Outcome {
	switch c.Kind {
	case rewrite.Words, rewrite.Encrypted, rewrite.Relayed:
		return e.refuse(st, RefusedStranger, "cancel", stanza.ServiceUnavailable, "")
	}
	return RefusedStranger
}

// refuse answers a message with an error.
func (e *engine) refuse(st *stanza.Element, o Outcome, typ string, cond stanza.Condition, text string) Outcome {
	e.answerError(st, &stanza.Error{Type: typ, Condition: cond, Text: text})
	return o
}

func (e *engine) answerError(st *stanza.Element, err *stanza.Error) {
	if reply := rewrite.Refusal(err, st); reply != nil {
		e.emit(toServer{reply})
	}
}

// failure takes an error: about a peer's message it is told to the peer. It
// counts only if it comes from where the message went.
func (e *engine) failure(now time.Time, st *stanza.Element, from jid.JID) Outcome {
	id := st.Attr("id")
	m, ok := e.sent.get(now, id)
	if !ok {
		return Ignored
	}
	contact := m.contact.JID
	if !from.Bare().Equal(contact.Bare()) && !from.Equal(contact.Domain()) && !from.Bare().Equal(e.self) && st.Attr("from") != "" {
		return Ignored
	}
	e.undelivered(now, id, stanza.ParseError(st))
	return Consumed
}

func (e *engine) takeWords(now time.Time, m xmppc2s.Message, ct *contact, c rewrite.Content) (o Outcome, ended bool) {
	key := seenKey(m.Stanza, c)
	_, again := e.seen.get(now, key)
	switch {
	case again && key != "" && !c.Stamp.IsZero():
		// The server stored it although it had been delivered: the session broke
		// before our acknowledgement arrived.
		return Duplicate, true
	case !e.contactRate.allow(now, contactKey(ct.bare)):
		return e.refuse(m.Stanza, RefusedRate, "wait", stanza.PolicyViolation, wordsTooFast), true
	case len(c.Body) > e.cfg.Limits.BodyBytes:
		text := wordsTooLong(len(c.Body), e.cfg.Limits.BodyBytes)
		return e.refuse(m.Stanza, RefusedLength, "modify", stanza.NotAcceptable, text), true
	}
	if text := e.command(now, ct, c.Body); text != "" {
		return e.answer(now, m.Stanza, Answered, text), true
	}
	return e.place(now, earlyMessage{m, ct, c, key})
}

// place finds the peer for words that are admitted.
func (e *engine) place(now time.Time, m earlyMessage) (o Outcome, ended bool) {
	ct, c, st := m.contact, m.content, m.message.Stanza
	w := e.route(now, ct, c)
	switch {
	case e.tooEarly(now, m, w):
		return 0, false
	case w.fate != found:
		return e.astray(now, st, ct, w), true
	case w.body == "":
		e.touchTalk(now, ct, w.peer)
		return e.answer(now, st, Answered, wordsTalking(w.peer)), true
	case len(e.pending) >= e.cfg.Limits.PendingToLAN:
		return e.refuse(st, RefusedFull, "wait", stanza.ResourceConstraint, wordsFull), true
	}
	c.Body = w.body
	e.deliver(now, delivery{message: m.message, contact: ct, peer: w.peer, receipt: c.Receipt && st.Attr("id") != "", key: m.key}, c)
	return 0, false
}

func (e *engine) deliver(now time.Time, d delivery, c rewrite.Content) {
	k := e.touchTalk(now, d.contact, d.peer)
	k.toLAN = passedState{}
	e.tokens++
	e.pending[e.tokens] = d
	if d.key != "" {
		e.seen.put(now, d.key, struct{}{})
	}
	d.contact.spokeTill = now.Add(spokeFor)
	e.changed = true
	e.settle(now)
	st := rewrite.ToLAN(c, d.contact.name(), now.In(e.cfg.Location))
	send := toLAN{from: d.contact.mirror.id, to: d.peer, stanza: st, token: e.tokens}
	if !d.receipt { // which has to be on its way before
		send.done = d.message.Done
	}
	e.dispatch(now, send)
}

// handleSent takes what became of a stanza to a peer.
func (e *engine) handleSent(now time.Time, token uint64, err error) {
	if e.warned(now, token, err) {
		return
	}
	d, ok := e.pending[token]
	if !ok {
		return
	}
	delete(e.pending, token)
	if err != nil {
		e.seen.forget(d.key)
		e.answerError(d.message.Stanza, refusalOf(d.peer, err))
		e.finish(d.message, Bounced, d.peer)
		return
	}
	e.noteDelivered(now, d.key)
	if d.receipt {
		e.emit(toServer{rewrite.Receipt(d.message.Stanza)})
	}
	e.finish(d.message, Delivered, d.peer)
	e.warn(now, e.talks.with(now, d.contact, d.peer))
}

// stateToLAN passes on that a contact is typing, where a stream is open anyway.
func (e *engine) stateToLAN(now time.Time, ct *contact, c rewrite.Content) Outcome {
	k := e.talks.thread(now, ct, c.Thread)
	if k == nil {
		k = e.talks.last(now, ct)
	}
	if k == nil || !e.reachable(k.peer, ct) || !k.toLAN.due(now, c.State) || !e.states.allow(now, contactKey(ct.bare)) {
		return Ignored
	}
	e.emit(toLAN{from: ct.mirror.id, to: k.peer, stanza: rewrite.StateToLAN(c.State), open: true})
	return StatePassed
}
