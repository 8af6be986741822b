package bounds

import (
	"strings"

	"mellium.im/xmpp/jid"

	"meshgate/linklocal"
)

// Names say which peers may use the gateway at all (IJ-05).
type Names struct {
	patterns []string
	taken    map[string]bool // no peer's name, by Key: the contacts' addresses (IJ-09)
}

// NewNames makes them of patterns, see Matches, and of the people whose addresses
// no peer may go by.
func NewNames(patterns []string, contacts []jid.JID) Names {
	n := Names{taken: make(map[string]bool)}
	for _, j := range contacts {
		n.taken[linklocal.Instance(j.Bare().String()).Key()] = true
	}
	for _, p := range patterns {
		n.patterns = append(n.patterns, linklocal.Instance(p).Key())
	}
	return n
}

// Admit reports whether the peer is one of them.
func (n Names) Admit(peer linklocal.Instance) bool {
	key := peer.Key()
	if n.taken[key] {
		return false
	}
	for _, pattern := range n.patterns {
		if Matches(pattern, key) {
			return true
		}
	}
	return false
}

// Matches reports whether a name, by its Key, is of the pattern, in which "*" stands for any
// characters.
func Matches(pattern, name string) bool {
	pieces := strings.Split(pattern, "*")
	if len(pieces) == 1 {
		return pattern == name
	}
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		i := strings.Index(name, piece)
		if i < 0 {
			return false
		}
		name = name[i+len(piece):]
	}
	return true
}
