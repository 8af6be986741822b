package client

import (
	"context"

	"meshgate/bridge/dsps"
)

// A relaying is a stream that one service connects to ours on another.
type relaying struct {
	to   *Stream // on the other service
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
	return c.relay(ctx, service, s, q)
}

// Reconnect has the service of a stream that Relay returned connect to s again.
func (c *Client) Reconnect(ctx context.Context, relay, s *Stream) error {
	_, err := c.relay(ctx, relay.At, s, dsps.Create{})
	return err
}

func (c *Client) relay(ctx context.Context, at dsps.JID, to *Stream, q dsps.Create) (*Stream, error) {
	r := &relaying{to, make(chan error, 1)}
	key := at.Bare()
	c.mu.Lock()
	c.relays[key] = append(c.relays[key], r)
	c.mu.Unlock()
	defer c.forgetRelay(key, r)
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

func (c *Client) forgetRelay(key dsps.JID, r *relaying) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.relays[key] {
		if other == r {
			c.relays[key] = append(c.relays[key][:i:i], c.relays[key][i+1:]...)
		}
	}
	if len(c.relays[key]) == 0 {
		delete(c.relays, key)
	}
}

// relayKey takes a key of the other service, from the one that connects to it,
// has the other give the next, and brings it back.
func (c *Client) relayKey(iq dsps.IQ, q dsps.RelayKey) bool {
	c.mu.Lock()
	list := c.relays[iq.From.Bare()]
	c.mu.Unlock()
	if len(list) == 0 {
		return false
	}
	r := list[0] // they are asked for in turn
	c.forgetRelay(iq.From.Bare(), r)
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
