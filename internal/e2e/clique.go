package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// RoomsService is the service type of Clique rooms.
const RoomsService = "_clique._udp"

// The member is built at most twice in a process, as the gateway is.
var (
	plainMember = sync.OnceValues(func() (string, error) { return buildProgram("meshgate/internal/e2e/cliquemember") })
	racyMember  = sync.OnceValues(func() (string, error) { return buildProgram("meshgate/internal/e2e/cliquemember", "-race") })
)

// JoinPatience is how long agreeing on who is in a room may take: a join takes
// up to ten seconds, and half a minute more if somebody has died.
const JoinPatience = time.Minute

// MemberOptions says how somebody in Clique rooms is set up.
type MemberOptions struct {
	IPv6   bool
	Race   bool              // with the race detector; a report of it fails the test
	Handle func(MemberEvent) // if set: is told of each event as it comes, and does not block
}

// A Member is somebody in Clique rooms: a small program on package clique, with
// none of the gateway around it.
type Member struct {
	*Proc
	Instance string // presence name, user@host
}

// Member starts a member on the host, which needs no avahi. It is in no room yet.
func (h *Host) Member(user string, opt MemberOptions) *Member {
	h.tb.Helper()
	build := plainMember
	if opt.Race {
		build = racyMember
	}
	program, err := build()
	if err != nil {
		h.tb.Fatalf("e2e: %v", err)
	}
	m := &Member{Instance: h.InstanceOf(user)}
	spec := Spec{Name: "clique:" + m.Instance, Args: []string{program}, Env: []string{"GORACE=exitcode=66 halt_on_error=0"}}
	if opt.Handle != nil {
		spec.Line = func(text string) {
			if e, ok := parseMemberEvent(text); ok {
				opt.Handle(e)
			}
		}
	}
	m.Proc = h.StartSpec(spec)
	h.tb.Cleanup(func() {
		if n := m.Count(`^WARNING: DATA RACE`); n > 0 && !h.tb.Failed() {
			h.tb.Errorf("e2e: %s: %d data races\n%s", m.Name, n, m.Report())
		}
	})
	m.command(map[string]any{
		"name": m.Instance, "host": h.Name, "interface": "eth0", "ipv6": opt.IPv6,
	})
	return m
}

func (m *Member) command(c map[string]any) {
	m.tb.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		m.tb.Fatalf("e2e: %s: %v", m.Name, err)
	}
	m.Send("%s", b)
}

// A MemberEvent is what a member saw. Ev is ready, found, gone (an advert),
// entered, joined, left, said, data, frozen, restarted, closed (of a room), sent,
// flooding, flooded, counted or error; room and rooms end what Rooms asks for.
type MemberEvent struct {
	Ev      string   `json:"ev"`
	At      int64    `json:"at"` // nanoseconds since 1970
	Room    string   `json:"room"`
	Group   string   `json:"group"`
	Members []string `json:"members"`
	From    string   `json:"from"`
	ID      string   `json:"id"` // of said: the same at all members
	Type    string   `json:"type"`
	Body    string   `json:"body"`
	XML     string   `json:"xml"`
	Count   int      `json:"count"`
	Why     string   `json:"why"`
	Frozen  bool     `json:"frozen"`
}

// A RoomAt says which room to join.
type RoomAt struct {
	Name    string `json:"room"`
	Group   string `json:"group"` // address and port; empty: that of its advert
	Make    bool   `json:"make"`  // if nobody advertises it
	Private bool   `json:"private"`
}

// JoinRoom has the member join, which takes a while: see AwaitMembers.
func (m *Member) JoinRoom(r RoomAt) {
	m.tb.Helper()
	m.command(map[string]any{"do": "join", "room": r.Name, "group": r.Group, "make": r.Make, "private": r.Private})
}

// LeaveRoom leaves a room and waits until that is done.
func (m *Member) LeaveRoom(room string) {
	m.tb.Helper()
	m.command(map[string]any{"do": "leave", "room": room})
	m.AwaitEvent("closed", room)
}

// Say says a line in a room.
func (m *Member) Say(room, text string) {
	m.tb.Helper()
	m.command(map[string]any{"do": "say", "room": room, "body": text})
}

// SayStanza says a message as it is, but for its to and from.
func (m *Member) SayStanza(room, xml string) {
	m.tb.Helper()
	m.command(map[string]any{"do": "raw", "room": room, "xml": xml})
}

// Await waits for the first event that fits and was not had; events before it
// stay to be awaited. what names it in the report.
func (m *Member) Await(what string, fits func(MemberEvent) bool) MemberEvent {
	m.tb.Helper()
	return m.AwaitWithin(JoinPatience, what, fits)
}

// AwaitWithin is Await with another limit than [JoinPatience].
func (m *Member) AwaitWithin(d time.Duration, what string, fits func(MemberEvent) bool) MemberEvent {
	m.tb.Helper()
	return awaitEvent(m.Proc, d, what, parseMemberEvent, fits)
}

func parseMemberEvent(text string) (e MemberEvent, ok bool) {
	ok = strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &e) == nil
	return e, ok
}

// AwaitEvent waits for an event of a room.
func (m *Member) AwaitEvent(ev, room string) MemberEvent {
	m.tb.Helper()
	return m.Await(ev+" of "+room, func(e MemberEvent) bool { return e.Ev == ev && e.Room == room })
}

// AwaitSaid waits for a line of somebody's.
func (m *Member) AwaitSaid(room, from, text string) MemberEvent {
	m.tb.Helper()
	return m.Await(fmt.Sprintf("%q of %s in %s", text, from, room), func(e MemberEvent) bool {
		return e.Ev == "said" && e.Room == room && e.From == from && e.Body == text
	})
}

// Events returns all events so far, in their order, awaited or not.
func (m *Member) Events() (list []MemberEvent) {
	for _, text := range m.Lines() {
		if e, ok := parseMemberEvent(text); ok {
			list = append(list, e)
		}
	}
	return list
}

// Said returns all lines of a room so far, as they came.
func (m *Member) Said(room string) []MemberEvent {
	return slices.DeleteFunc(m.Events(), func(e MemberEvent) bool { return e.Ev != "said" || e.Room != room })
}

// Members returns who else is in a room now, sorted.
func (m *Member) Members(room string) []string {
	in := map[string]bool{}
	for _, e := range m.Events() {
		switch {
		case e.Room != room:
		case e.Ev == "joined":
			for _, name := range e.Members {
				in[name] = true
			}
		case e.Ev == "left":
			delete(in, e.From)
		case e.Ev == "restarted" || e.Ev == "closed":
			clear(in)
		}
	}
	return slices.Sorted(maps.Keys(in))
}

// AwaitMembers waits until exactly these others are in a room.
func (m *Member) AwaitMembers(room string, others ...*Member) {
	m.tb.Helper()
	var want []string
	for _, o := range others {
		want = append(want, o.Instance)
	}
	slices.Sort(want)
	m.AwaitMembersNamed(room, want)
}

// AwaitMembersNamed waits until exactly these others, sorted, are in a room.
func (m *Member) AwaitMembersNamed(room string, want []string) {
	m.tb.Helper()
	m.awaitThat(JoinPatience, fmt.Sprintf("%s has %q", room, want), func() bool { return slices.Equal(m.Members(room), want) })
}

// AwaitAll waits until each of the members sees all the others in a room.
func AwaitAll(room string, members []*Member) {
	for i, m := range members {
		m.tb.Helper()
		m.AwaitMembers(room, slices.Delete(slices.Clone(members), i, i+1)...)
	}
}

// Flood has the member say count messages of so many bytes as fast as the room
// takes them: as documents, or as data on a stream of its own. AwaitFlood of each
// of the others waits for them; they show up nowhere else.
func (m *Member) Flood(room, id string, count, size int, data bool) {
	m.tb.Helper()
	m.command(map[string]any{"do": "flood", "room": room, "id": id, "count": count, "size": size, "data": data})
}

// AwaitFlood waits until all of a flood has come, and fails the test if a message
// came twice or in another place than its own. The event says when.
func (m *Member) AwaitFlood(d time.Duration, room, id string) MemberEvent {
	m.tb.Helper()
	e := m.AwaitWithin(d, "flood "+id, func(e MemberEvent) bool { return e.Ev == "counted" && e.Room == room && e.ID == id })
	if e.Count != 0 {
		m.tb.Errorf("e2e: %s: %d messages of flood %s are not where they belong", m.Name, e.Count, id)
	}
	return e
}

// Quit leaves all rooms and waits until the program has ended.
func (m *Member) Quit() {
	m.tb.Helper()
	m.command(map[string]any{"do": "quit"})
	if code := m.Wait(); code != 0 {
		m.tb.Errorf("e2e: %s: exit status %d", m.Name, code)
	}
}
