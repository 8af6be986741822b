package clique

import (
	"errors"
	"fmt"
	"net/netip"
	"unicode"
	"unicode/utf8"

	"meshgate/clique/rmulticast"
)

// maxName is how long a room's name may be, in bytes: a DNS label has no room for more.
const maxName = 63

// checkName says in words why a room cannot be called so.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("clique: the room has no name")
	case len(name) > maxName:
		return fmt.Errorf("clique: a room's name has at most %d bytes, this one has %d", maxName, len(name))
	case !isText(name):
		return errors.New("clique: a room's name must be text without control characters")
	}
	return nil
}

// checkPresence does so for our own presence name.
func checkPresence(name string) error {
	if len(name) < 1 || len(name) > rmulticast.MaxName || !isText(name) {
		return errName
	}
	return nil
}

func isText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return true
}

// wellKnown is where protocols of the network itself are spoken.
var wellKnown = netip.MustParsePrefix("224.0.0.0/24")

// checkGroup says in words why no room can be there. Whatever the network says
// of a room's place is checked by it: we send there.
//
// Salut checks nothing of this, and makes groups of 239.255.71.0/24.
func checkGroup(g netip.AddrPort) error {
	a := g.Addr().WithZone("")
	switch {
	case !g.IsValid():
		return errors.New("clique: the room has no address")
	case a.Is4In6(), !a.IsMulticast(), a.IsInterfaceLocalMulticast():
		return fmt.Errorf("clique: %s is not the address of a multicast group", a)
	case wellKnown.Contains(a), a.Is6() && isWellKnown6(a):
		return fmt.Errorf("clique: %s is not for rooms: protocols of the network itself are spoken there", a)
	case g.Port() < 1024:
		return fmt.Errorf("clique: a room's port is 1024 or above, not %d", g.Port())
	}
	return nil
}

// isWellKnown6 reports whether an IPv6 group is a permanent one, assigned by IANA
// (RFC 4291 §2.7): the flag T is 0.
func isWellKnown6(a netip.Addr) bool { return a.As16()[1]&0x10 == 0 }
