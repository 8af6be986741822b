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
func (r *run) accepted(ctx context.Context) error {
	if !r.archive || r.restarts+r.crashes == 0 {
		return nil
	}
	for i := range r.pairs {
		up, down := r.lan[i].out, r.net[i].out
		missing := len(judge(up.snapshot()).lost) + len(judge(down.snapshot()).lost)
		if missing == 0 {
			continue
		}
		r.note("%d messages between %s and %s are looked for in the archives", missing, r.lan[i].name, r.net[i].user)
		if err := r.lookUp(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// archivePatience is how long the archives of a pair may take. Prosody's reads
// the whole file for each page.
const archivePatience = 5 * time.Minute

// lookUp looks for the messages of a pair.
func (r *run) lookUp(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, archivePatience)
	defer cancel()
	lan, contact := r.lan[i], r.net[i]
	account := jid.MustParse(r.o.GatewayJID())
	conn, err := r.o.Host("h1").Dial(ctx, "tcp", r.o.Server.LoopbackAddr())
	if err != nil {
		return err
	}
	gateways, err := ends.NewClient(ctx, conn, account, e2e.GatewayPassword, contact.roots, func(_ time.Time, st *stanza.Element) {
		text := ends.Archived(st).Child(stanza.NSClient, "body").Text()
		lan.out.accepted(text)
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
	acknowledged, err := r.control.acknowledged(ctx, lan.name)
	if err != nil {
		return err
	}
	lan.out.acknowledged(acknowledged)
	return gateways.Close()
}
