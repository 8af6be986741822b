package mdns

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxLabel = 63 // RFC 1035 §2.3.4, in bytes
	domain   = "local."
	enumName = name("_services._dns-sd._udp." + domain) // RFC 6763 §9
)

// A name is a fully qualified domain name in the one presentation spelling
// that miekg/dns produces when it unpacks a name: special characters as \X,
// bytes outside printable ASCII as \DDD, a dot at the end. Two names are the
// same name if their folds are equal strings.
type name string

// fold lowers ASCII letters and nothing else.
//
// "the ASCII letters … are compared case-insensitively; bytes outside ASCII
// are compared as they are" (in substance), RFC 6762 §16.
func (n name) fold() name { return name(asciiLower(string(n))) }

// cut splits off the first label, still escaped.
func (n name) cut() (label string, rest name) {
	for i := 0; i < len(n); i++ {
		switch n[i] {
		case '\\':
			i++ // \DDD holds no dot, so one step is enough
		case '.':
			return string(n[:i]), n[i+1:]
		}
	}
	return string(n), ""
}

func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return lowerFrom(s, i)
		}
	}
	return s
}

func lowerFrom(s string, i int) string {
	b := []byte(s)
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// escapeLabel spells a raw label, any bytes, as one label of a name.
func escapeLabel(raw string) string {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case strings.IndexByte(`. '@;()"\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// UnescapeLabel makes raw bytes of a label as the DNS library spells it: \X is
// the character X, \DDD the byte of that decimal number.
func UnescapeLabel(label string) string {
	if strings.IndexByte(label, '\\') < 0 {
		return label
	}
	b := make([]byte, 0, len(label))
	for i := 0; i < len(label); i++ {
		switch {
		case label[i] != '\\' || i+1 == len(label):
			b = append(b, label[i])
		case i+3 < len(label) && isDigit(label[i+1]) && isDigit(label[i+2]) && isDigit(label[i+3]):
			b = append(b, (label[i+1]-'0')*100+(label[i+2]-'0')*10+label[i+3]-'0')
			i += 3
		default:
			i++
			b = append(b, label[i])
		}
	}
	return string(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// typeName returns the name of a service type such as "_http._tcp".
func typeName(typ string) (name, error) {
	app, proto, ok := strings.Cut(strings.TrimSuffix(typ, "."), ".")
	if !ok || len(app) < 2 || len(app) > 16 || app[0] != '_' || (proto != "_tcp" && proto != "_udp") || escapeLabel(app) != app {
		return "", fmt.Errorf("mdns: %q is no service type such as \"_name._tcp\"", typ)
	}
	return name(app + "." + proto + "." + domain), nil
}

// typeString is the inverse of typeName.
func (n name) typeString() string { return strings.TrimSuffix(string(n), "."+domain) }

func instanceName(instance string, typ name) name {
	return name(escapeLabel(instance)) + "." + typ
}

func hostName(label string) name { return name(escapeLabel(label)) + "." + domain }

// cutBytes shortens s to at most max bytes without splitting a rune.
func cutBytes(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// numbered appends -n to a label and keeps the result within 63 bytes.
func numbered(preferred string, n int) string {
	suffix := fmt.Sprintf("-%d", n)
	return cutBytes(preferred, maxLabel-len(suffix)) + suffix
}
