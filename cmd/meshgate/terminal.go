package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"golang.org/x/text/width"
)

const (
	defaultColumns = 80 // where there is no terminal
	minColumns     = 40
	minRows        = 4
	maxMarks       = 2 // accents and the like on top of one character

	clearScreen = "\x1b[H\x1b[J" // what was scrolled away stays the user's
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
	if ws := windowOf(w); ws.Col > 0 {
		return max(int(ws.Col), minColumns)
	}
	return defaultColumns
}

// windowOf is the size of a terminal; zero: it is none, or not known.
func windowOf(w io.Writer) (ws unix.Winsize) {
	if f, ok := w.(*os.File); ok {
		if got, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			ws = *got
		}
	}
	return ws
}

// screenful cuts a text to so many lines, and says how many there would be
// more: a table that scrolls leaves a copy behind each time it is drawn.
func screenful(text string, rows int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	most := max(rows, minRows) - 2 // the last but one says so, the cursor is in the last
	if rows == 0 || len(lines) <= most+1 {
		return text
	}
	return strings.Join(lines[:most], "") + fmt.Sprintf("… and %d more\n", len(lines)-most)
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

// encoder writes JSON that a terminal may show, too: what plain replaces is
// escaped. A peer's words may have control characters above ASCII, which JSON
// lets stand.
func (p process) encoder() *json.Encoder { return json.NewEncoder(visible{p.stdout}) }

// visible takes a whole JSON text with each Write, as json.Encoder gives it.
type visible struct{ io.Writer }

func (v visible) Write(text []byte) (int, error) {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r < utf8.RuneSelf && r != '\x7f' || unicode.IsPrint(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	_, err := v.Writer.Write(out)
	return len(text), err
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
