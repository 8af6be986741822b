package linklocal

import (
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	maxInstance = 63 // bytes of a DNS label, RFC 1035 §2.3.4
	maxMachine  = 32 // bytes, so that there is room for the user
)

// PresenceName is the name under which a contact with that user part is
// present, unless somebody else holds it.
func PresenceName(user, machine string) Instance {
	return presenceName(user, cleanMachine(machine))
}

// presenceName is the name under which a contact wants to be present.
//
// "user@machine": the user part is UTF-8 (NFC, RFC 6763 §4.1.1), the machine
// part US-ASCII. XEP-0174 v0.9 (Internationalization Considerations)
func presenceName(user, machine string) Instance {
	return joinName(cleanUser(user), "", machine)
}

// A Rename says how another presence name is made where one is taken.
type Rename uint8

// The two rules that there have been.
const (
	// RenameDigit makes "romeo1@forza" of "romeo@forza", then "romeo2@forza".
	//
	// "adding the digit "1" to the end of the username string, adding the digit
	// "2" if the resulting presence name is already taken, and incrementing the
	// digit until a unique presence name is constructed". XEP-0174 v0.9 (DNS Records)
	RenameDigit Rename = iota

	// RenameHyphen makes "romeo-1@forza", then "romeo-2@forza": the form of
	// XEP-0174 v2.0.1.
	RenameHyphen
)

// name is the nth other name (1, 2, …) for a presence name that is taken.
func (r Rename) name(preferred string, n int) string {
	i, suffix := Instance(preferred), strconv.Itoa(n)
	if r == RenameHyphen {
		suffix = "-" + suffix
	}
	return string(joinName(i.User(), suffix, i.Machine()))
}

// joinName puts a presence name together and cuts the user part, between
// runes, so that the whole is at most 63 bytes.
func joinName(user, suffix, machine string) Instance {
	tail := suffix
	if machine != "" {
		tail += "@" + machine
	}
	return Instance(cutBytes(user, max(maxInstance-len(tail), 0)) + tail)
}

// cleanUser makes a user part of any text: one "@" has a meaning in a
// presence name, so the user part has none, and no control characters.
func cleanUser(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '@' || unpasteable(r):
			return '-'
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(norm.NFC.String(s)), " ")
	if s == "" {
		return "unnamed"
	}
	return s
}

// cleanMachine makes a machine part of the name of a computer: its first
// label, in US-ASCII.
//
// "The "machine-name" portion … MUST NOT contain characters outside the
// US-ASCII character range". XEP-0174 v0.9 (Internationalization Considerations)
func cleanMachine(s string) string {
	s, _, _ = strings.Cut(s, ".")
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, s)
	s = strings.Trim(cutBytes(s, maxMachine), "-")
	if s == "" {
		return "meshgate"
	}
	return s
}
