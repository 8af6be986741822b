package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// TestCountersBalanceWhateverHappens plays random scripts, in which the gateway
// is killed now and then. After each step every message that entered is in
// exactly one counter, and at the end, when every delivery has had its result
// and the server has acknowledged all, each message of the network was finished
// exactly once, and none is without an end on the disk (SM-11, IJ-05, IJ-08).
func TestCountersBalanceWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := office()
		cfg.Limits = Limits{Peers: 4, Conversations: 3, PendingToLAN: 3, Resources: 2, BodyBytes: 30, PeerRate: Rate{PerMinute: 600, Burst: 30}, ContactRate: Rate{PerMinute: 600, Burst: 30}}
		r := newRig(rt, cfg)
		r.addRoom([]string{"Witchcraft", "witchcraft@conference.example.org", "239.255.71.66:13251"})
		r.addRoom([]string{"Coven", "coven@conference.example.org", "239.255.71.67:13251", "members"})
		r.addRoom([]string{"Inn", "inn@conference.example.org", "-"})
		messages := 0 // of the network, but for errors
		steps := rapid.IntRange(1, 80).Draw(rt, "steps")
		for range steps {
			randomStep(rt, r, &messages)
			r.wantBalanced()
		}
		r.wait(heldFor) // what waits for a mirror goes out or is given up
		for len(r.tokens) > 0 {
			r.result(nil)
		}
		for _, st := range r.sent() {
			r.acknowledge(st)
		}
		r.wantBalanced()
		if n, waiting := len(r.e.pending), r.past.len(Waiting); n != 0 || waiting != 0 {
			rt.Fatalf("%d deliveries and %d messages to the server are pending for ever", n, waiting)
		}
		for i := range messages {
			if n := r.done[fmt.Sprintf("n%d", i)]; n != 1 {
				rt.Fatalf("message n%d was finished %d times", i, n)
			}
		}
	})
}

var (
	somePeers    = []linklocal.Instance{"bob@h2", "Bob@h3", "carol@h1", "guest@h1", "eve@evil", "alice@gw", "wjt@bael (2)"}
	someContacts = []linklocal.ContactID{alice, "carl@example.org", "boss@example.org", ConciergeID, "nobody@example.org"}
	someFroms    = []string{"alice@example.org/a", "alice@example.org/b", "boss@example.org/x", "carl@example.org", "spam@example.net/x", "gate@example.org/mesh", ""}
	someBodies   = []string{"hi", "@bob hi", "@bob@h2", "@carol hi", "@who", "help", "> [carol@h1] x", "@", "", "[meshgate] x",
		"rooms", "@invite bob@h2 coven", "invite Alice Coven", "@join Witchcraft", "@who Coven", strings.Repeat("x", 40)}
	somePayloads = []string{"", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", "<x xmlns='jabber:x:event'><composing/><id/></x>",
		"<request xmlns='urn:xmpp:receipts'/>", "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>", "<encryption xmlns='urn:xmpp:eme:0'/>",
		"<sent xmlns='urn:xmpp:carbons:2'/>",
		"<invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'><roomname>Witchcraft</roomname><address>239.255.71.66</address><port>13251</port></invite>",
		"<invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'><roomname>Coven</roomname><address>239.255.71.67</address><port>13251</port><via xmlns='urn:x-meshgate:via:0'/></invite>"}
	someTypes = []string{"chat", "chat", "chat", "normal", "groupchat", "error"}
)

func randomStep(rt *rapid.T, r *rig, messages *int) {
	peer := rapid.SampledFrom(somePeers).Draw(rt, "peer")
	message := func(attrs string) string {
		return fmt.Sprintf("<message type='%s' %s><body>%s</body>%s</message>", rapid.SampledFrom(someTypes).Draw(rt, "type"), attrs,
			stanza.Escape(rapid.SampledFrom(someBodies).Draw(rt, "body")), rapid.SampledFrom(somePayloads).Draw(rt, "payload"))
	}
	switch rapid.IntRange(0, 20).Draw(rt, "step") {
	case 19, 20:
		muc := rapid.SampledFrom([]string{"witchcraft", "coven", "inn", "heath"}).Draw(rt, "muc") + "@conference.example.org"
		reason := rapid.SampledFrom(someBodies).Draw(rt, "reason")
		r.invited(rapid.Bool().Draw(rt, "direct"), rapid.SampledFrom(someFroms).Draw(rt, "inviter"), fmt.Sprintf("n%d", *messages), muc, reason,
			rapid.SampledFrom(somePayloads).Draw(rt, "payload"))
		*messages++
	case 16, 17:
		if out := r.sent(); len(out) > 0 {
			r.acknowledge(out[rapid.IntRange(0, len(out)-1).Draw(rt, "acknowledged")])
		}
	case 18:
		killAndRestart(r)
	case 14:
		contact := rapid.SampledFrom(someContacts).Draw(rt, "contact")
		r.lan(linklocal.StreamOpened{Contact: contact, Peer: peer, TLS: rapid.Bool().Draw(rt, "TLS")})
	case 15:
		r.lan(linklocal.PeerIcon{Instance: peer, Icon: picture(rapid.SampledFrom([]string{"-", "A", "B"}).Draw(rt, "icon"))})
	case 0:
		r.online(rapid.Bool().Draw(rt, "resumed"))
	case 1:
		r.srv(xmppc2s.Offline{Err: errors.New("lost")})
	case 2:
		r.peer(peer, linklocal.Presence{Status: "away"})
	case 3:
		r.lan(linklocal.PeerVanished{Instance: peer})
	case 4:
		r.presence(rapid.SampledFrom(someFroms[:4]).Draw(rt, "who"), "", "", 0, rapid.Bool().Draw(rt, "available"))
	case 5, 6:
		r.fromLAN(rapid.SampledFrom(someContacts).Draw(rt, "to"), peer, message(""))
	case 7, 8, 9:
		from := rapid.SampledFrom(someFroms).Draw(rt, "from")
		r.fromNet(message(fmt.Sprintf("from='%s' id='n%d'", from, *messages)))
		*messages++
	case 10:
		r.result(nil)
	case 11:
		r.result(errors.New("connection refused"))
	case 12:
		r.wait(rapid.SampledFrom([]time.Duration{time.Millisecond, 3 * time.Second, 2 * time.Minute, time.Hour}).Draw(rt, "wait"))
	case 13:
		bounceSomething(rt, r)
	}
}

// bounceSomething lets the session give up something that it was given.
func bounceSomething(rt *rapid.T, r *rig) {
	out := r.sent()
	if len(out) == 0 {
		return
	}
	st := out[rapid.IntRange(0, len(out)-1).Draw(rt, "bounced")]
	if rapid.Bool().Draw(rt, "by the session") {
		err := rapid.SampledFrom([]error{errors.New("given up"), xmppc2s.ErrExpired, xmppc2s.ErrDropped, xmppc2s.ErrDeadly, xmppc2s.ErrQueueFull}).Draw(rt, "why")
		r.srv(xmppc2s.Undelivered{Stanza: st, Err: err})
		return
	}
	r.fromNetError(st)
}

// killAndRestart has the server send again what it was not told is done.
func killAndRestart(r *rig) {
	cfg := office()
	cfg.Limits, cfg.Rand = r.e.cfg.Limits, r.e.cfg.Rand // which goes on: ids are not made twice
	n := r.restarted(cfg, time.Second)
	n.actions, n.done = r.actions, r.done
	*r = *n
	for _, a := range slices.Clone(r.came) {
		if st := r.parse(a.xml); r.done[st.Attr("id")] != 0 {
			continue
		}
		again := strings.Replace(a.xml, "</message>", "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T12:00:00Z'/></message>", 1)
		if a.invited != nil {
			r.arrive(*a.invited, again)
		} else {
			r.fromNet(again)
		}
	}
}

func (r *rig) fromNetError(st *stanza.Element) {
	err := &stanza.Error{Condition: stanza.RecipientUnavailable}
	reply := stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "error"},
		stanza.Attr{Name: "from", Value: st.Attr("to")}, stanza.Attr{Name: "id", Value: st.Attr("id")}, err.Element())
	finished := 0
	r.srv(xmppc2s.Message{Stanza: reply, Done: func() { finished++ }})
	if finished != 1 {
		r.t.Fatalf("an error was finished %d times", finished)
	}
}
