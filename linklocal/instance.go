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
