package status

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// A Peer is one presence name on the LAN.
type Peer struct {
	Name    string       `json:"name"`             // "bob@h2", as it came: not safe for a terminal
	Own     string       `json:"own,omitempty"`    // the contact that we publish under it
	Wanted  string       `json:"wanted,omitempty"` // of our own: the name that it should have
	Client  string       `json:"client,omitempty"` // a guess at the program
	Status  string       `json:"status"`           // avail, away or dnd
	Message string       `json:"message,omitempty"`
	Host    string       `json:"host,omitempty"`
	Addrs   []netip.Addr `json:"addrs,omitempty"`
	Port    uint16       `json:"port"`
	Links   []string     `json:"links,omitempty"` // interfaces
	Since   time.Time    `json:"since"`
	Changed time.Time    `json:"changed"`
	Streams int          `json:"streams,omitempty"`
	TLS     bool         `json:"tls,omitempty"`
}

// A Change is what became of a Peer.
type Change struct {
	Op   string `json:"op"` // one of the constants below
	Peer Peer   `json:"peer"`
}

// What a Change says. The Peer of Gone is as it was before.
const (
	Here    = "+"
	Changed = "~"
	Gone    = "-"
)

// A Roster is who is there, by name.
type Roster map[string]Peer

// Update takes over a new list, and returns what is different now, by name.
func (r Roster) Update(list []Peer) []Change {
	var changes []Change
	now := make(map[string]bool, len(list))
	for _, p := range list {
		now[p.Name] = true
		switch old, known := r[p.Name]; {
		case !known:
			changes = append(changes, Change{Here, p})
		case !reflect.DeepEqual(old, p):
			changes = append(changes, Change{Changed, p})
		}
		r[p.Name] = p
	}
	for name, p := range r {
		if !now[name] {
			changes = append(changes, Change{Gone, p})
			delete(r, name)
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Peer.Name, b.Peer.Name) })
	return changes
}

// Apply does what the changes say.
func (r Roster) Apply(changes []Change) {
	for _, c := range changes {
		if c.Op == Gone {
			delete(r, c.Peer.Name)
		} else {
			r[c.Peer.Name] = c.Peer
		}
	}
}

// List is the roster sorted by name.
func (r Roster) List() []Peer {
	list := make([]Peer, 0, len(r))
	for _, p := range r {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
