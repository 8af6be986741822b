package bridge

import (
	"mellium.im/xmpp/jid"

	"meshgate/bridge/internal/bounds"
	"meshgate/linklocal"
)

// A policy decides which peers and contacts are connected (IJ-05, IJ-06). It
// holds both ways: whoever may not write is not written to, nor shown.
type policy struct {
	peers bounds.Names
	rules []rule
}

type rule struct {
	pattern  string
	contacts map[string]bool // by bare address
}

func newPolicy(cfg Config) policy {
	contacts := make([]jid.JID, len(cfg.Contacts))
	for i, c := range cfg.Contacts {
		contacts[i] = c.JID
	}
	p := policy{peers: bounds.NewNames(cfg.Peers, contacts)}
	for _, r := range cfg.PeerContacts {
		set := make(map[string]bool)
		for _, j := range r.Contacts {
			set[j.Bare().String()] = true
		}
		p.rules = append(p.rules, rule{linklocal.Instance(r.Peer).Key(), set})
	}
	return p
}

// A Policy is what the configuration says of who may use the gateway, for others
// than the hub.
type Policy struct{ p policy }

// Policy says who may use the gateway.
func (c Config) Policy() Policy { return Policy{newPolicy(c)} }

// Admits reports whether the peer may.
func (p Policy) Admits(peer linklocal.Instance) bool { return p.p.admits(peer) }

// Connects reports whether the peer and the contact may reach each other.
func (p Policy) Connects(peer linklocal.Instance, contact jid.JID) bool {
	return p.p.connects(peer, contact.Bare().String())
}

// admits reports whether the peer may use the gateway at all.
func (p policy) admits(peer linklocal.Instance) bool { return p.peers.Admit(peer) }

// connects reports whether the peer and the contact may write to each other.
func (p policy) connects(peer linklocal.Instance, bare string) bool {
	if !p.admits(peer) {
		return false
	}
	narrowed := false
	for _, r := range p.rules {
		if bounds.Matches(r.pattern, peer.Key()) {
			if r.contacts[bare] {
				return true
			}
			narrowed = true
		}
	}
	return !narrowed
}

// public reports whether all contacts may know of the peer.
func (p policy) public(peer linklocal.Instance) bool {
	for _, r := range p.rules {
		if bounds.Matches(r.pattern, peer.Key()) {
			return false
		}
	}
	return p.admits(peer)
}
