package clique

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"meshgate/internal/stanza"
)

const (
	nsClique   = "http://telepathy.freedesktop.org/xmpp/clique"
	inviteBody = "You got a Clique chatroom invitation"
	maxReason  = 1024 // bytes
)

// An Invitation asks somebody into a room, on a XEP-0174 stream.
type Invitation struct {
	Room, Reason string
	Group        netip.AddrPort // zero: it was said in a way that leads nowhere
	Extra        []*stanza.Element
	at           string // the group as it was said, for Check
}

// ParseInvitation reads the invitation in a message of any type. It reports false
// if there is none, or one that says not which room or where: then, as Salut
// does, one is silent about it. Whether one may go there says Check.
func ParseInvitation(msg *stanza.Element) (Invitation, bool) {
	if msg == nil || msg.Name.Local != "message" {
		return Invitation{}, false
	}
	invite := msg.Child(nsClique, "invite")
	room, address, port := childOf(invite, "roomname"), childOf(invite, "address"), childOf(invite, "port")
	if room == nil || address == nil || port == nil {
		return Invitation{}, false
	}
	i := Invitation{Room: room.Text(), at: address.Text() + " port " + port.Text()}
	reason := childOf(invite, "reason")
	if i.Reason = stanza.Clean(reason.Text()); len(i.Reason) > maxReason {
		i.Reason = strings.ToValidUTF8(i.Reason[:maxReason], "")
	}
	a, errA := netip.ParseAddr(address.Text())
	p, errP := strconv.ParseUint(port.Text(), 10, 16)
	if errA == nil && errP == nil {
		i.Group = netip.AddrPortFrom(a, uint16(p))
	}
	for c := range invite.Children() {
		if c != room && c != address && c != port && c != reason {
			i.Extra = append(i.Extra, c)
		}
	}
	return i, true
}

// childOf is the first child of this name in any namespace.
func childOf(e *stanza.Element, local string) *stanza.Element {
	for c := range e.Children() {
		if c.Name.Local == local {
			return c
		}
	}
	return nil
}

// Check says in words why nobody should follow the invitation; nil: one may.
func (i Invitation) Check() error {
	if err := checkName(i.Room); err != nil {
		return err
	}
	if !i.Group.IsValid() && i.at != "" {
		return fmt.Errorf("clique: the invitation leads nowhere: %.80q", i.at)
	}
	return checkGroup(i.Group)
}

// Message is the invitation as Salut writes it, to be addressed by whoever sends
// it. Its body is for clients that know nothing of rooms.
func (i Invitation) Message() *stanza.Element {
	el := func(local, text string) *stanza.Element { return stanza.New(nsClique, local, stanza.Text(text)) }
	invite := stanza.New(nsClique, "invite", el("roomname", i.Room))
	add := func(e *stanza.Element) { invite.Nodes = append(invite.Nodes, stanza.Node{Element: e}) }
	if i.Reason != "" {
		add(el("reason", i.Reason))
	}
	add(el("address", i.Group.Addr().WithZone("").String()))
	add(el("port", strconv.Itoa(int(i.Group.Port()))))
	for _, e := range i.Extra {
		add(e)
	}
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "normal"},
		stanza.New(stanza.NSClient, "body", stanza.Text(inviteBody)), invite)
}
