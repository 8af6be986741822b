package linklocal

import (
	"errors"
	"fmt"
	"time"
)

// callPause is between two calls to a peer that may not know us yet.
const callPause = 250 * time.Millisecond

// retry takes back the stanzas that a stream which is over has not written.
// Each gets one more chance, on another stream; streams on which the peer has
// said nothing do not count while it may not know us yet.
//
// COMPAT libpurple 2.14 closes, before it reads, a connection from an address
// of which it has no contact: so it does in the first moments after we appear.
func (l *loop) retry(now time.Time, c *conn) {
	p, unsent := c.pair, c.unsent
	c.unsent = nil
	if p == nil {
		return
	}
	if p.calling == c {
		p.calling = nil
		if p.best() == nil { // else they wait for that, not for this
			unsent = append(unsent, p.waiting...)
			p.waiting = nil
		}
	}
	early := l.isNews(now, p)
	var again []*outgoing
	for _, o := range unsent {
		if c.heard || !early {
			o.tries++
		}
		if err := c.verdict(o); err != nil && l.stopAt.IsZero() {
			l.finish(o, err)
		} else {
			again = append(again, o)
		}
	}
	if early {
		p.callAt = now.Add(callPause)
	}
	p.waiting = append(again, p.waiting...)
	l.flush(now, p)
	l.tidy(p)
}

// isNews reports whether one of a pair has appeared only just now, so that the
// other may not know of it yet.
func (l *loop) isNews(now time.Time, p *pair) bool {
	return now.Before(l.metAt(p).Add(l.cfg.News))
}

// metAt is when the later one of a pair has appeared.
func (l *loop) metAt(p *pair) time.Time {
	met := p.contact.since
	if since := l.roster.since(p.peer); since.After(met) {
		met = since
	}
	return met
}

// verdict is why a stanza that c has not written shall not be tried again;
// nil: it shall.
func (c *conn) verdict(o *outgoing) error {
	var insecure channelError
	_, ours := refusal(c.stream.why)
	switch {
	case c.slow:
		return ErrSlow
	case errors.As(c.stream.why, &insecure):
		return fmt.Errorf("%w: %s: %w", ErrInsecure, c.pair.peer, insecure)
	case o.tries > 1 || ours && !c.wasOpen:
		return fmt.Errorf("%w: %s: stream broke: %v", ErrUnreachable, c.pair.peer, c.stream.why)
	}
	return nil
}
