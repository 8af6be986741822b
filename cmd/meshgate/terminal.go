package main

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
	"golang.org/x/text/width"
)

const (
	defaultColumns = 80 // where there is no terminal
	minColumns     = 40
	maxMarks       = 2 // accents and the like on top of one character
	clearScreen    = "\x1b[H\x1b[2J\x1b[3J"
)

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}

// columns is how wide what is written to w may be.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col > 0 {
			return max(int(ws.Col), minColumns)
		}
	}
	return defaultColumns
}

// plain is a peer's words as a terminal may show them: nothing in them moves
// the cursor, changes colours or the direction of writing, or is invisible.
func plain(s string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
			if marks++; marks > maxMarks {
				return -1
			}
			return r
		case r == '\n' || r == '\t':
			r = ' '
		case !unicode.IsPrint(r):
			r = unicode.ReplacementChar
		}
		marks = 0
		return r
	}, s)
}

// cells is how many columns a plain text takes.
func cells(s string) (n int) {
	for _, r := range s {
		n += cellsOf(r)
	}
	return n
}

func cellsOf(r rune) int {
	if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
		return 0
	}
	if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// fit cuts or fills a plain text to n columns; what is cut ends with "…".
func fit(s string, n int) string {
	total := cells(s)
	if total <= n {
		return s + strings.Repeat(" ", n-total)
	}
	var b strings.Builder
	used := 0
	for _, r := range s {
		c := cellsOf(r)
		if used+c > n-1 {
			break
		}
		b.WriteRune(r)
		used += c
	}
	return b.String() + "…" + strings.Repeat(" ", n-1-used)
}
