package bridge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
)

// peers are those on the mesh, but for the gateway itself.
type peers struct {
	limit   int
	m       map[string]linklocal.Peer      // by Key
	icons   map[string]*linklocal.Icon     // of those in m, by Key
	own     map[string]linklocal.ContactID // the gateway's own names, by Key
	ownKey  map[linklocal.ContactID]string // the other way round
	ignored uint64
}

func newPeers(limit int) *peers {
	return &peers{
		limit: limit, m: make(map[string]linklocal.Peer), icons: make(map[string]*linklocal.Icon),
		own: make(map[string]linklocal.ContactID), ownKey: make(map[linklocal.ContactID]string),
	}
}

func (p *peers) put(peer linklocal.Peer) {
	key := peer.Instance.Key()
	_, known := p.m[key]
	switch {
	case p.isOwn(peer.Instance):
	case !known && len(p.m) >= p.limit:
		p.ignored++
	default:
		p.m[key] = peer
	}
}

func (p *peers) drop(i linklocal.Instance) {
	delete(p.m, i.Key())
	delete(p.icons, i.Key())
}

// setIcon notes a peer's picture, nil being none.
func (p *peers) setIcon(i linklocal.Instance, icon *linklocal.Icon) {
	if icon == nil || !p.here(i) {
		delete(p.icons, i.Key())
		return
	}
	p.icons[i.Key()] = icon
}

// faces are the pictures of the first peers that pass and have one, at most
// limit, in order of their names.
func (p *peers) faces(pass func(linklocal.Instance) bool, limit int) []*linklocal.Icon {
	var out []*linklocal.Icon
	for _, key := range slices.Sorted(maps.Keys(p.icons)) {
		if len(out) < limit && pass(p.m[key].Instance) {
			out = append(out, p.icons[key])
		}
	}
	return out
}

func (p *peers) here(i linklocal.Instance) bool {
	_, ok := p.m[i.Key()]
	return ok
}

// claim notes a name as the gateway's own.
func (p *peers) claim(id linklocal.ContactID, i linklocal.Instance) {
	p.release(id)
	key := i.Key()
	p.own[key], p.ownKey[id] = id, key
	p.drop(i)
}

func (p *peers) release(id linklocal.ContactID) {
	if key, ok := p.ownKey[id]; ok {
		delete(p.own, key)
		delete(p.ownKey, id)
	}
}

func (p *peers) isOwn(i linklocal.Instance) bool {
	_, ok := p.own[i.Key()]
	return ok
}

// list are the peers that pass, in order of their names.
func (p *peers) list(pass func(linklocal.Instance) bool) []linklocal.Peer {
	var out []linklocal.Peer
	for _, key := range slices.Sorted(maps.Keys(p.m)) {
		if peer := p.m[key]; pass(peer.Instance) {
			out = append(out, peer)
		}
	}
	return out
}

// describePeers is a list of peers in at most limit bytes, or "nobody".
func describePeers(list []linklocal.Peer, limit int, withMsg bool) string {
	if len(list) == 0 {
		return "nobody"
	}
	var b strings.Builder
	for i, p := range list {
		msg := ""
		if withMsg {
			msg = rewrite.Line(p.Presence.Msg, 60)
		}
		word := rewrite.DisplayName(p.Instance) + describeStatus(p.Presence.Status, msg)
		if i > 0 {
			word = ", " + word
		}
		if b.Len()+len(word) > limit {
			fmt.Fprintf(&b, " and %d more", len(list)-i)
			break
		}
		b.WriteString(word)
	}
	return b.String()
}
