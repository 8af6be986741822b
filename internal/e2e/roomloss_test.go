package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// openHallThrough is a hall whose gateway reaches its server through a proxy.
func openHallThrough(t *testing.T, ejabberd bool) (*hall, *Proxy) {
	t.Helper()
	var proxy *Proxy
	h := openHall(t, OfficeOptions{Ejabberd: ejabberd, Config: NoLimits(), Through: func(s *Server) string {
		if proxy == nil {
			proxy = s.Host().Proxy(s.LoopbackAddr())
		}
		return proxy.Addr()
	}})
	return h, proxy
}

// CQ-13, SM-13: the uplink dies in mid-talk, and does not say so.
func TestNoLineIsLostWhenTheUplinkDiesSilently(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h, proxy := openHallThrough(t, ejabberd)
		const rounds, each = 2, 10
		for round := range rounds {
			h.talk(round*each, each/2)
			h.awaitOnLAN("alice", fmt.Sprintf("down %d.", round*each)) // in the middle of it
			proxy.Cut(Silent)
			h.talk(round*each+each/2, each/2)
			h.awaitTalk((round+1)*each - 1)
		}
		h.judge(t, rounds*each)
	})
}

// CQ-13, CQ-05: the gateway is cut off from the LAN in mid-talk for some seconds,
// and its interface does not show it.
func TestNoLineIsLostWhenTheLANIsCut(t *testing.T) {
	t.Parallel()
	h := openHall(t, OfficeOptions{Config: NoLimits()})
	const each = 10
	h.talk(0, each/2)
	h.awaitOnLAN("alice", "down 0.")
	h.Host("h1").Isolate(true)
	h.talk(each/2, each/2)
	time.Sleep(5 * time.Second) // the outage itself
	h.Host("h1").Isolate(false)
	h.awaitTalk(each - 1)
	h.talk(each, each)
	h.awaitTalk(2*each - 1)
	h.judge(t, 2*each)
}

// CQ-13: the gateway is banned from the room. The LAN is told; what is said
// meanwhile on either side comes to the other once the ban is lifted.
func TestTheGatewayIsBanned(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		h := openHall(t, OfficeOptions{Ejabberd: ejabberd, Hosts: 2})
		crone := h.witches[0]
		h.talk(0, 1)
		h.awaitTalk(0)
		h.alice.Affiliate(h.muc, h.GatewayJID(), "outcast", "no bridges here")
		h.alice.AwaitGone(h.muc, "meshgate")
		h.awaitNotice(crone, "banned")
		h.talk(1, 4)
		h.alice.Affiliate(h.muc, h.GatewayJID(), "member", "") // COMPAT ejabberd: with "none" it has no voice
		h.Gateway.Stop()                                       // by itself it would look in an hour
		h.Gateway.Start()
		h.awaitTalk(4)
		h.talk(5, 1)
		h.awaitTalk(5)
		h.judge(t, 6)
	})
}

// CQ-13: the room dies and is there again with nobody in it, and nobody is told.
func TestTheRoomForgetsEverybody(t *testing.T) {
	t.Parallel()
	h := openHall(t, OfficeOptions{Ejabberd: true, Config: NoLimits()})
	h.talk(0, 5)
	h.awaitTalk(4)
	name, service, _ := strings.Cut(h.muc, "@")
	h.Server.Order(fmt.Sprintf("{ok, Room} = mod_muc:find_online_room(<<%s>>, <<%s>>), exit(Room, kill).", erlangString(name), erlangString(service)))
	h.alice.Join(h.muc, "alice")
	h.talk(5, 5)
	h.Gateway.AwaitLog("not in the room", "err", "the room does not know the gateway any more")
	h.awaitTalk(9)
	h.judge(t, 10)
}

// CQ-13: the room forgets that the gateway is in it, and tells nobody (XEP-0410).
// The gateway finds out by the first line that comes back, and nothing is lost.
func TestTheRoomForgetsTheGateway(t *testing.T) {
	t.Parallel()
	h := openHall(t, OfficeOptions{Config: NoLimits()})
	h.talk(0, 5)
	h.awaitTalk(4)
	h.alice.Raw("<iq type='get' id='forget' to='" + h.muc + "'><forget xmlns='urn:x-lab' nick='meshgate'/></iq>")
	h.talk(5, 5)
	h.Gateway.AwaitLog("not in the room", "err", "the room does not know the gateway any more")
	h.awaitTalk(9)
	h.talk(10, 5)
	h.awaitTalk(14)
	h.judge(t, 15)
}

// CQ-13: what is said at once on the LAN comes to a MUC that takes a line now and then
// and refuses the rest, all of it, in order, and as fast as the MUC takes it.
func TestAMUCThatPutsLinesOffGetsAll(t *testing.T) {
	t.Parallel()
	h := openHall(t, OfficeOptions{Ejabberd: true, Config: NoLimits(), Server: func(s *ServerOptions) { s.LineGap = time.Second }})
	const lines = 6
	begun := time.Now()
	for i := range lines {
		for _, w := range h.witches {
			w.Say(theRoom, fmt.Sprintf("up %d.", i))
		}
	}
	for _, w := range h.witches {
		h.awaitInMUC(w, fmt.Sprintf("up %d.", lines-1))
	}
	if took := time.Since(begun); took < (lines-1)*time.Second {
		t.Errorf("the MUC has %d lines after %v: it has put off none", 2*lines, took)
	}
	h.judgeMUC(t, lines)
}
