package xmppc2s

import (
	"context"
	"sync/atomic"
	"time"

	"meshgate/internal/stanza"
)

// archive lets the archive's desk work, and does what it wants done. It runs
// in the teller's goroutine, as everything of the outer session.
func (o *outer) archive(ctx context.Context) {
	d := o.teller.archive
	d.done(o.c.caught.Take()...)
	d.advance(time.Now(), o.c.cfg.MaxUndone-int(o.c.passed.Load()))
	out := d.takeOutput()
	if out.parked != 0 {
		o.c.undone.Add(-int64(out.parked))
		o.c.wakeLoop() // there may be room for more
	}
	o.c.keepArchived(out.row)
	if out.send != nil {
		o.c.queueOwn(stanza.Append(nil, out.send, stanza.NSClient))
	}
	o.c.counts.fetched.Add(out.fetched)
	o.c.counts.archiveStrays.Add(out.strays)
	for _, p := range out.pass {
		o.passOn(ctx, p)
	}
}

// keepArchived hands a row to the loop, which keeps it before it sends what
// the outer session queues from now on.
func (c *Client) keepArchived(row *archiveRow) {
	if row == nil {
		return
	}
	c.archived.Store(row)
	c.wakeLoop()
}

// passOn tells the handler of a message.
func (o *outer) passOn(ctx context.Context, p passing) {
	o.c.counts.messagesIn.Add(1)
	o.c.passed.Add(1)
	var called atomic.Bool
	done := func() {
		if !called.CompareAndSwap(false, true) {
			return
		}
		o.c.passed.Add(-1)
		if p.live {
			o.c.undone.Add(-1)
			o.c.markDone(p.mark)
		}
		if !o.c.caught.Put(p.number) { // even if it has none: there is room for one that is held
			panic("xmppc2s: more messages done than were passed on")
		}
	}
	if inv, ok := invitation(p.stanza); ok {
		inv.Done, inv.ArchiveID, inv.Place, inv.Missed = done, p.id, p.mark.Place(), p.missed
		o.teller.handler.HandleServer(ctx, inv)
		return
	}
	o.teller.handler.HandleServer(ctx, Message{Stanza: p.stanza, Done: done, ArchiveID: p.id, Place: p.mark.Place(), Missed: p.missed})
}

// isArchived reports whether a message is the archive's: everybody else can
// put a result into a message, but not send it from our account.
func (o *outer) isArchived(el *stanza.Element) bool {
	return el.Is(stanza.NSClient, "message") && o.fromOwnAccount(el) && el.Child(stanza.NSMAM, "result") != nil
}

// leaveArchive ends the desk's part in a session (see fetch).
func (o *outer) leaveArchive(ctx context.Context) {
	o.teller.archive.done(o.c.caught.Take()...)
	coming := o.teller.archive.abandon()
	o.c.undone.Add(-int64(coming))
	o.archive(ctx)
}

// setWake sets the alarm for the desks.
func (o *outer) setWake() {
	at := o.teller.desk.nextTimeout()
	for _, t := range [...]time.Time{o.teller.archive.nextTimeout(), o.teller.rooms.nextTimeout()} {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	o.teller.wake.Set(at)
}
