package dsps

import (
	"time"

	"meshgate/internal/stanza"
)

// create makes a stream, or connects a relay again. ""to" with resource implies
// reconnection to previous relay stream …, otherwise implies creation of new
// stream where creator is granted "master" rights." XEP-0037, Stream Creation
//
// An address may be both the service's and that of a stream: then only what
// can be a reconnection is one.
func (e *Engine) create(now time.Time, p *peerState, iq IQ, q Create) {
	service := e.cfg.Addresses.IsService(iq.To)
	switch {
	case p != nil && (!service || len(q.Dests) == 0 && p.stream.relay.idle()):
		e.reconnect(now, p, iq, q)
	case service:
		e.createNew(now, iq, q)
	default:
		e.refuse(iq, MethodNotAllowed, "no stream is created at this address")
	}
}

func (e *Engine) createNew(now time.Time, iq IQ, q Create) {
	dests := e.allowed(iq.From, q.Dests)
	code, why := 0, ""
	switch {
	case e.cfg.Policy.MayCreate == nil || !e.cfg.Policy.MayCreate(iq.From):
		code, why = Forbidden, "you may not create streams here"
	case len(e.streams) >= e.cfg.Limits.Streams || e.owned(iq.From) >= e.cfg.Limits.StreamsEach:
		code, why = MethodNotAllowed, "there are too many streams"
	case size(q.Comments) > e.cfg.Limits.Comments:
		code, why = MethodNotAllowed, "the comments are too long"
	case len(q.Dests) > 0 && len(dests) == 0 || len(dests) > e.cfg.Limits.Dests:
		code, why = MethodNotAllowed, "no relay to there"
	}
	if code != 0 {
		e.refuse(iq, code, why)
		return
	}
	p, grant := e.begin(now, iq, q)
	switch {
	case grant == Later && e.hold(iq, nil):
	case grant != Given:
		e.refuse(iq, MethodNotAllowed, noAddress)
	case len(dests) > 0:
		p.stream.relay = &relayState{owner: p, dests: dests}
		e.relayTo(p.stream, iq)
	default:
		e.prepared(p, iq.ID)
	}
}

// noAddress is why somebody cannot be on one stream more.
const noAddress = "there is no address left for one stream more"

// begin makes a stream and its first master, if there are addresses for both: a
// public one can be joined at least from where it was created.
func (e *Engine) begin(now time.Time, iq IQ, q Create) (*peerState, Grant) {
	addr, grant := e.assign(iq.From)
	if grant != Given {
		return nil, grant
	}
	s := &streamState{
		owner: iq.From.Bare().fold(), began: now, min: q.MinThroughput,
		maxPublic: min(q.MaxPublic, e.cfg.Limits.Peers), doors: make([]JID, e.cfg.Sides), comments: q.Comments,
	}
	if s.maxPublic > 0 {
		if grant := e.openDoor(s, e.cfg.Addresses.Side(iq.From)); grant != Given {
			e.cfg.Addresses.Release(iq.From, addr)
			return nil, grant
		}
	}
	e.numbers++
	s.id = StreamID(e.numbers)
	e.streams[s.id] = s
	e.openDoors(s)
	e.stats.Streams++
	p := e.addPeer(s, Master, iq.From, addr)
	e.becomePrepared(now, p, e.cfg.Wait)
	return p, Given
}

// prepared says that a connection is waited for.
func (e *Engine) prepared(p *peerState, id string) {
	host := e.cfg.Host
	if e.cfg.HostFor != nil {
		host = e.cfg.HostFor(p.jid)
	}
	e.send(IQ{Kind: "result", ID: id, From: p.addr, To: p.jid, Queries: []Query{Prepared{
		Wait: p.wait, Host: host, Port: e.cfg.Port, MinThroughput: p.stream.min,
		Protocol: Protocol, Features: e.cfg.Features,
	}}})
}

// owned is how many streams a person has created that still are.
func (e *Engine) owned(client JID) int {
	n, bare := 0, client.Bare().fold()
	for _, s := range e.streams {
		if s.owner == bare {
			n++
		}
	}
	return n
}

func (e *Engine) allowed(client JID, dests []Dest) []Dest {
	var out []Dest
	for _, d := range dests {
		if e.cfg.Policy.MayRelay != nil && e.cfg.Policy.MayRelay(client, d) {
			out = append(out, d)
		}
	}
	return out
}

// size is how many bytes elements are as XML.
func size(els []*stanza.Element) int {
	n := 0
	for _, e := range els {
		n += len(stanza.Append(nil, e, NS))
	}
	return n
}
