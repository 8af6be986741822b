package bridge

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
)

// addressed is what stands behind the "@" that body begins with. Programs put
// blanks and invisible characters in front; "＠" is that of East Asian keyboards.
func addressed(body string) (text string, ok bool) {
	body = strings.TrimLeftFunc(body, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
	if text, ok = strings.CutPrefix(body, "@"); ok {
		return text, true
	}
	return strings.CutPrefix(body, "＠")
}

// mention looks for the peer that text begins with: its presence name, the
// name by which it is shown, or the user part of it. More than one peer is
// returned if several may be meant. rest is the text behind the longest name.
//
// The longest name counts, but only where it goes on as names do: else a peer
// that calls itself "bob can" would get what "@bob can you …" says to bob (IJ-09).
func mention(text string, among []linklocal.Instance) (found []linklocal.Instance, rest string) {
	lens, longest := make([]int, len(among)), 0
	for i, peer := range among {
		for _, name := range []string{string(peer), rewrite.DisplayName(peer), peer.User()} {
			lens[i] = max(lens[i], nameLen(text, name))
		}
		longest = max(longest, lens[i])
	}
	for i, n := range lens {
		if n > 0 && (n == longest || !meant.MatchString(text[n:longest])) {
			found = append(found, among[i])
		}
	}
	rest = strings.TrimLeft(text[longest:], ":,;")
	return found, strings.TrimLeftFunc(rest, unicode.IsSpace)
}

// meant fits what makes one name of another and is not just written by chance:
// the number that a program puts behind a name that is taken, or an address.
//
// COMPAT iChat: "bob@h2 (2)".
// COMPAT avahi: "bob@h2 #2".
var meant = regexp.MustCompile(`^(?: \(\d+\)| #\d+|.*@.*)$`)

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

// quoted is the name in "> [name] …", as clients quote a peer's message, or "".
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
	if !ok || strings.Contains(name, "\n") || !strings.Contains(name, "@") {
		return "" // the gateway's own mark, or no message of ours
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
