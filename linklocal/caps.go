package linklocal

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"
)

const (
	capsHash     = "sha-1"
	identityLine = "client/pc//" // category/type/lang/name, as discoInfo says it
)

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

// withCaps adds our entity capabilities to what a contact publishes, unless
// it has its own.
func (c *Config) withCaps(p Presence) Presence {
	if c.Node != "" && p.Hash == "" {
		p.Node, p.Ver, p.Hash = c.Node, capsVer(identityLine, features), capsHash
	}
	return p
}

// capsNode is the disco#info node behind what c publishes; "": none.
func (c *Config) capsNode() string {
	if c.Node == "" {
		return ""
	}
	return c.Node + "#" + capsVer(identityLine, features)
}
