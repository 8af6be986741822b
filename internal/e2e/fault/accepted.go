package main

import (
	"context"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
)

// accepted looks for what is still missing in the archives of those who sent it
// and of those to whom it was sent. What the former have and the latter have not
// the server has taken, and lost by itself: between the session of the one and
// that of the other. But what the gateway's archive has, though nobody on the LAN
// has got it, the gateway has lost.
//
// COMPAT ejabberd 23.01: that needs no restart. What comes for a session in the
// moment in which its connection breaks may be neither sent nor archived.
func (r *run) accepted(ctx context.Context) error {
	if !r.archive {
		return nil
	}
	for i := range r.pairs {
		up, down := r.lan[i].says(), r.net[i].out
		missing := len(judge(up.snapshot()).lost) + len(judge(down.snapshot()).lost)
		if missing == 0 {
			continue
		}
		r.note("%d messages between %s and %s are looked for in the archives", missing, r.lan[i].presence(), r.net[i].user)
		look := r.lookUp
		if r.room {
			look = r.lookUpInRoom
		}
		if err := look(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// lookUpInRoom looks for the messages of a pair in the archive of their room. What a
// contact has said, and is not there, the server has lost.
func (r *run) lookUpInRoom(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, archivePatience)
	defer cancel()
	contact := r.net[i]
	if err := contact.current().RoomArchive(ctx, contact.room); err != nil { // see receive
		return err
	}
	contact.out.takenAll()
	return nil
}

// archivePatience is how long the archives of a pair may take. Prosody's reads
// the whole file for each page.
const archivePatience = 5 * time.Minute

// lookUp looks for the messages of a pair.
func (r *run) lookUp(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, archivePatience)
	defer cancel()
	up, contact := r.lan[i].says(), r.net[i]
	account := jid.MustParse(r.o.GatewayJID())
	conn, err := r.o.Host("h1").Dial(ctx, "tcp", r.o.Server.LoopbackAddr())
	if err != nil {
		return err
	}
	gateways, err := ends.NewClient(ctx, conn, account, e2e.GatewayPassword, contact.roots, func(_ time.Time, st *stanza.Element) {
		text := ends.Archived(st).Child(stanza.NSClient, "body").Text()
		up.accepted(text)
		contact.out.reachable(text)
	})
	if err != nil {
		conn.Close()
		return err
	}
	if err := gateways.Archive(ctx, jid.MustParse(r.o.Server.JID(contact.user))); err != nil {
		return err
	}
	if err := contact.current().Archive(ctx, account); err != nil { // see receive
		return err
	}
	acknowledged, err := r.control.acknowledged(ctx, r.lan[i].presence())
	if err != nil {
		return err
	}
	up.acknowledged(acknowledged)
	return gateways.Close()
}
