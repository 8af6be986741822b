package e2e

import (
	"slices"
	"testing"
)

// The rooms of both servers, as Debian ships them, do what the tests of the
// gateway ask of them.
func TestForeignClientsMeetInRooms(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		opt := twoUsers()
		h := Local(t)
		start := h.Prosody
		if ejabberd {
			start = h.Ejabberd
		}
		s := start(opt)
		alice, bob, mallory := h.Remote(s, "alice", RemoteOptions{}), h.Remote(s, "bob", RemoteOptions{}), h.Remote(s, "mallory", RemoteOptions{})
		room := s.Room("lounge")
		alice.MakeRoom(room, "Alice")
		alice.Say(room, "anybody?")
		if e := alice.AwaitSaid(room, "Alice", "anybody?"); e.StanzaID == "" {
			t.Errorf("the room gives no id: %s", e.XML)
		}
		alice.Invite(room, bob.JID, "to talk")
		if e := bob.AwaitInvite(room); e.Reason != "to talk" || e.Inviter == "" {
			t.Errorf("bob is invited by %q because of %q", e.Inviter, e.Reason)
		}
		alice.InviteDirectly(room, mallory.JID, "to listen")
		if e := mallory.AwaitInvite(room); e.Reason != "to listen" {
			t.Errorf("mallory is invited because of %q", e.Reason)
		}
		bob.Join(room, "Bob")
		if e := bob.AwaitSaid(room, "Alice", "anybody?"); !e.Delayed {
			t.Errorf("history is not delayed: %s", e.XML)
		}
		mallory.Join(room, "Mallory")
		mallory.Rename(room, "Eve")
		if e := alice.AwaitGone(room, "Mallory"); e.NewNick != "Eve" {
			t.Errorf("Mallory is now %q", e.NewNick)
		}
		alice.AwaitOccupant(room, "Eve")
		alice.SetSubject(room, "nothing at all")
		bob.AwaitSubject(room, "nothing at all")
		if in := alice.Occupants(room); len(in) != 3 || in["Alice"].Affiliation != "owner" || in["Bob"].Role != "participant" {
			t.Errorf("in the room are %+v", in)
		}
		alice.Kick(room, "Bob", "too loud")
		if e := bob.AwaitGone(room, "Bob"); !slices.Contains(e.Codes, "307") {
			t.Errorf("bob was kicked: %s", e.XML)
		}
		if in := bob.Occupants(room); len(in) != 0 {
			t.Errorf("bob still sees %+v", in)
		}
		alice.Affiliate(room, mallory.JID, "outcast", "")
		if e := mallory.AwaitGone(room, "Eve"); !slices.Contains(e.Codes, "301") {
			t.Errorf("mallory was banned: %s", e.XML)
		}
		bob.Join(room, "Bob")
		s.Restart()
		alice, bob = h.Remote(s, "alice", RemoteOptions{}), h.Remote(s, "bob", RemoteOptions{})
		bob.Join(room, "Bob")
		if e := alice.Join(room, "Alice"); slices.Contains(e.Codes, "201") {
			t.Errorf("the room has not outlived its server")
		}
		alice.Destroy(room, "over")
		if e := bob.AwaitGone(room, "Bob"); !e.Destroyed {
			t.Errorf("the room is gone: %s", e.XML)
		}
	})
}
