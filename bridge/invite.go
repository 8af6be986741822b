package bridge

import (
	"net/netip"
	"time"

	"meshgate/bridge/internal/bounds"
	"meshgate/bridge/rewrite"
	"meshgate/bridge/rooms"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// peerInvites takes an invitation to a Clique room (CQ-11) that a peer has sent
// to a contact's mirror, or to the concierge: then to is nil.
func (e *engine) peerInvites(now time.Time, r linklocal.Received, to *contact, n *entry, c rewrite.Content) Outcome {
	room, ok := e.rooms.ByName(c.Room)
	switch {
	case !ok:
		return e.remark(now, r.To, r.From, wordsUnmapped(c.Room)+e.wordsRooms())
	case room.Group.IsValid() && !sameGroup(c.Group, room.Group):
		return e.remark(now, r.To, r.From, wordsOther(room))
	case to == nil:
		return e.remark(now, r.To, r.From, wordsMapped(room))
	}
	e.sendInvitation(now, to, n, room, c.Body)
	return Pending
}

func sameGroup(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().WithZone("") == b.Addr().WithZone("")
}

// sendInvitation invites a contact in a peer's name.
func (e *engine) sendInvitation(now time.Time, to *contact, n *entry, room rooms.Info, reason string) {
	if reason == "" {
		reason = wordsInvites(room.Name)
	}
	if room.MembersOnly {
		e.invites.Put(now, invite{room.MUC.String(), to.bare}, n.peer)
	}
	e.forward(now, to, n, wordsInvitation(room.Name), func(env rewrite.Envelope) *stanza.Element {
		return e.invitation(room, rewrite.DisplayName(n.peer), reason, env)
	})
}

// invitation is a direct one. Where it does not open the door, the room is asked
// to send another behind it.
func (e *engine) invitation(room rooms.Info, name, reason string, env rewrite.Envelope) *stanza.Element {
	if room.MembersOnly {
		e.emit(toServer{rewrite.InviteThroughRoom(room.MUC, room.Password, name, reason, env)})
	}
	return rewrite.InviteToNetwork(room.MUC, room.Password, name, reason, env)
}

// An invite is who was invited where, both by bare address.
type invite struct{ room, contact string }

// invites are the peers who have invited contacts through rooms, of which they can be declined:
// the last one of each, for as long as an answer makes sense.
type invites = *bounds.Memory[invite, linklocal.Instance]

const (
	maxInvites  = 1000
	invitesKept = 7 * 24 * time.Hour
)

// declined tells whoever has invited a contact that it will not come, once.
func (e *engine) declined(now time.Time, ev xmppc2s.RoomDeclined) {
	key := invite{ev.Room.Bare().String(), ev.From.Bare().String()}
	to := e.mirrors.byBare[key.contact]
	peer, asked := e.invites.Get(now, key)
	room, ok := e.rooms.ByMUC(ev.Room)
	if to == nil || !asked || !ok || !e.policy.connects(peer, to.bare) || !e.remarks.Allow(now, peerKey(peer)) {
		return
	}
	e.invites.Forget(key)
	e.tellAbout(to, peer, wordsDeclined(to.name(), room.Name, ev.Reason))
}

// invited takes an invitation to a room on the network to its end, or on its
// way to a peer.
func (e *engine) invited(now time.Time, ev xmppc2s.RoomInvited) {
	e.fromNetwork.enter()
	m := xmppc2s.Message{Stanza: ev.Stanza, Done: ev.Done, ArchiveID: ev.ArchiveID, Place: ev.Place, Missed: ev.Missed}
	in := e.newIncoming(now, m, ev.From, rewrite.ParseInvitation(ev.Stanza, ev.Reason))
	in.muc, in.mediated = ev.Room.Bare(), !ev.Direct
	e.take(now, in)
}

// takeInvitation takes one of a contact. Through a room, anybody may have sent
// it who runs a server, but for the rooms that are ours.
func (e *engine) takeInvitation(now time.Time, in *incoming) Outcome {
	room, ok := e.rooms.ByMUC(in.muc)
	if !ok && in.mediated {
		return e.refuse(in.message.Stanza, Answered, "cancel", stanza.ServiceUnavailable, wordsUnmapped(in.muc.String()))
	}
	if o, refused := e.tooMany(now, in); refused {
		return o
	}
	if !ok {
		return e.answer(now, in, Answered, wordsUnmapped(in.muc.String())+e.wordsRooms())
	}
	return e.inviteTo(now, in, room)
}

// inviteTo sends what a contact has sent as an invitation to the room, to the
// peer that it is for.
func (e *engine) inviteTo(now time.Time, in *incoming, room rooms.Info) Outcome {
	if !room.Group.IsValid() {
		return e.answer(now, in, RefusedPeer, wordsNotOnLAN(room.Name))
	}
	in.content.Kind, in.content.Room, in.content.Group = rewrite.Invite, room.Name, room.Group
	return e.admit(now, in)
}
