package main

import (
	"context"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
)

// accepted looks for what is still missing in the archives of those who sent
// it. What is there the server has taken, and lost by itself: when it stops,
// between the session of the one and that of the other. But what is in the
// gateway's archive too, though nobody on the LAN has it, the gateway has lost.
func (r *run) accepted(ctx context.Context) error {
	missing := 0
	for _, w := range append(r.ups(), r.downs()...) {
		missing += len(judge(w.snapshot()).lost)
	}
	if missing == 0 || !r.archive || r.restarts+r.crashes == 0 {
		return nil
	}
	r.note("%d messages are looked for in the archive", missing)
	ctx, cancel := context.WithTimeout(ctx, progress)
	defer cancel()
	conn, err := r.o.Host("h1").Dial(ctx, "tcp", r.o.Server.LoopbackAddr())
	if err != nil {
		return err
	}
	account := jid.MustParse(r.o.GatewayJID())
	c, err := ends.NewClient(ctx, conn, account, e2e.GatewayPassword, r.net[0].roots, func(_ time.Time, st *stanza.Element) {
		text := ends.Archived(st).Child(stanza.NSClient, "body").Text()
		for i := range r.pairs {
			r.lan[i].out.accepted(text)
			r.net[i].out.reachable(text)
		}
	})
	if err != nil {
		conn.Close()
		return err
	}
	for _, e := range r.net {
		if err := c.Archive(ctx, jid.MustParse(r.o.Server.JID(e.user))); err != nil {
			return err
		}
		if err := e.current().Archive(ctx, account); err != nil {
			return err
		}
	}
	return c.Close()
}
