package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// theRoom is the room of these tests on the LAN; its MUC is named in lower case.
const theRoom = "Witchcraft"

// A hall is an office with one room that is on both sides: alice is in the MUC,
// which is hers, and a witch on each host but the gateway's in the Clique room.
type hall struct {
	*Office
	opt     OfficeOptions
	muc     string
	alice   *Remote
	witches []*Member
}

// openHall opens a hall with everybody in it.
func openHall(t *testing.T, opt OfficeOptions) *hall {
	t.Helper()
	h := newHall(t, opt, nil)
	h.StartGateway(h.opt)
	h.enter()
	return h
}

// newHall is a hall without gateway, and nobody in its room on the LAN. The room's
// configuration may have more keys.
func newHall(t *testing.T, opt OfficeOptions, room map[string]any) *hall {
	t.Helper()
	mapping := map[string]any{"name": theRoom, "muc": "witchcraft@" + RoomService, "make": true}
	maps.Copy(mapping, room)
	config := map[string]any{"rooms": []any{mapping}}
	maps.Copy(config, opt.Config)
	opt.Config = config
	if opt.Hosts == 0 {
		opt.Hosts = 3
	}
	if opt.Users == nil {
		opt.Users = []string{"alice", "bob"}
	}
	h := &hall{Office: NewOffice(t, opt), opt: opt}
	h.muc = h.Server.Room("witchcraft")
	h.alice = h.Host("h1").Remote(h.Server, "alice", RemoteOptions{})
	h.alice.MakeRoom(h.muc, "alice")
	return h
}

// enter has the witches come to the room that the gateway has made, and waits
// until all are in it, and the gateway in both.
func (h *hall) enter() {
	h.tb.Helper()
	h.alice.AwaitOccupant(h.muc, "meshgate")
	for _, host := range h.Hosts()[1:] {
		w := host.Member("witch", MemberOptions{})
		w.JoinRoom(RoomAt{Name: theRoom})
		h.witches = append(h.witches, w)
	}
	for _, w := range h.witches {
		names := []string{h.Mirror("meshgate")}
		for _, o := range h.witches {
			if o != w {
				names = append(names, o.Instance)
			}
		}
		slices.Sort(names)
		w.AwaitMembersNamed(theRoom, names)
	}
}

// isOnLAN reports whether a member reads a line of an occupant's. One that is late
// has its time beside the name.
func isOnLAN(e MemberEvent, nick, text string) bool {
	name, rest, ok := strings.Cut(e.Body, "] ")
	name, _, _ = strings.Cut(name, ",")
	return e.Ev == "said" && e.Room == theRoom && e.Type == "groupchat" && ok && name == "["+nick && rest == text
}

// inMUC is how a member's line reads in the MUC.
func inMUC(from *Member, text string) string { return "[" + from.Instance + "] " + text }

// awaitInMUC waits until alice reads a line of a member's.
func (h *hall) awaitInMUC(from *Member, text string) Event {
	h.tb.Helper()
	return h.alice.AwaitWithin(JoinPatience, text+" in the MUC", func(e Event) bool {
		return isSaid(e, h.muc) && e.Body == inMUC(from, text)
	})
}

// awaitOnLAN waits until all witches read a line of somebody's in the MUC.
func (h *hall) awaitOnLAN(nick, text string) {
	h.tb.Helper()
	for _, w := range h.witches {
		w.Await(text+" on the LAN", func(e MemberEvent) bool { return isOnLAN(e, nick, text) })
	}
}

// awaitNotice waits until a member reads words of the gateway's own.
func (h *hall) awaitNotice(m *Member, text string) MemberEvent {
	h.tb.Helper()
	return m.Await("a notice with "+text, func(e MemberEvent) bool {
		return e.Ev == "said" && e.From == h.Mirror("meshgate") && e.Type == "normal" && strings.Contains(e.Body, text)
	})
}

// awaitBack waits until the gateway is in the MUC again.
func (h *hall) awaitBack() {
	h.tb.Helper()
	h.alice.AwaitWithin(2*JoinPatience, "the gateway in the MUC", func(e Event) bool {
		return e.Ev == "presence" && e.From == h.muc+"/meshgate" && e.Type == ""
	})
}

// talk has alice and the witches say numbered lines from first on, at once.
func (h *hall) talk(first, count int) {
	for i := first; i < first+count; i++ {
		h.alice.Say(h.muc, fmt.Sprintf("down %d.", i))
		for _, w := range h.witches {
			w.Say(theRoom, fmt.Sprintf("up %d.", i))
		}
	}
}

// awaitTalk waits until line n of everybody has come to everybody.
func (h *hall) awaitTalk(n int) {
	h.tb.Helper()
	h.awaitOnLAN("alice", fmt.Sprintf("down %d.", n))
	for _, w := range h.witches {
		h.awaitInMUC(w, fmt.Sprintf("up %d.", n))
	}
}

// judge checks that each of n lines of everybody has come to everybody once, in
// order, and that nothing came back to where it was said.
func (h *hall) judge(t *testing.T, n int) {
	t.Helper()
	h.judgeMUC(t, n)
	for _, w := range h.witches {
		var down []string
		among := map[string][]string{}
		for _, e := range w.Said(theRoom) {
			switch {
			case strings.HasPrefix(e.Body, "[alice"):
				down = append(down, e.Body)
			case strings.HasPrefix(e.Body, "up "):
				among[e.From] = append(among[e.From], e.Body)
			case e.Type == "groupchat" && e.Body != "": // without a body gateways talk
				t.Errorf("%s reads %q of %s", w.Instance, e.Body, e.From)
			}
		}
		judgeNumbers(t, "the MUC to "+w.Instance, "down", n, down, true)
		for _, o := range h.witches {
			if o != w {
				judgeNumbers(t, o.Instance+" to "+w.Instance, "up", n, among[o.Instance], true)
			}
		}
	}
}

// judgeMUC is judge of what alice has read. What she reads again because she has
// come back has the same id.
func (h *hall) judgeMUC(t *testing.T, n int) {
	t.Helper()
	seen := map[string]bool{}
	up := map[string][]string{}
	for _, e := range h.alice.Said(h.muc) {
		if e.StanzaID == "" || !seen[e.StanzaID] {
			name, _, _ := strings.Cut(e.Body, "] ")
			up[name] = append(up[name], e.Body)
		}
		seen[e.StanzaID] = true
	}
	for _, w := range h.witches {
		judgeNumbers(t, w.Instance+" to the MUC", "up", n, up["["+w.Instance], true)
		delete(up, "["+w.Instance)
	}
	for name, lines := range up {
		if strings.HasPrefix(name, "[") {
			t.Errorf("alice reads %q", lines)
		}
	}
}
