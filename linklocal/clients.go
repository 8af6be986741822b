package linklocal

import (
	"strings"
	"unicode"
)

// maxClient is the most bytes of a program's name that we repeat.
const maxClient = 40

// knownNodes are programs by a word in the node of their capabilities
// (XEP-0115 says a URI of the program; libpurple just its name).
var knownNodes = []struct{ word, client string }{
	{"libpurple", "libpurple"}, // Pidgin and Finch; nothing tells one from the other
	{"telepathy", "Salut"},
	{"gajim", "Gajim"},
	{"adium", "Adium"},
	{"ichat", "iChat"},
	{"kopete", "Kopete"},
	{"meshgate", "meshgate"},
}

// clientOf guesses which program publishes p; "" if nothing tells. It is for
// people to read: nothing depends on it.
//
// COMPAT libpurple 2.14: node and ver are its name and version, without hash.
// COMPAT iChat, Adium: no node; the flags of a camera or a microphone in vc,
// where libpurple always says "!".
func clientOf(p Presence) string {
	node, ver := p.Node, ""
	if node == "" {
		node, ver = extra(p, "node"), extra(p, "ver")
	}
	for _, k := range knownNodes {
		if strings.Contains(strings.ToLower(node), k.word) {
			return strings.TrimSpace(k.client + " " + versionOf(ver))
		}
	}
	switch {
	case node != "":
		return cutBytes(node, maxClient)
	case strings.Trim(p.VC, "!") != "":
		return "iChat or Adium"
	}
	return ""
}

// extra is the value of a key that Presence has no field for, or not always.
func extra(p Presence, key string) string {
	for _, s := range p.Extra {
		if k, v, ok := strings.Cut(s, "="); ok && strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// versionOf is ver if it looks like a version: "2.14.12".
func versionOf(ver string) string {
	if ver == "" || len(ver) > maxClient || !unicode.IsDigit(rune(ver[0])) {
		return ""
	}
	return ver
}
