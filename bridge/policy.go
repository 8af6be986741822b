package bridge

import (
	"meshgate/bridge/internal/bounds"
	"meshgate/linklocal"
)

// A policy decides which peers and contacts are connected (IJ-05, IJ-06). It
// holds both ways: whoever may not write is not written to, nor shown.
type policy struct {
	peers []string
	rules []rule
	taken map[string]bool // no peer's name, by Key: the contacts' addresses (IJ-09)
}

type rule struct {
	pattern  string
	contacts map[string]bool // by bare address
}

func newPolicy(cfg Config) policy {
	p := policy{taken: make(map[string]bool)}
	for _, c := range cfg.Contacts {
		p.taken[linklocal.Instance(c.JID.Bare().String()).Key()] = true
	}
	for _, pattern := range cfg.Peers {
		p.peers = append(p.peers, linklocal.Instance(pattern).Key())
	}
	for _, r := range cfg.PeerContacts {
		set := make(map[string]bool)
		for _, j := range r.Contacts {
			set[j.Bare().String()] = true
		}
		p.rules = append(p.rules, rule{linklocal.Instance(r.Peer).Key(), set})
	}
	return p
}

// admits reports whether the peer may use the gateway at all.
func (p policy) admits(peer linklocal.Instance) bool {
	key := peer.Key()
	if p.taken[key] {
		return false
	}
	for _, pattern := range p.peers {
		if bounds.Matches(pattern, key) {
			return true
		}
	}
	return false
}

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
