package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// witchcraft is a room at an address that everybody knows.
var witchcraft = RoomAt{Name: "Witchcraft", Group: "239.255.71.66:13251"}

// openRoom has a member on each of so many hosts join a room at the same time,
// and waits until all see each other.
func openRoom(t *testing.T, hosts int, opt MemberOptions, at RoomAt) (*Lab, []*Member) {
	t.Helper()
	lab := NewLab(t, Options{Hosts: hosts, IPv6: opt.IPv6})
	members := startMembers(lab, opt)
	for _, m := range members {
		m.JoinRoom(at)
	}
	AwaitAll(at.Name, members)
	return lab, members
}

// startMembers starts a member on each host of the lab.
func startMembers(lab *Lab, opt MemberOptions) (members []*Member) {
	for _, h := range lab.Hosts() {
		members = append(members, h.Member("witch", opt))
	}
	return members
}

// sayInTurn has everybody say so many lines, all at once.
func sayInTurn(room, word string, each int, members ...*Member) {
	for i := range each {
		for _, m := range members {
			m.Say(room, word+" "+itoa(i)+".")
		}
	}
}

// wantEachOnce waits until everybody has heard the lines of all the others, and
// checks that none came twice, that those of each came in their order, and that
// each is called the same by all.
func wantEachOnce(t *testing.T, room, word string, each int, members ...*Member) {
	t.Helper()
	ids := map[string]string{}
	for _, m := range members {
		for _, from := range members {
			if from != m {
				m.AwaitSaid(room, from.Instance, fmt.Sprintf("%s %d.", word, each-1))
			}
		}
		heard := map[string][]string{}
		for _, e := range m.Said(room) {
			if !strings.HasPrefix(e.Body, word+" ") {
				continue
			}
			heard[e.From] = append(heard[e.From], e.Body)
			line := e.From + ": " + e.Body
			if id, ok := ids[line]; ok && id != e.ID {
				t.Errorf("%q is %s to one and %s to another", line, id, e.ID)
			}
			ids[line] = e.ID
		}
		if len(heard[m.Instance]) > 0 {
			t.Errorf("%s hears itself", m.Instance)
		}
		for _, from := range members {
			if from != m {
				judgeNumbers(t, from.Instance+" to "+m.Instance, word, each, heard[from.Instance], true)
			}
		}
	}
}

// CQ-02, CQ-05, CQ-08: rooms of 2, 4 and 8 hosts; everybody joins at once, says
// something, and hears each line of the others once. Then one leaves.
func TestEveryoneInARoomHearsEachLineOnce(t *testing.T) {
	t.Parallel()
	for _, hosts := range []int{2, 4, 8} {
		t.Run(fmt.Sprint(hosts, " hosts"), func(t *testing.T) {
			t.Parallel()
			_, members := openRoom(t, hosts, MemberOptions{Race: hosts == 2}, witchcraft)
			const each = 20
			sayInTurn(witchcraft.Name, "line", each, members...)
			wantEachOnce(t, witchcraft.Name, "line", each, members...)
			members[0].LeaveRoom(witchcraft.Name)
			AwaitAll(witchcraft.Name, members[1:])
			members[0].Quit()
		})
	}
}

// CQ-02, CQ-03, CQ-04: packets are lost, at everybody, from the join on; some of
// the messages take many.
func TestARoomOnALossyLAN(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{5, 20} {
		t.Run(fmt.Sprint(percent, " percent"), func(t *testing.T) {
			t.Parallel()
			lab := New(t, 4)
			members := startMembers(lab, MemberOptions{})
			for i, m := range members {
				lab.Hosts()[i].Loss(percent)
				m.JoinRoom(witchcraft)
			}
			AwaitAll(witchcraft.Name, members)
			const each = 20
			sayInTurn(witchcraft.Name, "line", each, members...)
			members[0].Flood(witchcraft.Name, "big", 20, 32<<10, false)
			wantEachOnce(t, witchcraft.Name, "line", each, members...)
			for _, m := range members[1:] {
				m.AwaitFlood(JoinPatience, witchcraft.Name, "big")
			}
		})
	}
}

// CQ-05: one is killed while all talk. The others go on; it comes back under its
// name, and is the one that is meant from then on.
func TestAMemberIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	lab, members := openRoom(t, 3, MemberOptions{}, witchcraft)
	const each = 10
	sayInTurn(witchcraft.Name, "before", each, members...)
	wantEachOnce(t, witchcraft.Name, "before", each, members...)
	members[2].Kill()
	sayInTurn(witchcraft.Name, "without", each, members[:2]...)
	wantEachOnce(t, witchcraft.Name, "without", each, members[:2]...)

	members[2] = lab.Host("h3").Member("witch", MemberOptions{})
	members[2].JoinRoom(witchcraft)
	members[2].AwaitMembers(witchcraft.Name, members[:2]...)
	for _, m := range members[:2] {
		m.Await("the dead one replaced", func(e MemberEvent) bool { return e.Ev == "left" && e.From == members[2].Instance })
		m.AwaitMembers(witchcraft.Name, slices.DeleteFunc(slices.Clone(members), func(o *Member) bool { return o == m })...)
	}
	sayInTurn(witchcraft.Name, "after", each, members...)
	wantEachOnce(t, witchcraft.Name, "after", each, members...)
	for _, e := range members[2].Said(witchcraft.Name) {
		if !strings.HasPrefix(e.Body, "after") {
			t.Errorf("who has come back hears what was said before: %+v", e)
		}
	}
}

// CQ-05: two of four are cut off, each by itself, for some seconds. All talk on,
// and when they are back everybody has it all, and nobody was away.
func TestARoomSurvivesAPartition(t *testing.T) {
	t.Parallel()
	lab, members := openRoom(t, 4, MemberOptions{}, witchcraft)
	h3, h4 := lab.Host("h3"), lab.Host("h4")
	for _, m := range members {
		m.Forget()
	}
	h3.Isolate(true)
	h4.Isolate(true)
	const each = 10
	sayInTurn(witchcraft.Name, "apart", each, members...)
	members[0].AwaitSaid(witchcraft.Name, members[1].Instance, "apart 9.") // the half with the switch goes on
	time.Sleep(5 * time.Second)                                            // the outage itself
	members[0].Refute(`"ev":"said".*"from":"witch@h[34]"`)
	h3.Isolate(false)
	h4.Isolate(false)
	for _, m := range members[1:] {
		m.AwaitSaid(witchcraft.Name, members[0].Instance, "apart 9.")
		m.Refute(`"ev":"(left|restarted)"`)
	}
	sayInTurn(witchcraft.Name, "together", each, members...)
	wantEachOnce(t, witchcraft.Name, "together", each, members...)
	for _, m := range members {
		for _, from := range members {
			if from == m {
				continue
			}
			var texts []string
			for _, e := range m.Said(witchcraft.Name) {
				if e.From == from.Instance {
					texts = append(texts, e.Body)
				}
			}
			judgeNumbers(t, from.Instance+" to "+m.Instance, "apart", each, texts, true)
		}
	}
}

// CQ-05: two rooms on one port, with members of both on the same machines, and one
// who is in both: each room is heard by its members alone. Linux gives a socket
// that is bound to the port what comes for any group that the machine is in.
func TestRoomsOnOnePortDoNotMix(t *testing.T) {
	t.Parallel()
	lab := New(t, 2)
	other := RoomAt{Name: "Cookery", Group: "239.255.71.67:13251"}
	var witches, cooks []*Member
	for _, h := range lab.Hosts() {
		witches, cooks = append(witches, h.Member("witch", MemberOptions{})), append(cooks, h.Member("cook", MemberOptions{}))
	}
	both := lab.Host("h1").Member("both", MemberOptions{})
	for _, m := range append(slices.Clone(witches), both) {
		m.JoinRoom(witchcraft)
	}
	for _, m := range append(slices.Clone(cooks), both) {
		m.JoinRoom(other)
	}
	AwaitAll(witchcraft.Name, append(slices.Clone(witches), both))
	AwaitAll(other.Name, append(slices.Clone(cooks), both))
	const each = 10
	sayInTurn(witchcraft.Name, "spell", each, witches...)
	sayInTurn(other.Name, "recipe", each, cooks...)
	wantEachOnce(t, witchcraft.Name, "spell", each, witches...)
	wantEachOnce(t, other.Name, "recipe", each, cooks...)
	for room, want := range map[string]string{witchcraft.Name: "spell", other.Name: "recipe"} {
		both.Await("the last "+want, func(e MemberEvent) bool { return e.Ev == "said" && e.Body == want+" 9." })
		both.Await("the last "+want, func(e MemberEvent) bool { return e.Ev == "said" && e.Body == want+" 9." })
		for _, e := range both.Said(room) {
			if !strings.HasPrefix(e.Body, want) {
				t.Errorf("in %s is heard %q", room, e.Body)
			}
		}
	}
	for _, m := range witches {
		m.Refute(`recipe`)
	}
	for _, m := range cooks {
		m.Refute(`spell`)
	}
}

// CQ-09, CQ-10, CQ-12: a room that nobody has is made at a random place and
// advertised, which avahi sees, and found by the next. Of a private one nobody sees
// anything. When the last has left the advert is taken back.
func TestRoomsAreAdvertisedAndFound(t *testing.T) {
	t.Parallel()
	lab := New(t, 3)
	lab.Avahi()
	h1, h2, h3 := lab.Host("h1"), lab.Host("h2"), lab.Host("h3")
	browser := h3.Browse(RoomsService)
	const name = `The Crow & Cauldron, 2. "floor"`
	anna, bert := h1.Member("anna", MemberOptions{Race: true}), h2.Member("bert", MemberOptions{})
	secret := RoomAt{Name: "Secret", Group: "239.255.71.99:13299", Private: true}
	anna.JoinRoom(secret)
	anna.JoinRoom(RoomAt{Name: name, Make: true})
	seen := browser.AwaitResolved(name)
	if !strings.HasPrefix(seen.Addrs[0], "239.255.71.") || seen.Port < 1024 || seen.TXT["txtvers"] != "0" {
		t.Errorf("the room is at %v port %d with %v", seen.Addrs, seen.Port, seen.TXT)
	}
	bert.JoinRoom(RoomAt{Name: name}) // by its advert
	if e := bert.AwaitEvent("entered", name); e.Group != fmt.Sprintf("%s:%d", seen.Addrs[0], seen.Port) {
		t.Errorf("bert is at %s, the room at %v port %d", e.Group, seen.Addrs, seen.Port)
	}
	AwaitAll(name, []*Member{anna, bert})
	anna.LeaveRoom(name)
	bert.AwaitMembers(name)
	bert.Say(name, "anybody?")
	bert.LeaveRoom(name) // and with it the last advert
	browser.AwaitRemoved(name)
	anna.AwaitEvent("gone", name)
	browser.Refute(`Secret`)
}

// CQ-05: a room with an IPv6 group, on link-local addresses.
func TestARoomOnIPv6(t *testing.T) {
	t.Parallel()
	at := RoomAt{Name: "Witchcraft 6", Group: "[ff12::4766]:13266"}
	_, members := openRoom(t, 3, MemberOptions{IPv6: true}, at)
	const each = 10
	sayInTurn(at.Name, "line", each, members...)
	wantEachOnce(t, at.Name, "line", each, members...)
}
