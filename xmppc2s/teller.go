package xmppc2s

import (
	"context"
	"time"

	"meshgate/internal/alarm"
)

// lastWords is how long the handler may take for all that it is told after the
// end of Run's context, and how long a server may take to close its side of
// the stream.
const lastWords = time.Second

// A teller is the one goroutine that calls the Handler, so that there is one
// order of events: with what the loop has to say, and with what the outer
// session passes on, which runs in the same goroutine.
type teller struct {
	handler  Handler
	desk     *avatarDesk
	archive  *archiveDesk
	rooms    *mucDesk
	wake     alarm.Alarm // for the desks
	events   chan Event  // from the loop, which closes it in the end
	sessions chan *outer // from the loop, one at a time
	until    time.Time   // when the last words are over
}

func newTeller(h Handler, d *avatarDesk, a *archiveDesk, r *mucDesk) *teller {
	return &teller{handler: h, desk: d, archive: a, rooms: r, events: make(chan Event), sessions: make(chan *outer, 1)}
}

func (t *teller) run(ctx context.Context) {
	defer t.wake.Stop()
	for {
		select {
		case o := <-t.sessions:
			o.run(ctx)
		case ev, ok := <-t.events:
			if !ok {
				return
			}
			t.tell(ctx, ev)
		}
	}
}

// tell passes on what the loop says. It may still be bad news when ctx has
// ended, so a handler that minds ctx gets a little longer for that.
func (t *teller) tell(ctx context.Context, ev Event) {
	switch ev := ev.(type) {
	case Acknowledged:
		t.archive.sent(len(ev.Messages))
	case Online:
		t.archive.connected(time.Now(), true)
		t.rooms.connected(time.Now(), true)
	case Offline:
		t.archive.connected(time.Now(), false)
		t.rooms.connected(time.Now(), false)
	}
	if ctx.Err() != nil {
		if t.until.IsZero() {
			t.until = time.Now().Add(lastWords)
		}
		late, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.until)
		defer cancel()
		ctx = late
	}
	t.handler.HandleServer(ctx, ev)
}
