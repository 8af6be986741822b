package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	maxProblems = 25   // of one file are printed
	maxKept     = 1000 // of one file are kept; the rest is counted
)

// A problem is one thing in the configuration that a person should mend.
type problem struct {
	line    int    // in the file; 0 if it is about the file as a whole
	path    string // of the key, "contacts[2].jid"; "" if it is about no key
	text    string // what is wrong and what to do
	warning bool   // it works, but is hardly what was meant
	partial bool   // an error that keeps a part from working, and not the gateway
}

// problems collects what is wrong with one file, so that a person can mend all
// of it at once.
type problems struct {
	file string
	list []problem
	more int // beyond maxKept
}

func (p *problems) add(line int, path, format string, args ...any) {
	p.put(problem{line: line, path: path}, format, args)
}

func (p *problems) warn(line int, path, format string, args ...any) {
	p.put(problem{line: line, path: path, warning: true}, format, args)
}

// lame adds an error with which the gateway runs, without what the key is for.
func (p *problems) lame(line int, path, format string, args ...any) {
	p.put(problem{line: line, path: path, partial: true}, format, args)
}

func (p *problems) put(x problem, format string, args []any) {
	if len(p.list) >= maxKept {
		p.more++
		return
	}
	x.path, x.text = printable(x.path), words(format, args)
	p.list = append(p.list, x)
}

// words formats a text, with long parts of it clipped: they may be anything
// that the file holds.
func words(format string, args []any) string {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = clip(s, 200)
		}
	}
	return printable(clip(fmt.Sprintf(format, args...), 500))
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// printable clips a text to one line that a terminal can show.
func printable(s string) string {
	s = clip(s, 500)
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strings.Trim(strconv.QuoteToGraphic(s), `"`)
	}
	return s
}

// faulty reports whether an error is noted about just this key.
func (p *problems) faulty(path string) bool {
	return slices.ContainsFunc(p.list, func(x problem) bool { return x.path == path && !x.warning })
}

// errors counts the problems that are no mere warnings.
func (p *problems) errors() int {
	n := p.more
	for _, x := range p.list {
		if !x.warning {
			n++
		}
	}
	return n
}

// fatal counts the errors with which the gateway does not run.
func (p *problems) fatal() int {
	n := p.errors()
	for _, x := range p.list {
		if x.partial {
			n--
		}
	}
	return n
}

// ordered is the list by line; what is about the whole file comes first.
func (p *problems) ordered() []problem {
	l := slices.Clone(p.list)
	slices.SortStableFunc(l, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	return l
}

// write prints one line for each problem, in the form that editors jump to.
func (p *problems) write(w io.Writer) {
	for i, x := range p.ordered() {
		if i == maxProblems {
			fmt.Fprintf(w, "%s: and %d more\n", p.file, len(p.list)-i+p.more)
			return
		}
		fmt.Fprintln(w, p.file+x.String())
	}
}

// String is ":12: account.jid: warning: …", to stand behind the file's name.
func (x problem) String() string {
	s := ": "
	if x.line > 0 {
		s = fmt.Sprintf(":%d: ", x.line)
	}
	if x.path != "" {
		s += x.path + ": "
	}
	if x.warning {
		s += "warning: "
	}
	return s + x.text
}
