package dsps

import "time"

// A relayState connects a stream to one on another service, where the peer
// that created it here, its owner, is a peer, too.
type relayState struct {
	owner   *peerState
	dests   []Dest     // still to be tried
	dest    Dest       // "First successful (last if all failed) remembered by DSPS"
	request IQ         // to be answered; no kind: was answered
	conn    *connState // dialing, asked or flowing
	keyID   string     // of the request for a key
	peer    *peerState // registered from the first success on
}

// idle reports whether the relay may be connected again.
func (r *relayState) idle() bool { return r != nil && r.conn == nil }

// relayOf is the relay that a connection is of, or nil.
func relayOf(c *connState) *relayState {
	switch {
	case c.state == dialing || c.state == asked:
		return c.stream.relay
	case c.state == flowing && c.peer.right == Relay:
		return c.peer.stream.relay
	}
	return nil
}

// relayTo begins with the first of the services, for a request.
func (e *Engine) relayTo(s *streamState, iq IQ) {
	s.relay.request = iq
	e.dialNext(s)
}

func (e *Engine) dialNext(s *streamState) {
	r := s.relay
	r.dest, r.dests = r.dests[0], r.dests[1:]
	if r.dest.Port == 0 {
		r.dest.Port = DefaultPort
	}
	if r.dest.Host == "" {
		r.dest.Host = r.dest.JID.Host()
	}
	r.conn = e.addConn(dialing)
	r.conn.stream = s
	hello := string(AppendHello(nil, r.owner.jid, r.dest.JID))
	e.do(Action{Do: Dial, Conn: r.conn.id, Dest: r.dest, Line: hello[:len(hello)-1]})
}

// reconnect connects a relay again. "Attempt at reconnect to relay without
// existing credentials, relay still connected, <peer/> block present in
// reconnect request, or feature not supported": 405.
func (e *Engine) reconnect(now time.Time, p *peerState, iq IQ, q Create) {
	r := p.stream.relay
	if !r.idle() || r.owner != p || len(q.Dests) > 0 || p.stream.phase != open || len(e.allowed(p.jid, []Dest{r.dest})) == 0 {
		e.refuse(iq, MethodNotAllowed, "")
		return
	}
	if p.status == Wait {
		e.timers.set(&p.timer, now, p.wait)
	}
	r.dests = []Dest{r.dest}
	e.relayTo(p.stream, iq)
}

// HandleRelayKey takes the key that a service behind us has answered a Dial
// with. It is there: the stream is ready for its owner.
func (e *Engine) HandleRelayKey(now time.Time, id ConnID, line string) {
	c := e.conns[id]
	if c == nil || c.state != dialing {
		return
	}
	k, r := key(line), c.stream.relay
	if k == "" {
		e.abort(c)
		e.relayLost(c)
		return
	}
	c.state, r.keyID, r.dests = asked, e.newID(), nil
	if r.peer == nil {
		r.peer = e.addPeer(c.stream, Relay, r.dest.JID, "")
		e.becomePrepared(now, r.peer, e.cfg.Wait)
	} else {
		e.timers.set(&r.peer.timer, now, r.peer.wait)
	}
	if r.owner.status == Wait {
		e.timers.set(&r.owner.timer, now, r.owner.wait)
	}
	e.prepared(r.owner, r.request.ID)
	r.request = IQ{}
	e.send(IQ{Kind: "get", ID: r.keyID, From: r.owner.addr, To: r.owner.jid, Queries: []Query{RelayKey{k}}})
}

// relayWithout ends what a relay's owner, who has left, was asked for. A relay
// that stands goes on for the other masters.
func (e *Engine) relayWithout(owner *peerState) {
	r := owner.stream.relay
	if r == nil || r.owner != owner || r.conn == nil || r.conn.state == flowing {
		return
	}
	if r.request.Kind != "" {
		e.refuse(r.request, GatewayTimeout, "")
	}
	e.abort(r.conn)
}

// forgetRelay forgets where a relay was connected to.
func (e *Engine) forgetRelay(s *streamState) {
	if r := s.relay; r != nil && r.conn != nil && r.conn.state != flushing {
		e.abort(r.conn)
	}
	s.relay = nil
}

// relayAnswer takes the next key from the owner, to the service behind us.
func (e *Engine) relayAnswer(p *peerState, iq IQ, q RelayKey) {
	if p == nil || p.stream.relay == nil {
		return
	}
	r := p.stream.relay
	if r.owner != p || r.conn == nil || r.conn.state != asked || r.keyID != iq.ID {
		return
	}
	c := r.conn
	c.peer = r.peer
	e.do(Action{Do: Say, Conn: c.id, Line: q.Key})
	e.stats.Relays++
	e.becomeConnected(r.peer, c)
}

// relayLost takes that a service behind us cannot be reached, or that it, or
// the owner, went away in the handshake.
func (e *Engine) relayLost(c *connState) {
	r := c.stream.relay
	switch {
	case r == nil || r.conn != nil:
	case c.stream.phase != open || c.state == asked:
	case len(r.dests) > 0:
		e.dialNext(c.stream)
	default:
		request := r.request
		request.To = r.owner.addr // so that the owner can try again there
		r.request = IQ{}
		e.refuse(request, GatewayTimeout, "")
	}
}
