package bridge

import (
	"errors"
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
	from, _ := jid.Parse(m.Stanza.Attr("from")) // what cannot be read is nobody's
	e.take(now, e.newIncoming(now, m, from, rewrite.ParseNetwork(m.Stanza)))
}

func (e *engine) take(now time.Time, in *incoming) {
	e.knowing(now, func() {
		if o := e.takeMessage(now, in); o != Pending {
			e.finish(now, in, o)
		}
	}, in.wants()...)
}

func (e *engine) newIncoming(now time.Time, m xmppc2s.Message, from jid.JID, c rewrite.Content) *incoming {
	bare := from.Bare().String()
	return &incoming{message: m, from: from, contact: e.mirrors.byBare[bare], content: c, entry: noted(now, m, c, bare)}
}

// wants are the keys of the rows that decide on the message.
func (in *incoming) wants() []string {
	switch {
	case in.content.Kind == rewrite.Failure:
		return []string{in.message.Stanza.Attr("id")}
	case in.contact == nil || in.content.Kind != rewrite.Words && in.content.Kind != rewrite.Invite:
		return nil
	}
	return []string{in.entry.key, in.content.ReplyTo}
}

// finish ends a message of the network.
func (e *engine) finish(now time.Time, in *incoming, o Outcome) {
	e.end(now, in.entry, o)
	e.done(in)
}

func (e *engine) done(in *incoming) {
	e.emit(note{"from network", in.entry.end, in.entry.peer, in.message.Stanza.Attr("from")})
	e.emit(finish{in.message.Done})
}

func (e *engine) takeMessage(now time.Time, in *incoming) Outcome {
	st, c := in.message.Stanza, in.content
	switch {
	case e.cameBefore(now, in):
		return Duplicate
	case c.Kind == rewrite.Failure:
		return e.failure(now, st, in.from)
	case st.Attr("from") == "" || in.from.Bare().Equal(e.self) && !in.from.Equal(jid.JID{}):
		return Echo // carbons and our own account: RFC 6120 §8.1.2.1
	case in.contact == nil:
		return e.refuseStranger(st, c)
	}
	switch c.Kind {
	case rewrite.Words:
		return e.takeWords(now, in)
	case rewrite.Invite:
		return e.takeInvitation(now, in)
	case rewrite.State:
		return e.stateToLAN(now, in.contact, c)
	case rewrite.Encrypted:
		return e.refuse(st, RefusedSealed, "modify", stanza.NotAcceptable, wordsSealed)
	case rewrite.Relayed:
		return e.refuse(st, RefusedType, "cancel", stanza.NotAcceptable, wordsRelayed)
	case rewrite.Wrapped:
		return e.refuse(st, RefusedType, "modify", stanza.NotAcceptable, wordsWrapped)
	case rewrite.WrongType, rewrite.Foreign:
		return RefusedType
	}
	return Ignored
}

// refuseStranger answers words of somebody who is no contact (IJ-06). What is
// not words gets no answer: it has no sender who waits for one.
func (e *engine) refuseStranger(st *stanza.Element, c rewrite.Content) Outcome {
	switch c.Kind {
	case rewrite.Words, rewrite.Invite, rewrite.Encrypted, rewrite.Relayed:
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
	n, ok := e.book.recent.Get(now, id)
	if !ok || !n.fromLAN {
		return Ignored
	}
	contact, err := jid.Parse(n.contact)
	if err != nil || !from.Bare().Equal(contact) && !from.Equal(contact.Domain()) && !from.Bare().Equal(e.self) && st.Attr("from") != "" {
		return Ignored
	}
	e.undelivered(now, id, stanza.ParseError(st))
	return Consumed
}

func (e *engine) takeWords(now time.Time, in *incoming) Outcome {
	st, c := in.message.Stanza, in.content
	if o, refused := e.tooMany(now, in); refused {
		return o
	}
	if len(c.Body) > e.cfg.Limits.BodyBytes {
		return e.refuse(st, RefusedLength, "modify", stanza.NotAcceptable, wordsTooLong(len(c.Body), e.cfg.Limits.BodyBytes))
	}
	if o, ok := e.command(now, in); ok {
		return o
	}
	return e.admit(now, in)
}

// tooMany refuses what a contact wrote if it came before, or too much of it did.
func (e *engine) tooMany(now time.Time, in *incoming) (o Outcome, refused bool) {
	switch {
	case e.repeats(now, in.entry, !in.content.Stamp.IsZero()), e.wasMarked(in):
		e.receiptAgain(in)
		return e.repeated(now, in), true
	case !in.message.Missed && !e.contactRate.Allow(now, contactKey(in.contact.bare)):
		return e.refuse(in.message.Stanza, RefusedRate, "wait", stanza.PolicyViolation, wordsTooFast), true
	}
	return Pending, false
}

// admit takes what is for a peer.
func (e *engine) admit(now time.Time, in *incoming) Outcome {
	if n, ok := e.book.recent.Get(now, in.content.ReplyTo); ok && n.fromLAN && n.contact == in.contact.bare {
		in.answers = n.peer
	}
	if in.entry.key != "" {
		e.book.coming[in.entry.key] = in.entry
	}
	return e.place(now, in)
}

// place finds the peer for words, or an invitation, that are admitted.
func (e *engine) place(now time.Time, in *incoming) Outcome {
	ct, st := in.contact, in.message.Stanza
	w := e.route(now, ct, in.content, in.answers)
	in.entry.peer = w.peer
	switch {
	case e.tooEarly(now, in, w):
		return Pending
	case w.fate != found:
		return e.astray(now, in, w)
	case w.body == "" && in.content.Kind == rewrite.Words:
		e.touchTalk(now, ct, w.peer)
		return e.answer(now, in, Answered, wordsTalking(w.peer))
	case len(e.pending) >= e.cfg.Limits.PendingToLAN:
		return e.refuse(st, RefusedFull, "wait", stanza.ResourceConstraint, wordsFull)
	}
	in.content.Body = w.body
	e.deliver(now, delivery{in, w.peer, in.wantsReceipt()})
	return Pending
}

func (e *engine) deliver(now time.Time, d delivery) {
	k := e.touchTalk(now, d.contact, d.peer)
	k.toLAN = passedState{}
	e.tokens++
	e.pending[e.tokens] = d
	d.contact.spokeTill = now.Add(spokeFor)
	e.changed = true
	e.settle(now)
	send := toLAN{from: d.contact.mirror.id, to: d.peer, stanza: d.stanza(now.In(e.cfg.Location)), token: e.tokens, keys: [2]string{d.entry.key, placeKey(d.message)}}
	if !d.receipt { // which has to be on its way before
		send.done = d.message.Done
	}
	e.dispatch(now, send)
}

// stanza is what the peer gets.
func (d delivery) stanza(now time.Time) *stanza.Element {
	if d.content.Kind == rewrite.Invite {
		return rewrite.InviteToLAN(d.content, d.contact.name(), now)
	}
	return rewrite.ToLAN(d.content, d.contact.name(), now)
}

// handleSent takes what became of a stanza to a peer.
func (e *engine) handleSent(now time.Time, token uint64, err error) {
	if e.warned(now, token, err) {
		return
	}
	d, ok := e.pending[token]
	if !ok || errors.Is(err, linklocal.ErrStopped) {
		return // we are stopping: it has no end yet, and the server keeps it for the next run
	}
	delete(e.pending, token)
	if err != nil {
		d.entry.why = reasonLAN(err)
		e.answerError(d.message.Stanza, refusalOf(d.peer, err))
		e.finish(now, d.incoming, Bounced)
		return
	}
	e.end(now, d.entry, Delivered)
	if d.receipt {
		e.emit(toServer{rewrite.Receipt(d.message.Stanza)})
	}
	if d.content.Kind == rewrite.Invite {
		e.say(now, d.from.String(), wordsInvited(rewrite.DisplayName(d.peer), d.content.Room))
	}
	e.done(d.incoming)
	e.warn(now, e.talks.with(now, d.contact, d.peer))
}

// stateToLAN passes on that a contact is typing, where a stream is open anyway.
func (e *engine) stateToLAN(now time.Time, ct *contact, c rewrite.Content) Outcome {
	k := e.talks.thread(now, ct, c.Thread)
	if k == nil {
		k = e.talks.last(now, ct)
	}
	if k == nil || !e.reachable(k.peer, ct) || !k.toLAN.due(now, c.State) || !e.states.Allow(now, contactKey(ct.bare)) {
		return Ignored
	}
	e.emit(toLAN{from: ct.mirror.id, to: k.peer, stanza: rewrite.StateToLAN(c.State), open: true})
	return StatePassed
}
