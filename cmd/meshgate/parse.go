package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxConfigBytes caps the size of the configuration file.
const maxConfigBytes = 1 << 20

// maxConfigDepth caps how deep brackets may nest. Our own file has four
// levels; the parser would go ten thousand deep.
const maxConfigDepth = 64

// readConfig reads all of r, up to the cap.
func readConfig(r io.Reader, ps *problems) []byte {
	b, err := io.ReadAll(io.LimitReader(r, maxConfigBytes+1))
	switch {
	case err != nil:
		ps.add(0, "", "cannot read it: %v", errors.Unwrap(err))
	case len(b) > maxConfigBytes:
		ps.add(0, "", "it is larger than %d KiB: this is not a configuration of meshgate", maxConfigBytes>>10)
	default:
		return b
	}
	return nil
}

// parseYAML turns the file into a tree whose nodes know their lines. It
// returns nil if there is none, and says why.
//
// The tree is not expanded: an alias stays a node of its own, so a file that
// would grow a thousandfold costs nothing.
func parseYAML(b []byte, ps *problems) *yaml.Node {
	if line := controlLine(b); line > 0 {
		ps.add(line, "", "there is a byte that is no text (UTF-8); remove it")
		return nil
	}
	if line := deepLine(b); line > 0 {
		ps.add(line, "", "brackets or lists are nested more than %d deep; nothing in this file needs that", maxConfigDepth)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			ps.add(0, "", "it is empty; start from config.example.yaml")
		} else {
			addSyntax(ps, err, b)
		}
		return nil
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		ps.add(second.Line, "", "a second document begins here (---); one file has one configuration")
		return nil
	case !errors.Is(err, io.EOF):
		addSyntax(ps, err, b)
		return nil
	}
	return doc.Content[0]
}

// controlLine is the first line with a byte that may not stand in YAML; 0 if
// there is none. The parser does not say where.
func controlLine(b []byte) int {
	line := 1
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && n <= 1, r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return line
		}
		b = b[n:]
	}
	return 0
}

// deepLine is the first line where more brackets are open than any
// configuration needs, or that begins with more than that many list or key
// marks; 0 if there is none. Brackets inside quotes count too: a text with
// that many of them is as wrong.
func deepLine(b []byte) int {
	open := 0
	for i, l := range bytes.Split(b, []byte("\n")) {
		marks := 0
		for _, f := range bytes.Fields(l) {
			if len(f) != 1 || !bytes.Contains([]byte("-?:"), f) {
				break
			}
			marks++
		}
		indent := len(l) - len(bytes.TrimLeft(l, " "))
		for _, c := range l {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
		}
		if open > maxConfigDepth || marks > maxConfigDepth || indent > 4*maxConfigDepth {
			return i + 1
		}
	}
	return 0
}

var (
	yamlError     = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	parserError   = regexp.MustCompile(`^did not find expected (<document start>|node content|key|'-' indicator|',' or)`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.+)' referenced`)
)

// addSyntax says in words what the parser says in its own.
func addSyntax(ps *problems, err error, b []byte) {
	line, text := 0, err.Error()
	if m := yamlError.FindStringSubmatch(text); m != nil {
		text = m[2]
		line, _ = strconv.Atoi(m[1]) // none for the first line
		// yaml.v3 counts from zero where its parser, and not its scanner, complains.
		if line == 0 || parserError.MatchString(text) {
			line++
		}
	}
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		before, _, _ := bytes.Cut(b, []byte("*"+m[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
	}
	if tab := tabLine(b); tab > 0 && (strings.Contains(text, "cannot start any token") || strings.Contains(text, "tab")) {
		ps.add(tab, "", "the line is indented by a tab; use spaces")
		return
	}
	ps.add(line, "", "this is not YAML (%s)%s", text, syntaxAdvice(text))
}

func syntaxAdvice(text string) string {
	for _, h := range []struct{ part, advice string }{
		{"mapping values are not allowed", "is the indentation of this line or the one above wrong, or does a value with a colon need quotes?"},
		{"could not find expected ':'", `is there a key without a colon, or a quote that is not closed?`},
		{"did not find expected key", "are the keys from here on indented alike? Do quotes stand around the whole value?"},
		{"did not find expected ',' or", "a bracket is not closed, or a comma is missing"},
		{"did not find expected '-' indicator", "are the entries of the list indented alike?"},
		{"found character that cannot start any token", `a value that begins with @, % or a backquote needs quotes`},
		{"found unexpected end of stream", "a quote or a bracket is not closed"},
		{"did not find expected alphabetic or numeric character", `a value that begins with * or & needs quotes, as in "*@frontdesk"`},
		{"unknown anchor", `a value that begins with * needs quotes, as in "*@frontdesk"`},
		{"found unknown escape character", `write a backslash twice in "double quotes", or use 'single quotes'`},
	} {
		if strings.Contains(text, h.part) {
			return ": " + h.advice
		}
	}
	return ""
}

// tabLine is the first line whose indentation has a tab.
func tabLine(b []byte) int {
	for i, l := range bytes.Split(b, []byte("\n")) {
		if indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]; bytes.IndexByte(indent, '\t') >= 0 && len(indent) < len(l) {
			return i + 1
		}
	}
	return 0
}

// kindWords names what a node is, for "is a list".
func kindWords(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section with keys"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (*" + n.Value + ")"
	default:
		return fmt.Sprintf("%q", n.Value)
	}
}
