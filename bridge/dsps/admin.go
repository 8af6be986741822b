package dsps

import (
	"slices"
	"time"

	"meshgate/internal/stanza"
)

// A verdict is what an admin request comes to.
type verdict struct {
	missing            []PeerPresence
	forbidden, limited bool
}

// admin carries out the blocks of an admin request, in order, and answers it.
func (e *Engine) admin(now time.Time, p *peerState, iq IQ) {
	var v verdict
	for _, q := range iq.Queries {
		a, ok := q.(Admin)
		if !ok {
			continue
		}
		for _, target := range a.Peers {
			switch itself := target.Right == "" && target.JID.fold() == p.jid.fold(); {
			case itself && !p.on():
			case itself:
				e.drop(now, p, a.Comments, true)
			case p.right != Master:
				// "Any administrative changes coming from a "slave" peer that
				// are not for the peer's own connection are ignored."
				v.forbidden = true
			case target.Right == "":
				e.dropOthers(now, p, target.JID, a.Comments, &v)
			default:
				e.invite(now, p, iq.ID, target, a, &v)
			}
		}
	}
	switch {
	case v.forbidden:
		e.refuse(iq, Forbidden, "")
	case v.limited:
		e.refuse(iq, MethodNotAllowed, "a limit does not allow it")
	case len(v.missing) > 0:
		e.send(iq.reply("result", Report{v.missing}))
	default:
		e.send(iq.reply("result"))
	}
}

func (e *Engine) dropOthers(now time.Time, p *peerState, jid JID, comments []*stanza.Element, v *verdict) {
	found := p.stream.find(jid)
	if len(found) == 0 {
		v.missing = append(v.missing, PeerPresence{jid, Missing})
	}
	for _, q := range found {
		if slices.Contains(p.stream.peers, q) { // it may have gone with the last master
			e.drop(now, q, comments, q == p)
		}
	}
}

// invite asks somebody to join, or asks again if that is being asked already.
func (e *Engine) invite(now time.Time, p *peerState, id string, target AdminPeer, a Admin, v *verdict) {
	s := p.stream
	switch {
	case s.phase != open:
		v.limited = true
		return
	case e.cfg.Policy.MayInvite == nil || !e.cfg.Policy.MayInvite(p.jid, target.JID):
		v.forbidden = true
		return
	}
	i := slices.IndexFunc(s.peers, func(q *peerState) bool { return !q.registered() && q.jid.fold() == target.JID.fold() })
	if i < 0 && len(s.peers) >= e.cfg.Limits.Peers || size(a.Comments) > e.cfg.Limits.Comments {
		v.limited = true
		return
	}
	if !e.mayAsk(now, p, p.jid) { // one stanza may hold many
		v.limited = true
		return
	}
	if i >= 0 {
		e.inviteAgain(now, s.peers[i], asker{p, id}, target.Right, a)
		return
	}
	// Invitations may share an address: their ids tell them apart.
	side := e.cfg.Addresses.Side(target.JID)
	addr, grant := e.cfg.Addresses.Assign(side, target.JID, func(JID) bool { return false })
	if grant != Given {
		v.limited = true
		return
	}
	q := e.addPeer(s, target.Right, target.JID, addr)
	q.wait = soonest(a.Wait, e.cfg.Wait)
	e.becomeInvited(now, q, &invitation{
		jid: target.JID, id: e.newID(), askers: []asker{{p, id}}, comments: a.Comments, expire: soonest(a.Expire, e.cfg.Expire),
	})
	e.sendInvitation(q)
}

// inviteAgain: "Multiple such blocks may exist if multiple distinct peers sent
// invitation that have not yet been received by the invitee." XEP-0037, Invitation to stream
func (e *Engine) inviteAgain(now time.Time, q *peerState, by asker, r Right, a Admin) {
	inv := q.invited
	if inv.accepted {
		return
	}
	inv.askers = slices.DeleteFunc(inv.askers, func(x asker) bool { return !x.peer.on() })
	if i := slices.IndexFunc(inv.askers, func(x asker) bool { return x.peer == by.peer }); i >= 0 {
		inv.askers[i] = by
	} else {
		inv.askers = append(inv.askers, by)
	}
	if r == Master {
		q.right = Master
	}
	if len(a.Comments) > 0 {
		inv.comments = a.Comments
	}
	inv.expire, q.wait = soonest(a.Expire, e.cfg.Expire), soonest(a.Wait, e.cfg.Wait)
	e.becomeInvited(now, q, inv)
	e.sendInvitation(q)
}

func (e *Engine) sendInvitation(q *peerState) {
	inv := q.invited
	out := Invitation{Right: q.right, Expire: inv.expire, Comments: inv.comments}
	for _, a := range inv.askers {
		out.Peers = append(out.Peers, a.peer.jid)
	}
	e.send(IQ{Kind: "get", ID: inv.id, From: q.addr, To: q.jid, Queries: []Query{out}})
}

// soonest is "minimum of this value and default value preset for DSPS"; no
// limit, which is 0, is more than any other.
func soonest(asked, preset time.Duration) time.Duration {
	if asked <= 0 {
		return preset
	}
	return min(asked, preset)
}

// answer takes what an invited peer says, or somebody who joins a public stream.
// "A maximum of one "acknowledge" is allowed during the lifetime of an
// invitation. If multiple such tags are sent, the first tag takes precedence."
// XEP-0037, Rejecting an invite
func (e *Engine) answer(now time.Time, iq IQ, a Answer) {
	q := e.invitation(iq)
	switch {
	case q != nil && q.invited.accepted: // the first counts
	case q != nil && a.Accept:
		e.accept(now, q, iq)
	case q != nil:
		e.reject(q, iq.From)
	case a.Accept:
		if s := e.publics[iq.To.fold()]; s != nil {
			e.join(now, s, iq)
		}
	}
}

// invitation is the one that a stanza answers, or nil. "It is used for
// identification of the "acknowledge" message", says the document of an
// invitation's address: where that is not the invitation's alone, its id is, too.
func (e *Engine) invitation(iq IQ) *peerState {
	list := e.invites[pair{iq.From.Bare(), iq.To}.fold()]
	if i := slices.IndexFunc(list, func(q *peerState) bool { return q.invited.id == iq.ID }); i >= 0 {
		return list[i]
	}
	if len(list) != 1 || e.cfg.Addresses.IsService(iq.To) {
		return nil
	}
	return list[0]
}

// accept: "Upon receipt of this reply the DSPS creates a unique resource for
// this client JID/resource pair." XEP-0037, Accepting an invite
func (e *Engine) accept(now time.Time, q *peerState, iq IQ) {
	addr, grant := e.assign(iq.From)
	switch {
	case grant == Later && e.hold(iq, q):
		q.invited.accepted = true
		e.timers.stop(&q.timer)
		return
	case grant != Given:
		e.reject(q, iq.From)
		e.send(IQ{Kind: "set", ID: e.newID(), From: iq.To, To: iq.From, Queries: []Query{Dropped{}}})
		return
	}
	e.uninvite(q)
	q.jid, q.addr = iq.From, addr
	e.becomePrepared(now, q, q.wait)
	e.prepared(q, iq.ID)
}

func (e *Engine) reject(q *peerState, by JID) {
	e.fail(q, by, Reject)
	e.remove(q)
}

// join lets somebody onto a public stream, as a slave.
func (e *Engine) join(now time.Time, s *streamState, iq IQ) {
	for _, p := range s.peers {
		if p.public && p.jid.fold() == iq.From.fold() {
			if p.status == Wait { // the answer was lost
				e.prepared(p, iq.ID)
			}
			return
		}
	}
	switch {
	case e.cfg.Policy.MayJoin == nil || !e.cfg.Policy.MayJoin(iq.From):
		e.refuse(iq, Forbidden, "you may not join")
		return
	case s.phase != open || s.publicPeers() >= s.maxPublic || len(s.peers) >= e.cfg.Limits.Peers:
		e.refuse(iq, MethodNotAllowed, "the stream is full")
		return
	case e.tooSlow(s.meterOf(iq.From)):
		e.refuse(iq, Forbidden, "you were too slow for it")
		return
	}
	addr, grant := e.assign(iq.From)
	if grant == Later && e.hold(iq, nil) {
		return
	}
	if grant != Given {
		e.refuse(iq, MethodNotAllowed, noAddress)
		return
	}
	p := e.addPeer(s, Slave, iq.From, addr)
	p.public, p.meter = true, s.meterOf(iq.From)
	e.becomePrepared(now, p, e.cfg.Wait)
	e.prepared(p, iq.ID)
}
