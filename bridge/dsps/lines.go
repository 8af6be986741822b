package dsps

import (
	"bytes"
	"fmt"
)

// A lineEnd is how the lines of a peer end. The first decides.
type lineEnd uint8

const (
	unknown lineEnd = iota
	endsCR
	endsLF
	endsCRLF
	undecided // CR, and what comes next has not been seen
)

// lines takes a connection's bytes apart into lines, and gives back what
// stands behind the last.
type lines struct {
	buf  []byte
	ends lineEnd
}

// add takes bytes as they come.
func (l *lines) add(b []byte) { l.buf = append(l.buf, b...) }

// next is the next line; ok is false if there is none yet.
func (l *lines) next() (line string, ok bool, err error) {
	l.settle()
	end, skip := l.find()
	if end < 0 && len(l.buf) > maxLine+1 || end > maxLine {
		return "", false, fmt.Errorf("%w: a line of more than %d bytes", errWire, maxLine)
	}
	if end < 0 {
		return "", false, nil
	}
	line = string(l.buf[:end])
	if bytes.ContainsAny(l.buf[:end], "\x00\r\n") {
		return "", false, fmt.Errorf("%w: lines end in different ways", errWire)
	}
	l.buf = l.buf[end+skip:]
	l.settle()
	return line, true, nil
}

// settle finds out whether a first line that ended in CR did so in CR LF.
func (l *lines) settle() {
	if l.ends != undecided || len(l.buf) == 0 {
		return
	}
	l.ends = endsCR
	if l.buf[0] == lf {
		l.ends = endsCRLF
		l.buf = l.buf[1:]
	}
}

// find is where the first line ends, and how many bytes end it.
func (l *lines) find() (end, skip int) {
	switch l.ends {
	case unknown:
		end = bytes.IndexAny(l.buf, "\r\n")
		if end >= 0 {
			l.ends = endsLF
			if l.buf[end] == cr {
				l.ends = undecided
			}
		}
		return end, 1
	case endsLF:
		return bytes.IndexByte(l.buf, lf), 1
	case endsCRLF:
		return bytes.Index(l.buf, []byte{cr, lf}), 2
	default:
		return bytes.IndexByte(l.buf, cr), 1
	}
}

// rest is what stands behind the last line, once at least a byte of it was
// seen or a second line was.
func (l *lines) rest() []byte {
	l.settle()
	b := l.buf
	l.buf = nil
	return b
}
