package xmppc2s

import (
	"context"
	"errors"
	"time"
)

// A Queued is a stanza that waits for the server, or for its acknowledgement.
type Queued struct {
	Seq    uint64 // its number; it gets another one when it is sent, set aside, or waits again
	ID, To string // "": it has none
	Kind   string // message, presence or iq
	Lane   string // see package outbox; "": it is sent
	At     time.Time
	Bytes  int
	State  QueueState
	Reason string // why it was set aside
}

// A QueueState is where a queued stanza is.
type QueueState string

const (
	Waiting QueueState = "waiting" // until the session can take it
	InWork  QueueState = "sent"    // it was given to the session, and is not acknowledged
	Aside   QueueState = "aside"   // it is not sent, because the server ends the stream over it
)

// Errors of DropQueued and RetryQueued, and of Undelivered what was dropped.
var (
	ErrDropped     = errors.New("xmppc2s: it was taken out of the queue by hand")
	ErrNotQueued   = errors.New("xmppc2s: no such stanza is waiting")
	ErrAlreadySent = errors.New("xmppc2s: it is on its way to the server already")
	ErrNotAside    = errors.New("xmppc2s: it was not set aside")
)

// Queue returns what waits, the oldest first and at most limit of them, and
// how much there is, with what was given up and is still to be told. It may be
// called from any goroutine while Run runs.
func (c *Client) Queue(ctx context.Context, limit int) (list []Queued, total int, err error) {
	err = c.ask(ctx, func(l *loop) error {
		list, total = l.queue(limit)
		return nil
	})
	return list, total, err
}

// QueuedStanza returns the XML of one.
func (c *Client) QueuedStanza(ctx context.Context, seq uint64) (b []byte, err error) {
	err = c.ask(ctx, func(l *loop) error {
		b, err = l.queuedStanza(seq)
		return err
	})
	return b, err
}

// DropQueued gives up a stanza that waits or was set aside. Of a message that
// waited Undelivered with ErrDropped follows; of one that was set aside it has
// been told then.
func (c *Client) DropQueued(ctx context.Context, seq uint64) error {
	return c.ask(ctx, func(l *loop) error { return l.dropQueued(seq) })
}

// RetryQueued makes a stanza wait again that was set aside. Seq 0 ends the
// pause before the next attempt to connect.
func (c *Client) RetryQueued(ctx context.Context, seq uint64) error {
	return c.ask(ctx, func(l *loop) error { return l.retryQueued(seq) })
}

// ask has the loop do something and waits for that.
func (c *Client) ask(ctx context.Context, f func(*loop) error) error {
	answer := make(chan error, 1)
	select {
	case c.calls <- func(l *loop) { answer <- f(l) }:
		return <-answer // the loop is at it
	case <-c.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}
