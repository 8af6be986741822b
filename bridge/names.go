package bridge

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
)

// mention looks for the peer that text begins with: its presence name, the
// name by which it is shown, or the user part of it. The longest match counts;
// more than one peer is returned if several have it. rest is the text behind.
func mention(text string, among []linklocal.Instance) (found []linklocal.Instance, rest string) {
	longest := 0
	for _, i := range among {
		n := 0
		for _, name := range []string{string(i), rewrite.DisplayName(i), i.User()} {
			n = max(n, nameLen(text, name))
		}
		switch {
		case n == 0 || n < longest:
		case n > longest:
			longest, found = n, []linklocal.Instance{i}
		default:
			found = append(found, i)
		}
	}
	rest = strings.TrimLeft(text[longest:], ":,;")
	return found, strings.TrimLeftFunc(rest, unicode.IsSpace)
}

// nameLen is the length of name at the start of text, or 0 if text does not
// begin with it as a word. Case does not count.
func nameLen(text, name string) int {
	n := foldPrefix(text, name)
	if n == 0 || n == len(text) {
		return n
	}
	next, _ := utf8.DecodeRuneInString(text[n:])
	if unicode.IsSpace(next) || strings.ContainsRune(":,;", next) {
		return n
	}
	return 0
}

// foldPrefix is the length of the prefix of text that equals name but for
// case, or 0.
func foldPrefix(text, name string) int {
	n := 0
	for _, want := range name {
		got, size := utf8.DecodeRuneInString(text[n:])
		if size == 0 || !sameFold(got, want) {
			return 0
		}
		n += size
	}
	return n
}

func sameFold(a, b rune) bool {
	if a == b {
		return true
	}
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return false
}

// quoted is the name in "> [name] …", as clients quote a message of ours, or "".
func quoted(body string) string {
	rest, ok := strings.CutPrefix(body, ">")
	if !ok {
		return ""
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), "[")
	if !ok {
		return ""
	}
	name, _, ok := strings.Cut(rest, "]")
	if !ok || strings.Contains(name, "\n") {
		return ""
	}
	return name
}

// shownAs is the one whose displayed name this is.
func shownAs(name string, among []linklocal.Instance) (linklocal.Instance, bool) {
	for _, i := range among {
		if rewrite.DisplayName(i) == name {
			return i, true
		}
	}
	return "", false
}
