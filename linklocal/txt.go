package linklocal

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"meshgate/internal/stanza"
)

const (
	maxTXTString = 255 // RFC 1035 §3.3.14: one length byte
	maxExtra     = 32  // unknown keys that we keep of one peer
	// maxTXT bounds the record that we publish. Larger ones are legal, and a
	// burden: RFC 6763 §6.2 advises 1300 bytes.
	maxTXT = 4 << 10
)

// textKeys are the keys whose value is plain text, in the order in which we
// publish them.
//
// COMPAT Pidgin before 2.0.2, iChat: need txtvers, 1st, last and status.
// COMPAT Adium: needs port.p2pj, which everybody must ignore.
var textKeys = []struct {
	key   string
	field func(*Presence) *string
}{
	{"1st", func(p *Presence) *string { return &p.First }},
	{"last", func(p *Presence) *string { return &p.Last }},
	{"nick", func(p *Presence) *string { return &p.Nick }},
	{"email", func(p *Presence) *string { return &p.Email }},
	{"jid", func(p *Presence) *string { return &p.JID }},
	{"status", func(p *Presence) *string { return (*string)(&p.Status) }},
	{"msg", func(p *Presence) *string { return &p.Msg }},
	{"phsh", func(p *Presence) *string { return &p.PHSH }},
	{"vc", func(p *Presence) *string { return &p.VC }},
	{"node", func(p *Presence) *string { return &p.Node }},
	{"ver", func(p *Presence) *string { return &p.Ver }},
	{"hash", func(p *Presence) *string { return &p.Hash }},
	{"ext", func(p *Presence) *string { return &p.Ext }},
}

// AppendTXT appends the strings of a TXT record that say p: txtvers first,
// then the keys that have a value, each string at most 255 bytes and cut
// between runes.
//
// "It is OPTIONAL to include any of these TXT keys". XEP-0174 v0.9 (TXT Records)
// "The "txtvers" key, if present, SHOULD be the first" (in substance), RFC 6763 §6.7
func AppendTXT(b []string, p Presence) []string {
	b = append(b, "txtvers=1")
	if p.Hash == "" { // node and ver mean something only together with hash
		p.Node, p.Ver = "", ""
	}
	for _, k := range textKeys {
		if v := *k.field(&p); v != "" {
			b = append(b, cutTXT(k.key+"="+v))
		}
	}
	if p.Port != 0 {
		b = append(b, "port.p2pj="+strconv.Itoa(int(p.Port)))
	}
	size := 0
	for _, s := range b {
		size += 1 + len(s)
	}
	for _, s := range p.Extra {
		// A known key in Extra would go round the privacy of its field.
		if s = cutTXT(s); keyOf(s) != "" && !isKnown(keyOf(s)) && size+1+len(s) <= maxTXT {
			b = append(b, s)
			size += 1 + len(s)
		}
	}
	return b
}

// ParseTXT reads the strings of a TXT record. What is strange in them is
// passed over: of a key that comes twice the first counts, a known key
// without a value says nothing, a string without a key is no string.
//
// RFC 6763 §6.4 (Rules for Keys in DNS-SD Key/Value Pairs)
func ParseTXT(text []string) Presence {
	var p Presence
	seen := map[string]bool{}
	var caps []string // node and ver
	for _, s := range text {
		key := keyOf(s)
		if key == "" || seen[key] || len(seen) >= len(textKeys)+2+maxExtra {
			continue
		}
		seen[key] = true
		if !p.setTXT(key, s) && len(p.Extra) < maxExtra {
			p.Extra = append(p.Extra, textual(s))
		}
		if key == "node" || key == "ver" {
			caps = append(caps, textual(s))
		}
	}
	p.Status = knownStatus(string(p.Status))
	programNotCaps(&p, caps)
	return p
}

// setTXT puts the value of a known key into its field. It reports false for
// an unknown key.
func (p *Presence) setTXT(key, s string) bool {
	_, value, _ := strings.Cut(s, "=")
	for _, k := range textKeys {
		if k.key == key {
			*k.field(p) = textual(value)
			return true
		}
	}
	if key == "port.p2pj" {
		if n, err := strconv.ParseUint(value, 10, 16); err == nil {
			p.Port = uint16(n)
		}
	}
	return isKnown(key)
}

// keyOf is the key of a TXT string in lower case, "" if it has no proper one.
//
// "The characters of a key MUST be printable US-ASCII values … Case is ignored
// when interpreting a key". RFC 6763 §6.4
func keyOf(s string) string {
	key, _, _ := strings.Cut(s, "=")
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return ""
		}
	}
	return strings.ToLower(key)
}

func isKnown(key string) bool {
	for _, k := range textKeys {
		if k.key == key {
			return true
		}
	}
	return key == "txtvers" || key == "port.p2pj"
}

// knownStatus reads the value of the key status. What it does not know means
// available.
func knownStatus(s string) Status {
	switch s := Status(strings.ToLower(s)); s {
	case Available, Away, DND:
		return s
	case "offline":
		return offlineStatus
	}
	return ""
}

// textual makes text of the peer's bytes: whatever XML cannot say is U+FFFD.
func textual(s string) string {
	return stanza.Clean(strings.ToValidUTF8(s, "\uFFFD"))
}

// cutTXT shortens a TXT string to 255 bytes without splitting a rune.
func cutTXT(s string) string { return cutBytes(s, maxTXTString) }

func cutBytes(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
