package bridge

import (
	"strings"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// A fate is what came of looking for the peer that a message is for.
type fate uint8

const (
	found     fate = iota
	gone           // it was here
	unknown        // nobody of that name
	ambiguous      // several of that name
	nowhere        // nothing says for whom it is
)

// A way is where a message goes.
type way struct {
	fate  fate
	peer  linklocal.Instance   // found, gone
	body  string               // found: what to deliver
	name  string               // unknown: what was asked for
	among []linklocal.Instance // ambiguous
}

// reachable reports whether a peer is here and connected with the contact.
func (e *engine) reachable(peer linklocal.Instance, ct *contact) bool {
	return e.peers.here(peer) && e.policy.connects(peer, ct.bare)
}

// present are the peers that the contact may write to.
func (e *engine) present(ct *contact) []linklocal.Peer {
	return e.peers.list(func(i linklocal.Instance) bool { return e.policy.connects(i, ct.bare) })
}

// known are the peers that the contact may mean: those present, and those gone
// with whom it talked. Without the latter, "@bob" would go to another bob once
// the one who was meant has left.
func (e *engine) known(now time.Time, ct *contact) []linklocal.Instance {
	var out []linklocal.Instance
	for _, p := range e.present(ct) {
		out = append(out, p.Instance)
	}
	for _, i := range e.talks.peersOf(now, ct) {
		if !e.peers.here(i) {
			out = append(out, i)
		}
	}
	return out
}

// route finds the peer for a contact's words: by "@name" in front, by what it
// answers or quotes, by the thread, else the last talk.
func (e *engine) route(now time.Time, ct *contact, c rewrite.Content, answers linklocal.Instance) way {
	if text, ok := addressed(c.Body); ok {
		return e.routeMention(now, ct, text)
	}
	if answers != "" {
		return e.toward(ct, answers, c.Body)
	}
	if name := quoted(c.Body); name != "" {
		peer, ok := shownAs(name, e.known(now, ct))
		if !ok { // gone for long: it is not for whoever else talks at the moment
			return way{fate: unknown, name: rewrite.Line(name, maxExcerpt)}
		}
		return e.toward(ct, peer, c.Body)
	}
	if k := e.talks.thread(now, ct, c.Thread); k != nil {
		return e.toward(ct, k.peer, c.Body)
	}
	if k := e.talks.last(now, ct); k != nil {
		return e.toward(ct, k.peer, c.Body)
	}
	return way{fate: nowhere}
}

func (e *engine) routeMention(now time.Time, ct *contact, text string) way {
	among, rest := mention(text, e.known(now, ct))
	switch len(among) {
	case 0:
	case 1:
		return e.toward(ct, among[0], rest)
	default:
		return way{fate: ambiguous, among: among}
	}
	name, _, _ := strings.Cut(rewrite.Line(text, maxExcerpt), " ")
	return way{fate: unknown, name: name}
}

func (e *engine) toward(ct *contact, peer linklocal.Instance, body string) way {
	if !e.reachable(peer, ct) {
		return way{fate: gone, peer: peer}
	}
	return way{fate: found, peer: peer, body: body}
}

// astray tells a contact that its words found no peer.
func (e *engine) astray(now time.Time, in *incoming, w way) Outcome {
	who := e.whoForContact(now, in.contact)
	switch w.fate {
	case gone:
		return e.refuse(in.message.Stanza, RefusedPeer, "wait", stanza.RecipientUnavailable, wordsGone(w.peer))
	case unknown:
		return e.answer(now, in, RefusedPeer, wordsUnknown(w.name)+"\n"+who)
	case ambiguous:
		return e.answer(now, in, RefusedPeer, wordsAmbiguous(w.among))
	}
	return e.answer(now, in, Answered, e.networkHelp()+"\n"+who)
}
