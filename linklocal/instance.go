package linklocal

import "strings"

// An Instance is the presence name of a peer: the <Instance> portion of its
// DNS-SD name, raw UTF-8 of at most 63 bytes, by habit "user@machine".
//
// It is no JID: "wjt@bael (2)" and "Dr. J@box" occur. Two instances are the
// same peer if they are equal but for ASCII case: compare their Key.
//
// XEP-0174 §3 (DNS Records)
type Instance string

// Key is the form of the name by which peers are compared and kept in maps.
func (i Instance) Key() string {
	b := []byte(i)
	for n, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[n] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// User is the part before the last "@", or all of it.
func (i Instance) User() string {
	if n := strings.LastIndexByte(string(i), '@'); n >= 0 {
		return string(i[:n])
	}
	return string(i)
}

// Machine is the part behind the last "@", or nothing.
func (i Instance) Machine() string {
	if n := strings.LastIndexByte(string(i), '@'); n >= 0 {
		return string(i[n+1:])
	}
	return ""
}

// SplitAddress takes apart what stands in an attribute: a name, or a name, a slash
// and a resource. In "user@machine/resource" the slash is behind the "@"; one in
// front of that is of the name, as in "AC/DC@h2".
func SplitAddress(addr string) (name Instance, resource string) {
	at := max(0, strings.IndexByte(addr, '@'))
	slash := strings.IndexByte(addr[at:], '/')
	if slash < 0 {
		return Instance(addr), ""
	}
	return Instance(addr[:at+slash]), addr[at+slash+1:]
}

// owns reports whether an address is the peer's: its name, perhaps with a
// resource behind it. XEP-0174 has none; those who serve queries have.
func (i Instance) owns(addr string) bool {
	n := len(i)
	return len(addr) >= n && Instance(addr[:n]).Key() == i.Key() && (len(addr) == n || addr[n] == '/')
}

// address is the name, with the resource of what was said if that is the peer's.
func (i Instance) address(said string) string {
	if i.owns(said) {
		return string(i) + said[len(i):]
	}
	return string(i)
}
