package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// maxProblems caps how many problems of one file are printed.
const maxProblems = 25

// A problem is one thing in the configuration that a person should mend.
type problem struct {
	line    int    // in the file; 0 if it is about the file as a whole
	path    string // of the key, "contacts[2].jid"; "" if it is about no key
	text    string // what is wrong and what to do
	warning bool   // it works, but is hardly what was meant
}

// problems collects what is wrong with one file, so that a person can mend all
// of it at once.
type problems struct {
	file string
	list []problem
}

func (p *problems) add(line int, path, format string, args ...any) {
	p.list = append(p.list, problem{line: line, path: path, text: fmt.Sprintf(format, args...)})
}

func (p *problems) warn(line int, path, format string, args ...any) {
	p.list = append(p.list, problem{line: line, path: path, text: fmt.Sprintf(format, args...), warning: true})
}

// errors counts the problems that are no mere warnings.
func (p *problems) errors() int {
	n := 0
	for _, x := range p.list {
		if !x.warning {
			n++
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
			fmt.Fprintf(w, "%s: and %d more\n", p.file, len(p.list)-i)
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
