package client

import (
	"context"

	"meshgate/bridge/dsps"
)

// A relaying is a stream that one service connects to ours on another.
type relaying struct {
	by   dsps.JID // the service, bare
	to   *Stream  // on the other
	done chan error
}

// Relay has a service connect to s, which is on another, so that what we send
// there goes on to s, and what s has comes from there. It carries the keys.
// The stream that it returns is to be connected to like any other.
//
// Where the other service is its address says, or host if it is not "".
func (c *Client) Relay(ctx context.Context, service dsps.JID, s *Stream, host string, o Options) (*Stream, error) {
	if host == "" {
		host = s.Prepared.Host
	}
	if host == s.At.Host() {
		host = ""
	}
	q := o.create()
	q.Dests = []dsps.Dest{{JID: s.At, Host: host, Port: s.Prepared.Port}}
	return c.setUp(ctx, service, s, q)
}

// Reconnect has the service of a stream that Relay returned connect to s again.
func (c *Client) Reconnect(ctx context.Context, relay, s *Stream) error {
	_, err := c.setUp(ctx, relay.At, s, dsps.Create{})
	return err
}

func (c *Client) setUp(ctx context.Context, at dsps.JID, to *Stream, q dsps.Create) (*Stream, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r := &relaying{at.Bare(), to, make(chan error, 1)}
	c.setRelay(r)
	defer c.setRelay(nil)
	s, err := c.prepare(ctx, dsps.IQ{Kind: "get", ID: newID(), To: at, Queries: []dsps.Query{q}}, dsps.Master)
	if err != nil {
		return nil, err
	}
	select {
	case err := <-r.done:
		return s, err
	case <-s.dropped:
		return nil, ErrDropped
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Client) setRelay(r *relaying) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.relay = r
}

// relayKey takes a key of the other service, from the one that connects to it,
// has the other give the next, and brings it back.
func (c *Client) relayKey(iq dsps.IQ, q dsps.RelayKey) bool {
	c.mu.Lock()
	r := c.relay
	if r == nil || r.by != iq.From.Bare() {
		c.mu.Unlock()
		return false
	}
	c.relay = nil // one key
	c.mu.Unlock()
	_, err := c.then(dsps.IQ{Kind: "get", ID: newID(), To: r.to.At, Queries: []dsps.Query{dsps.Auth(q)}}, func(a dsps.IQ) {
		r.done <- c.bring(iq, a)
	})
	if err != nil {
		r.done <- err
	}
	return true
}

// bring passes on the answer to a key.
func (c *Client) bring(iq, a dsps.IQ) error {
	reply := dsps.IQ{ID: iq.ID, To: iq.From}
	if len(a.Queries) > 0 {
		if next, ok := a.Queries[0].(dsps.Auth); ok && next.Key != "" {
			reply.Kind, reply.Queries = "result", []dsps.Query{dsps.RelayKey(next)}
			return c.send(reply)
		}
	}
	reply.Kind, reply.Error = "error", &dsps.Error{Code: dsps.Unauthorized}
	if err := c.send(reply); err != nil {
		return err
	}
	if a.Error != nil {
		return a.Error
	}
	return errAnswer
}
