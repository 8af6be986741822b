package linklocal

import (
	"bytes"

	"meshgate/internal/stanza"
)

// Deviations of real peers, a function each. COMPAT names the client and the
// version in which it was seen, or whose source says so; quirks_test.go names
// the transcript in testdata, or the test, that shows it.
//
// What takes more than a function stands where it is done:
//
//	a port for each contact          contact.go   iChat, v0.9: no "to" on a stream
//	the source address of our calls  dial.go      libpurple: closes what comes from elsewhere
//	two streams at once              pair.go      libpurple ends the older, Salut the newer
//	closing without reading          doubt.go     libpurple
//	keys that must be there          txt.go       Pidgin before 2.0.2, iChat, Adium
//	a picture's TTL                  icons.go     libpurple with avahi
//	words while they are typed       bridge/rewrite: iChat

// answerVersion is the version for our answer to a header: one only if the
// peer says one, too. RFC 6120 §4.7.5 wants features behind a version.
//
// COMPAT libpurple 2.14, iChat, Kopete 4: no version, and no idea of features.
func answerVersion(theirs string) string {
	if theirs == "" {
		return ""
	}
	return "1.0"
}

// ownVersion is the version for the header of a stream that we open. The peer
// is told of one only if we want to hear its features.
//
// COMPAT libpurple 2.14, Kopete 4: pass over a version. Salut 0.8 says one to
// everybody, iChat among them.
func ownVersion(p TLSPolicy) string {
	if p == Off {
		return ""
	}
	return "1.0"
}

// saidTo is the "to" of our answer to a header.
//
// COMPAT libpurple 2.14: says to="" where it does not know who calls; iChat and
// v0.9 say no names at all, Kopete 4 none where it has heard none.
func saidTo(claimed Instance) Instance {
	if !validName(claimed) {
		return ""
	}
	return claimed
}

// answerAtOnce reports whether a header is answered before it is known who
// calls.
//
// COMPAT libpurple 2.14: loses its message, and says nothing, if its header is
// not answered. A caller without a name waits for our header before it says
// the stanza that has its name. Whoever speaks TLS is neither; see settle.
func answerAtOnce(secure bool, claimed Instance) bool { return !secure || claimed == "" }

// declines reports whether features that a caller sends say that it will not
// ask for any of ours.
//
// COMPAT Salut 0.8 (wocky): sends an empty <features/> from both ends, the
// initiator's too, and negotiates nothing.
func declines(r role, features *stanza.Element) bool {
	return r == recipient || features.Child(stanza.NSTLS, "starttls") == nil
}

// onlyPeer is who a caller without a name is: the only peer at its address.
//
// COMPAT iChat, v0.9: neither header nor stanzas have a "from".
func onlyPeer(at []Instance) (Instance, bool) {
	if len(at) != 1 {
		return "", false
	}
	return at[0], true
}

// looseAmpersands escapes each & that begins no reference.
//
// COMPAT Kopete 4: does not escape the text of <body/>, so that "R&D" and most
// web addresses are no XML. (Its "<" cannot be mended: where the stanza ends
// is not known any more.)
func looseAmpersands(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/8)
	for {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			return append(out, b...)
		}
		out = append(out, b[:i]...)
		b = b[i+1:]
		out = append(out, '&')
		if !isReference(b) {
			out = append(out, "amp;"...)
		}
	}
}

// isReference reports whether b goes on like a reference behind its &:
// "amp;…", "#233;…". Whether there is such an entity is for the parser to say.
func isReference(b []byte) bool {
	for i, c := range b {
		switch {
		case c == ';':
			return i > 0
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '#' && i == 0:
		default:
			return false
		}
	}
	return false
}

// ipv4First is the order in which a peer's addresses are called: in turns,
// IPv4 first, where RFC 8305 §4 would have IPv6.
//
// COMPAT libpurple 2.14 on an avahi without IPv6: publishes its AAAA record
// all the same, knows our A record only, and closes what comes by IPv6.
func ipv4First(v4, v6 []target) (all []target) {
	for i := range max(len(v4), len(v6)) {
		if i < len(v4) {
			all = append(all, v4[i])
		}
		if i < len(v6) {
			all = append(all, v6[i])
		}
	}
	return all
}

// offlineStatus is what status=offline means to us.
//
// COMPAT Salut 0.8: knows a fourth word, "offline", which no document has. A
// peer with a record is there, but does not want to be spoken to.
const offlineStatus = Away

// programNotCaps takes node and ver for what they are where there is no hash:
// raw are their strings as they came.
//
// COMPAT libpurple 2.14 ("libpurple", "2.14.12"), Kopete 4 ("kopete",
// "0.0.1"): node and ver are the program's name and version.
func programNotCaps(p *Presence, raw []string) {
	if p.Hash == "" {
		p.Node, p.Ver = "", ""
		p.Extra = append(raw, p.Extra...)
	}
}

// unpasteable reports whether a character must not be in the name of a contact.
//
// COMPAT libpurple 2.14, Salut 0.8: ask for pictures by a name that is pasted
// together without the escapes of DNS. (A dot has the same effect; people have
// dots in their names, and the configuration warns of them.)
func unpasteable(r rune) bool { return r == '\\' }
