package netwatch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"meshgate/internal/alarm"
)

// deaf is how long nobody listens when that has failed.
const deaf = 30 * time.Second

// Keep calls changed, which must not block, whenever the kernel says something of
// links, addresses or routes, until ctx ends: it listens anew when that has
// failed. A nil Listener is one that has. What the messages say is not looked at:
// that they came is reason to look.
func (l *Listener) Keep(ctx context.Context, log *slog.Logger, changed func()) {
	var first hearer
	if l != nil {
		first = l
	}
	keep(ctx, log, first, func() (hearer, error) { return Listen() }, changed)
}

// A hearer is a Listener.
type hearer interface {
	// run calls changed for each message, until ctx ends or nothing more can be
	// heard.
	run(ctx context.Context, changed func()) error
}

// keep is Keep. What was said while nobody listened is not known: that is a
// change. Where there is no way to listen it returns.
func keep(ctx context.Context, log *slog.Logger, l hearer, listen func() (hearer, error), changed func()) {
	var again alarm.Alarm
	defer again.Stop()
	for ; ; l = nil {
		var err error
		if l == nil {
			if l, err = listen(); err == nil {
				changed()
			}
		}
		if err == nil {
			err = l.run(ctx, changed)
		}
		if ctx.Err() != nil || errors.Is(err, errors.ErrUnsupported) {
			return
		}
		log.Warn("changes of the network are not heard of; it is tried again", "err", err)
		again.Set(time.Now().Add(deaf))
		select {
		case <-again.C():
		case <-ctx.Done():
			return
		}
	}
}
