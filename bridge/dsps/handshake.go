package dsps

import (
	"slices"
	"time"
)

// A connPhase is how far a connection has come.
type connPhase uint8

const (
	fresh     connPhase = iota // has said nothing
	keyed                      // has a key, which is to come over XML
	proven                     // that has come; the next key is to come here
	flowing                    // data
	finishing                  // of a peer that has left: its data only
	flushing                   // of a peer that was dropped in the end: data to it only
	dialing                    // we connect, for a relay
	asked                      // its key is with the client
)

// A connState is a connection.
type connState struct {
	id     ConnID
	state  connPhase
	peer   *peerState   // from keyed to flowing
	stream *streamState // of relays and what finishes
	key    string       // that is to come next
}

// NewConn names a connection that somebody has made to us.
func (e *Engine) NewConn() ConnID {
	c := e.addConn(fresh)
	return c.id
}

func (e *Engine) addConn(state connPhase) *connState {
	e.numbers++
	c := &connState{id: ConnID(e.numbers), state: state}
	e.conns[c.id] = c
	return c
}

// abort closes a connection that is not to be heard of again.
func (e *Engine) abort(c *connState) {
	e.forgetConn(c)
	e.do(Action{Do: Abort, Conn: c.id})
}

// forgetConn takes a connection away from what has it, but for its peer.
func (e *Engine) forgetConn(c *connState) {
	delete(e.conns, c.id)
	if r := relayOf(c); r != nil && r.conn == c {
		r.conn = nil
	}
}

// HandleHello takes a connection's first line. The answer is a key, or the
// connection is closed: "If Client_full_JID and DSPS_full_JID do not have an
// associated stream, are no longer valid, …, or connection from said
// Client_full_JID + DSPS_full_JID pair is in use …, connection is closed
// immediately". XEP-0037, Connecting to DSPS via default method
func (e *Engine) HandleHello(id ConnID, line string) {
	c := e.conns[id]
	if c == nil || c.state != fresh {
		return
	}
	p := e.lookUp(line)
	switch {
	case p == nil || p.stream.phase != open:
		e.abort(c)
	case p.status == Connect:
		e.tellConflict(p)
		e.abort(c)
	case !e.roomForTry(p):
		e.abort(c)
	default:
		c.peer, c.state, c.key = p, keyed, secret(e.cfg.Rand)
		p.tries = append(p.tries, c)
		e.do(Action{Do: Say, Conn: id, Line: c.key})
	}
}

// roomForTry reports whether p may begin one handshake more. Anybody can say the
// first line of another, and no more than that: the oldest that has not come
// further gives way.
func (e *Engine) roomForTry(p *peerState) bool {
	if len(p.tries) < e.cfg.Limits.Handshakes {
		return true
	}
	i := slices.IndexFunc(p.tries, func(c *connState) bool { return c.state == keyed })
	if i < 0 {
		return false
	}
	e.abort(p.tries[i])
	p.tries = slices.Delete(p.tries, i, i+1)
	return true
}

// lookUp is the peer that a first line names, or nil. One that was a peer
// lately is told 401, once: others would make us send stanzas to anybody.
func (e *Engine) lookUp(line string) *peerState {
	pairs := hellos(line)
	for i, p := range pairs {
		pairs[i].service = e.cfg.Addresses.Canonical(p.service)
		if e.cfg.ClientAs != nil {
			pairs[i].client = e.cfg.ClientAs(p.client)
		}
		if found := e.pairs[pairs[i].fold()]; found != nil {
			return found
		}
	}
	for _, p := range pairs {
		if i := slices.Index(e.gone, p.fold()); i >= 0 {
			e.gone = slices.Delete(e.gone, i, i+1)
			e.refuse(IQ{ID: e.newID(), From: p.client, To: p.service}, Unauthorized, "")
			return nil
		}
	}
	return nil
}

// tellConflict says 409, once for each connection.
func (e *Engine) tellConflict(p *peerState) {
	if !p.told {
		p.told = true
		e.refuse(IQ{ID: e.newID(), From: p.jid, To: p.addr}, Conflict, "")
	}
}

// auth takes a key that comes over XML: "check key, if not valid, close
// connection, report possible optional error message and resume waiting on
// original key. If valid, generate new key and send to client".
func (e *Engine) auth(p *peerState, iq IQ, q Auth) {
	i := slices.IndexFunc(p.tries, func(c *connState) bool { return c.state == keyed && c.key == q.Key })
	if q.Key == "" || i < 0 {
		e.stats.WrongKeys++
		e.abortTries(p)
		e.refuse(iq, Unauthorized, "")
		return
	}
	c := p.tries[i]
	c.state, c.key = proven, secret(e.cfg.Rand)
	e.send(iq.reply("result", Auth{c.key}))
}

// HandleKey takes the line that ends a handshake.
func (e *Engine) HandleKey(id ConnID, line string) {
	c := e.conns[id]
	switch {
	case c == nil || c.peer == nil:
	case c.state == proven && c.key == line && c.peer.stream.phase == open:
		e.stats.Connections++
		e.becomeConnected(c.peer, c)
	case c.state == keyed || c.state == proven:
		e.stats.WrongKeys++
		e.abort(c)
		c.peer.tries = slices.DeleteFunc(c.peer.tries, func(t *connState) bool { return t == c })
	}
}

// HandleClosed takes that a connection has ended, or was not made, or that all
// that one which was to Finish has sent was taken.
func (e *Engine) HandleClosed(now time.Time, id ConnID) {
	c := e.conns[id]
	if c == nil {
		return
	}
	e.forgetConn(c)
	switch c.state {
	case keyed, proven:
		c.peer.tries = slices.DeleteFunc(c.peer.tries, func(t *connState) bool { return t == c })
	case flowing:
		e.becomeWaiting(now, c.peer)
	case finishing:
		c.stream.finishing--
		e.endWithoutMasters(now, c.stream)
	case dialing, asked:
		e.relayLost(c)
	}
}
