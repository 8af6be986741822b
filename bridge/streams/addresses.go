package streams

import (
	"crypto/rand"
	"strings"

	"meshgate/bridge/dsps"
)

// addresses gives both sides addresses of ours: see the package.
type addresses struct{ *people }

func (a addresses) names() (self, own dsps.JID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.self, dsps.JID(a.own)
}

// IsService is true of the session's address and of our name on the LAN.
func (a addresses) IsService(addr dsps.JID) bool {
	self, own := a.names()
	return addr != "" && (addr == self || strings.EqualFold(string(addr), string(own)))
}

// Assign gives an address of the client's side; to whoever will join a public
// stream, of the side of at.
func (a addresses) Assign(client, at dsps.JID, taken func(dsps.JID) bool) (dsps.JID, bool) {
	self, own := a.names()
	_, onNetwork := a.contact(client)
	if client == "" {
		onNetwork = at == self
	}
	if onNetwork {
		return self, self != "" && !taken(self)
	}
	return own + "/" + dsps.JID(strings.ToLower(rand.Text())), own != ""
}

// Release does nothing: all that is known of an address is whether it is taken.
func (a addresses) Release(dsps.JID, dsps.JID) {}
