package linklocal

// Deviations of real peers, one thing each. COMPAT names the client and the
// version in which it was seen. Others stand where they matter: a peer that
// names itself only in its first stanza or never (caller.go), a listening
// port for each contact because iChat sends no "to" (contact.go), the source
// address of our calls (dial.go), names with "@" and backslashes (naming.go).

// offlineStatus is what status=offline means to us.
//
// COMPAT Salut 0.8: knows a fourth word, "offline", which no document has. A
// peer with a record is there, but does not want to be spoken to.
const offlineStatus = Away

// headerVersion is the version for our header, given that of the peer's.
// RFC 6120 §4.7.5 wants features behind a version; libpurple 2.14 knows neither.
//
// COMPAT libpurple 2.14, iChat: no version, and none is wanted.
func headerVersion(peers string) string {
	if peers == "" {
		return ""
	}
	return "1.0"
}

// ownVersion is the version for the header of a stream that we open. The peer
// is told of one only if we want to hear its features.
//
// COMPAT libpurple 2.14: passes over a version. Salut 0.8 says one to
// everybody, iChat among them.
func ownVersion(p TLSPolicy) string {
	if p == Off {
		return ""
	}
	return "1.0"
}

// saidTo is the "to" of our answer to a header.
//
// COMPAT libpurple 2.14: says to="" where it does not know who calls, v0.9
// says none at all.
func saidTo(claimed Instance) Instance {
	if !validName(claimed) {
		return ""
	}
	return claimed
}
