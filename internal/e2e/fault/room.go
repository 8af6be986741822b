package main

import (
	"context"
	"strings"
	"time"

	"meshgate/internal/e2e"
)

// The room of a plan with one.
const (
	roomName    = "Witchcraft" // on the LAN
	roomHistory = 20           // lines that a contact is told who comes back: no server tells more by itself
	roomWindow  = 5            // lines of one way that may be under way: as many of all ways are in the history

	lanCutTime = 3 * time.Second // members that are away for longer are given up, and do not get what is said meanwhile
)

// mucOf is the address of the room on the network.
func mucOf(s *e2e.Server) string { return s.Room(strings.ToLower(roomName)) }

// owner makes the room, and leaves it.
const owner = "owner"

func (r *run) makeRoom() {
	o := r.o.Host("h1").Remote(r.o.Server, owner, e2e.RemoteOptions{})
	o.MakeRoom(mucOf(r.o.Server), owner)
	o.Quit()
}

// A member is somebody in the room on the LAN, who never leaves it.
type member struct {
	*e2e.Member
	out, in *way
	gateway string // its presence name
	gate    gate
}

func newMember(o *e2e.Office, i int, up, down *way) *member {
	m := &member{out: up, in: down, gateway: o.Mirror("meshgate")}
	m.Member = o.Host("h2").Member(up.tag, e2e.MemberOptions{Handle: m.hear})
	return m
}

func (m *member) presence() string            { return m.Instance }
func (m *member) says() *way                  { return m.out }
func (m *member) hush()                       { m.gate.close() }
func (m *member) speak()                      { m.gate.open() }
func (m *member) killed(time.Time)            {} // Clique repairs what a process has not read: nothing may be lost
func (m *member) readOut(ctx context.Context) {}

// run says what is to be said until ctx ends.
func (m *member) run(ctx context.Context) {
	for {
		n, err := m.out.next(ctx)
		if err != nil {
			return
		}
		m.gate.pass(ctx, func() {
			m.out.sending(0)
			m.Say(roomName, m.out.text(n))
		})
	}
}

// hear notes what the gateway says.
func (m *member) hear(e e2e.MemberEvent) {
	if e.Ev == "said" && e.Room == roomName && e.From == m.gateway {
		m.in.arrived(time.Unix(0, e.At), e.ID, e.Body)
	}
}

// meet has all members come into the room that the gateway has made.
func (r *run) meet() {
	for i, s := range r.lan {
		m := s.(*member)
		m.JoinRoom(e2e.RoomAt{Name: roomName})
		m.AwaitMembersNamed(roomName, r.before(i))
	}
}

// before are the names of the gateway and of the members before one, sorted.
func (r *run) before(i int) []string {
	names := []string{r.o.Mirror("meshgate")}
	for _, s := range r.lan[:i] {
		names = append(names, s.presence())
	}
	return names
}

// cutLAN cuts the gateway off from the LAN for a moment; its interface does not show it.
// What happens next may come before Clique has repaired what was lost.
func (r *run) cutLAN(ctx context.Context) {
	r.note("the gateway is cut off from the LAN")
	r.o.Host("h1").Isolate(true)
	pause(ctx, lanCutTime)
	r.o.Host("h1").Isolate(false)
	r.note("the gateway is back on the LAN")
	pause(ctx, time.Duration(r.rng.Int64N(int64(lanCutTime))))
}
