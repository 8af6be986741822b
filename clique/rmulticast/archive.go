package rmulticast

import (
	"encoding/binary"
	"hash/crc32"
)

// An archive writes what it is given, or reads it: one function for both says what
// a snapshot consists of, and the two cannot differ.
type archive struct {
	b       []byte // so far, or still to be read
	reading bool
	bad     bool // it ends too soon, is too long, or something is out of bounds
}

func (a *archive) fail() { a.bad, a.b = true, nil }

// check has no more written than a snapshot may be.
func (a *archive) check() {
	if a.bad || len(a.b) > MaxSnapshot-crc32.Size {
		a.fail()
	}
}

type integer interface {
	~uint8 | ~uint16 | ~uint32 | ~int | ~int64
}

// number is 1 to 10 bytes, seven bits in each, the lowest first. None is negative.
func number[T integer](a *archive, v *T) {
	if !a.reading {
		a.b = binary.AppendUvarint(a.b, uint64(*v))
		a.check()
		return
	}
	x, n := binary.Uvarint(a.b)
	if n <= 0 || x >= 1<<63 || uint64(T(x)) != x {
		a.fail()
		return
	}
	*v, a.b = T(x), a.b[n:]
}

func (a *archive) flag(v *bool) {
	var x uint8
	if *v {
		x = 1
	}
	number(a, &x)
	*v = x == 1
}

func (a *archive) mark(m *mark) {
	if a.flag(&m.set); m.set {
		number(a, &m.at)
	}
}

// list is the number of elements, at most limit, and the elements.
func list[T any](a *archive, l *[]T, limit int, element func(*archive, *T)) {
	n := len(*l)
	if number(a, &n); n > limit {
		a.fail()
	}
	for i := 0; i < n && !a.bad; i++ {
		if a.reading {
			*l = append(*l, *new(T))
		}
		element(a, &(*l)[i])
	}
}

// bytes are their number, at most limit, and they.
func (a *archive) bytes(v *[]byte, limit int) {
	n := len(*v)
	number(a, &n)
	switch {
	case !a.reading:
		a.b = append(a.b, *v...)
		a.check()
	case n > limit || n > len(a.b):
		a.fail()
	default:
		*v, a.b = a.b[:n:n], a.b[n:]
	}
}

func (a *archive) text(v *string, limit int) {
	b := []byte(*v)
	a.bytes(&b, limit)
	*v = string(b)
}

func entry(a *archive, e *Entry) {
	number(a, &e.Sender)
	number(a, &e.Next)
}
