package bridge

import (
	"strings"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// ask answers what a peer wrote to the concierge.
func (e *engine) ask(now time.Time, from linklocal.Instance, body string) Outcome {
	if !e.remarks.Allow(now, peerKey(from)) {
		return RefusedRate
	}
	text := wordsShortHelp
	switch question(body) {
	case "help":
		text = wordsLANHelp
	case "who":
		text = e.whoForPeer(from)
	}
	e.tell(conciergeID, from, text)
	return Answered
}

// question is a body as a command: "@Who? " is "who".
func question(body string) string {
	return strings.ToLower(strings.Trim(body, "@＠?!. \t\n"))
}

func (e *engine) whoForPeer(from linklocal.Instance) string {
	var names []string
	for _, c := range e.mirrors.contacts {
		if e.policy.connects(from, c.bare) {
			names = append(names, c.describe(e.mirrors.online))
		}
	}
	others := e.peers.list(func(i linklocal.Instance) bool { return e.policy.admits(i) && i.Key() != from.Key() })
	return strings.Join([]string{
		"contacts: " + joinWords(names, maxWho),
		"on the LAN beside you: " + describePeers(others, maxWho, true),
		wordsConnection(e.mirrors.online),
	}, "\n")
}

// command is the answer to a contact's command, or "" if body is none. Without
// the "@", it is taken for one only by a contact who talks to nobody.
func (e *engine) command(now time.Time, ct *contact, body string) string {
	if _, ok := addressed(body); !ok && e.talks.last(now, ct) != nil {
		return ""
	}
	switch question(body) {
	case "help":
		return wordsNetworkHelp
	case "who":
		return e.whoForContact(now, ct)
	}
	return ""
}

// whoForContact is who of the LAN a contact may write to.
func (e *engine) whoForContact(now time.Time, ct *contact) string {
	who := wordsPeers(e.present(ct))
	if now.Before(e.lookout()) {
		who += "\n" + wordsLooking
	}
	return who
}

// answer says something to a contact, as the gateway. If it has said much only
// just now, it sends an error instead, which no automaton will answer.
func (e *engine) answer(now time.Time, st *stanza.Element, o Outcome, text string) Outcome {
	from := st.Attr("from")
	bare, _, _ := strings.Cut(from, "/")
	if !e.remarks.Allow(now, contactKey(bare)) {
		return e.refuse(st, RefusedRate, "wait", stanza.PolicyViolation, wordsTooFast)
	}
	e.emit(toServer{rewrite.NoticeToNetwork(e.cfg.Concierge, text, rewrite.Envelope{To: from, ID: e.newID()})})
	return o
}
