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

func instances(list []linklocal.Peer) []linklocal.Instance {
	var out []linklocal.Instance
	for _, p := range list {
		out = append(out, p.Instance)
	}
	return out
}

// route finds the peer for a contact's words: by "@name" in front, by what it
// answers or quotes, by the thread, else the last talk.
func (e *engine) route(now time.Time, ct *contact, c rewrite.Content) way {
	if text, ok := strings.CutPrefix(c.Body, "@"); ok {
		return e.routeMention(now, ct, text)
	}
	if m, ok := e.sent.get(now, c.ReplyTo); ok && m.contact == ct {
		return e.toward(ct, m.peer, c.Body)
	}
	if name := quoted(c.Body); name != "" {
		known := append(instances(e.present(ct)), e.talks.peersOf(now, ct)...)
		if peer, ok := shownAs(name, known); ok {
			return e.toward(ct, peer, c.Body)
		}
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
	among, rest := mention(text, instances(e.present(ct)))
	switch {
	case len(among) == 1:
		return way{fate: found, peer: among[0], body: rest}
	case len(among) > 1:
		return way{fate: ambiguous, among: among}
	}
	if left, _ := mention(text, e.talks.peersOf(now, ct)); len(left) > 0 {
		return way{fate: gone, peer: left[0]}
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
func (e *engine) astray(now time.Time, st *stanza.Element, ct *contact, w way) Outcome {
	who := wordsPeers(e.present(ct))
	switch w.fate {
	case gone:
		return e.refuse(st, RefusedPeer, "wait", stanza.RecipientUnavailable, wordsGone(w.peer))
	case unknown:
		return e.answer(now, st, RefusedPeer, wordsUnknown(w.name)+"\n"+who)
	case ambiguous:
		return e.answer(now, st, RefusedPeer, wordsAmbiguous(w.among))
	}
	return e.answer(now, st, Answered, wordsNetworkHelp+"\n"+who)
}
