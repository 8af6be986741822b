package rewrite

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is a body as the gateway passes it on: every line break of Unicode is
// "\n", and what would reorder the line on the screen, or is a control
// character, is gone. Empty lines at the end are cut off, and long runs of blanks.
func Text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case isBreak(r):
			return '\n'
		case r == '\t':
			return r
		case unicode.IsControl(r) || reorders(r):
			return -1
		}
		return r
	}, s)
	return strings.TrimRight(shortBlanks(s), "\n")
}

// maxBlanks bounds the blanks in a row. With many of them, what follows would
// begin a line of the window, whatever its width, and could pass for the
// beginning of another message.
const maxBlanks = 32

// shortBlanks cuts long runs of blanks. A tab is as wide as eight.
func shortBlanks(s string) string {
	width := 0
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			width += 8
		case r != '\n' && (unicode.IsSpace(r) || invisible(r)):
			width++
		default:
			width = 0
		}
		if width > maxBlanks {
			return -1
		}
		return r
	}, s)
}

// blank reports whether nothing of s can be seen.
func blank(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsSpace(r) && !invisible(r) }) < 0
}

// isBreak reports whether r ends a line.
//
// Unicode Standard §5.8 (Newline Guidelines)
func isBreak(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}

// reorders reports whether r has no other purpose than to change the order in
// which its neighbours are shown.
//
// UAX #9 §2 (Directional Formatting Characters); U+206A to U+206F are its
// deprecated relatives, U+FFF9 to U+FFFB hide text as annotations.
func reorders(r rune) bool {
	switch {
	case r == '\u061C', r == '\u200E', r == '\u200F':
		return true
	case '\u202A' <= r && r <= '\u202E', '\u2066' <= r && r <= '\u206F', '\uFFF9' <= r && r <= '\uFFFB':
		return true
	}
	return false
}

// invisible reports whether r usually leaves no trace on the screen.
func invisible(r rune) bool {
	if r < utf8.RuneSelf {
		return false // most letters, and none of the tables below
	}
	switch r {
	case '\u034F', '\u115F', '\u1160', '\u17B4', '\u17B5', '\u2800', '\u3164', '\uFFA0':
		return true
	}
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// bracketLike reports whether r may be taken for an opening square bracket.
func bracketLike(r rune) bool {
	switch {
	case r == '(' || r == '{' || r == '\u201A' || r == '\u201E' || r == '\uFF08' || r == '\uFF5B':
		return false // open punctuation, but round, curly or a quotation mark
	case '\u23A1' <= r && r <= '\u23A3': // pieces of a tall bracket
		return true
	}
	return unicode.Is(unicode.Ps, r)
}

// named puts the writer's name in front in the way that cannot be imitated:
// see the package comment.
func named(name, body string) string {
	return "[" + name + "] " + strings.ReplaceAll(body, "\n", "\n  ")
}

// disarmed puts the speaker's name before every line that could be taken for
// the gateway's own: see the package comment.
func disarmed(speaker, body string) string {
	lines := strings.Split(body, "\n")
	for i, line := range lines {
		if startsLikeNotice(line) {
			lines[i] = speaker + ": " + line
		}
	}
	return strings.Join(lines, "\n")
}

func startsLikeNotice(line string) bool {
	for _, r := range line {
		if unicode.IsSpace(r) || invisible(r) || unicode.Is(unicode.Mn, r) {
			continue
		}
		return bracketLike(r)
	}
	return false
}
