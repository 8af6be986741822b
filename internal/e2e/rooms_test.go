package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// CQ-13, IJ-08: people in a MUC and people in a room on the LAN talk as if it were
// one, see who is on the other side, and can ask.
func TestALANRoomAndAMUCAreOne(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h := openHall(t, OfficeOptions{
			Ejabberd: ejabberd, Gateway: GatewayOptions{Race: true}, Config: map[string]any{"account.on_stop": "logout"},
		})
		crone, hecate := h.witches[0], h.witches[1]

		crone.Say(theRoom, "when shall we three meet & <again>?")
		if e := h.awaitInMUC(crone, "when shall we three meet & <again>?"); e.From != h.muc+"/meshgate" || e.Delayed {
			t.Errorf("alice reads %s", e.XML)
		}
		h.alice.Say(h.muc, "in thunder,\nlightning & rain")
		h.awaitOnLAN("alice", "in thunder,\n  lightning & rain")
		h.talk(0, 10)
		h.awaitTalk(9)

		h.alice.Await("who is on the LAN", func(e Event) bool {
			return e.Ev == "presence" && e.From == h.muc+"/meshgate" &&
				strings.Contains(e.Status, crone.Instance) && strings.Contains(e.Status, hecate.Instance)
		})
		hecate.Say(theRoom, "@who")
		h.awaitNotice(hecate, "alice")
		h.alice.Say(h.muc, "@who")
		h.alice.Await("who is on the LAN", func(e Event) bool {
			return isSaid(e, h.muc) && strings.Contains(e.Body, crone.Instance) && strings.Contains(e.Body, hecate.Instance)
		})

		bob := h.Host("h1").Remote(h.Server, "bob", RemoteOptions{})
		bob.Join(h.muc, "bob")
		h.awaitNotice(crone, "bob came")
		bob.Rename(h.muc, "robert")
		h.awaitNotice(crone, "bob is now robert")
		bob.Leave(h.muc, "robert")
		h.awaitNotice(crone, "robert left")
		h.alice.SetSubject(h.muc, "the Scottish play")
		h.awaitNotice(crone, "the Scottish play")

		hecate.Quit()
		h.alice.Await("that hecate has left", func(e Event) bool {
			return e.Ev == "presence" && e.From == h.muc+"/meshgate" &&
				strings.Contains(e.Status, crone.Instance) && !strings.Contains(e.Status, hecate.Instance)
		})
		if code := h.Gateway.Stop(); code != 0 {
			t.Errorf("gateway ended with status %d, want 0", code)
		}
		crone.AwaitMembersNamed(theRoom, nil)
		h.alice.AwaitGone(h.muc, "meshgate")
	})
}

// CQ-13: what a client on the LAN writes while somebody types, and the markup that
// it adds, are not for the MUC.
func TestWhatIsTypedIsNotSaid(t *testing.T) {
	t.Parallel()
	h := openHall(t, OfficeOptions{Hosts: 2})
	crone := h.witches[0]
	for _, text := range []string{"w", "wh", "whe", "when"} {
		crone.SayStanza(theRoom, "<message xmlns='jabber:client' type='groupchat'><body>"+text+"</body>"+
			"<x xmlns='jabber:x:event'><composing/><id/></x></message>")
	}
	crone.SayStanza(theRoom, "<message xmlns='jabber:client' type='groupchat'><body>when &amp; where?</body>"+
		"<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><b>when &amp; where?</b></body></html></message>")
	if e := h.awaitInMUC(crone, "when & where?"); strings.Contains(e.XML, "xhtml") {
		t.Errorf("alice gets markup: %s", e.XML)
	}
	crone.Say(theRoom, "/me stirs the cauldron")
	h.alice.Await("an action", func(e Event) bool { return isSaid(e, h.muc) && strings.Contains(e.Body, "stirs the cauldron") })
	if said := h.alice.Said(h.muc); len(said) != 2 {
		t.Errorf("alice reads %d lines, want 2: %+v", len(said), said)
	}
}

// CQ-13, SM-07: the uplink breaks again and again while all talk.
func TestNoLineIsLostWhenTheUplinkBreaks(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h, proxy := openHallThrough(t, ejabberd)
		const rounds, each = 6, 10
		for round := range rounds {
			h.talk(round*each, each/2)
			proxy.Cut([]Cut{RST, FIN}[round%2])
			h.talk(round*each+each/2, each/2)
			h.awaitTalk((round+1)*each - 1)
		}
		h.judge(t, rounds*each)
	})
}

// CQ-13: the server stops, the witches talk on, and it starts again. What was said
// meanwhile comes once, in order.
func TestNoLineIsLostWhenTheServerRestarts(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h := openHall(t, OfficeOptions{Ejabberd: ejabberd, Config: NoLimits()})
		const before, during, after = 10, 10, 10
		h.talk(0, before)
		h.awaitTalk(before - 1)
		h.Server.Stop()
		for i := before; i < before+during; i++ {
			for _, w := range h.witches {
				w.Say(theRoom, fmt.Sprintf("up %d.", i))
			}
		}
		h.witches[0].AwaitSaid(theRoom, h.witches[1].Instance, fmt.Sprintf("up %d.", before+during-1))
		h.Server.Start()
		again := h.Host("h1").Remote(h.Server, "alice", RemoteOptions{})
		again.Join(h.muc, "alice")
		for i := before; i < before+during; i++ {
			again.Say(h.muc, fmt.Sprintf("down %d.", i))
		}
		first := h.alice
		h.alice = again
		h.awaitTalk(before + during - 1)
		h.talk(before+during, after)
		h.awaitTalk(before + during + after - 1)
		// What she read before the restart may be told again to her new client.
		for _, w := range h.witches {
			var up []string
			ids := map[string]bool{}
			for _, e := range append(first.Said(h.muc), again.Said(h.muc)...) {
				if strings.HasPrefix(e.Body, inMUC(w, "")) && !ids[e.StanzaID] {
					up = append(up, e.Body)
					ids[e.StanzaID] = true
				}
			}
			judgeNumbers(t, w.Instance+" to the MUC", "up", before+during+after, up, true)
		}
	})
}

// CQ-13, SM-12: the gateway is killed in mid-talk again and again; the last time
// more is said meanwhile than it holds back until it knows the room again.
func TestNoLineIsLostOrDoubledByKills(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h := openHall(t, OfficeOptions{Ejabberd: ejabberd, Config: NoLimits()})
		const each = 5
		said := 0
		for k, meanwhile := range []int{each, each, 100} {
			h.talk(said, each)
			h.awaitOnLAN("alice", fmt.Sprintf("down %d.", said+k)) // in the middle of it
			h.Gateway.Kill()
			h.talk(said+each, meanwhile)
			h.Gateway.Start()
			said += each + meanwhile
			h.awaitTalk(said - 1)
		}
		h.judge(t, said)
	})
}

// CQ-13, SM-11: the gateway is stopped in order and started again in mid-talk, as for an
// update. It is in both rooms all the time, as far as anybody can see.
func TestNoLineIsLostOrDoubledByPlannedRestarts(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h := openHall(t, OfficeOptions{Ejabberd: ejabberd, Config: NoLimits()})
		const rounds, each = 3, 10
		for round := range rounds {
			first := round * 3 * each
			h.talk(first, each)
			h.awaitOnLAN("alice", fmt.Sprintf("down %d.", first)) // in the middle of it
			h.Gateway.Signal(syscall.SIGTERM)
			h.talk(first+each, each)
			if code := h.Gateway.Wait(); code != 0 {
				t.Errorf("gateway ended with status %d, want 0", code)
			}
			h.talk(first+2*each, each)
			h.Gateway.Start()
			h.awaitTalk(first + 3*each - 1)
		}
		h.judge(t, rounds*3*each)
		for _, w := range h.witches {
			if slices.ContainsFunc(w.Events(), func(e MemberEvent) bool { return e.Ev == "left" }) {
				t.Errorf("%s has seen the gateway leave\n%s", w.Instance, w.Report())
			}
		}
	})
}

// CQ-13: a gateway that is stopped for good is in neither room a moment later.
func TestAGatewayThatIsStoppedForGoodLeaves(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h := openHall(t, OfficeOptions{Ejabberd: ejabberd, Hosts: 2})
		h.Gateway.Signal(syscall.SIGUSR1)
		if code := h.Gateway.Wait(); code != 0 {
			t.Errorf("gateway ended with status %d, want 0", code)
		}
		h.witches[0].AwaitMembersNamed(theRoom, nil)
		h.alice.AwaitGone(h.muc, "meshgate")
	})
}

// CQ-13: the gateway is thrown out, and comes back by itself, with what was said
// meanwhile. The room is destroyed, the LAN is told, and what is said waits until
// there is a new one.
func TestTheGatewayComesBackToARoom(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		opt := OfficeOptions{Ejabberd: ejabberd, Hosts: 2}
		if !ejabberd { // or nobody could make a room of that name again for a month
			opt.Server = func(s *ServerOptions) { s.Extra = "muc_tombstones = false\n" }
		}
		h := openHall(t, opt)
		crone := h.witches[0]
		h.alice.Kick(h.muc, "meshgate", "too loud")
		h.alice.AwaitGone(h.muc, "meshgate")
		h.awaitNotice(crone, "too loud")
		crone.Say(theRoom, "into the void")
		h.awaitBack() // it waits for a minute
		h.awaitInMUC(crone, "into the void")
		h.alice.Say(h.muc, "welcome back")
		h.awaitOnLAN("alice", "welcome back")

		h.alice.Forget()
		h.alice.Destroy(h.muc, "over")
		h.awaitNotice(crone, "destroyed")
		crone.Say(theRoom, "is it over?")
		h.alice.MakeRoom(h.muc, "alice")
		h.Gateway.Stop() // by itself it would look in a quarter of an hour
		h.Gateway.Start()
		h.awaitInMUC(crone, "is it over?")
		h.alice.Say(h.muc, "never")
		h.awaitOnLAN("alice", "never")
	})
}

// CQ-13, IJ-08: of two gateways of a site one carries the room. It is killed, and
// the other takes over within seconds; nothing is lost, and nothing comes twice.
func TestASecondGatewayTakesOver(t *testing.T) {
	t.Parallel()
	const second, soon = "second", 15 * time.Second
	opt := OfficeOptions{Hosts: 3, Users: []string{"alice"}, Config: NoLimits()}
	opt.Server = func(s *ServerOptions) { s.Users[second] = UserPassword }
	h := openHall(t, opt)
	h2, w := h.Host("h2"), h.witches[0]
	opt = h.opt
	opt.Config = maps.Clone(opt.Config)
	maps.Copy(opt.Config, map[string]any{
		"account.jid": h.Server.JID(second), "account.password": UserPassword, "account.server": h.Server.Addr(),
		"state_dir": h2.GatewayStateDir(), "lan.machine": "gw2",
	})
	other := h2.Gateway(GatewayOptions{Config: h.Config(opt), Ready: `"msg":"ready"`})
	w.awaitThat(JoinPatience, "both gateways in the room", func() bool { return len(w.Members(theRoom)) == 3 })
	h.alice.awaitThat(JoinPatience, "both gateways in the MUC", func() bool { return len(h.alice.Occupants(h.muc)) == 3 })
	h.talk(0, 10)
	h.awaitTalk(9)
	takeOver := func(g *Gateway, first int) {
		g.Kill()
		begin := time.Now()
		h.talk(first, 10)
		h.awaitTalk(first + 9)
		took := time.Since(begin)
		if t.Logf("taken over within %v", took); took > soon {
			t.Errorf("the other gateway takes over after %v, want at most %v", took, soon)
		}
	}
	takeOver(h.Gateway, 10)
	h.Gateway.Start()
	w.awaitThat(JoinPatience, "the first gateway in the room again", func() bool {
		return slices.Contains(w.Members(theRoom), h.Mirror("meshgate"))
	})
	h.talk(20, 10)
	h.awaitTalk(29)
	takeOver(other, 30)
	h.judge(t, 40)
}

// CQ-13: who comes late to the room on the LAN is told what was said, by the
// concierge, and nobody else is.
func TestWhoComesLateIsToldWhatWasSaid(t *testing.T) {
	t.Parallel()
	h := newHall(t, OfficeOptions{}, map[string]any{"history": map[string]any{"lines": 5, "age": "1h"}})
	h.Avahi()
	h.StartGateway(h.opt)
	h.enter()
	const lines = 8
	for i := range lines {
		h.alice.Say(h.muc, fmt.Sprintf("down %d.", i))
	}
	h.awaitOnLAN("alice", fmt.Sprintf("down %d.", lines-1))
	h.witches[0].Say(theRoom, "up 0.")
	h.awaitInMUC(h.witches[0], "up 0.")

	dana := h.Host("h3").Purple("dana", PurpleOptions{})
	dana.AwaitOn(h.Mirror("meshgate"))
	late := h.Host("h3").Member("dana", MemberOptions{})
	late.JoinRoom(RoomAt{Name: theRoom})
	im := dana.NextIMWithin(JoinPatience)
	for _, text := range []string{"down 4.", "down 7.", "up 0."} {
		if im.From != h.Mirror("meshgate") || !strings.Contains(im.Text(), text) {
			t.Errorf("dana is told %q by %s, want %q in it", im.Text(), im.From, text)
		}
	}
	if strings.Contains(im.Text(), "down 3.") {
		t.Errorf("dana is told more than five lines: %q", im.Text())
	}
	h.alice.Say(h.muc, "welcome dana")
	h.awaitOnLAN("alice", "welcome dana")
	for _, w := range h.witches {
		if n := w.Count(`down 7\.`); n != 1 {
			t.Errorf("%s has heard a line %d times", w.Instance, n)
		}
	}
}

// callFromRoom starts the gateway, has a room on both sides, and carol, who is on the LAN
// alone, call alice's mirror. at is where the room is.
func (h *hall) callFromRoom(t *testing.T) (carol *tlsPeer, at netip.AddrPort) {
	t.Helper()
	h.Avahi()
	h.StartGateway(h.opt)
	h.enter()
	at = netip.MustParseAddrPort(h.witches[0].AwaitEvent("entered", theRoom).Group)
	h.Host("h2").Publish("carol@h2", PresenceService, 5999, "txtvers=1")
	h.alice.AwaitStatus(h.GatewayJID(), "", "LAN: carol@h2")
	return h.callAlice(t), at
}

// CQ-13: a room for members only has a password, too. Alice is invited with it, directly and
// through the room; she declines, and the peer who has invited her is told.
func TestADeclinedInvitationIsTold(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h := newHall(t, OfficeOptions{Ejabberd: ejabberd, Hosts: 2}, nil)
		h.opt.Config["rooms"].([]any)[0].(map[string]any)["password_file"] = h.Host("h1").WriteFile("room", "toad")
		h.alice.Configure(h.muc, map[string]string{
			"muc#roomconfig_membersonly": "1", "muc#roomconfig_passwordprotectedroom": "1", "muc#roomconfig_roomsecret": "toad",
		})
		h.alice.Affiliate(h.muc, h.GatewayJID(), "admin", "") // or it may not invite
		carol, at := h.callFromRoom(t)
		carol.say(fmt.Sprintf("<message from='carol@h2' to='alice@gw'><invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'>"+
			"<roomname>%s</roomname><reason>plot</reason><address>%s</address><port>%d</port></invite></message>", theRoom, at.Addr(), at.Port()))
		for _, password := range []string{"password=\"toad\"", "<password>toad</password>"} {
			h.alice.Await("an invitation with "+password, func(e Event) bool { return e.Invite == h.muc && strings.Contains(e.XML, password) })
		}
		h.alice.Leave(h.muc, "alice") // COMPAT ejabberd: occupants cannot decline
		h.alice.AwaitGone(h.muc, "alice")
		h.alice.Raw("<message to='" + h.muc + "'><x xmlns='http://jabber.org/protocol/muc#user'><decline to='" + h.GatewayJID() + "'><reason>busy</reason></decline></x></message>")
		if got := carol.until("</message>"); !strings.Contains(got, "declines the invitation") || !strings.Contains(got, "busy") {
			t.Errorf("carol is told: %s", got)
		}
	})
}

// CQ-11, CQ-12, CQ-13: an invitation to the room on the LAN that somebody sends to
// alice's mirror reaches her as one to the MUC, and hers comes back as one to the
// room on the LAN.
func TestInvitationsCross(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h := newHall(t, OfficeOptions{Ejabberd: ejabberd, Hosts: 2}, nil)
		carol, at := h.callFromRoom(t)
		place := fmt.Sprintf("<address>%s</address><port>%d</port>", at.Addr(), at.Port())
		carol.say("<message from='carol@h2' to='alice@gw' type='normal'><body>You got a Clique chatroom invitation</body>" +
			"<invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'><roomname>" + theRoom + "</roomname>" +
			"<reason>We need to plot</reason>" + place + "</invite></message>")
		if e := h.alice.AwaitInvite(h.muc); !strings.Contains(e.Reason, "We need to plot") || !strings.Contains(e.XML, "carol@h2") {
			t.Errorf("alice is invited by %s", e.XML)
		}
		h.alice.InviteDirectly(h.muc, h.GatewayJID(), "come and stir")
		got := carol.until("</message>")
		for _, want := range []string{"<roomname>" + theRoom + "</roomname>", "come and stir", at.Addr().String(), fmt.Sprint(at.Port())} {
			if !strings.Contains(got, want) {
				t.Errorf("carol is invited without %q: %s", want, got)
			}
		}
	})
}
