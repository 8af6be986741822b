package xmppc2s

import (
	"context"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// A roomLine names a line of a room that is done.
type roomLine struct {
	room   *mucRoom
	number uint64
}

// rooms lets the rooms' desk work, and does what it wants done. It runs in the
// teller's goroutine, as everything of the outer session.
func (o *outer) rooms(ctx context.Context) {
	d, now := o.teller.rooms, time.Now()
	orders := o.c.roomOrders.take()
	for _, key := range sortedKeys(orders) {
		d.order(now, key, orders[key])
	}
	for _, line := range o.c.roomDones.Take() {
		d.done(line)
	}
	d.advance(now)
	o.carryOut(ctx, d.takeOutput())
}

func (o *outer) carryOut(ctx context.Context, out mucOutput) {
	for _, st := range out.send {
		o.c.queueOwn(stanza.Append(nil, st, stanza.NSClient))
	}
	o.c.counts.addRooms(&out)
	for _, mark := range out.drop {
		o.c.undone.Add(-1)
		o.c.markDone(mark)
	}
	for _, t := range out.tell {
		o.tellRoom(ctx, t)
	}
}

// tellRoom tells the handler of something in a room.
func (o *outer) tellRoom(ctx context.Context, t mucTelling) {
	ev := t.event
	if m, ok := ev.(RoomMessage); ok {
		m.Done = o.lineDone(t)
		ev = m
		o.c.counts.messagesIn.Add(1)
	}
	o.teller.handler.HandleServer(ctx, ev)
}

// lineDone is the Done of a line.
func (o *outer) lineDone(t mucTelling) func() {
	var called atomic.Bool
	return func() {
		if !called.CompareAndSwap(false, true) {
			return
		}
		if t.live {
			o.c.undone.Add(-1)
			o.c.markDone(t.mark)
		}
		if !o.c.roomDones.Put(roomLine{t.room, t.number}) {
			panic("xmppc2s: more lines of rooms done than were passed on")
		}
	}
}

// leaveRooms ends the desk's part in a session (see fetch).
func (o *outer) leaveRooms(ctx context.Context) {
	o.c.undone.Add(-int64(o.teller.rooms.abandon()))
	o.carryOut(ctx, o.teller.rooms.takeOutput())
}

// invitation is what a message says, if it is one: through the room (XEP-0045
// §7.8.2), or direct (XEP-0249). In a private message an occupant could say that
// somebody else invites, and not every room would mind. COMPAT Prosody, ejabberd: one through the room
// has the other in it, too.
func invitation(el *stanza.Element) (inv RoomInvited, ok bool) {
	from, err := jid.Parse(el.Attr("from"))
	x, direct := el.Child(stanza.NSMUCUsr, "x"), el.Child(stanza.NSConf, "x")
	invite := x.Child(stanza.NSMUCUsr, "invite")
	switch {
	case err != nil || el.Attr("type") == "error" || el.Attr("type") == "groupchat":
		return RoomInvited{}, false
	case invite != nil && from.Resourcepart() != "":
		return RoomInvited{}, false
	case invite != nil:
		inv = RoomInvited{
			Room: from.Bare(), Reason: invite.Child(stanza.NSMUCUsr, "reason").Text(),
			Password: x.Child(stanza.NSMUCUsr, "password").Text(), Stanza: el,
		}
		inv.From, _ = jid.Parse(invite.Attr("from")) // zero: unknown
		return inv, true
	case direct != nil:
		room, err := jid.Parse(direct.Attr("jid"))
		return RoomInvited{
			Room: room.Bare(), From: from, Reason: direct.Attr("reason"), Password: direct.Attr("password"), Direct: true, Stanza: el,
		}, err == nil && direct.Attr("jid") != ""
	}
	return RoomInvited{}, false
}
