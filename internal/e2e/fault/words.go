package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Words are the numbered messages of one way. Each is known by the way's tag
// and its number, and its text by these two alone, so that whoever gets one
// can tell whether it is whole.
type words struct {
	tag   string
	sizes []int // bytes of a message's text; they take turns
}

// alphabet has what is special in XML, in HTML and in UTF-8.
const alphabet = `the quick <b>brown</b> fox & "jumps" over 'the' lazy dög, 犬 🐕; 1 < 2 &amp; `

// text is message n: "#TAG.N#", and letters up to its size.
func (w words) text(n int) string {
	size := w.sizes[n%len(w.sizes)]
	b := fmt.Appendf(nil, "#%s.%d#", w.tag, n)
	for turn := n; len(b) < size; turn = 0 {
		b = append(b, strings.TrimLeft(alphabet[start(turn):], " ")...)
	}
	b = b[:max(size, 1)]
	for !utf8.Valid(b) {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == ' ' {
		b[len(b)-1] = '.'
	}
	return string(b)
}

// start is where message n begins in the alphabet: with a character.
func start(n int) int {
	at := n % len(alphabet)
	for !utf8.RuneStart(alphabet[at]) {
		at--
	}
	return at
}

// number is which message a text is, whatever a gateway has put in front of
// it, and whether it is all there.
func (w words) number(text string) (n int, whole, ok bool) {
	_, after, found := strings.Cut(text, "#"+w.tag+".")
	digits, _, ended := strings.Cut(after, "#")
	n, err := strconv.Atoi(digits)
	if !found || !ended || err != nil || n < 0 {
		return 0, false, false
	}
	return n, strings.HasSuffix(text, w.text(n)), true
}
