package dsps

import (
	"strings"
	"unicode/utf8"
)

// A JID is an address of either network: user@host/resource, or on a mesh a
// presence name, which has no resource and may have spaces.
type JID string

// maxJID is RFC 7622's limit, in bytes: three parts of 1023 and what stands between.
const maxJID = 3071

// Bare is the address without its resource.
func (j JID) Bare() JID {
	bare, _, _ := strings.Cut(string(j), "/")
	return JID(bare)
}

// Resource is what stands behind the first slash.
func (j JID) Resource() string {
	_, resource, _ := strings.Cut(string(j), "/")
	return resource
}

// Host is the address's domain.
func (j JID) Host() string {
	bare := string(j.Bare())
	return bare[strings.LastIndexByte(bare, '@')+1:]
}

// fold is the address as it is compared: the case of the resource matters only.
func (j JID) fold() JID {
	bare := j.Bare()
	return JID(strings.ToLower(string(bare))) + j[len(bare):]
}

// valid reports whether the address can be one, and stand in a line.
func (j JID) valid() bool {
	return j != "" && len(j) <= maxJID && utf8.ValidString(string(j)) && strings.TrimSpace(string(j)) == string(j) &&
		!strings.ContainsFunc(string(j), func(r rune) bool { return r < ' ' || r == 0x7F })
}
