package rewrite

import (
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/internal/stanza"
)

const nsClique = "http://telepathy.freedesktop.org/xmpp/clique"

// maxInviteReason bounds the reason of an invitation, in bytes.
const maxInviteReason = 300

// parseClique reads a message of a peer that holds an invitation to a Clique
// room; ok is false if it holds none. Its body is never read: it is there for
// clients that do not know Clique. One that nobody could follow is nothing.
func parseClique(st *stanza.Element) (c Content, ok bool) {
	invite := st.Child(nsClique, "invite")
	if !st.Is(stanza.NSClient, "message") || st.Attr("type") == "error" || invite == nil {
		return c, false
	}
	inv, readable := clique.ParseInvitation(st)
	readable = readable && inv.Check() == nil
	switch {
	case invite.Child(nsVia, "via") != nil:
		c.Kind = Relayed
	case !readable:
		c.Kind = Nothing
	default:
		c = Content{Kind: Invite, Body: inviteReason(inv.Reason), Room: inv.Room, Group: inv.Group}
	}
	return c, true
}

// ParseInvitation takes a message of the network apart that invites us to a
// room, with a reason that may be "". Its room is for the caller to find.
func ParseInvitation(st *stanza.Element, reason string) Content {
	c := ParseNetwork(st)
	switch {
	case c.Kind == Failure, c.Kind == Wrapped:
		return c
	case st.Child(nsVia, "via") != nil:
		return Content{Kind: Relayed}
	}
	c.Kind, c.Body, c.State, c.Corrects = Invite, inviteReason(reason), "", false
	c.Receipt = c.Receipt && mediated(st) == nil // the room would get it, and has no use for one
	return c
}

// inviteReason is why somebody invites, in a line; "": they do not say.
func inviteReason(s string) string {
	if s = Line(s, maxInviteReason); blank(s) {
		return ""
	}
	return s
}

// mediated is the part of a message by which a room invites in somebody's
// name, or nil.
//
// XEP-0045 §7.8.2 (Mediated Invitation)
func mediated(st *stanza.Element) *stanza.Element {
	if strings.Contains(st.Attr("from"), "/") {
		return nil // it is not a room that says so
	}
	return st.Child(stanza.NSMUCUsr, "x").Child(stanza.NSMUCUsr, "invite")
}

// InviteToLAN builds the invitation of a contact to the room of c for a peer.
// speaker is the contact's name. The mark in it is for other gateways: they
// must not invite anybody because of it (IJ-08).
func InviteToLAN(c Content, speaker string, now time.Time) *stanza.Element {
	reason := c.Body
	if reason != "" {
		reason = stampText(c.Stamp, now) + disarmed(speaker, reason)
	}
	return clique.Invitation{
		Room: c.Room, Group: c.Group, Reason: reason,
		Extra: []*stanza.Element{stanza.New(nsVia, "via")},
	}.Message()
}

// InviteToNetwork builds an invitation to a room on the network in the words of
// whoever is called name: a peer, or the gateway itself. It is a direct one,
// which reaches the contact whether the room knows it or not. With the password, if
// the room has one, the contact can enter.
//
// XEP-0249 §2 (How It Works)
func InviteToNetwork(room jid.JID, password, name, reason string, env Envelope) *stanza.Element {
	return stanza.New(stanza.NSClient, "message",
		stanza.Attr{Name: "to", Value: env.To}, stanza.Attr{Name: "id", Value: env.ID},
		thread(env.Thread),
		stanza.New(stanza.NSConf, "x", stanza.Attr{Name: "jid", Value: room.String()},
			stanza.Attr{Name: "password", Value: password}, stanza.Attr{Name: "reason", Value: inviteText(name, reason)}),
		stanza.New(nsVia, "via"),
		stanza.New(stanza.NSSID, "origin-id", stanza.Attr{Name: "id", Value: env.ID}))
}

// InviteThroughRoom builds the same for the room to pass on: a room for
// members only makes a member of whom it invites. Whoever gets both is shown
// one of them (XEP-0249 §4). COMPAT Prosody: passes the mark on.
//
// XEP-0045 §7.8.2 (Mediated Invitation)
func InviteThroughRoom(room jid.JID, password, name, reason string, env Envelope) *stanza.Element {
	return toRoom(room.String(), "invite", env.To, inviteText(name, reason), password, stanza.New(nsVia, "via"))
}

func inviteText(name, reason string) string { return named(name, inviteReason(reason)) }

// decline tells whoever invited us through a room that it leads nowhere.
//
// XEP-0045 §7.8.2 (Mediated Invitation)
func decline(room, inviter, why string) *stanza.Element {
	if inviter == "" {
		return nil // whom should the room tell?
	}
	return toRoom(room, "decline", inviter, why, "", nil)
}

// toRoom builds what a room shall pass on to somebody who need not be in it.
func toRoom(room, what, to, reason, password string, mark *stanza.Element) *stanza.Element {
	text := func(name, s string) *stanza.Element {
		if s == "" {
			return nil
		}
		return stanza.New(stanza.NSMUCUsr, name, stanza.Text(s))
	}
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "to", Value: room},
		stanza.New(stanza.NSMUCUsr, "x",
			stanza.New(stanza.NSMUCUsr, what, stanza.Attr{Name: "to", Value: to}, text("reason", reason)), text("password", password)), mark)
}
