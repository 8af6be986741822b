package bridge

import (
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// ask answers what a peer wrote to the concierge, unless it is the request to
// invite somebody, which is passed on.
func (e *engine) ask(now time.Time, n *entry, body string) Outcome {
	from := n.peer
	switch question(body) {
	case "help":
		return e.remark(now, ConciergeID, from, e.lanHelp())
	case "who":
		return e.remark(now, ConciergeID, from, e.whoForPeer(from))
	}
	if c, ok := roomCommandOf(body); ok && e.hasRooms() {
		return e.roomCommandOfPeer(now, n, c)
	}
	text := wordsShortHelp
	if e.hasRooms() {
		text = wordsShortHelpRooms
	}
	return e.remark(now, ConciergeID, from, text)
}

// remark says something to a peer, unless much was said only just now.
func (e *engine) remark(now time.Time, from linklocal.ContactID, to linklocal.Instance, text string) Outcome {
	if !e.remarks.Allow(now, peerKey(to)) {
		return RefusedRate
	}
	e.tell(from, to, text)
	return Answered
}

// question is a body as a command: "@Who? " is "who".
func question(body string) string {
	return strings.ToLower(strings.Trim(body, "@＠?!. \t\n"))
}

func (e *engine) lanHelp() string {
	help := wordsLANHelp
	if e.hasRooms() {
		help += wordsLANHelpRooms
	}
	if e.hasStreams() {
		help += wordsLANHelpStreams
	}
	return help
}

func (e *engine) networkHelp() string {
	help := wordsNetworkHelp
	if e.hasRooms() {
		help += wordsNetworkHelpRooms
	}
	if e.hasStreams() {
		help += wordsNetworkHelpStreams(e.cfg.Streams)
	}
	return help
}

func (e *engine) hasStreams() bool { return !e.cfg.Streams.Equal(jid.JID{}) }

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

// command takes a contact's words if they are a command. Without the "@", they
// are taken for one only by a contact who talks to nobody.
func (e *engine) command(now time.Time, in *incoming) (o Outcome, is bool) {
	text, at := addressed(in.content.Body)
	if !at && e.talks.last(now, in.contact) != nil {
		return Pending, false
	}
	switch question(in.content.Body) {
	case "help":
		return e.answer(now, in, Answered, e.networkHelp()), true
	case "who":
		return e.answer(now, in, Answered, e.whoForContact(now, in.contact)), true
	}
	c, ok := roomCommandOf(in.content.Body)
	if !ok || !e.hasRooms() || !at && c.verb != "rooms" {
		return Pending, false
	}
	if peers, _ := mention(text, e.known(now, in.contact)); len(peers) > 0 {
		return Pending, false // they are called like that
	}
	return e.roomCommandOfContact(now, in, c), true
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
func (e *engine) answer(now time.Time, in *incoming, o Outcome, text string) Outcome {
	if !e.say(now, in.from.String(), text) {
		return e.refuse(in.message.Stanza, RefusedRate, "wait", stanza.PolicyViolation, wordsTooFast)
	}
	return o
}

// say says something to a contact at this address, unless much was said only
// just now.
func (e *engine) say(now time.Time, to, text string) bool {
	bare, _, _ := strings.Cut(to, "/")
	if !e.remarks.Allow(now, contactKey(bare)) {
		return false
	}
	e.emit(toServer{rewrite.NoticeToNetwork(e.cfg.Concierge, text, rewrite.Envelope{To: to, ID: e.newID()})})
	return true
}
