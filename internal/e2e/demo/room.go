package main

import (
	"fmt"
	"time"

	"meshgate/internal/e2e"
)

// The room is called so on the LAN, and is at that address on the network.
const (
	roomName = "Witchcraft"
	roomMUC  = "witchcraft@" + e2e.RoomService
)

// meet has Alice and somebody on the LAN talk in a room that is on both sides.
func (s *stage) meet() {
	o := s.office
	s.print(fmt.Sprintf("\n— A room: %s on the LAN is %s on the network —\n", roomName, roomMUC))
	s.alice.Join(roomMUC, "alice")
	s.tell("Alice has entered %s", roomMUC)
	s.crone = o.Host("h3").Member("crone", e2e.MemberOptions{})
	s.crone.JoinRoom(e2e.RoomAt{Name: roomName})
	s.crone.AwaitMembersNamed(roomName, []string{o.Mirror("meshgate")})
	s.tell("a crone on Carol's PC has found %s by its advert and entered it", roomName)
	e := s.crone.Await("the gateway's words", func(e e2e.MemberEvent) bool { return e.Ev == "said" && e.Body != "" })
	s.tell("the gateway tells the room: %q", e.Body)

	start, text := time.Now(), "When shall we three meet again?"
	s.crone.Say(roomName, text)
	s.said("crone", "Alice", s.alice.AwaitMessage(roomMUC, text).Body, time.Since(start))
	start, text = time.Now(), "In thunder, lightning, or in rain."
	s.alice.Say(roomMUC, text)
	s.said("Alice", "crone", s.crone.AwaitSaid(roomName, o.Mirror("meshgate"), "[alice] "+text).Body, time.Since(start))
}
