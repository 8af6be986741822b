package dsps

import "slices"

// tellWho: "query originating from a "master" peer will return listing of all
// registered peers and their associated statuses, query originating from a
// "slave" peer will only return listing of all registered "master" peers".
// XEP-0037, Stream peer listing
func (e *Engine) tellWho(to *peerState, iq IQ) {
	var list WhoList
	for _, p := range to.stream.peers {
		if to.right != Master && (p.right != Master || !p.registered()) {
			continue
		}
		list.Peers = append(list.Peers, PeerInfo{
			JID: p.shown(), Right: p.right, ID: p.id, Status: p.status, Throughput: p.meter.throughput(),
		})
	}
	e.send(iq.reply("result", list))
}

// tellStats tells of the stream of p or, to others, of the public streams.
func (e *Engine) tellStats(p *peerState, iq IQ) {
	switch {
	case p != nil:
		stats := e.statsOf(p.stream)
		stats.Wait, stats.PublicID = p.wait, p.stream.doors[e.cfg.Addresses.Side(p.jid)]
		e.send(iq.reply("result", stats))
	case e.cfg.Addresses.IsService(iq.To):
		e.send(iq.reply("result", e.publicStreams(e.cfg.Addresses.Side(iq.From))...))
	default:
		e.refuse(iq, Unauthorized, "")
	}
}

// publicStreams is those that are joined from a side, as many as there is room
// for in a stanza, the newest first.
func (e *Engine) publicStreams(side int) []Query {
	var out []Query
	bytes := 0
	for _, s := range slices.Backward(e.byAge()) {
		if s.doors[side] == "" || s.phase != open {
			continue
		}
		stats := e.statsOf(s)
		stats.Wait, stats.Peers = e.cfg.Wait, []JID{s.doors[side]}
		if bytes += len(stats.element().String()); bytes > maxReply || len(out) == maxQueries {
			break
		}
		out = append(out, stats)
	}
	return out
}

func (e *Engine) statsOf(s *streamState) StreamStats {
	return StreamStats{
		Init: s.began, Protocol: Protocol, Port: e.cfg.Port, MinThroughput: s.min,
		ExpireDefault: e.cfg.Expire, WaitDefault: e.cfg.Wait,
		Public: s.publicPeers(), MaxPublic: s.maxPublic,
		MasterCount: s.count(Master), SlaveCount: s.count(Slave), RelayCount: s.count(Relay),
		Features: e.cfg.Features, Comments: s.comments,
	}
}
