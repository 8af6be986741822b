package clique

import (
	"net/netip"
	"slices"
	"time"
)

// reviewAdvert brings our advert in line with what others advertise. The name of a
// room is the name of a service, which can be said by all who say the same of it.
//
// Two rooms of one name, because two were made at the same moment, or two parts of
// a network have become one: one's advert loses its name to the other's. Who is
// alone in the room that has lost it moves to the other. A room that has members,
// or that was told where to be, stays without an advert.
//
// "Published by every member of the room as soon as its causal layer is connected,
// until it leaves"; but what others have published in other words, as Salut does
// with names that have a dot, is left to them.
func (l *roomLoop) reviewAdvert(now time.Time) {
	if l.at != inside || l.r.Private || l.moveTo.IsValid() {
		return
	}
	if l.r.takeLost() && l.published {
		l.withdraw()
		l.lost, l.retry = true, now.Add(retryName)
	}
	name, theirs := l.s.theirs(l.r.Name)
	if slices.Contains(theirs, l.group) {
		l.r.addressed(name)
	}
	switch {
	case l.published:
	case len(theirs) > 0 && !slices.Contains(theirs, l.group):
		l.elsewhere(now, theirs[0])
	case l.lost && (len(theirs) > 0 || now.Before(l.retry)):
		l.trouble = ""
	default:
		l.publish(now)
	}
}

func (l *roomLoop) publish(now time.Time) {
	l.lost, l.trouble = false, ""
	l.r.takeLost() // of an advert before
	if err := l.s.dns.Register(advertOf(l.r.id(), l.r.address(), l.group)); err != nil {
		l.complain("not advertised: " + err.Error())
		l.lost, l.retry = true, now.Add(retryName)
		return
	}
	l.published = true
	l.s.own(l.r.address(), l.group)
}

// withdraw takes our advert back; the responder says goodbye.
func (l *roomLoop) withdraw() {
	if l.published {
		l.published = false
		l.s.dns.Unregister(l.r.id())
		l.s.own(l.r.address(), netip.AddrPort{})
	}
}

// elsewhere: others advertise a room of our name at another group.
func (l *roomLoop) elsewhere(now time.Time, g netip.AddrPort) {
	switch {
	case l.r.Group.IsValid(), len(l.members) > 0:
		l.complain("not advertised: another room of this name is at " + g.String())
	case now.Sub(l.moved) < restMove, l.s.inUse(l.r, g):
	default:
		l.log.Info("moving to the room of the same name that others advertise", "from", l.group, "to", g)
		l.s.count.moves.Add(1)
		l.moved = now
		l.move(now, g)
	}
}
