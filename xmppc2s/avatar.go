package xmppc2s

import (
	"context"
	"time"

	"meshgate/internal/icon"
	"meshgate/internal/iconcache"
	"meshgate/internal/stanza"
)

// An Avatar is a picture of a person. It is not changed once it is shared.
type Avatar struct {
	Data []byte
	Type string // "image/png", "image/jpeg", "image/gif", "image/webp"
}

// SetAvatar sets the account's own picture, which is made to fit; nil: none.
// Only the newest counts, and it is published at most once a minute. Until the
// first call the picture that the server has is left alone.
func (c *Client) SetAvatar(a *Avatar) {
	c.avatar.Store(&a)
	select {
	case c.repaint <- struct{}{}:
	default:
	}
}

// takeAvatar hands the desk what SetAvatar has left.
func (o *outer) takeAvatar(now time.Time) {
	d, a := o.teller.desk, *o.c.avatar.Load()
	if a == nil {
		d.setOwn(now, ownPicture{})
		return
	}
	data, err := icon.FitPNG(a.Data, ownBytes, ownSide)
	if err != nil {
		d.log.Warn("the account's picture is not published", "err", err)
		return
	}
	info, _ := icon.Check(data) // it has just been made
	d.setOwn(now, ownPicture{data: data, hash: iconcache.Hash(data), mime: info.Type, width: info.Width, height: info.Height})
}

// avatars lets the desk work, and does what it wants done. It runs in the
// teller's goroutine, as everything of the outer session.
func (o *outer) avatars(ctx context.Context) {
	d := o.teller.desk
	d.advance(time.Now())
	out := d.takeOutput()
	for _, st := range out.send {
		o.c.queueOwn(stanza.Append(nil, st, stanza.NSClient))
	}
	if out.photo != nil {
		o.c.setPhoto(*out.photo)
	}
	o.c.counts.avatarsAsked.Add(out.questions)
	o.c.counts.avatarsWritten.Add(out.writes)
	for _, ev := range out.events {
		o.teller.handler.HandleServer(ctx, ev)
	}
}
