package streams

import (
	"crypto/rand"
	"strings"

	"meshgate/bridge/dsps"
	"meshgate/linklocal"
)

// The sides.
const (
	networkSide = iota
	lanSide
	sides
)

// addresses gives both sides addresses of ours: see the package. It is all that
// knows what they are like; a component's would have as many on the network as
// here on the LAN. Its methods are the engine's, but for shown.
type addresses struct {
	*people
	account *account
	onLAN   map[string]dsps.JID // those assigned on the LAN, by their resource: the engine's goroutine's
}

func newAddresses(p *people, a *account) *addresses {
	return &addresses{people: p, account: a, onLAN: map[string]dsps.JID{}}
}

// IsService is true of the session's address and of our name on the LAN.
func (a *addresses) IsService(addr dsps.JID) bool {
	return addr != "" && (addr == a.account.address() || strings.EqualFold(string(addr), string(a.name())))
}

// Canonical is, for an address on the LAN, the name that we had when it was
// assigned: its resource says which it is.
func (a *addresses) Canonical(addr dsps.JID) dsps.JID {
	name, resource := linklocal.SplitAddress(string(addr))
	at, ok := a.onLAN[resource]
	if ok && strings.EqualFold(string(name), string(a.name())) {
		return at
	}
	return addr
}

func (a *addresses) isOnLAN(addr dsps.JID) bool { return a.onLAN[resourceOf(addr)] == addr }

// resourceOf is that of an address of ours, whose name may have a slash.
func resourceOf(addr dsps.JID) string {
	_, resource := linklocal.SplitAddress(string(addr))
	return resource
}

// shown is how peers read an address of ours now.
func (a *addresses) shown(addr dsps.JID) dsps.JID {
	if a.isOnLAN(addr) {
		return withResource(a.name(), resourceOf(addr))
	}
	return a.toLAN(addr)
}

// Side is the network for contacts, and else the LAN.
func (a *addresses) Side(client dsps.JID) int {
	if _, onNetwork := a.contact(client); onNetwork {
		return networkSide
	}
	return lanSide
}

// Assign gives an address of the account, or a new one on the LAN.
func (a *addresses) Assign(side int, _ dsps.JID, taken func(dsps.JID) bool) (dsps.JID, dsps.Grant) {
	if side == networkSide {
		return a.account.assign(taken)
	}
	own := a.name()
	if own == "" {
		return "", dsps.None
	}
	resource := strings.ToLower(rand.Text())
	a.onLAN[resource] = withResource(own, resource)
	return a.onLAN[resource], dsps.Given
}

// Release gives it back.
func (a *addresses) Release(_, addr dsps.JID) {
	if a.isOnLAN(addr) {
		delete(a.onLAN, resourceOf(addr))
		return
	}
	a.account.release(addr)
}

// Lost is true of what was an address of the account and is none any more.
func (a *addresses) Lost(addr dsps.JID) bool {
	return !a.isOnLAN(addr) && !a.account.has(addr)
}
