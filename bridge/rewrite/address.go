package rewrite

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"meshgate/linklocal"
)

// maxName bounds a displayed name in bytes. A presence name has at most 63.
const maxName = 80

// altered stands in front of a name that cannot be shown as it is. Without
// it, a peer could call itself another's name with an invisible character
// within, and be shown like that other.
const altered = "~"

// DisplayName is a presence name as people on the network see it. It has no
// square brackets, control or invisible characters, one form of each letter
// (RFC 6763 §4.1.3), and always an "@", which the gateway's own mark never has.
// Names that had to be altered begin with "~".
func DisplayName(i linklocal.Instance) string {
	name := clip(cleanName(string(i)), maxName)
	if name != string(i) || strings.HasPrefix(name, altered) || strings.HasSuffix(name, "@?") {
		name = altered + name
	}
	if !strings.Contains(name, "@") {
		name += "@?"
	}
	return name
}

// Line is text that others wrote as a single line of at most limit bytes: a
// status message, the words of an error.
func Line(s string, limit int) string {
	return clip(strings.Join(strings.Fields(Text(s)), " "), limit)
}

func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '(' || r == ')':
			return r
		case unicode.Is(unicode.Ps, r) || bracketLike(r):
			return '('
		case unicode.Is(unicode.Pe, r) || '\u23A4' <= r && r <= '\u23A6': // pieces of a tall bracket
			return ')'
		case isBreak(r) || unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || invisible(r):
			return -1
		}
		return r
	}, norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD")))
	return strings.Join(strings.Fields(s), " ")
}

// clip cuts s to at most limit bytes, between two characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const more = "…"
	end := 0
	for i := range s {
		if i > limit-len(more) {
			break
		}
		end = i
	}
	return s[:end] + more
}
