package linklocal

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"

	"meshgate/internal/stanza"
)

const (
	capsHash     = "sha-1"
	identityLine = "client/pc//" // category/type/lang/name, as info says it
)

// caps are what we are able to: what a TXT record says in short, and
// disco#info in full. They never change.
type caps struct {
	node     string   // "": nothing is published, only disco#info answered
	features []string // sorted
	ver      string
}

func newCaps(node string, more []string) caps {
	f := append([]string{stanza.NSCaps, stanza.NSDisco, stanza.NSPing}, more...)
	slices.Sort(f)
	f = slices.Compact(f)
	return caps{node: node, features: f, ver: capsVer(identityLine, f)}
}

// capsVer is the verification string of what we answer to disco#info.
//
// XEP-0115 §5.1 (Generation Method)
func capsVer(identity string, features []string) string {
	var b strings.Builder
	b.WriteString(identity + "<")
	for _, f := range slices.Sorted(slices.Values(features)) {
		b.WriteString(f + "<")
	}
	sum := sha1.Sum([]byte(b.String()))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// with adds our capabilities to what a contact publishes, unless it has its own.
func (c caps) with(p Presence) Presence {
	if c.node != "" && p.Hash == "" {
		p.Node, p.Ver, p.Hash = c.node, c.ver, capsHash
	}
	return p
}

// has reports whether disco#info has something to say about a node: the one
// that we publish, or none.
func (c caps) has(node string) bool {
	return node == "" || c.node != "" && node == c.node+"#"+c.ver
}

// info is what kind of thing we are.
//
// XEP-0030 §3.1 (Basic Protocol)
func (c caps) info(node string) *stanza.Element {
	parts := []stanza.Part{
		stanza.Attr{Name: "node", Value: node},
		stanza.New(stanza.NSDisco, "identity",
			stanza.Attr{Name: "category", Value: "client"}, stanza.Attr{Name: "type", Value: "pc"}),
	}
	for _, f := range c.features {
		parts = append(parts, stanza.New(stanza.NSDisco, "feature", stanza.Attr{Name: "var", Value: f}))
	}
	return stanza.New(stanza.NSDisco, "query", parts...)
}
